"""Binance before the suite, each of its markets: the simulator is its face."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager

from livecache.clock import Clock
from livecache.model.candle import ExactCandle
from livecache.model.timeframe import Timeframe
from livecache.simulator import Faults, Market, MarketClock, SeededMarket, Simulator
from livecache.simulator.binance.face import BinanceFace as Simulated
from livecache.simulator.binance.options import Api, BinanceOptions
from livecache.venues.binance.settings import BinanceSettings
from livecache.venues.binance.venue import BinanceVenue
from livecache.venues.venue import FailureKind

__all__ = ["BinanceFace"]


class BinanceFace:
    """`tests.conformance.face.Face`."""

    name, symbol, other = "binance", "BTCUSDT", "ETHUSDT"
    aliases: Mapping[str, str] = {}
    data = '"e":"kline"'
    flag: tuple[str, str] | None = ('"x":true', '"x":false')
    bad_row = (rb'\[(\d{13}),"[^"]+"', rb'[\1,"none"')
    pause_s: float | None = None
    sorry = FailureKind.MALFORMED

    def __init__(
        self, start: int, speed: float, host: Clock, api: Api = "spot", market: Market | None = None
    ) -> None:
        self.clock = MarketClock(start, speed, host.monotonic)
        self.now = self.clock.now
        self.api = api
        self.muted = False
        options = BinanceOptions(api=api, weight_a_minute=1_000_000, frames_per_s=1000)
        self.simulator = Simulator(
            market or SeededMarket(3),
            clock=self.clock,
            venue={"spot": "binance"}.get(api, f"binance-{api}"),
            options=options,
            faults=_Mute(self),
            host_clock=host,
        )

    @property
    def leaving(self) -> str:
        return f'{{"stream":"!serverShutdown","data":{{"e":"serverShutdown","E":{self.now()}}}}}'

    def rows(self, symbol: str, timeframe: Timeframe, start: int, end: int) -> Sequence[ExactCandle]:
        face = self.simulator.exchange
        assert isinstance(face, Simulated)
        rows: Sequence[ExactCandle] = face.exchange.rows(symbol, timeframe, start, end, self.now())
        return rows

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[tuple[str, str]]:
        async with self.simulator:
            yield self.simulator.rest_url, self.simulator.ws_url

    def venue(
        self, name: str, urls: Sequence[str], now: Callable[[], int | None], clock: Clock
    ) -> BinanceVenue:
        settings = BinanceSettings(
            market=self.api, rest_url=urls[0], ws_url=urls[1], request_timeout=5.0, silence_timeout=2.0
        )
        return BinanceVenue(settings, name=name, now=now, clock=clock, jitter=lambda: 0.5, asks_every_s=0.05)


class _Mute(Faults):
    def __init__(self, face: BinanceFace) -> None:
        self._face = face

    def mute(self, channel: str, product: str, subscribed_ms: int) -> bool:
        return self._face.muted
