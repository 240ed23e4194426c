"""The whole service on a model venue: timeline, backfiller, consumer, writer with the shipped scripts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from random import Random

import redis

from livecache.engine.backfiller import Backfiller
from livecache.engine.consumer import Consumer, heed_unknown
from livecache.engine.live import Live
from livecache.engine.ratelimit import RateLimiter
from livecache.engine.timekeeper import Timekeeper
from livecache.keys.keyspace import Keyspace
from livecache.ledger.timeline import Timeline
from livecache.model.policy import Policy
from livecache.model.series import SeriesId
from livecache.model.timeframe import Timeframe
from livecache.reader.reader import Reader
from livecache.writer import adoption
from livecache.writer.writer import Writer

from .model import ModelVenue
from .virtual import BlockingRedis, VirtualClock

AUDIT_EVERY = 60
"""Renewals of the lease between two audits: nobody does damage here, and two would be a third of a run."""

DEFAULT = (Timeframe.M5, Timeframe.M15, Timeframe.H1, Timeframe.H4, Timeframe.D1)


@dataclass
class Running:
    """Handles on a running service."""

    live: Live
    venue: ModelVenue
    backfiller: Backfiller
    writer: Writer
    reader: Reader
    clock: VirtualClock

    @property
    def writer_series(self) -> list[SeriesId]:
        return [track.series for track in self.live.configured()]

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
    venue: ModelVenue,
    url: str,
    symbols: Sequence[str],
    timeframes: Sequence[Timeframe] = DEFAULT,
    *,
    policy: Policy | None = None,
    rate: float = 9.0,
    feed: bool = True,
    prefix: str = "sim",
    seed: int = 1,
) -> AsyncIterator[Running]:
    """Start everything as `livecache run` does; stop it cleanly at the end."""
    random = Random(seed)
    clock = venue.clock
    assert isinstance(clock, VirtualClock)
    timeline = Timeline(venue.name, symbols, timeframes, policy or Policy())
    live = Live(timeline, clock, "simulated", venue.origin, started_s=clock.monotonic())
    limiter = RateLimiter(rate, clock)
    timekeeper = Timekeeper(live, venue, limiter, random.random)
    keys = Keyspace(prefix, venue.name)
    client = redis.Redis.from_url(url)
    store = BlockingRedis(client)
    series = [track.series for track in live.configured()]
    writer = Writer(
        store, keys, series, live, origin=venue.origin, instance="simulated", clock=clock,
        wake=live.changed, sole_owner=True, audit_every=AUDIT_EVERY,
    )  # fmt: skip
    backfiller = Backfiller(live, venue, limiter, random.random)
    reader = Reader(url, prefix=prefix, venue=venue.name)
    await timekeeper.learn()
    await writer.open()
    adopted = await adoption.load(store, keys, series, origin=venue.origin, now=live.now())
    timeline.adopt(adopted.stored, live.now())
    live.serving = True
    try:
        async with asyncio.TaskGroup() as tasks:
            running = [
                tasks.create_task(writer.run(), name="writer"),
                tasks.create_task(timekeeper.run(), name="timekeeper"),
                tasks.create_task(backfiller.run(), name="backfiller"),
            ]
            if feed:
                feeds = venue.feeds(symbols, {}, trades=Timeframe.M1 in timeframes)
                for link, each in enumerate(feeds):
                    running.append(tasks.create_task(Consumer(live, each, link).run(), name="feed"))
                heeding = heed_unknown(backfiller.listing, feeds)
                running.append(tasks.create_task(heeding, name="unknown symbols"))
                running.append(tasks.create_task(backfiller.listing.run(), name="listing"))
            yield Running(live, venue, backfiller, writer, reader, clock)
            for task in running:
                task.cancel()
    finally:
        await writer.close()
        reader.close()
        client.close()
