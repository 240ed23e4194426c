"""The whole service on a model venue: the engine, the writer with the shipped scripts, and a reader."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import redis

from livecache.engine.engine import Engine, Settings
from livecache.engine.venue_time import VenueTime
from livecache.keys.keyspace import Keyspace
from livecache.model.budget import Spacing
from livecache.model.policy import Policy
from livecache.model.series import SeriesId
from livecache.model.timeframe import Timeframe
from livecache.reader.reader import Reader

from .virtual import BlockingRedis, VirtualClock

AUDIT_EVERY = 60
"""Renewals of the lease between two audits: nobody does damage here, and two would be a third of a run."""

DEFAULT = (Timeframe.M5, Timeframe.M15, Timeframe.H1, Timeframe.H4, Timeframe.D1)


class Running:
    """Handles on a running engine."""

    def __init__(self, engine: Engine, venue: Any, reader: Reader) -> None:
        self.engine = engine
        self.venue = venue
        self.reader = reader
        self.live = engine.live
        self.backfiller = engine.backfiller
        self.writer = engine.writer

    @property
    def writer_series(self) -> list[SeriesId]:
        return list(self.engine.series)

    async def until(self, happened: Callable[[], bool], within_s: float = 600.0) -> None:
        """Let time pass until something has happened."""
        async with asyncio.timeout(within_s):
            while not happened():
                await asyncio.sleep(0.05)

    async def warm(self) -> None:
        """Let time pass until every series that can be ready is."""
        await self.until(lambda: self.live.warm_s is not None)


@asynccontextmanager
async def service(
    venue: Any,
    url: str,
    symbols: Sequence[str],
    timeframes: Sequence[Timeframe] = DEFAULT,
    *,
    policy: Policy | None = None,
    rate: float | None = 9.0,
    prefix: str = "sim",
    seed: int = 1,
    time: VenueTime | None = None,
    beside: Callable[[Engine], Coroutine[Any, Any, None]] | None = None,
) -> AsyncIterator[Running]:
    """Run an engine as `livecache run` does; stop it cleanly at the end. `rate`: None for the venue's own.

    `venue` is a `ModelVenue`, or another one with its `time`.
    """
    time = time or VenueTime(venue.clock)
    assert isinstance(time.clock, VirtualClock)
    with redis.Redis.from_url(url) as client, Reader(url, prefix=prefix, venue=venue.name) as reader:
        budgets = (Spacing("requests", rate, yields=True),) if rate else ()
        engine = Engine(
            venue, BlockingRedis(client), Keyspace(prefix, venue.name),
            Settings(tuple(symbols), tuple(timeframes), policy or Policy(), budgets),
            time=time, name="simulated", jitter=Random(seed).random,
            sole_owner=True, audit_every=AUDIT_EVERY, beside=beside,
        )  # fmt: skip
        try:
            async with asyncio.TaskGroup() as tasks:
                running = tasks.create_task(engine.run(), name="engine")
                await engine.started.wait()
                yield Running(engine, venue, reader)
                running.cancel()
        finally:
            await engine.close(for_good=False)
