"""A full cache without a venue, for benchmarks of what comes after: a timeline and its writer."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import redis.asyncio

from livecache.clock import SystemClock
from livecache.engine.live import Live
from livecache.engine.venue_time import VenueTime
from livecache.keys.keyspace import AliveRecord, Keyspace, encode_alive
from livecache.ledger.timeline import Timeline
from livecache.model.candle import ExactCandle
from livecache.model.policy import Policy
from livecache.model.series import SeriesId
from livecache.model.timeframe import Timeframe
from livecache.proof.evidence import PageFacts
from livecache.proof.plan import plan
from livecache.simulator import CsvMarket, Market, SeededMarket
from livecache.venues.coinbase.traits import TRAITS
from livecache.writer.writer import Writer

__all__ = ["BTC", "Pages", "btc_market", "complete", "fill", "write"]

BTC = "BTC-USD"
PAGE_LIMIT = 330
WRITE_S_MAX = 120.0

_BTC_FILE = Path(__file__).parents[2] / "shared/data/coinbase/BTC-USD_5m_2025-07-01_2025-11-15.csv"


def btc_market() -> tuple[Market, int, str]:
    """A market that has BTC-USD, a moment (Unix ms) with four months before it, and in words what it is.

    Real candles of Coinbase where the file is there, else made ones.
    """
    if _BTC_FILE.exists():
        recorded = CsvMarket({BTC: _BTC_FILE})
        return recorded, recorded.span[1] - Timeframe.M1.ms, f"real candles: {_BTC_FILE.name}"
    moment = 1_763_164_800_000 - Timeframe.M1.ms  # 2025-11-15, less a minute
    return SeededMarket(), moment, "made candles: ../shared/data is not there"


class Pages:
    """BTC's candles, as many times as there are symbols: each page has digits of its own in memory."""

    def __init__(self, market: Market, now: int) -> None:
        self.now = now
        self._market = market
        self._made: dict[tuple[Timeframe, int, int], list[ExactCandle]] = {}

    def page(self, timeframe: Timeframe, start: int, end: int) -> PageFacts:
        """The page of `[start, end)`, Unix ms."""
        key = timeframe, start, end
        if key not in self._made:
            self._made[key] = self._market.candles(BTC, timeframe, start, end, self.now)
        # Copied digit by digit, for no two symbols share their strings when a venue has sent them.
        rows = {c.time: ExactCandle(c.time, *map(_copy, c.numbers)) for c in self._made[key]}
        return PageFacts(start, end, rows, self.now)


def _copy(text: str) -> str:
    return text.encode().decode()


def fill(pages: Pages, symbols: Sequence[str], timeframes: Sequence[Timeframe], candles: int) -> Timeline:
    """A timeline that was given all pages that it wants."""
    timeline = Timeline("coinbase", symbols, timeframes, Policy(candles=candles), TRAITS)
    complete(timeline, pages)
    return timeline


def complete(timeline: Timeline, pages: Pages) -> None:
    """Give a timeline all pages that it wants."""
    for symbol, its in timeline.symbols.items():
        while wants := plan(its.tracks, timeline.children, now=pages.now, in_flight={}):
            want = min(wants)
            page = pages.page(want.timeframe, want.start, want.end)
            timeline.apply_page(symbol, want.timeframe, page, pages.now)


@dataclass
class Filled(Live):
    """What the writer asks of the service; `written` is set once all of it is in Redis."""

    written: asyncio.Event = field(default_factory=asyncio.Event)

    def sent(self) -> None:
        super().sent()
        self.written.set()


async def write(timeline: Timeline, now: int, url: str) -> None:
    """Write all of it to Redis as of `now` (the venue's time); its alive keys do not expire."""
    source, keys = Filled(timeline, VenueTime(SystemClock()), "benchmark", "http://benchmark"), Keyspace()
    source.time.venue_clock.confirm(now, source.clock.monotonic())
    source.serving = True
    series = [
        SeriesId(timeline.venue, symbol, each) for each in timeline.timeframes for symbol in timeline.symbols
    ]
    async with redis.asyncio.Redis.from_url(url) as store:
        writer = Writer(
            store,
            keys,
            series,
            source,
            origin=source.origin,
            instance=source.instance,
            clock=source.clock,
            wake=source.changed,
        )
        await writer.open()
        running = asyncio.create_task(writer.run(), name="the writer")
        try:
            async with asyncio.timeout(WRITE_S_MAX):
                await source.written.wait()
        finally:
            running.cancel()
            await asyncio.wait([running])
        for symbol in timeline.symbols:
            await store.set(keys.alive(symbol), encode_alive(AliveRecord("benchmark", now, "up")))
