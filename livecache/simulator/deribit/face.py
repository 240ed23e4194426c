"""Deribit's face: HTTP and the websocket at one address."""

from __future__ import annotations

from ...clock import Clock
from ..clock import MarketClock
from ..face import FaceKind, TwoSided
from ..market.market import Market
from ..trouble.faults import Faults
from .exchange import API, DeribitOptions, Exchange
from .faults import DeribitFaults, refusing
from .feed import PATH, FeedServer

__all__ = ["FACES", "DeribitFace"]


class DeribitFace(TwoSided):
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
        exchange = Exchange(market, clock, options, faults=faults, host_clock=host_clock)
        feed = FeedServer(exchange, clock, faults, host_clock)
        super().__init__(options, exchange, feed, exchange.symbols)


FACES = {"deribit": FaceKind(DeribitOptions, DeribitFace, "deribit", {}, DeribitFaults, refusing)}
