"""One Chromium for the session, a new tab in it for each test; and a cache that no service has filled."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import redis

from ..http.api import Served, served
from ..http.filling import announce, fill
from .chromium import Tab, chromium, tab_of


@pytest.fixture(scope="session")
def devtools() -> Iterator[str]:
    """The address of a Chromium's DevTools; skips where there is none."""
    with chromium() as address:
        yield address


@pytest.fixture
def tab(devtools: str) -> Iterator[Tab]:
    """A new tab, as wide as a laptop's screen."""
    with tab_of(devtools) as opened:
        # What somebody chose in another test was kept by its address, and an address may come again.
        opened.call("Storage.clearDataForOrigin", origin="*", storageTypes="local_storage")
        yield opened


SYMBOLS = ("SOL-USD", "BTC-USD", "ADA-USD", "THIN-USD", "WRONG-USD", "HALT-USD")
TIMEFRAMES = ("1h", "15m")
UNKNOWN = "unknown: coinbase has no product WRONG-USD: correct venues.coinbase.symbols"
HALTED = "halted: coinbase lists HALT-USD as limit only, last traded 2026-02-20T09:00Z"
HOLE = "hole: nothing is known from 2026-02-20T07:05Z, and so it is told at some length for whoever reads it"


@pytest.fixture
def store(clean_valkey: str) -> Iterator[Any]:
    with redis.Redis.from_url(clean_valkey) as client:
        yield client


@pytest.fixture
def server(clean_valkey: str) -> Iterator[Served]:
    with served(clean_valkey) as running:
        yield running


@pytest.fixture
def market(store: Any) -> Any:
    """Six symbols: one has a hole, one is thin, one is unknown, one is halted."""
    announce(store, SYMBOLS, TIMEFRAMES)
    rising = [100.0 + n / 10 for n in range(100)]
    for timeframe in TIMEFRAMES:
        fill(store, "SOL-USD", timeframe, rising, forming=111.0)
        fill(store, "BTC-USD", timeframe, rising[::-1], provisional=1, forming=98.0)
        fill(store, "THIN-USD", timeframe, [5.0, *[None] * 60, 5.5, *[None] * 30])
        fill(store, "WRONG-USD", timeframe, [], reason=UNKNOWN, feed="down")
        fill(store, "HALT-USD", timeframe, [7.0] * 80, reason=HALTED, feed="down")
    fill(store, "ADA-USD", "1h", rising)
    fill(store, "ADA-USD", "15m", rising, reason=HOLE)
    return store
