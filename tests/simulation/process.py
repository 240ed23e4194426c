"""One livecache process of a run: it can be started, stopped, killed between two commands, and paused."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from random import Random

from livecache.engine.backfiller import Backfiller
from livecache.engine.consumer import Consumer, heed_unknown, renew_dead
from livecache.engine.live import Live
from livecache.engine.ratelimit import RateLimiter
from livecache.engine.timekeeper import Timekeeper
from livecache.ledger.timeline import Timeline
from livecache.model.policy import Policy
from livecache.model.timeframe import Timeframe
from livecache.venues.venue import Event, FailureKind, Feed, FetchFailure, Page, PageRequest
from livecache.wire.trouble import TROUBLE
from livecache.writer import adoption
from livecache.writer.writer import Writer

from .faulty_store import Connection, Store
from .faulty_venue import FaultyVenue

__all__ = ["Host", "Process"]


class Host:
    """The machine: its clocks, and how far they are from the venue's."""

    def __init__(self, start_ms: int, skew_s: float) -> None:
        self.skew_s = skew_s  # of the wall clock against the venue's
        self.slept_s = 0.0
        self._begin_s = asyncio.get_running_loop().time()
        self._start_ms = start_ms

    def venue_ms(self) -> int:
        """The venue's time, which goes on while the host sleeps."""
        return self._start_ms + round((self.monotonic() - self._begin_s + self.slept_s) * 1000)

    def monotonic(self) -> float:
        """Seconds that stand still while the host sleeps."""
        return asyncio.get_running_loop().time()

    def wall(self) -> float:
        """Unix seconds."""
        return self.venue_ms() / 1000 + self.skew_s


class _Clock:
    """The host's clocks as a process sees them: while it is paused it does not wake."""

    def __init__(self, host: Host, runs: asyncio.Event) -> None:
        self.monotonic = host.monotonic
        self.wall = host.wall
        self._runs = runs

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        if not self._runs.is_set():
            await self._runs.wait()


class _Venue:
    """The venue as a process sees it, with what it has learned of it."""

    name = "coinbase"

    def __init__(self, venue: FaultyVenue, runs: asyncio.Event) -> None:
        self.origin = venue.origin
        self.page_limit = 330
        self.unsupported: frozenset[Timeframe] = frozenset()
        self.asked = 0
        self._venue = venue
        self._runs = runs
        self.time = venue.time
        self.products = venue.products

    async def fetch(self, request: PageRequest) -> Page | FetchFailure:
        await self._runs.wait()
        self.asked += 1
        outcome = await self._venue.fetch(request)
        await self._runs.wait()
        if isinstance(outcome, FetchFailure):
            if outcome.kind is FailureKind.PAGE_TOO_LONG:
                self.page_limit = 300
            if outcome.kind is FailureKind.UNSUPPORTED_TIMEFRAME:
                self.unsupported |= {request.timeframe}
        return outcome

    def feeds(
        self, products: Sequence[str], aliases: object, *, trades: bool, among: Sequence[Feed] = ()
    ) -> list[Feed]:
        return [_Feed(feed, self._runs) for feed in self._venue.feeds(products, trades=trades)]

    async def aclose(self) -> None:
        pass


class _Feed:
    def __init__(self, feed: Feed, runs: asyncio.Event) -> None:
        self.products = feed.products
        self.renew = feed.renew
        self.leave_out = feed.leave_out
        self.carry = feed.carry
        self._feed = feed
        self._runs = runs

    async def events(self) -> AsyncIterator[Event]:
        async for event in self._feed.events():
            await self._runs.wait()
            yield event


class Process:
    """The service, put together as `livecache run` does."""

    def __init__(
        self,
        name: str,
        host: Host,
        venue: FaultyVenue,
        store: Store,
        symbols: Sequence[str],
        timeframes: Sequence[Timeframe],
        *,
        sole_owner: bool,
        seed: int,
    ) -> None:
        random = Random(seed)
        self.name = name
        self.runs = asyncio.Event()
        self.runs.set()
        clock = _Clock(host, self.runs)
        self.venue = _Venue(venue, self.runs)
        self.connection = Connection(store, self.runs, venue.active, random)
        timeline = Timeline("coinbase", symbols, timeframes, Policy())
        self.live = Live(timeline, clock, name, venue.origin, started_s=clock.monotonic())
        limiter = RateLimiter(9.0, clock)
        self.timekeeper = Timekeeper(self.live, self.venue, limiter, random.random)
        self.backfiller = Backfiller(self.live, self.venue, limiter, random.random)
        self.series = [track.series for track in self.live.configured()]
        self.keys = store.keys
        self.writer = Writer(
            self.connection, store.keys, self.series, self.live, origin=venue.origin, instance=name,
            clock=clock, wake=self.live.changed, sole_owner=sole_owner, jitter=random.random,
        )  # fmt: skip
        self._trades = Timeframe.M1 in timeline.children
        self._task: asyncio.Task[None] | None = None

    @property
    def is_writer(self) -> bool:
        """Whether it has begun to write."""
        return self.live.serving

    def start(self) -> None:
        """Run in the background."""
        self._task = asyncio.create_task(self._run(), name=self.name)

    def check(self) -> None:
        """Raise what ended it, if anything did: nothing may."""
        if self._task is not None and self._task.done():
            self._task.result()
            raise AssertionError(f"{self.name} has ended by itself")

    async def stop(self) -> None:
        """As by SIGTERM."""
        await self._cancel()
        await self.writer.close()

    async def kill(self) -> None:
        """As by SIGKILL: not another command goes out."""
        self.runs.clear()
        await self._cancel()

    async def _cancel(self) -> None:
        task, self._task = self._task, None
        if task is None:
            return
        while not task.done():
            task.cancel()
            await asyncio.wait({task}, timeout=1.0)
        if not task.cancelled():
            task.result()

    async def _run(self) -> None:
        opened = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            holding = tasks.create_task(self._hold(opened), name="open the cache")
            await self.timekeeper.learn()
            await opened.wait()
            holding.cancel()
        now = self.live.now()
        adopted = await self._adopt(now)
        self.live.timeline.adopt(adopted.stored, now)
        self.live.serving = True
        self.live.changed.set()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.writer.run(), name="writer")
            tasks.create_task(self.timekeeper.run(), name="timekeeper")
            tasks.create_task(self.backfiller.run(), name="backfiller")
            tasks.create_task(self._follow(), name="feed")

    async def _hold(self, opened: asyncio.Event) -> None:
        await self.writer.open()
        opened.set()
        await self.writer.run()

    async def _adopt(self, now: int) -> adoption.Adopted:
        while True:
            try:
                return await adoption.load(
                    self.connection, self.keys, self.series, origin=self.venue.origin, now=now
                )
            except TROUBLE:
                await self.live.clock.sleep(1.0)

    async def _follow(self) -> None:
        """Follow the feed, and the list of products."""
        feeds = self.venue.feeds(tuple(self.live.timeline.symbols), {}, trades=self._trades)
        async with asyncio.TaskGroup() as tasks:
            for link, feed in enumerate(feeds):
                tasks.create_task(Consumer(self.live, feed, link).run(), name="feed")
            tasks.create_task(renew_dead(self.live, feeds), name="dead channels")
            tasks.create_task(heed_unknown(self.backfiller.listing, feeds), name="unknown symbols")
            tasks.create_task(self.backfiller.listing.run(), name="listing")
