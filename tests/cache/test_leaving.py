"""A writer that stops says that it leaves: readers are served on until its word would have ended anyway."""

from __future__ import annotations

import asyncio
from functools import partial
from operator import attrgetter
from typing import Any

import pytest

from livecache.errors import OutOfSync
from livecache.keys.keyspace import AliveRecord, decode_alive, encode_alive
from livecache.reader.reader import Reader

from .support import T0, Source, until
from .writing import KEYS, eventually, on_valkey, running, writer_of

ALIVE = KEYS.alive("BTC-USD"), KEYS.alive("ETH-USD")


async def vouched(client: Any) -> bool:
    return int(await client.exists(*ALIVE)) == 2


async def told(client: Any) -> list[AliveRecord]:
    return [decode_alive(await client.get(key)) for key in ALIVE]


def test_one_that_leaves_says_so_and_its_word_lasts_no_longer_for_it(clean_valkey: str) -> None:
    async def test(client: Any, source: Source) -> None:
        writer = writer_of(client, source)
        async with running(writer):
            await eventually(lambda: vouched(client))
            before = await told(client)
            for key in ALIVE:
                await client.pexpire(key, 4_000)
        for key, record in zip(ALIVE, before, strict=True):
            left = decode_alive(await client.get(key))
            assert (left.instance, left.time) == ("one", record.time)
            assert (left.feed, left.leaving) == ("down", True)
            assert 0 < await client.pttl(key) <= 4_000, "nobody is vouched for longer by a stop"
        assert not await client.exists(KEYS.lease), "the next one need not wait"

    on_valkey(clean_valkey, test)


class StopsBehindTheLease:
    """A way to Redis on which so many are answered once the lease is there, and no more until `stopped`."""

    def __init__(self, inner: Any, answered: int) -> None:
        self.inner, self.there, self.stopped = inner, asyncio.Event(), False
        self.answered = answered

    async def execute_command(self, *args: Any) -> Any:
        reply = await self.inner.execute_command(*args)
        if not self.stopped and await self.inner.exists(KEYS.lease):
            self.answered -= 1
            if self.answered < 0:
                self.there.set()
                await asyncio.Event().wait()
        return reply


@pytest.mark.parametrize("answered", [0, 1])
def test_one_that_is_stopped_as_it_gets_the_lease_gives_it_up(clean_valkey: str, answered: int) -> None:
    async def test(client: Any, source: Source) -> None:
        way = StopsBehindTheLease(client, answered)
        writer = writer_of(way, source)
        opening = asyncio.create_task(writer.open())
        await way.there.wait()
        opening.cancel()
        await asyncio.wait([opening])
        way.stopped = True
        await writer.close()
        assert not await client.exists(KEYS.lease), "the next one need not wait"

    on_valkey(clean_valkey, test)


def test_one_that_waits_and_is_stopped_leaves_the_others_lease_alone(clean_valkey: str) -> None:
    async def test(client: Any, source: Source) -> None:
        async with running(writer_of(client, source)):
            held = await client.get(KEYS.lease)
            waiting = writer_of(client, source, instance="two")
            opening = asyncio.create_task(waiting.open())
            await eventually(lambda: _waits(waiting))
            opening.cancel()
            await asyncio.wait([opening])
            await waiting.close()
            assert await client.get(KEYS.lease) == held

    async def _waits(writer: Any) -> bool:
        return bool(writer.pulse.waits_for)

    on_valkey(clean_valkey, test)


def test_while_one_leaves_closed_candles_are_read_and_the_one_in_progress_is_not(clean_valkey: str) -> None:
    async def test(client: Any, source: Source) -> None:
        async with running(writer_of(client, source)):
            await eventually(lambda: vouched(client))
        with Reader(clean_valkey, prefix=KEYS.prefix) as reader:
            read = partial(reader.candles, "BTC-USD", "5m", 10, max_lag=1e9)
            for settled in (False, True):
                candles = await asyncio.to_thread(read, settled=settled)
                assert (len(candles), candles.feed) == (10, "down")
            with pytest.raises(OutOfSync):
                await asyncio.to_thread(read, forming=True)

    on_valkey(clean_valkey, test)


def test_one_that_leaves_for_good_is_gone_at_once(clean_valkey: str) -> None:
    async def test(client: Any, source: Source) -> None:
        writer = writer_of(client, source)
        await writer.open()
        task = asyncio.create_task(writer.run())
        await eventually(lambda: vouched(client))
        task.cancel()
        await asyncio.wait({task})
        await writer.close(for_good=True)
        assert not await client.exists(*ALIVE, KEYS.lease)

    on_valkey(clean_valkey, test)


@pytest.mark.parametrize("for_good", [False, True])
def test_one_that_has_not_vouched_takes_nobody_elses_word_back_and_does_not_lengthen_it(
    clean_valkey: str, for_good: bool
) -> None:
    """One that starts and stops over and over must not keep alive what an earlier one has said."""

    async def test(client: Any, source: Source) -> None:
        earlier = encode_alive(AliveRecord("zero", T0, "down", leaving=True))
        for key in ALIVE:
            await client.set(key, earlier, px=4_000)
        source.vouch = None  # the venue has not answered it
        for n in range(3):
            writer = writer_of(client, source, instance=f"one-{n}")
            await writer.open()
            task = asyncio.create_task(writer.run())
            await until(partial(attrgetter("flushes"), writer.stats))
            task.cancel()
            await asyncio.wait({task})
            await writer.close(for_good=for_good)
        for key in ALIVE:
            assert (await client.get(key)).decode() == earlier
            assert 0 < await client.pttl(key) < 4_000

    on_valkey(clean_valkey, test)


def test_the_word_of_one_that_leaves_is_read_by_readers_of_before() -> None:
    """`leaving` is a field more: a reader that does not know it takes the rest."""
    plain = '{"instance":"a","time":1753056000000,"feed":"down"'
    assert encode_alive(AliveRecord("a", T0, "down")) == plain + "}"
    assert decode_alive(plain + ',"another":1}') == AliveRecord("a", T0, "down")
