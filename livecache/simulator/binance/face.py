"""Binance's face: its REST side and its websocket side, at one address."""

from __future__ import annotations

from functools import partial

from ...clock import Clock
from ..clock import MarketClock
from ..face import FaceKind, TwoSided
from ..market.market import Market
from ..trouble.faults import Faults
from .exchange import Exchange
from .faults import BinanceFaults, refusing
from .feed import FeedServer
from .options import MARKETS, Api, BinanceOptions

__all__ = ["FACES", "BinanceFace"]


class BinanceFace(TwoSided):
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
        exchange = Exchange(market, clock, options, faults=faults, host_clock=host_clock)
        feed = FeedServer(exchange, clock, faults, host_clock)
        super().__init__(options, exchange, feed, exchange.symbols)
        of = MARKETS[options.api]
        self.greeting = (
            f"A simulated exchange. REST is under {of.api}, the websocket at {' and '.join(of.streams)}.\n"
        )


_APIS: dict[str, Api] = {"binance": "spot", "binance-usdm": "usdm", "binance-us": "us"}
FACES = {
    name: FaceKind(
        partial(BinanceOptions, api=api), BinanceFace, "binance", {"market": api}, BinanceFaults, refusing
    )
    for name, api in _APIS.items()
}
