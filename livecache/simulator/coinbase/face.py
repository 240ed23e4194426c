"""Coinbase's face: its REST side and its websocket side, at one address."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

from aiohttp import web

from ...clock import Clock
from ..clock import MarketClock
from ..face import Ask, Counts, FaceKind
from ..market.market import Market
from ..options import ServerOptions
from ..trouble.faults import Answer, Faults, RequestRecord
from .auth import KeyRing
from .exchange import API, Exchange
from .feed import FeedServer

__all__ = ["FACES", "CoinbaseFace"]


class CoinbaseFace:
    """`simulator.face.Face`."""

    greeting = f"A simulated exchange. REST is under {API}, the websocket at / and /ws.\n"

    def __init__(
        self,
        market: Market,
        clock: MarketClock,
        options: ServerOptions,
        *,
        faults: Faults,
        keys: KeyRing | None = None,
        host_clock: Clock,
    ) -> None:
        keys = keys or KeyRing()
        self.options = options
        self.symbols: Mapping[str, str] = {product: product for product in market.products()}
        self._exchange = Exchange(market, clock, options, faults=faults, keys=keys, host_clock=host_clock)
        self.counts: Counts = self._exchange.counts
        self.requests: deque[RequestRecord] = self._exchange.requests
        self._feed = FeedServer(
            market, clock, options, self.counts, faults=faults, keys=keys, host_clock=host_clock
        )

    async def handle(self, ask: Ask) -> Answer | None:
        return await self._exchange.handle(ask)

    async def serve(self, request: web.Request) -> web.WebSocketResponse:
        return await self._feed.serve(request)

    async def run(self) -> None:
        await self._feed.run()

    async def close_all(self, code: int | None) -> int:
        return await self._feed.close_all(code)


FACES = {"coinbase": FaceKind(ServerOptions, CoinbaseFace, "coinbase")}
