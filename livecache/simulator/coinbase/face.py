"""Coinbase's face: its REST side and its websocket side, at one address."""

from __future__ import annotations

from ...clock import Clock
from ..clock import MarketClock
from ..face import FaceKind, TwoSided
from ..market.market import Market
from ..options import ServerOptions
from ..trouble.faults import Faults
from .auth import KeyRing
from .exchange import API, Exchange
from .feed import FeedServer

__all__ = ["FACES", "CoinbaseFace"]


class CoinbaseFace(TwoSided):
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
        exchange = Exchange(market, clock, options, faults=faults, keys=keys, host_clock=host_clock)
        feed = FeedServer(
            market, clock, options, exchange.counts, faults=faults, keys=keys, host_clock=host_clock
        )
        super().__init__(options, exchange, feed, {product: product for product in market.products()})


FACES = {"coinbase": FaceKind(ServerOptions, CoinbaseFace, "coinbase")}
