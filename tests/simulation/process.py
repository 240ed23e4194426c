"""One livecache process of a run: it can be started, stopped, killed between two commands, and paused."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from random import Random

from livecache.engine.engine import Engine, Settings
from livecache.engine.fleet import Fleet
from livecache.engine.venue_time import VenueTime
from livecache.errors import ForeignKey
from livecache.model.budget import Spacing
from livecache.model.policy import Policy
from livecache.model.timeframe import Timeframe
from livecache.model.traits import Carriage
from livecache.venues.coinbase.traits import TRAITS
from livecache.venues.stats import RequestStats
from livecache.venues.venue import Event, FailureKind, Feed, FetchFailure, Page, PageRequest

from .faulty_store import Connection, Store
from .faulty_venue import FaultyVenue

__all__ = ["Host", "Process"]

RESTART_S = 5.0
"""How long the supervisor waits."""


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
        self.traits = replace(TRAITS, carries=(Carriage(Timeframe.M5, flag=venue.flags),))
        self.stats = RequestStats()
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
                self.traits = self.traits.paged(300)
            if outcome.kind is FailureKind.UNSUPPORTED_TIMEFRAME:
                self.traits = self.traits.without(request.timeframe)
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
    """`livecache run` under a supervisor, which begins it anew where it refuses to start."""

    def __init__(
        self,
        name: str,
        host: Host,
        venue: FaultyVenue,
        store: Store,
        symbols: Sequence[str],
        timeframes: Sequence[Timeframe],
        *,
        candles: int,
        sole_owner: bool,
        seed: int,
    ) -> None:
        self.name = name
        self.runs = asyncio.Event()
        self.runs.set()
        self.engine: Engine | None = None
        self.venue: _Venue | None = None  # the engine's
        self._clock = _Clock(host, self.runs)
        self._random = Random(seed)
        self._faulty = venue
        self._keys = store.keys
        self._settings = Settings(
            tuple(symbols), tuple(timeframes), Policy(candles), (Spacing("requests", 9, yields=True),)
        )
        self._sole_owner = sole_owner
        self._engines = 0
        self._task: asyncio.Task[None] | None = None
        self.connection = Connection(store, self.runs, venue.active, self._random)

    @property
    def is_writer(self) -> bool:
        """Whether it has begun to write."""
        return self.engine is not None and self.engine.live.serving

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
        while True:
            try:
                await Fleet(["coinbase"], self._clock, self._random.random).run(self._begin)
            except* ForeignKey:
                await self._clock.sleep(RESTART_S)

    @asynccontextmanager
    async def _begin(self, _: str, has_written: bool) -> AsyncIterator[Engine]:
        self._engines += 1
        self.venue = _Venue(self._faulty, self.runs)
        self.engine = Engine(
            self.venue, self.connection, self._keys, self._settings, time=VenueTime(self._clock),
            name=f"{self.name}.{self._engines}", jitter=self._random.random,
            sole_owner=self._sole_owner and not has_written, gives_way=True, used_before=has_written,
        )  # fmt: skip
        asked = False
        try:
            yield self.engine
        except asyncio.CancelledError:
            asked = True
            raise
        finally:
            engine, self.engine = self.engine, None
            await engine.close(for_good=not asked)
