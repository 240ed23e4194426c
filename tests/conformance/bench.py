"""A venue under test, between its face and what the suite asks of it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from typing import cast

from livecache.clock import Clock
from livecache.model.candle import FeedCandle
from livecache.model.timeframe import Timeframe
from livecache.venues.venue import Event, Feed, FeedCandles, FetchFailure, Page, PageRequest, Venue
from tests.simulation.virtual import VirtualClock, run_virtually

from .face import Face
from .front import Front, passing

__all__ = ["OPEN", "START", "Bench", "Make", "following", "news", "on"]

Make = Callable[[int, float, Clock], Face]

START = 1_784_131_140_000  # 2026-07-15 15:59 UTC, a Wednesday: a minute before much ends
OPEN = 1784109900000
"""The same day, about 10 UTC, when nothing ends for half an hour but what the feed carries."""


class Bench:
    """The venue, its face, and the front between them."""

    def __init__(self, face: Face, front: Front, venue: Venue) -> None:
        self.face, self.front, self.venue = face, front, venue

    @property
    def carried(self) -> Timeframe:
        """The timeframe of the feed's candles; without a feed the smallest that is served."""
        return next(iter((*self.venue.traits.carried, *self.venue.traits.served)))

    def request(self, timeframe: Timeframe, buckets: int, *, ago: int = 10, symbol: str = "") -> PageRequest:
        """A page of so many buckets, of which the newest opened `ago` buckets before the one in progress."""
        grid = self.venue.traits.grid(timeframe)
        end = grid.after(grid.back(self.face.now() + 1, ago))
        return PageRequest(symbol or self.face.symbol, timeframe, grid.back(end, buckets), end)

    async def page(self, request: PageRequest) -> Page:
        """That page, which there has to be."""
        outcome = await self.venue.fetch(request)
        assert isinstance(outcome, Page), outcome
        return outcome

    async def failure(self, request: PageRequest | None = None) -> FetchFailure:
        """What comes of a page that is not to be had."""
        outcome = await self.venue.fetch(request or self.request(self.carried, 20))
        assert isinstance(outcome, FetchFailure), outcome
        return outcome

    def spoiled(self, body: object) -> bytes:
        """A page with one bad row."""
        assert isinstance(body, bytes)
        spoiled = re.sub(*self.face.bad_row, body, count=1)
        assert spoiled != body
        return spoiled


class Following:
    """A feed of the venue under test, and all that it has told."""

    def __init__(self, bench: Bench, feed: Feed) -> None:
        self.feed = feed
        self.told: list[Event] = []
        self._bench = bench
        self._events = cast("AsyncGenerator[Event, None]", feed.events())

    async def until(self, happened: Callable[[list[Event]], object]) -> list[Event]:
        """Follow on until it has happened in what is told from now on."""
        told: list[Event] = []
        async with asyncio.timeout(25):
            while not happened(told):
                told.append(await anext(self._events))
        self.told += told
        return told

    async def data(self, *names: str) -> list[Event]:
        """Follow on until a candle of each of these came that is no old news."""
        return await self.until(lambda told: {c[0] for c in news(told)} >= {*names})

    async def aclose(self) -> None:
        await self._events.aclose()


def news(told: Iterable[Event]) -> list[FeedCandle]:
    """The candles that are no old news."""
    return [
        c for event in told if isinstance(event, FeedCandles) and not event.snapshot for c in event.candles
    ]


@asynccontextmanager
async def following(bench: Bench, *names: str) -> AsyncIterator[Following]:
    """The one feed for these names."""
    aliases = {name: bench.face.aliases[name] for name in names if name in bench.face.aliases}
    (feed,) = bench.venue.feeds(names, aliases, trades=False)
    following = Following(bench, feed)
    try:
        yield following
    finally:
        await following.aclose()


def on(
    make: Make, check: Callable[[Bench], Awaitable[None]], start: int = START, speed: float = 60.0
) -> None:
    """Have a venue checked, whose market goes so many times as fast as we do, in virtual time."""

    async def main() -> None:
        host = VirtualClock(start / 1000)
        face = make(start, speed, host)
        async with asyncio.timeout(60), face.listening() as urls, passing(*urls) as front:
            venue = face.venue(face.name, (front.url, front.ws_url), face.now, host)
            try:
                await check(Bench(face, front, venue))
            finally:
                await venue.aclose()

    run_virtually(main())
