"""Fencing: whoever has not the lease writes nothing, not even where nobody else has taken it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from livecache.clock import SystemClock
from livecache.keys.keyspace import LeaseRecord, encode_lease
from livecache.model.series import Close, Kind, SeriesId
from livecache.model.timeframe import Timeframe
from livecache.write.closes import PendingCloses
from livecache.write.lease import Fenced, Lease, Overtaken
from livecache.write.presence import Alive, Presence
from livecache.write.upserts import Held, Upserts
from livecache.writer.audit import Audit

from .support import BTC, ETH, ORIGIN, STEP, T0, Source, candle, state, until, whole
from .writing import KEYS, SET, STATE, eventually, on_valkey, running, said, stored, writer_of

OTHERS = encode_lease(LeaseRecord("two", 1))


async def everything(client: Any) -> dict[bytes, bytes]:
    """All keys with what they hold, and nothing of how long they last."""
    return {key: await client.dump(key) for key in await client.keys("*")}


async def holding(client: Any) -> Lease:
    lease = Lease(client, KEYS, "one", [STATE], clock=SystemClock())
    await lease.acquire()
    return lease


async def lose(client: Any, how: str) -> None:
    await client.delete(KEYS.lease)
    if how == "taken":
        await client.set(KEYS.lease, OTHERS)
    elif how == "of another type":
        await client.rpush(KEYS.lease, "x")


async def upsert_onto_nothing(client: Any, lease: Lease) -> None:
    upserts = Upserts(client, KEYS, lease, origin=ORIGIN, clock=SystemClock())
    await upserts.send([whole(ETH, range(3), state(0, 3, 3))])


async def upsert_over_what_is_there(client: Any, lease: Lease) -> None:
    upserts = Upserts(client, KEYS, lease, origin=ORIGIN, clock=SystemClock())
    await upserts.send([whole(BTC, range(3), state(0, 3, 3))])


async def announce_a_close(client: Any, lease: Lease) -> None:
    pending = PendingCloses(client, KEYS)
    pending.keep([Close(Kind.CLOSED, BTC, T0, candle(0), None)])
    await pending.send(lease.record)


async def vouch(client: Any, lease: Lease) -> None:
    presence = Presence(client, KEYS, [BTC, ETH], "one", announced=[BTC])
    await presence.vouch(Alive(T0, {"BTC-USD": "up"}), {"connected": "1"}, lease.record)


async def announce_the_series(client: Any, lease: Lease) -> None:
    presence = Presence(client, KEYS, [BTC, ETH], "one", announced=[BTC])
    await presence.announce(lease.record, lease.token)


async def audit(client: Any, lease: Lease) -> None:
    held = Held(1, state(0, 3, 3), 3)
    looking = Audit(client, KEYS, [BTC], [BTC], Source(), lambda _: held, lease, origin=ORIGIN)
    await client.pexpire(SET, 60_000)
    await looking.series()


async def audit_what_is_shared(client: Any, lease: Lease) -> None:
    looking = Audit(client, KEYS, [BTC], [BTC], Source(), lambda _: None, lease, origin=ORIGIN)
    await looking.shared()


WRITES: list[Callable[[Any, Lease], Awaitable[None]]] = [
    *(upsert_onto_nothing, upsert_over_what_is_there, announce_a_close, vouch),
    *(announce_the_series, audit, audit_what_is_shared),
]


@pytest.mark.parametrize("write", WRITES, ids=lambda write: write.__name__)
@pytest.mark.parametrize("how", ["gone", "taken", "of another type"])
def test_a_writer_whose_lease_has_gone_writes_nothing(
    clean_valkey: str, how: str, write: Callable[[Any, Lease], Awaitable[None]]
) -> None:
    async def test(client: Any, source: Source) -> None:
        await client.zadd(SET, {candle(0).member(): T0})
        await client.hset(STATE, mapping={"fence": 5, "revision": 1, "count": 1})
        lease = await holding(client)
        await lose(client, how)
        before = await everything(client)
        with pytest.raises(Fenced):
            await write(client, lease)
        assert await everything(client) == before

    on_valkey(clean_valkey, test)


@pytest.mark.parametrize("write", WRITES, ids=lambda write: write.__name__)
def test_the_holder_may_do_all_of_that(
    clean_valkey: str, write: Callable[[Any, Lease], Awaitable[None]]
) -> None:
    async def test(client: Any, source: Source) -> None:
        await write(client, await holding(client))

    on_valkey(clean_valkey, test)


def test_the_fence_alone_keeps_an_older_writer_out(clean_valkey: str) -> None:
    """As where a server came back with the lease of an earlier moment."""

    async def test(client: Any, source: Source) -> None:
        lease = await holding(client)
        upserts = Upserts(client, KEYS, lease, origin=ORIGIN, clock=SystemClock())
        await client.hset(STATE, "fence", lease.token + 1)
        with pytest.raises(Fenced):
            await upserts.send([whole(BTC, range(3), state(0, 3, 3))])
        assert not await client.exists(SET)

    on_valkey(clean_valkey, test)


def test_a_lease_that_is_merely_gone_is_not_told_as_a_take_over(clean_valkey: str) -> None:
    """And what stands as it was left is not written again: only what changes is, upon it."""

    async def test(client: Any, source: Source) -> None:
        writer = writer_of(client, source)
        with said() as events:
            async with running(writer):
                await until(lambda: writer.stats.upserts == 2)
                rewrites = source.rewrites
                await client.delete(KEYS.lease)
                await until(lambda: writer.stats.fenced == 1 and writer.writing)
                assert (await client.get(KEYS.lease)).decode() == encode_lease(
                    LeaseRecord("one", writer.token)
                )
                source.change(BTC, {T0 + 10 * STEP: candle(10)}, state(0, 10, 11))
                await until(lambda: writer.stats.upserts == 3)
                assert len(await stored(client)) == 11
                assert (source.rewrites, writer.stats.lost) == (rewrites, 0)
        assert "lease_gone" in events and "fenced" not in events

    on_valkey(clean_valkey, test)


def test_what_another_has_written_meanwhile_is_written_anew_and_the_rest_is_not(clean_valkey: str) -> None:
    """Though the other numbered its write as this one had: the fence tells whose number it is."""

    async def test(client: Any, source: Source) -> None:
        writer = writer_of(client, source)
        async with running(writer):
            await until(lambda: writer.stats.upserts == 2)
            revision = await client.hget(STATE, "revision")
            other = Lease(client, KEYS, "two", [STATE], clock=SystemClock(), sole_owner=True)
            await other.acquire()
            await client.zremrangebyrank(SET, 3, 3)
            await client.hset(STATE, mapping={"revision": revision, "count": 9})
            await other.release()
            await until(lambda: writer.stats.fenced == 1 and writer.stats.upserts == 3)
            assert len(await stored(client)) == 10 and writer.stats.damage.series == 0

    on_valkey(clean_valkey, test)


def test_a_lease_that_another_has_taken_is_told_with_its_name(clean_valkey: str) -> None:
    async def test(client: Any, source: Source) -> None:
        writer = writer_of(client, source)
        with said() as events:
            async with running(writer):
                await until(lambda: writer.stats.upserts == 2)
                await client.set(KEYS.lease, OTHERS)
                await until(lambda: writer.stats.fenced == 1)
                assert await writer.holder() == "two"
                source.change(BTC, {T0 + 10 * STEP: candle(10)}, state(0, 10, 11))
                await until(lambda: "lease_wait" in events)
                assert len(await stored(client)) == 10
                await client.delete(KEYS.lease)
                await until(lambda: writer.stats.upserts >= 3)
                assert len(await stored(client)) == 11
        assert "fenced" in events and "lease_gone" not in events

    on_valkey(clean_valkey, test)


def test_a_lease_of_another_type_stops_the_writer_until_it_is_gone(clean_valkey: str) -> None:
    async def test(client: Any, source: Source) -> None:
        writer = writer_of(client, source)
        with said() as events:
            async with running(writer):
                await until(lambda: writer.stats.upserts == 2)
                await lose(client, "of another type")
                await until(lambda: "lease_wait" in events)
                assert await client.lrange(KEYS.lease, 0, -1) == [b"x"], "it is left alone"
                await client.delete(KEYS.lease)
                await until(lambda: writer.writing)

    on_valkey(clean_valkey, test)


@pytest.mark.parametrize("still_there", [True, False], ids=["still there", "gone again"])
def test_one_that_gives_way_ends_where_another_has_written_meanwhile(
    clean_valkey: str, still_there: bool
) -> None:
    """What it holds in memory is older than what the other stored: it must be read, not written over."""

    async def test(client: Any, source: Source) -> None:
        writer = writer_of(client, source, gives_way=True)
        await writer.open()
        working = asyncio.create_task(writer.run())
        await until(lambda: writer.stats.upserts == 2)
        token = writer.token + 1
        await client.hset(STATE, "fence", token)
        if still_there:
            await client.set(KEYS.lease, encode_lease(LeaseRecord("two", token)))
        else:
            await client.delete(KEYS.lease)
        with pytest.raises(Overtaken, match="two" if still_there else "gone"):
            await working
        before = await everything(client)
        await writer.close()
        assert await everything(client) == before, "and at its end it says nothing more"

    on_valkey(clean_valkey, test)


def test_one_that_gives_way_goes_on_where_redis_merely_lost_everything(clean_valkey: str) -> None:
    async def test(client: Any, source: Source) -> None:
        writer = writer_of(client, source, gives_way=True)
        async with running(writer):
            await until(lambda: writer.stats.upserts == 2)
            await client.flushall()
            await until(lambda: writer.stats.upserts >= 4)
            assert len(await stored(client)) == 10

    on_valkey(clean_valkey, test)


@pytest.mark.parametrize("fence", ["inf", "nan", "0x7fffffffffff", "-1", "1e300", "9" * 400, "", "new"])
def test_a_fence_that_no_writer_stamped_keeps_nobody_out(clean_valkey: str, fence: str) -> None:
    async def test(client: Any, source: Source) -> None:
        await client.hset(STATE, "fence", fence)
        writer = writer_of(client, source)
        async with running(writer):
            await until(lambda: writer.stats.upserts == 2)
            assert (await client.hget(STATE, "fence")).decode() == str(writer.token)

    on_valkey(clean_valkey, test)


def test_after_flushall_all_is_ready_and_vouched_for_within_two_seconds(clean_valkey: str) -> None:
    """At the real pace, 125 series, and nothing that changes: the lease that went with the rest tells."""

    async def test(client: Any, _: Source) -> None:
        source = Source()
        names = [f"S{n:02}-USD" for n in range(25)]
        frames = [Timeframe(name) for name in ("5m", "15m", "1h", "4h", "1d")]
        many = [SeriesId("coinbase", name, frame) for name in names for frame in frames]
        for series in many:
            source.fill(whole(series, range(100), state(0, 100, 100)))
        writer = writer_of(client, source, many, clock=SystemClock())
        async with running(writer):
            await until(lambda: writer.stats.upserts == len(many))

            async def whole_again() -> bool:
                async with client.pipeline(transaction=False) as pipeline:
                    for series in many:
                        pipeline.hmget(KEYS.state(*series[1:]), "ready", "count")
                    ready = all(one == [b"1", b"100"] for one in await pipeline.execute())
                alive = await client.exists(*(KEYS.alive(name) for name in names))
                return ready and alive == 25 and await client.scard(KEYS.series) == 125

            await eventually(whole_again)
            loop = asyncio.get_running_loop()
            await client.flushall()
            started_s = loop.time()
            await eventually(whole_again)
            took_s = loop.time() - started_s
            print(f"ready again after {took_s:.2f} s")
            assert took_s < 4.0  # two seconds, and as much again for a machine that is busy
        assert writer.stats.fenced == 1

    on_valkey(clean_valkey, test)
