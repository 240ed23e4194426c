"""A venue on loopback, for the demo, tests, benchmarks, and the tests of those who use livecache.

async with Simulator(SeededMarket(seed=1), clock=MarketClock(speed=60)) as simulator:
    ...  # point rest_url and ws_url of the venue at simulator.rest_url and simulator.ws_url
"""

from __future__ import annotations

from .clock import MarketClock
from .coinbase.auth import KeyRing, ThrowawayKey, throwaway_key
from .coinbase.exchange import Exchange
from .face import Counts
from .market.market import Increments, Market, MarketTrade
from .market.products import DEFAULT_PRODUCTS, Liquidity, Product
from .market.recorded import CsvMarket
from .market.revised import RevisedMarket
from .market.seeded import SeededMarket
from .options import ServerOptions
from .server import Simulator, serve_forever
from .trouble.faults import Answer, Faults, FeedFrame, HangUp, RequestRecord, Stage
from .trouble.random_faults import random_script
from .trouble.script import FaultScript
from .trouble.script_file import load_script
from .trouble.scripted import ScriptedFaults

__all__ = [
    "DEFAULT_PRODUCTS",
    "Answer",
    "Counts",
    "CsvMarket",
    "Exchange",
    "FaultScript",
    "Faults",
    "FeedFrame",
    "HangUp",
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
