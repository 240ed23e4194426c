"""The audit: whatever others do to our keys is noticed without a further write, and mended from memory."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from livecache.clock import SystemClock
from livecache.keys.keyspace import Damaged, decode_state
from livecache.model.series import Close, Kind, SeriesId
from livecache.model.timeframe import Timeframe
from livecache.wire.scripts import RedisLike

from .support import BTC, STEP, T0, Source, candle, state, until, whole
from .writing import KEYS, SET, STATE, eventually, on_valkey, running, said, stored, writer_of

TRUTH = [candle(n).member() for n in range(10)]


async def as_written(client: Any) -> bool:
    """Whether Redis holds BTC as the source has it, the state included."""
    fields = {k.decode(): v.decode() for k, v in (await client.hgetall(STATE)).items()}
    if await stored(client) != TRUTH or not fields:
        return False
    scores = [score for _, score in await client.zrange(SET, 0, -1, withscores=True)]
    try:
        record = decode_state(fields)
    except Damaged:
        return False
    if scores != [T0 + n * STEP for n in range(10)] or record.fence < T0 // 2:
        return False
    return record.state == state(0, 10, 10) and record.count == 10 and record.revision > 0


async def replace_a_member(client: Any) -> None:
    await client.zrem(SET, TRUTH[3])
    await client.zadd(SET, {candle(3, close="91").member(): T0 + 3 * STEP})


async def damage_a_member(client: Any) -> None:
    await client.zrem(SET, TRUTH[3])
    await client.zadd(SET, {'{"oops":': T0 + 3 * STEP})


async def add_a_hundred_thousand(client: Any) -> None:
    await client.zadd(SET, {f"junk {n}": n for n in range(100_000)})


DAMAGE: dict[str, Callable[[Any], Awaitable[Any]]] = {
    "the set is evicted and its state stays": lambda c: c.delete(SET),
    "the state is evicted and its set stays": lambda c: c.delete(STATE),
    "a member is gone": lambda c: c.zrem(SET, TRUTH[0]),
    "a member is replaced": replace_a_member,
    "a member is damaged": damage_a_member,
    "a member lies elsewhere": lambda c: c.zadd(SET, {TRUTH[3]: T0 + 3 * STEP + 1}),
    "there is a member too many": lambda c: c.zadd(SET, {candle(42).member(): T0 + 42 * STEP}),
    "there are 100,000 too many": add_a_hundred_thousand,
    "a watermark is moved": lambda c: c.hset(STATE, "known_through", T0 + 99 * STEP),
    "a watermark is gone": lambda c: c.hdel(STATE, "settled_through"),
    "the revision is another": lambda c: c.hset(STATE, "revision", 999),
    "the fence is older": lambda c: c.hset(STATE, "fence", 7),
    "the fence is newer": lambda c: c.hset(STATE, "fence", 9_000_000_000_000),
    "the fence is absurd": lambda c: c.hset(STATE, "fence", "inf"),
    "the count is another": lambda c: c.hset(STATE, "count", "many"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_is_found_told_and_mended_though_nothing_changes(clean_valkey: str, damage: str) -> None:
    async def test(client: Any, source: Source) -> None:
        writer = writer_of(client, source)
        with said() as events:
            async with running(writer):
                await until(lambda: writer.stats.upserts == 2)
                await DAMAGE[damage](client)
                await until(lambda: writer.stats.damage.series > 0)
                await eventually(lambda: as_written(client))
        assert "cache_damaged" in events and source.rewrites > 0

    on_valkey(clean_valkey, test)


@pytest.mark.parametrize("key", [SET, STATE, KEYS.series, KEYS.feed, KEYS.closes])
def test_a_time_limit_set_by_others_is_lifted(clean_valkey: str, key: str) -> None:
    async def test(client: Any, source: Source) -> None:
        source.closes.append(Close(Kind.CLOSED, BTC, T0, candle(0), None))
        writer = writer_of(client, source)
        with said() as events:
            async with running(writer):
                await until(lambda: writer.stats.upserts == 2)

                async def is_there() -> bool:
                    return bool(await client.exists(key))

                await eventually(is_there)
                assert await client.pexpire(key, 60_000)
                await until(lambda: writer.stats.damage.limits == 1)
                assert await client.pttl(key) == -1
                assert writer.stats.damage.series == 0, "and nothing had to be rewritten"
        assert "ttl_lifted" in events

    on_valkey(clean_valkey, test)


@pytest.mark.parametrize("what", ["gone", "one too many", "one replaced"])
def test_the_set_of_series_is_announced_anew(clean_valkey: str, what: str) -> None:
    async def test(client: Any, source: Source) -> None:
        writer = writer_of(client, source)
        async with running(writer):
            await until(lambda: writer.stats.upserts == 2)
            if what == "gone":
                await client.delete(KEYS.series)
            else:
                await client.sadd(KEYS.series, "DOGE-USD:5m")
            if what == "one replaced":
                await client.srem(KEYS.series, "BTC-USD:5m")
            await until(lambda: writer.stats.damage.announcements > 0)

            async def restored() -> bool:
                return bool(await client.smembers(KEYS.series) == {b"BTC-USD:5m", b"ETH-USD:5m"})

            await eventually(restored)

    on_valkey(clean_valkey, test)


class Announcing:
    """A connection on which what is announced waits, while the audit goes on."""

    def __init__(self, inner: RedisLike) -> None:
        self.inner = inner
        self.may_pass = asyncio.Event()
        self.may_pass.set()
        self.audits = 0

    async def execute_command(self, *args: Any) -> Any:
        if args[3:5] == (KEYS.series, KEYS.lease):
            await self.may_pass.wait()
        reply = await self.inner.execute_command(*args)
        self.audits += args[3:5] == (KEYS.series, KEYS.feed)
        return reply


def test_a_set_that_is_being_announced_is_not_taken_for_a_damaged_one(clean_valkey: str) -> None:
    async def test(client: Any, source: Source) -> None:
        connection = Announcing(client)
        writer = writer_of(connection, source, audit_every=1)

        async def audited() -> None:
            until_then = connection.audits + 3
            await until(lambda: connection.audits >= until_then)

        async with running(writer):
            await audited()
            connection.may_pass.clear()
            writer.change((BTC,))
            await audited()
            connection.may_pass.set()

            async def announced() -> bool:
                return bool(await client.smembers(KEYS.series) == {b"BTC-USD:5m"})

            await eventually(announced)
            await audited()
            assert writer.stats.damage.announcements == 0, "nobody has damaged anything"
            await client.delete(KEYS.series)
            await until(lambda: writer.stats.damage.announcements > 0)
            await eventually(announced)

    on_valkey(clean_valkey, test)


@pytest.mark.parametrize("what", ["deleted", "trimmed"])
def test_a_stream_of_closes_that_others_cut_is_told_and_goes_on(clean_valkey: str, what: str) -> None:
    async def test(client: Any, source: Source) -> None:
        closes = [Close(Kind.CLOSED, BTC, T0 + n * STEP, candle(n), None) for n in range(5)]
        source.closes.extend(closes)
        writer = writer_of(client, source)
        with said() as events:
            async with running(writer):
                await until(lambda: writer.stats.closes == 5 and writer._teller._closes == 5)
                await (
                    client.delete(KEYS.closes)
                    if what == "deleted"
                    else client.xtrim(KEYS.closes, maxlen=2, approximate=False)
                )
                await until(lambda: writer.stats.damage.closes > 0)
                assert writer.stats.damage.closes == (5 if what == "deleted" else 3)
                source.closes.append(Close(Kind.SETTLED, BTC, T0, candle(0), None))
                source.wake.set()
                await until(lambda: writer.stats.closes == 6)
                assert await client.xlen(KEYS.closes) == (1 if what == "deleted" else 3)
        assert events.count("closes_removed") == 1

    on_valkey(clean_valkey, test)


def test_no_healthy_series_is_ever_found_damaged_while_writes_are_on_their_way(clean_valkey: str) -> None:
    """Rounds every few milliseconds, and writes all along, some of them whole."""

    async def test(client: Any, source: Source) -> None:
        writer = writer_of(client, source)
        async with running(writer):
            await until(lambda: writer.stats.upserts == 2)
            for n in range(10, 1000):
                source.change(
                    BTC, {T0 + n * STEP: candle(n)}, state(n - 9, n, n), keep_from=T0 + (n - 9) * STEP
                )
                if n % 50 == 0:
                    source.fill(source.content[BTC])
                # The next comes as soon as this one is on its way, so that audits meet writes in every phase.
                while source.changed:
                    await asyncio.sleep(0)
            await until(lambda: writer.stats.upserts == 992)
            assert len(await stored(client)) == 10
        # On a busy host the lease may run out and be taken anew; that too is no damage.
        assert writer.stats.damage.series == writer.stats.lost == 0

    on_valkey(clean_valkey, test)


def test_a_series_that_holds_no_candle_yet_is_healthy(clean_valkey: str) -> None:
    async def test(client: Any, _: Source) -> None:
        source = Source()
        source.fill(whole(BTC, range(0), state(0, 0, 0)))
        writer = writer_of(client, source, [BTC])
        async with running(writer):
            await until(lambda: writer.stats.upserts == 1)
            await client.pexpire(STATE, 600_000)  # What is lifted in the same round as the rest is compared.
            await until(lambda: writer.stats.damage.limits == 1)
        assert writer.stats.damage.series == 0

    on_valkey(clean_valkey, test)


def test_every_series_has_its_turn(clean_valkey: str) -> None:
    async def test(client: Any, _: Source) -> None:
        source = Source()
        many = [SeriesId("coinbase", f"S{n:03}-USD", Timeframe.M5) for n in range(230)]
        for series in many:
            source.fill(whole(series, range(3), state(0, 3, 3)))
        writer = writer_of(client, source, many)
        async with running(writer):
            await until(lambda: writer.stats.upserts >= len(many))
            for series in (many[0], many[149], many[-1]):
                await client.delete(KEYS.candles(*series[1:]))
            await until(lambda: writer.stats.damage.series == 3)
            await until(lambda: writer.stats.upserts >= len(many) + 3)
            sizes = [await client.zcard(KEYS.candles(*series[1:])) for series in many]
            assert sizes == [3] * len(many)

    on_valkey(clean_valkey, test)


def test_it_takes_a_few_seconds_at_the_real_pace(clean_valkey: str) -> None:
    async def test(client: Any, source: Source) -> None:
        writer = writer_of(client, source, clock=SystemClock())
        async with running(writer):
            await until(lambda: writer.stats.upserts == 2)
            loop = asyncio.get_running_loop()
            await client.delete(SET)
            started_s = loop.time()
            await eventually(lambda: as_written(client))
            assert loop.time() - started_s < 5.0  # one second and a moment on a machine that is not busy

    on_valkey(clean_valkey, test)
