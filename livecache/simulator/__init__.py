"""A Coinbase on loopback, for the demo, tests, benchmarks, and the tests of those who use livecache.

async with Simulator(SeededMarket(seed=1), clock=MarketClock(speed=60)) as simulator:
    ...  # point venues.coinbase.rest_url and ws_url at simulator.rest_url and simulator.ws_url
"""

from __future__ import annotations

from .auth import KeyRing, ThrowawayKey, throwaway_key
from .clock import MarketClock
from .exchange import Counts, Exchange
from .faults import Answer, Close, Faults, Frame, RequestRecord, Stage
from .market import Increments, Market, MarketTrade
from .options import ServerOptions
from .products import DEFAULT_PRODUCTS, Liquidity, Product
from .random_faults import random_script
from .recorded import CsvMarket
from .revised import RevisedMarket
from .script import FaultScript
from .script_file import load_script
from .scripted import ScriptedFaults
from .seeded import SeededMarket
from .server import Simulator, serve_forever

__all__ = [
    "DEFAULT_PRODUCTS",
    "Answer",
    "Close",
    "Counts",
    "CsvMarket",
    "Exchange",
    "FaultScript",
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
    "RevisedMarket",
    "ScriptedFaults",
    "SeededMarket",
    "ServerOptions",
    "Simulator",
    "Stage",
    "ThrowawayKey",
    "load_script",
    "random_script",
    "serve_forever",
    "throwaway_key",
]
