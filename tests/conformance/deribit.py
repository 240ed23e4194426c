"""Deribit before the suite: the simulator is its face."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager

from livecache.clock import Clock
from livecache.model.candle import ExactCandle
from livecache.model.timeframe import Timeframe
from livecache.simulator import Faults, Market, MarketClock, SeededMarket, Simulator
from livecache.simulator.deribit.chart import Chart, instruments_of
from livecache.simulator.deribit.exchange import DeribitOptions
from livecache.venues.deribit.settings import DeribitSettings
from livecache.venues.deribit.venue import DeribitVenue
from livecache.venues.venue import FailureKind

__all__ = ["DeribitFace"]

_ASKS_EVERY_S = 0.03  # the market goes fast


class DeribitFace:
    """`tests.conformance.face.Face`."""

    name, symbol, other = "deribit", "BTC-PERPETUAL", "ETH-PERPETUAL"
    aliases: Mapping[str, str] = {}
    data, leaving = '"method":"subscription"', ""
    flag: tuple[str, str] | None = None
    bad_row = (rb'"open":\[[^,]+,', rb'"open":["none",')
    pause_s: float | None = None
    sorry = FailureKind.MALFORMED

    def __init__(self, start: int, speed: float, host: Clock, market: Market | None = None) -> None:
        self.clock = MarketClock(start, speed, host.monotonic)
        self._host = host
        self.now = self.clock.now
        self.market = market or SeededMarket(3)
        self.muted = False
        self._chart = Chart(self.market, instruments_of(self.market), DeribitOptions().created_ms)

    def rows(self, symbol: str, timeframe: Timeframe, start: int, end: int) -> Sequence[ExactCandle]:
        return self._chart.rows(symbol, timeframe, start, end, self.now())

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[tuple[str, str]]:
        options = DeribitOptions(requests_per_second=1000, burst=1000)
        async with Simulator(
            self.market, clock=self.clock, venue="deribit", options=options, faults=_Mute(self),
            host_clock=self._host,
        ) as simulator:  # fmt: skip
            yield simulator.rest_url, simulator.ws_url

    def venue(
        self, name: str, urls: Sequence[str], now: Callable[[], int | None], clock: Clock
    ) -> DeribitVenue:
        settings = DeribitSettings(rest_url=urls[0], ws_url=urls[1], request_timeout=5.0, silence_timeout=2.0)
        return DeribitVenue(
            settings, now=now, clock=clock, jitter=lambda: 0.5, name=name, asks_every_s=_ASKS_EVERY_S
        )


class _Mute(Faults):
    def __init__(self, face: DeribitFace) -> None:
        self._face = face

    def mute(self, channel: str, product: str, subscribed_ms: int) -> bool:
        return self._face.muted and channel == "candles"
