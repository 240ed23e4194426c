"""Yahoo before the suite: the simulator is its face, in the sessions of New York."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager

from livecache.clock import Clock
from livecache.model.candle import ExactCandle
from livecache.model.timeframe import Timeframe
from livecache.simulator import MarketClock, Simulator
from livecache.simulator.yahoo.face import YahooFace as Simulated
from livecache.simulator.yahoo.market import ShareMarket
from livecache.simulator.yahoo.options import YahooOptions
from livecache.venues.venue import FailureKind
from livecache.venues.yahoo.settings import YahooSettings
from livecache.venues.yahoo.venue import YahooVenue
from tests.simulator.shares import NEW_YORK, SHARES

__all__ = ["YahooFace"]


class YahooFace:
    """`tests.conformance.face.Face`, without a feed."""

    name, symbol, other = "yahoo", "AAPL", "MSFT"
    aliases: Mapping[str, str] = {}
    data = leaving = ""
    muted = False
    flag: tuple[str, str] | None = None
    bad_row = (rb'"close":\[[\d.]+', rb'"close":["none"')
    pause_s: float | None = 5.0
    sorry = FailureKind.SERVER

    def __init__(self, start: int, speed: float, host: Clock) -> None:
        self.clock = MarketClock(start, speed, host.monotonic)
        self.now = self.clock.now
        self.simulator = Simulator(
            ShareMarket(NEW_YORK, SHARES),
            clock=self.clock,
            venue="yahoo",
            options=YahooOptions(requests_per_second=0, edge_lag_ms=0),
            host_clock=host,
        )

    def rows(self, symbol: str, timeframe: Timeframe, start: int, end: int) -> Sequence[ExactCandle]:
        face = self.simulator.exchange
        assert isinstance(face, Simulated)
        told = symbol, timeframe, start, end
        return [*face.truth.settled(*told), *face.truth.provisional(*told)]

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[tuple[str, str]]:
        async with self.simulator:
            yield self.simulator.rest_url, self.simulator.rest_url

    def venue(
        self, name: str, urls: Sequence[str], now: Callable[[], int | None], clock: Clock
    ) -> YahooVenue:
        settings = YahooSettings(rest_url=urls[0], request_timeout=5.0)
        return YahooVenue(settings, name=name, now=now, clock=clock, jitter=lambda: 0.5)
