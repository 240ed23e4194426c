"""A Coinbase on loopback, for the demo, tests, benchmarks, and the tests of those who use livecache.

async with Simulator(SeededMarket(seed=1), clock=MarketClock(speed=60)) as simulator:
    ...  # point venues.coinbase.rest_url and ws_url at simulator.rest_url and simulator.ws_url
"""

from __future__ import annotations

from .auth import KeyRing, ThrowawayKey, throwaway_key
from .clock import MarketClock
from .exchange import Counts, Exchange
from .faults import Answer, Close, Faults, Frame, RequestRecord
from .market import Increments, Market, MarketTrade
from .options import ServerOptions
from .products import DEFAULT_PRODUCTS, Liquidity, Product
from .recorded import CsvMarket
from .seeded import SeededMarket
from .server import Simulator, serve_forever

__all__ = [
    "DEFAULT_PRODUCTS",
    "Answer",
    "Close",
    "Counts",
    "CsvMarket",
    "Exchange",
    "Faults",
    "Frame",
    "Increments",
    "KeyRing",
    "Liquidity",
    "Market",
    "MarketClock",
    "MarketTrade",
    "Product",
    "RequestRecord",
    "SeededMarket",
    "ServerOptions",
    "Simulator",
    "ThrowawayKey",
    "serve_forever",
    "throwaway_key",
]
