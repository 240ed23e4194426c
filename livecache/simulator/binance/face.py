"""Binance's face: its REST side and its websocket side, at one address."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from functools import partial

from aiohttp import web

from ...clock import Clock
from ..clock import MarketClock
from ..face import Ask, Counts, FaceKind
from ..market.market import Market
from ..trouble.faults import Answer, Faults, RequestRecord
from .exchange import Exchange
from .feed import FeedServer
from .options import MARKETS, Api, BinanceOptions

__all__ = ["FACES", "BinanceFace"]


class BinanceFace:
    """`simulator.face.Face`."""

    def __init__(
        self,
        market: Market,
        clock: MarketClock,
        options: BinanceOptions,
        *,
        faults: Faults,
        keys: object = None,
        host_clock: Clock,
    ) -> None:
        self.options = options
        self.exchange = Exchange(market, clock, options, faults=faults, host_clock=host_clock)
        self.symbols: Mapping[str, str] = self.exchange.symbols
        self.counts: Counts = self.exchange.counts
        self.requests: deque[RequestRecord] = self.exchange.requests
        self._feed = FeedServer(self.exchange, clock, faults, host_clock)
        of = MARKETS[options.api]
        self.greeting = (
            f"A simulated exchange. REST is under {of.api}, the websocket at {' and '.join(of.streams)}.\n"
        )

    async def handle(self, ask: Ask) -> Answer | None:
        return await self.exchange.handle(ask)

    async def serve(self, request: web.Request) -> web.WebSocketResponse:
        return await self._feed.serve(request)

    async def run(self) -> None:
        await self._feed.run()

    async def close_all(self, code: int | None) -> int:
        return await self._feed.close_all(code)


_APIS: dict[str, Api] = {"binance": "spot", "binance-usdm": "usdm", "binance-us": "us"}
FACES = {
    name: FaceKind(partial(BinanceOptions, api=api), BinanceFace, "binance", {"market": api})
    for name, api in _APIS.items()
}
