"""Deribit's face: HTTP and the websocket at one address."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

from aiohttp import web

from ...clock import Clock
from ..clock import MarketClock
from ..face import Ask, Counts, FaceKind
from ..market.market import Market
from ..trouble.faults import Answer, Faults, RequestRecord
from .exchange import API, DeribitOptions, Exchange
from .feed import PATH, FeedServer

__all__ = ["FACES", "DeribitFace"]


class DeribitFace:
    """`simulator.face.Face`."""

    greeting = f"A simulated exchange. JSON-RPC by HTTP is under {API}, the websocket at {PATH}.\n"

    def __init__(
        self,
        market: Market,
        clock: MarketClock,
        options: DeribitOptions,
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

    async def handle(self, ask: Ask) -> Answer | None:
        return await self.exchange.handle(ask)

    async def serve(self, request: web.Request) -> web.WebSocketResponse:
        return await self._feed.serve(request)

    async def run(self) -> None:
        await self._feed.run()

    async def close_all(self, code: int | None) -> int:
        return await self._feed.close_all(code)


FACES = {"deribit": FaceKind(DeribitOptions, DeribitFace, "deribit")}
