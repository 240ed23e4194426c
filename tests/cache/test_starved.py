"""A writer that is slow, by whatever: it keeps its lease while it rewrites, and it gets to an end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
import redis

from livecache.model.series import Changes, SeriesId
from livecache.model.timeframe import Timeframe
from livecache.wire.scripts import cancellable
from livecache.write.lease import LEASE_MS

from ..simulation.virtual import BlockingRedis, VirtualClock, run_virtually
from .support import T0, Source, state, whole
from .writing import KEYS, writer_of

MANY = [SeriesId("coinbase", f"S{n:03}-USD", Timeframe.M5) for n in range(400)]
SETS = [KEYS.candles(*series[1:]) for series in MANY]
BUCKETS = range(100)


class Busy(VirtualClock):
    """The clock of a host on which whatever is computed takes long."""

    def __init__(self) -> None:
        super().__init__(T0 / 1000)
        self.behind_s = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self.behind_s


@dataclass
class Slow(Source):
    """Each series that is given whole takes so many seconds, in which nothing else is done."""

    clock: Busy | None = None
    a_series_s: float = 0.0

    def whole(self, series: Sequence[SeriesId]) -> Changes:
        assert self.clock is not None
        self.clock.behind_s += self.a_series_s * len(series)
        return super().whole(series)


class Server:
    """A way to it, on which a command takes so long; its own time is the clock's, by which the lease ends."""

    def __init__(self, inner: Any, clock: Busy, a_command_s: float) -> None:
        self._inner = inner
        self._clock = clock
        self._a_command_s = a_command_s
        self._ends_s = float("inf")

    async def execute_command(self, *args: Any) -> Any:
        await self._clock.sleep(self._a_command_s)
        if self._clock.monotonic() > self._ends_s:
            await self._inner.execute_command("DEL", KEYS.lease)
        reply = await self._inner.execute_command(*args)
        if LEASE_MS in args and reply == 1:
            self._ends_s = self._clock.monotonic() + LEASE_MS / 1000
        return reply


def slowly(
    url: str,
    test: Callable[[Any, Any, Slow], Awaitable[None]],
    *,
    a_series_s: float = 0.0,
    a_command_s: float = 0.0,
) -> None:
    with redis.Redis.from_url(url) as client:

        async def main() -> None:
            clock = Busy()
            source = Slow(clock=clock, a_series_s=a_series_s)
            for series in MANY:
                source.fill(whole(series, BUCKETS, state(0, 100, 100)))
            source.changed = []  # All of it is owed: so it is after a start, or once all was lost.
            wire = Server(BlockingRedis(client), clock, a_command_s)
            writer = writer_of(wire, source, MANY, clock=clock)
            await writer.open()
            running = asyncio.create_task(writer.run())
            await test(writer, client, source)
            running.cancel()
            await asyncio.wait({running})
            await cancellable(writer.close())

        run_virtually(main())


def all_there(client: Any) -> bool:
    with client.pipeline(transaction=False) as pipeline:
        for key in SETS:
            pipeline.zcard(key)
        return all(members == len(BUCKETS) for members in pipeline.execute())


@pytest.mark.parametrize(("a_series_s", "a_command_s"), [(0.05, 0.01), (0.0, 0.7)], ids=["it", "the server"])
def test_what_takes_longer_than_the_lease_is_rewritten_under_one(
    clean_valkey: str, a_series_s: float, a_command_s: float
) -> None:
    """400 series at a twentieth of a second each are three leases; so they are where the server is slow."""

    async def test(writer: Any, client: Any, source: Slow) -> None:
        while not all_there(client):
            assert writer.stats.fenced == 0, "it keeps its lease"
            await asyncio.sleep(1)
        assert writer.stats.fenced == 0, "it has kept its lease"
        assert writer.stats.upserts == len(MANY), "each is written once"
        assert source.clock is not None and source.clock.monotonic() - 1_000.0 > 2 * LEASE_MS / 1000

    slowly(clean_valkey, test, a_series_s=a_series_s, a_command_s=a_command_s)


def test_what_was_rewritten_before_the_lease_was_lost_is_not_rewritten_again(clean_valkey: str) -> None:
    """A host that stands still for longer than the lease, whenever a quarter has been done."""

    async def test(writer: Any, client: Any, source: Slow) -> None:
        stalls = 0
        while not all_there(client):
            await asyncio.sleep(0.05)
            if writer.stats.upserts >= (stalls + 1) * len(MANY) // 4 and stalls < 3:
                stalls += 1
                client.delete(KEYS.lease)
        assert writer.stats.fenced == stalls == 3
        assert writer.stats.upserts <= len(MANY) + 3 * 50, "what was on its way is written again, no more"

    slowly(clean_valkey, test, a_command_s=0.05)
