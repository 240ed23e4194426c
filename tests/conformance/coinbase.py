"""Coinbase before the suite: the simulator is its face."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager

from livecache.clock import Clock
from livecache.model.candle import ExactCandle
from livecache.model.timeframe import Timeframe
from livecache.simulator import Faults, Market, MarketClock, SeededMarket, ServerOptions, Simulator
from livecache.venues.coinbase.settings import CoinbaseSettings
from livecache.venues.coinbase.venue import CoinbaseVenue
from livecache.venues.venue import FailureKind

__all__ = ["CoinbaseFace"]


class CoinbaseFace:
    """`tests.conformance.face.Face`."""

    name, symbol, other = "coinbase", "BTC-USD", "ETH-USD"
    aliases: Mapping[str, str] = {"BTC-USDC": "BTC-USD"}
    data, leaving = '"type":"update"', ""
    flag: tuple[str, str] | None = None
    bad_row = (rb'"open":"[^"]+"', rb'"open":"none"')
    pause_s: float | None = None
    sorry = FailureKind.MALFORMED

    def __init__(self, start: int, speed: float, host: Clock, market: Market | None = None) -> None:
        self.clock = MarketClock(start, speed, host.monotonic)
        self._host = host
        self.now = self.clock.now
        self.market = market or SeededMarket(3)
        self.muted = False

    def rows(self, symbol: str, timeframe: Timeframe, start: int, end: int) -> Sequence[ExactCandle]:
        return self.market.candles(symbol, timeframe, start, end, self.now())

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[tuple[str, str]]:
        options = ServerOptions(requests_per_second=1000, edge_cache_s=0.0)
        async with Simulator(
            self.market, clock=self.clock, options=options, faults=_Mute(self), host_clock=self._host
        ) as simulator:
            yield simulator.rest_url, simulator.ws_url

    def venue(
        self, name: str, urls: Sequence[str], now: Callable[[], int | None], clock: Clock
    ) -> CoinbaseVenue:
        settings = CoinbaseSettings(
            rest_url=urls[0], ws_url=urls[1], request_timeout=5.0, silence_timeout=2.0
        )
        return CoinbaseVenue(settings, key=None, now=now, clock=clock, jitter=lambda: 0.5, name=name)


class _Mute(Faults):
    def __init__(self, face: CoinbaseFace) -> None:
        self._face = face

    def mute(self, channel: str, product: str, subscribed_ms: int) -> bool:
        return self._face.muted and channel == "candles"
