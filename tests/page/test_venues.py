"""The page of a process that serves two venues, which have a symbol in common."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from ..http.api import Served, served
from ..http.filling import fill
from .chromium import Tab
from .support import column, dots, nothing_in_the_console, opened, shows

TROUBLE = "the lease is not livecache's"


@pytest.fixture
def server(store: Any, clean_valkey: str) -> Iterator[Served]:
    """BTC-USD is at both; what toy names so has a stroke and colons in it; their timeframes differ."""
    for timeframe in ("5m", "1h"):
        fill(store, "BTC-USD", timeframe, [100.0 + n for n in range(80)], forming=181.0)
    fill(store, "ETH-USD", "5m", [20.0] * 80, forming=20.5)
    for symbol in ("BTC-USD", "BTC/USDT:USDT"):
        fill(store, symbol, "15m", [5.0 + n / 100 for n in range(80)], venue="toy", forming=6.25)
    fill(
        store,
        "HOLE-USD",
        "15m",
        [5.0] * 80,
        venue="toy",
        reason="hole: nothing is known from 2026-02-20T07:05Z",
    )
    with served(clean_valkey, venues=("coinbase", "toy")) as running:
        yield running


def test_markets_stand_by_their_venues_and_a_symbol_of_both_is_chosen_at_each(
    server: Served, tab: Tab
) -> None:
    opened(tab, server.url)
    assert tab.texts("#markets tbody tr:not(.why) th") == [
        *("coinbase", "BTC-USD", "ETH-USD"),
        *("toy", "HOLE-USD", "BTC-USD", "BTC/USDT:USDT"),
    ]
    assert tab.texts("#markets .venue .labels span") == ["5m", "1h", "15m"], "above its own dots"
    assert tab.text("#summary span") == "2 venues, 5 markets, 6 series:"
    shows(tab, "coinbase:BTC-USD 5m")
    assert sorted(tab.texts("#timeframes a")) == ["1h", "5m"]
    tab.click("#markets [data-symbol='toy:BTC-USD'] a")
    shows(tab, "toy:BTC-USD 15m")
    assert tab.text("#last") == "6.25"
    assert tab.texts("#markets .chosen th") == ["BTC-USD"]
    assert dots(tab, "toy:BTC-USD") == {"15m": "ready"}
    tab.click("#markets [data-symbol='toy:BTC/USDT:USDT'] .dot")
    shows(tab, "toy:BTC/USDT:USDT 15m")
    tab.until(
        "every market has its course",
        "document.querySelectorAll('#markets polyline[points*=\",\"]').length === 5",
    )
    told = dict(zip(column(tab, 1), column(tab, 2), strict=True))
    assert told["ETH-USD"] == "20.5"
    nothing_in_the_console(tab)


def test_an_address_without_the_venue_still_leads_somewhere_and_the_last_one_is_remembered(
    server: Served, tab: Tab
) -> None:
    opened(tab, server.url, "BTC/USDT:USDT/15m")
    shows(tab, "toy:BTC/USDT:USDT 15m")
    tab.open("about:blank#")
    opened(tab, server.url)
    shows(tab, "toy:BTC/USDT:USDT 15m")
    tab.focus("#filter")
    tab.type("coinbase")
    assert tab.texts("#markets tbody th") == ["coinbase", "BTC-USD", "ETH-USD"]


def test_a_venue_says_how_many_it_has_and_how_many_are_amiss_and_folds(server: Served, tab: Tab) -> None:
    opened(tab, server.url)
    assert tab.texts("#markets .venue .amount") == ["2 markets", "3 markets, 1 amiss"]
    tab.focus("#markets [data-symbol='coinbase:ETH-USD'] a")
    tab.press("ArrowDown")
    assert tab.run("document.activeElement.innerText") == "toy"
    tab.press("Enter")
    assert tab.texts("#markets tbody th") == ["coinbase", "BTC-USD", "ETH-USD", "toy"]
    assert tab.run("document.activeElement.ariaExpanded") == "false"
    assert tab.texts("#markets .venue .amount") == ["2 markets", "3 markets, 1 amiss"]
    tab.focus("#filter")
    tab.type("hole")
    assert tab.texts("#markets tbody th") == ["toy", "HOLE-USD"], "what is looked for is found in it"
    tab.reload()
    tab.until("the markets are there", "document.querySelectorAll('#markets .market').length > 0")
    assert tab.texts("#markets tbody th") == ["coinbase", "BTC-USD", "ETH-USD", "toy"], "it stays as it was"
    tab.click("#markets [aria-expanded='false']")
    assert len(tab.texts("#markets tbody th")) == 7
    nothing_in_the_console(tab)


def test_the_trouble_of_one_venue_is_told_as_its_own(store: Any, server: Served, tab: Tab) -> None:
    for symbol in ("BTC-USD", "BTC/USDT:USDT"):
        fill(store, symbol, "15m", [5.0] * 80, venue="toy", feed="down")
    fill(store, "HOLE-USD", "15m", [5.0] * 80, venue="toy", feed="down")
    server.leave("toy", TROUBLE)
    opened(tab, server.url, "coinbase:BTC-USD/5m")
    shows(tab, "coinbase:BTC-USD 5m")
    tab.until("it is told", f"document.getElementById('troubles').innerText.includes({f'toy: {TROUBLE}'!r})")
    assert "The feed is down for toy." in tab.text("#troubles")
    tab.until("that one is live", "document.getElementById('connection').innerText === 'live'")
    store.delete(*store.keys("*{toy:*:alive"))
    tab.until(
        "it is told", "document.getElementById('troubles').innerText.includes('for the candles of toy now')"
    )
    nothing_in_the_console(tab)
