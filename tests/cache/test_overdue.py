"""A writer whose lease has run out by its own clock sends nothing, whatever the server would say to it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import redis

from livecache.keys.keyspace import LeaseRecord, encode_lease
from livecache.model.series import Close, Kind
from livecache.wire.scripts import cancellable
from livecache.write.lease import LEASE_MS

from ..simulation.virtual import BlockingRedis, VirtualClock, run_virtually
from .support import BTC, STEP, T0, Source, candle, state, whole
from .writing import KEYS, SET, said, writer_of

WRITES = (SET, KEYS.closes, KEYS.alive("BTC-USD"), KEYS.feed, KEYS.series)
THEIRS = encode_lease(LeaseRecord("two", 1 << 60))


class Wire:
    """A way to the server on which commands can be held up; the server stands still as long as it likes."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner
        self.passable = asyncio.Event()
        self.passable.set()
        self.waiting = 0
        self.writes: list[str] = []

    async def execute_command(self, *args: Any) -> Any:
        self.waiting += 1
        await self.passable.wait()
        self.waiting -= 1
        self.writes += [key for key in WRITES if key in args and args[0] in ("EVALSHA", "EVAL")]
        return await self.inner.execute_command(*args)


def virtually(url: str, test: Callable[[Wire, Any, Source], Awaitable[None]]) -> None:
    with redis.Redis.from_url(url) as client:

        async def main() -> None:
            source = Source()
            source.fill(whole(BTC, range(10), state(0, 10, 10)))
            await test(Wire(BlockingRedis(client)), client, source)

        run_virtually(main())


def change(source: Source) -> None:
    """A trade, and a close to announce."""
    source.closes.append(Close(Kind.CLOSED, BTC, T0 + 9 * STEP, candle(9), None))
    source.change(BTC, {T0 + 10 * STEP: candle(10)}, state(0, 10, 10, forming=10))


@pytest.mark.parametrize("asleep_s", [LEASE_MS / 1000 + 0.1, 60.0, 28_800.0])
def test_what_was_queued_before_the_host_slept_is_not_sent_when_it_wakes(
    clean_valkey: str, asleep_s: float
) -> None:
    """The server knows the lease for ours still: it slept as well, or is a replica that lags."""

    async def test(wire: Wire, client: Any, source: Source) -> None:
        writer = writer_of(wire, source, [BTC], clock=VirtualClock(T0 / 1000))
        await writer.open()
        running = asyncio.create_task(writer.run())
        await asyncio.sleep(5)
        assert client.zcard(SET) == 10 and writer.writing
        wire.passable.clear()
        change(source)
        await asyncio.sleep(0.05)
        assert wire.waiting >= 1, "the close is on its way"
        client.set(KEYS.lease, THEIRS)
        wire.writes.clear()
        await asyncio.sleep(asleep_s)
        assert not writer.writing
        wire.passable.set()
        await asyncio.sleep(3)
        assert wire.writes == [] and client.zcard(SET) == 10 and client.xlen(KEYS.closes) == 0
        client.delete(KEYS.lease)
        await asyncio.sleep(3)
        assert writer.writing and client.zcard(SET) == 11, "it goes on once it has the lease anew"
        running.cancel()

    with said() as events:
        virtually(clean_valkey, test)
    assert "fenced" in events or "lease_gone" in events


def test_an_overdue_writer_does_not_even_try(clean_valkey: str) -> None:
    """The lease is still its own in the server's eyes, whose clock does not run."""

    async def test(wire: Wire, client: Any, source: Source) -> None:
        clock = VirtualClock(T0 / 1000)
        writer = writer_of(wire, source, [BTC], clock=clock)
        await writer.open()
        await asyncio.sleep(LEASE_MS / 1000 + 0.1)
        assert client.get(KEYS.lease) is not None, "to a server that has no time left to look"
        wire.writes.clear()
        change(source)
        with pytest.raises(BaseExceptionGroup):
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(writer._flush_forever())
        assert wire.writes == []

    virtually(clean_valkey, test)


def test_a_lease_that_is_renewed_in_time_lets_everything_pass(clean_valkey: str) -> None:
    async def test(wire: Wire, client: Any, source: Source) -> None:
        writer = writer_of(wire, source, [BTC], clock=VirtualClock(T0 / 1000))
        await writer.open()
        running = asyncio.create_task(writer.run())
        for _ in range(20):
            change(source)
            await asyncio.sleep(LEASE_MS / 1000 / 2)
        assert writer.writing and writer.stats.fenced == 0 and client.xlen(KEYS.closes) == 20
        running.cancel()
        await asyncio.wait({running})
        await cancellable(writer.close())

    virtually(clean_valkey, test)
