"""The writer against a real server: what it writes, and that it heals from whatever happens to Redis."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import fakeredis
import pytest
from redis.exceptions import ConnectionError

from livecache.clock import SystemClock
from livecache.errors import ForeignKey
from livecache.keys.keyspace import decode_alive, decode_coverage, decode_state
from livecache.model.series import Change, Close, Kind, SeriesId, Update
from livecache.model.timeframe import Timeframe
from livecache.write.closes import PENDING_MAX, PendingCloses
from livecache.write.lease import Fenced
from livecache.write.presence import Alive
from livecache.write.upserts import batch_changes

from .support import BTC, ETH, ORIGIN, STEP, T0, Source, SyncAdapter, candle, state, until, whole
from .writing import KEYS, SET, STATE, Flaky, eventually, on_valkey, running, stored, writer_of


def test_what_the_source_holds_is_in_redis_with_all_that_belongs_to_it(clean_valkey: str) -> None:
    async def test(client: Any, source: Source) -> None:
        writer = writer_of(client, source)
        async with running(writer):
            await until(lambda: writer.stats.upserts == 2)
            assert await stored(client) == [candle(n).member() for n in range(10)]
            fields = {k.decode(): v.decode() for k, v in (await client.hgetall(STATE)).items()}
            record = decode_state(fields)
            assert record.state == state(0, 10, 10)
            assert (record.count, record.origin, record.fence) == (10, ORIGIN, writer.token)
            assert await client.smembers(KEYS.series) == {b"BTC-USD:5m", b"ETH-USD:5m"}

            async def vouched() -> bool:
                return bool(await client.exists(KEYS.alive("BTC-USD"))) and bool(
                    await client.exists(KEYS.feed)
                )

            await eventually(vouched)
            alive = decode_alive(await client.get(KEYS.alive("BTC-USD")))
            assert (alive.instance, alive.time, alive.feed) == ("one", T0 + 100 * STEP, "up")
            assert 0 < await client.pttl(KEYS.alive("BTC-USD")) <= 10_000
            assert (await client.hget(KEYS.feed, "origin")).decode() == ORIGIN
        assert not await client.exists(KEYS.lease), "the next one need not wait"

    on_valkey(clean_valkey, test)


def test_a_change_is_written_and_published_and_the_rest_stays(clean_valkey: str) -> None:
    async def test(client: Any, source: Source) -> None:
        writer = writer_of(client, source)
        async with running(writer), client.pubsub(ignore_subscribe_messages=True) as pubsub:
            await until(lambda: writer.stats.upserts == 2)
            await pubsub.subscribe(KEYS.updates("BTC-USD", Timeframe.M5))
            await pubsub.get_message(timeout=10)
            update = Update(Kind.FORMING, candle(10))
            source.change(
                BTC, {T0 + 10 * STEP: candle(10)}, state(1, 10, 10), keep_from=T0 + STEP, updates=(update,)
            )
            await until(lambda: writer.stats.upserts == 3)
            assert await stored(client) == [candle(n).member() for n in range(1, 11)]
            message = await pubsub.get_message(timeout=10)
            assert message is not None
            assert message["data"].startswith(b'{"kind":"forming","candle":[')
            assert source.rewrites == 0 and writer.stats.lost == 0

    on_valkey(clean_valkey, test)


def test_an_emptied_redis_is_rewritten_whole_from_memory(clean_valkey: str) -> None:
    async def test(client: Any, source: Source) -> None:
        writer = writer_of(client, source)
        async with running(writer):
            await until(lambda: writer.stats.upserts == 2)
            await client.flushall()
            source.change(BTC, {T0 + 10 * STEP: candle(10)}, state(0, 10, 11))

            async def healed() -> bool:
                full = len(await stored(client)) == 11
                return full and len(await stored(client, KEYS.candles("ETH-USD", Timeframe.M5))) == 10

            # The flush finds BTC lost, and the lease that went with it brings back everything else.
            await eventually(healed)
            await until(lambda: writer.stats.fenced >= 1)
            assert await client.scard(KEYS.series) == 2

    on_valkey(clean_valkey, test)


def test_a_lost_key_alone_is_rewritten_with_the_next_change(clean_valkey: str) -> None:
    async def test(client: Any, source: Source) -> None:
        # At the real pace, or the audit might find it first.
        writer = writer_of(client, source, clock=SystemClock())
        async with running(writer):
            await until(lambda: writer.stats.upserts == 2)
            await client.delete(SET)
            source.change(BTC, {T0 + 10 * STEP: candle(10)}, state(0, 10, 11))
            await until(lambda: writer.stats.upserts == 3)
            assert len(await stored(client)) == 11
            # On a busy machine the audit may come first.
            assert writer.stats.lost + writer.stats.damage.series == 1
            assert (source.rewrites, writer.stats.fenced) == (1, 0)

    on_valkey(clean_valkey, test)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_write_cut_off_before_or_after_the_server_did_it_comes_again(
    clean_valkey: str, after: bool
) -> None:
    async def test(client: Any, source: Source) -> None:
        flaky = Flaky(client)
        writer = writer_of(flaky, source)
        async with running(writer):
            await until(lambda: writer.stats.upserts == 2)
            flaky.error, flaky.after = ConnectionError("cut"), after
            source.change(BTC, {T0 + 10 * STEP: candle(10)}, state(0, 10, 11))
            source.closes.append(Close(Kind.CLOSED, BTC, T0 + 10 * STEP, candle(10), None))
            await until(lambda: flaky.failures > 5)
            flaky.error = None
            await until(lambda: writer.stats.recoveries > 0 and writer.stats.upserts > 2)
            assert await stored(client) == [candle(n).member() for n in range(11)]
            entries = [entry for _, entry in await client.xrange(KEYS.closes)]
            assert entries and all(e[b"candle"].decode() == candle(10).member() for e in entries)
            assert after or len(entries) == 1

    on_valkey(clean_valkey, test)


def test_a_change_that_could_not_be_sent_is_not_forgotten_when_the_next_one_comes(clean_valkey: str) -> None:
    """Not even where the failed flush had not come to the series yet, and Redis holds what it did before."""

    async def test(client: Any, source: Source) -> None:
        flaky = Flaky(client)
        writer = writer_of(flaky, source)
        async with running(writer):
            await until(lambda: writer.stats.upserts == 2)
            flaky.error = ConnectionError("cut")
            source.closes.append(Close(Kind.CLOSED, BTC, T0 + 10 * STEP, candle(10), None))
            source.change(BTC, {T0 + 10 * STEP: candle(10)}, state(0, 10, 11))
            await until(lambda: not source.changed)
            source.change(BTC, {T0 + 11 * STEP: candle(11)}, state(0, 10, 12))
            flaky.error = None
            await until(lambda: writer.stats.upserts > 2 and not source.changed)
            assert await stored(client) == [candle(n).member() for n in range(12)]

    on_valkey(clean_valkey, test)


def test_a_server_out_of_memory_is_waited_for(clean_valkey: str) -> None:
    async def test(client: Any, source: Source) -> None:
        writer = writer_of(client, source)
        async with running(writer):
            await until(lambda: writer.stats.upserts == 2)
            await client.config_set("maxmemory", "1")
            source.change(BTC, {T0 + 9 * STEP: candle(9, volume="3")}, state(0, 9, 10))
            await until(lambda: writer.stats.errors > 0)
            assert len(await stored(client)) == 10, "what is there stays there"
            await client.config_set("maxmemory", "0")
            await until(lambda: writer.stats.upserts >= 3)
            assert (await stored(client))[-1] == candle(9, volume="3").member()

    on_valkey(clean_valkey, test)


def test_closes_are_in_the_stream_before_the_candle_is_in_the_set(clean_valkey: str) -> None:
    async def test(client: Any, source: Source) -> None:
        new = state(0, 11, 11)
        seen: list[tuple[bool, int]] = []

        class Watching:
            """After each command: whether the series' new state is there, and how many closes are."""

            async def execute_command(self, *args: Any) -> Any:
                reply = await client.execute_command(*args)
                fields = {k.decode(): v.decode() for k, v in (await client.hgetall(STATE)).items()}
                seen.append(
                    (bool(fields) and decode_state(fields).state == new, await client.xlen(KEYS.closes))
                )
                return reply

        writer = writer_of(Watching(), source)
        async with running(writer):
            await until(lambda: writer.stats.upserts == 2)
            source.closes.append(Close(Kind.SETTLED, BTC, T0 + 10 * STEP, None, candle(10)))
            source.change(BTC, {T0 + 10 * STEP: None}, new)
            await until(lambda: writer.stats.upserts == 3)
            assert (False, 1) in seen, "the close comes by itself"
            assert (True, 1) in seen and (True, 0) not in seen
            ((_, entry),) = await client.xrange(KEYS.closes)
            assert entry == {
                b"series": b"BTC-USD:5m",
                b"time": str(T0 + 10 * STEP).encode(),
                b"kind": b"settled",
                b"candle": b"null",
                b"replaced": candle(10).member().encode(),
            }

    on_valkey(clean_valkey, test)


def test_no_command_leaves_coverage_without_the_candles_that_it_claims(clean_valkey: str) -> None:
    """Whoever reads between two commands of the writer, or once it was killed there, is told the truth."""

    async def test(client: Any, source: Source) -> None:
        claimed: set[int] = set()

        class Watching:
            async def execute_command(self, *args: Any) -> Any:
                reply = await client.execute_command(*args)
                text = (await client.hget(STATE, "coverage") or b"[]").decode()
                times = [int(member[1 : member.index(",")]) for member in await stored(client)]
                empty = [t for a, b in decode_coverage(text) for t in range(a, b, STEP) if t not in times]
                claimed.update(empty)
                return reply

        writer = writer_of(Watching(), source)
        async with running(writer):
            await until(lambda: writer.stats.upserts == 2)
            source.change(BTC, {T0 + 10 * STEP: candle(10)}, state(0, 11, 11))
            await until(lambda: writer.stats.upserts == 3)
            assert len(await stored(client)) == 11
        assert not claimed

    on_valkey(clean_valkey, test)


def test_a_key_of_somebody_elses_is_told_left_alone_and_written_when_it_is_gone(clean_valkey: str) -> None:
    async def test(client: Any, source: Source) -> None:
        writer = writer_of(client, source)
        async with running(writer):
            await client.set(SET, "precious")
            await until(lambda: writer.stats.foreign > 0 and writer.stats.upserts >= 1)
            assert f"{SET} holds a string" in writer.problems[BTC] and ETH not in writer.problems
            assert await client.get(SET) == b"precious"
            await client.delete(SET)
            await until(lambda: not writer.problems)
            assert len(await stored(client)) == 10

    on_valkey(clean_valkey, test)


@pytest.mark.parametrize("key", [KEYS.lease, SET], ids=["that every series needs", "of one series"])
def test_a_foreign_key_ends_the_start_before_anything_is_written(clean_valkey: str, key: str) -> None:
    async def test(client: Any, source: Source) -> None:
        await client.rpush(key, "x")
        with pytest.raises(ForeignKey, match=f"{re.escape(key)}.* list"):
            await writer_of(client, source).open()
        assert await client.keys() == [key.encode()]

    on_valkey(clean_valkey, test)


def test_a_writer_that_lost_the_lease_stops_and_takes_over_again_when_it_may(clean_valkey: str) -> None:
    """As after SIGSTOP: the first still believes in its lease, and finds the other's token in the state."""

    async def test(client: Any, source: Source) -> None:
        first, other_source = writer_of(client, source), Source()
        for series in (BTC, ETH):
            other_source.fill(whole(series, range(3), state(0, 3, 3)))
        second = writer_of(client, other_source, instance="two", sole_owner=True)
        async with running(first):
            await until(lambda: first.stats.upserts == 2)
            before = first.token
            async with running(second):
                assert second.token > before
                await until(lambda: second.stats.upserts == 2 and first.stats.fenced == 1)
                source.change(BTC, {T0 + 10 * STEP: candle(10)}, state(0, 10, 11))
                assert len(await stored(client)) == 3, "the older one writes nothing"
            await until(lambda: first.stats.upserts >= 4)
            assert len(await stored(client)) == 11, "the older one wrote everything again"
            assert first.token > second.token

    on_valkey(clean_valkey, test)


def test_nobody_is_vouched_for_while_the_venue_is_silent(clean_valkey: str) -> None:
    async def test(client: Any, source: Source) -> None:
        source.vouch = None
        writer = writer_of(client, source)
        async with running(writer):
            await until(lambda: writer.stats.upserts == 2)
            assert not await client.exists(KEYS.alive("BTC-USD"))
            source.vouch = Alive(T0, {"BTC-USD": "down"})

            async def vouched() -> bool:
                return bool(await client.exists(KEYS.alive("ETH-USD")))

            await eventually(vouched)
            assert decode_alive(await client.get(KEYS.alive("ETH-USD"))).feed == "down"

    on_valkey(clean_valkey, test)


def test_a_break_in_a_silent_venue_is_told_but_vouches_for_nobody_longer(clean_valkey: str) -> None:
    async def test(client: Any, source: Source) -> None:
        btc, eth = KEYS.alive("BTC-USD"), KEYS.alive("ETH-USD")

        async def vouched() -> bool:
            return bool(await client.exists(btc, eth) == 2)

        async def told() -> bool:
            return decode_alive(await client.get(btc)).feed == "down"

        async with running(writer_of(client, source)):
            await eventually(vouched)
            source.vouch = Alive(T0 + 100 * STEP, {"BTC-USD": "down"}, renews=False)
            await client.delete(eth)
            await client.pexpire(btc, 5_000)
            source.breaks += 1
            source.wake.set()
            await eventually(told)
            assert 0 < await client.pttl(btc) <= 5_000
            assert not await client.exists(eth), "what has expired stays so"

    on_valkey(clean_valkey, test)


def test_a_stop_without_redis_takes_a_second_at_most(clean_valkey: str) -> None:
    async def test(client: Any, source: Source) -> None:
        class Stuck:
            stuck = False

            async def execute_command(self, *args: Any) -> Any:
                if self.stuck:
                    await asyncio.Event().wait()
                return await client.execute_command(*args)

        stuck = Stuck()
        writer = writer_of(stuck, source)
        await writer.open()
        stuck.stuck = True
        async with asyncio.timeout(30):
            await writer.close()

    on_valkey(clean_valkey, test)


def test_pending_closes_are_bounded_and_the_oldest_go_first() -> None:
    with fakeredis.FakeRedis() as fake:
        pending = PendingCloses(SyncAdapter(fake), KEYS)
        pending.keep([Close(Kind.CLOSED, BTC, n, None, None) for n in range(PENDING_MAX + 3)])
        assert (len(pending), pending.dropped) == (PENDING_MAX, 3)
        fake.set(KEYS.lease, "mine")
        asyncio.run(pending.send("mine"))
        assert (len(pending), pending.added) == (0, PENDING_MAX)
        assert fake.xrange(KEYS.closes, count=1)[0][1][b"time"] == b"3"


def test_a_writer_without_the_lease_adds_no_closes() -> None:
    with fakeredis.FakeRedis() as fake:
        pending = PendingCloses(SyncAdapter(fake), KEYS)
        pending.keep([Close(Kind.CLOSED, BTC, 1, None, None)])
        with pytest.raises(Fenced):
            asyncio.run(pending.send("mine"))
        assert len(pending) == 1 and not fake.exists(KEYS.closes)


def test_a_redis_that_is_away_at_the_start_is_waited_for(clean_valkey: str) -> None:
    async def test(client: Any, source: Source) -> None:
        flaky = Flaky(client)
        flaky.error = ConnectionError("refused")
        writer = writer_of(flaky, source)
        opening = asyncio.create_task(writer.open())
        await until(lambda: flaky.failures >= 3)
        flaky.error = None
        await opening
        assert (writer.stats.errors >= 3, writer.stats.recoveries) == (True, 1)

    on_valkey(clean_valkey, test)


def test_calls_are_bounded_in_series_and_members() -> None:
    def change(n: int, size: int) -> Change:
        series = SeriesId("coinbase", f"S{n % 3}-USD", Timeframe.M5)
        return whole(series, range(size), state(0, 1, 1))

    def sizes(changes: list[Change]) -> list[int]:
        return [len(batch) for batch in batch_changes(changes)]

    assert sizes([change(n, 1) for n in range(250)]) == [100, 100, 50]
    assert sizes([change(n, 2000) for n in range(5)]) == [2, 2, 1]
    assert sizes([change(0, 9000), change(1, 1)]) == [1, 1]


def test_the_writer_writes_through_a_synchronous_double_too() -> None:
    async def body() -> None:
        with fakeredis.FakeRedis() as fake:
            source = Source()
            source.fill(whole(BTC, range(5), state(0, 5, 5)))
            writer = writer_of(SyncAdapter(fake), source, (BTC,))
            async with running(writer):
                await until(lambda: writer.stats.upserts == 1 and bool(fake.exists(KEYS.alive("BTC-USD"))))
                assert fake.zcard(SET) == 5
            assert not fake.exists(KEYS.lease)

    asyncio.run(body())
