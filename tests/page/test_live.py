"""The page beside a service that lives: one for all of these, whose 5m bucket closes every five seconds."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
import redis

from livecache.embedded.server import EmbeddedServer
from livecache.keys.keyspace import Keyspace
from livecache.model.timeframe import Timeframe

from ..e2e.support import until
from .chromium import Tab, tab_of
from .support import (
    SYMBOLS,
    TIMEFRAMES,
    Running,
    column,
    dots,
    live,
    no_banner,
    nothing_in_the_console,
    prices,
    running,
    shows,
)


@pytest.fixture(scope="module")
def redis_url() -> Iterator[str]:
    with EmbeddedServer(temporary=True) as server:
        yield server.url


@pytest.fixture(scope="module")
def here(redis_url: str) -> Iterator[Running]:
    """A warm service."""
    with running(redis_url) as service:
        service.service.event("warm", 60.0)
        yield service
        service.service.stop()


def test_it_shows_all_series_and_draws_one_of_them_live(here: Running, tab: Tab) -> None:
    tab.open(f"{here.page}#BTC-USD/5m")
    shows(tab, "BTC-USD 5m")
    live(tab)
    assert column(tab, 1) == [symbol.partition(":")[0] for symbol in SYMBOLS]
    assert dots(tab, "BTC-USD") == dots(tab, "ETH-USD") == dict.fromkeys(TIMEFRAMES, "ready")
    assert min(prices(tab)[:2]) > 0
    assert tab.text("#attribution a") == "TradingView"
    assert "Copyright (c) 2025 TradingView, Inc." in tab.text("#attribution")

    # What is in progress moves, closes, and is settled, under the eyes of whoever looks.
    tab.run("document.getElementById('newest').open = true")
    newest = "[...document.querySelectorAll('#newest tbody tr')].map((row) => row.innerText.split('\\t'))"
    first = tab.until("one is in progress", f"({newest}).find((cells) => cells[1] === 'in progress')")
    tab.until(
        "it has moved",
        f"({newest}).find((cells) => cells[0] === '{first[0]}' && cells.join() !== {','.join(first)!r})",
    )
    settled = tab.until(
        "it is settled",
        f"({newest}).find((cells) => cells[0] === '{first[0]}' && cells[1] === 'settled')",
        60.0,
    )
    assert settled[2] == first[2], "its open stays"
    tab.until("a later one is in progress", f"({newest})[0][0] > '{first[0]}'")
    tab.until("it says how old the price is", "/^\\d+s ago$/.test(document.getElementById('age').innerText)")
    no_banner(tab)
    nothing_in_the_console(tab)


def test_one_chooses_by_mouse_by_key_and_by_address(here: Running, tab: Tab) -> None:
    tab.open(f"{here.page}#ETH-USD/1h")
    shows(tab, "ETH-USD 1h")
    live(tab)  # until it has come nothing stays in its place
    tab.click("#timeframes a:nth-child(2)")
    shows(tab, "ETH-USD 15m")
    assert tab.text("#timeframes [aria-current]") == "15m"
    tab.click("#markets .market:first-child td.number")
    shows(tab, "BTC-USD 15m")
    tab.click("#markets .market:first-child [data-timeframe='5m']")
    shows(tab, "BTC-USD 5m")
    tab.focus("#markets a[href='#ETH-USD/5m']")
    tab.press("Enter")
    shows(tab, "ETH-USD 5m")
    assert tab.run("document.activeElement.getAttribute('href')") == "#ETH-USD/5m"
    assert tab.text("#told").startswith("ETH-USD 5m: ready, last price ")
    tab.run("history.back()")
    shows(tab, "BTC-USD 5m")
    live(tab)

    tab.focus("#chart")
    tab.press("Home")
    oldest = tab.text("#told")
    assert re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d UTC +O\xa0", oldest) and "in progress" not in oldest
    tab.press("ArrowRight")
    assert tab.text("#told") > oldest and "in progress" not in tab.text("#told")
    last = tab.text("#last")
    tab.until("a price has come", f"document.getElementById('last').innerText !== '{last}'")
    assert tab.text("#readout") == tab.text("#told")
    tab.press("ArrowLeft")
    assert tab.text("#told") == tab.text("#readout") == oldest
    tab.press("Escape")
    assert tab.text("#told") == ""
    nothing_in_the_console(tab)


def test_a_tab_that_nobody_sees_lets_go_of_its_stream_and_catches_up_when_it_is_seen(
    here: Running, redis_url: str, devtools: str, tab: Tab
) -> None:
    channel = Keyspace().updates("BTC-USD", Timeframe.M5)
    newest = "document.querySelector('#newest tbody th')?.innerText"
    with redis.Redis.from_url(redis_url) as store:

        def listens() -> bool:
            return bool(store.pubsub_numsub(channel)[0][1])

        tab.open(f"{here.page}#BTC-USD/5m")
        shows(tab, "BTC-USD 5m")
        live(tab)
        tab.run("document.getElementById('newest').open = true")
        seen = tab.until("the buckets are listed", newest)
        until("the service listens for it", listens)
        with tab_of(devtools):  # in front of it
            tab.until("it is hidden", "document.hidden")
            until("the service listens for nobody", lambda: not listens())
        tab.call("Page.bringToFront")
        live(tab)
        until("the service listens again", listens)
        tab.until("it has caught up", f"{newest} > '{seen}'")
        until(
            "nothing is missing", lambda: "missing" not in tab.texts("#newest tbody tr td:nth-child(2)")[1:]
        )
        no_banner(tab)
        nothing_in_the_console(tab)
