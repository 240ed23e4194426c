"""The drawer of jobs: what is being filled, cancelled, tried again and ordered, over a history in a file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from livecache.history.service.standing import Standing
from livecache.history.sqlite.store import SqliteHistory
from livecache.history.store import JobState, Outcome

from ..http.api import NOW, Served, served
from ..http.support import ask
from .chromium import Tab
from .support import TOKEN, nothing_in_the_console, opened, shows

DAY_MS = 86_400_000
DAYS = (NOW // DAY_MS - 10) * DAY_MS, (NOW // DAY_MS - 9) * DAY_MS
OPEN = "document.getElementById('jobs').open"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "history.db"


@pytest.fixture
def history(path: Path) -> Iterator[SqliteHistory]:
    store = SqliteHistory.open(path)
    yield store
    store.close()


@pytest.fixture
def server(clean_valkey: str, market: Any, path: Path) -> Iterator[Served]:
    with served(clean_valkey, history=path) as running:
        running.keep({"coinbase": Standing()})
        yield running


def order(url: str, symbol: str) -> int:
    """The job of a day of 15m."""
    body = {"symbols": [symbol], "timeframe": "15m", "from": DAYS[0], "to": DAYS[1]}
    named: dict[str, Any] = {"Content-Type": "application/json"}
    answer = ask(url, "/api/v1/candles/backfill", method="POST", body=json.dumps(body).encode(), **named)
    number: int = answer.content["job_id"]
    return number


def open_drawer(tab: Tab) -> None:
    tab.until("there is a button", "!document.getElementById('jobs-open').hidden")
    tab.focus("#jobs-open")
    tab.press("Enter")
    tab.until("it is open", OPEN)


def item(tab: Tab, name: str) -> str:
    texts = tab.texts("#jobs-list li")
    return next((text for text in texts if text.startswith(name)), "")


def test_what_is_filled_is_told_as_it_goes_cancelled_and_tried_again(
    server: Served, history: SqliteHistory, tab: Tab
) -> None:
    failing, waiting = order(server.url, "SOL-USD"), order(server.url, "BTC-USD")
    claimed = history.claim("somebody")
    assert claimed and claimed.id == failing
    opened(tab, server.url)
    shows(tab, "SOL-USD 1h")
    tab.until("how many is told", "document.getElementById('jobs-open').innerText === '2 jobs'")
    open_drawer(tab)
    tab.until("both are listed", "document.querySelectorAll('#jobs-list li').length === 2")
    assert "being filled: 0\xa0%, 0 of 96 buckets" in item(tab, "SOL-USD 15m")
    assert "waiting for its turn" in item(tab, "BTC-USD 15m")
    assert "2026-02-10" in item(tab, "BTC-USD 15m")
    history.settle(claimed.lease, Outcome.RETRY, "HTTP 502", wait_s=600)
    tab.until(
        "it is told",
        "document.querySelector('#jobs-list [data-state=waiting]')?.innerText.includes('HTTP 502')",
    )
    assert "failed 1 time in a row, trying again in 9m" in item(tab, "SOL-USD 15m")
    tab.click("#jobs-list [data-state='pending'] button")
    tab.until(
        "it is cancelled",
        "document.querySelector('#jobs-list [data-state=cancelled] button')?.innerText === 'Retry'",
    )
    assert history.job(waiting).state is JobState.CANCELLED  # type: ignore[union-attr]
    tab.click("#jobs-list [data-state='cancelled'] button")
    tab.until("it waits again", "document.querySelector('#jobs-list [data-state=pending]') !== null")
    tab.press("Escape")
    tab.until("Escape closes it", f"!{OPEN}")
    assert tab.run("document.activeElement.id") == "jobs-open", "the focus is where it was"
    alt_j: dict[str, Any] = {"modifiers": 1, "key": "j", "code": "KeyJ", "windowsVirtualKeyCode": 74}
    tab.call("Input.dispatchKeyEvent", type="char", unmodifiedText="j", text="j", **alt_j)
    tab.until("its access key opens it", OPEN)
    nothing_in_the_console(tab)


def test_no_job_moves_from_below_the_pointer(server: Served, tab: Tab) -> None:
    first = order(server.url, "SOL-USD")
    order(server.url, "BTC-USD")
    opened(tab, server.url)
    open_drawer(tab)
    names = "[...document.querySelectorAll('#jobs-list b')].map((name) => name.innerText).join()"
    tab.until("who came first comes first", f"{names} === 'SOL-USD 15m,BTC-USD 15m'")
    x, y = tab.run(
        """((box) => [box.x + box.width / 2, box.y + box.height / 2])(
            document.querySelector('#jobs-list li:last-child button').getBoundingClientRect())"""
    )
    tab.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
    ask(server.url, f"/api/v1/jobs/{first}", method="DELETE")
    tab.until("it is told", "document.querySelector('#jobs-list [data-state=cancelled]') !== null")
    order(server.url, "ADA-USD")
    tab.until(
        "what is there stays, another comes below", f"{names} === 'SOL-USD 15m,BTC-USD 15m,ADA-USD 15m'"
    )
    tab.call("Input.dispatchMouseEvent", type="mouseMoved", x=5, y=5)
    tab.until("then what is over comes last", f"{names} === 'BTC-USD 15m,ADA-USD 15m,SOL-USD 15m'")


def test_more_is_ordered_of_what_one_looks_at(server: Served, history: SqliteHistory, tab: Tab) -> None:
    opened(tab, server.url, "BTC-USD/15m")
    shows(tab, "BTC-USD 15m")
    open_drawer(tab)
    fields = (
        "['symbol', 'timeframe', 'since'].map((field) => document.getElementById(`order-${field}`).value)"
    )
    assert tab.run(fields)[:2] == ["BTC-USD", "15m"]
    tab.until("it says that there are none", "!document.getElementById('jobs-none').hidden")
    tab.run("document.getElementById('order-since').value = '2026-02-01'")
    tab.click("#order-go")
    tab.until("it is listed", "document.querySelectorAll('#jobs-list li').length > 0")
    assert tab.text("#jobs-note").startswith("Ordered")
    assert any("2026-02-01 00:00 to " in text for text in tab.texts("#jobs-list li"))
    tab.focus("#order-symbol")
    tab.run("document.getElementById('order-symbol').value = ''")
    tab.type("no market")
    tab.click("#order-go")
    note = "document.getElementById('jobs-note').innerText"
    tab.until("it is told why not", f"{note}.includes('is not the name of a product')")
    tab.resize(390, 844, phone=True)
    assert tab.run("document.getElementById('jobs').getBoundingClientRect().width") == 390
    assert tab.run("document.querySelector('.drawer').scrollWidth <= 390")


def test_a_token_that_reads_is_offered_no_work(
    clean_valkey: str, market: Any, history: SqliteHistory, path: Path, tab: Tab
) -> None:
    with served(clean_valkey, history=path, read_token=TOKEN, token=f"full-{TOKEN}") as here:
        here.keep({"coinbase": Standing()})
        tab.open(here.url)
        tab.until("it asks", "!document.getElementById('login').hidden")
        tab.focus("#token")
        tab.type(TOKEN)
        tab.press("Enter")
        shows(tab, "SOL-USD 1h")
        open_drawer(tab)
        tab.until("it says so", "document.getElementById('jobs-note').innerText.includes('only reads')")
        assert tab.run("document.getElementById('order').hidden")


def test_without_a_history_there_is_no_drawer(market: Any, clean_valkey: str, tab: Tab) -> None:
    with served(clean_valkey) as here:
        opened(tab, here.url)
        tab.until("who answers is told", "document.getElementById('who').innerText !== ''")
        assert tab.run("document.getElementById('jobs-open').hidden")
