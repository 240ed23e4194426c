"""The reader of the API in a real browser: all that /openapi.json says, and each GET to be tried."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from livecache.http.api.openapi import document

from ..http.api import Served, served
from ..http.filling import announce, fill
from .chromium import Tab

TOKEN = "0123456789abcdef-secret"
CLOSES = [100.0 + n for n in range(50)]


@pytest.fixture
def kept(store: Any, clean_valkey: str, tmp_path: Path) -> Iterator[Served]:
    fill(store, "BTC-USD", "5m", CLOSES)
    announce(store, ["BTC-USD"], ["5m"])
    with served(clean_valkey, history=tmp_path / "history.db") as running:
        yield running


def opened(tab: Tab, url: str) -> None:
    tab.open(f"{url}/docs")
    tab.until("it is described", "!document.getElementById('described').hidden")


def test_it_shows_every_operation_with_its_parameters_and_answers(tab: Tab, kept: Served) -> None:
    opened(tab, kept.url)
    told = document()
    for path, methods in told["paths"].items():
        for method, operation in methods.items():
            section = f"#op-{operation['operationId']}"
            shown = tab.text(section)
            assert f"{method.upper()} {path}" in shown and operation["summary"] in shown
            named = tab.texts(f"{section} td:first-child")
            for parameter in operation.get("parameters", ()):
                assert parameter["name"] in named, (path, parameter)
            assert set(operation["responses"]) <= set(named), path
            assert f"#op-{operation['operationId']}" in tab.run(
                "[...document.querySelectorAll('#contents a')].map((a) => a.getAttribute('href'))"
            )
    for name in told["components"]["schemas"]:
        assert tab.run(f"document.getElementById('shape-{name}') !== null"), name
    broken = """[...document.querySelectorAll("a[href^='#']")].map((a) => a.getAttribute("href").slice(1))
        .filter((id) => document.getElementById(id) === null)"""
    assert tab.run(broken) == []
    assert '-d \'{"symbols":["BTC-USD"],"from":"2025-01-01"}\'' in tab.text("#op-backfill pre")
    assert "timeframe=5m" in tab.text("#op-candles pre")
    own = kept.url.removeprefix("http://")
    assert all(own in request for request in tab.requests), "there is no other network"
    assert tab.problems == []


def test_a_get_is_tried_and_shown_in_its_very_digits(tab: Tab, kept: Served) -> None:
    opened(tab, kept.url)
    tab.run("document.querySelector('#op-candles input[name=limit]').focus()")
    tab.call("Input.insertText", text="3")
    assert "limit=3" in tab.text("#op-candles pre"), "what curl is told follows"
    tab.press("Enter")
    tab.until(
        "it is answered", "document.querySelector('#op-candles .answer p')?.innerText.startsWith('200')"
    )
    assert ",149.00," in tab.text("#op-candles .answer pre").replace(" ", "")
    tab.run("document.querySelector('#op-job button').click()")
    tab.until("it is refused", "document.querySelector('#op-job .answer p')?.innerText.startsWith('404')")
    assert "unknown_job" in tab.text("#op-job .answer pre")


def test_where_there_is_a_token_it_asks_for_it(tab: Tab, store: Any, clean_valkey: str) -> None:
    with served(clean_valkey, token=TOKEN) as server:
        tab.open(f"{server.url}/docs")
        tab.until("it asks", "document.activeElement === document.getElementById('token')")
        tab.call("Input.insertText", text="not-the-right-one")
        tab.press("Enter")
        tab.until("it says no", "document.getElementById('told').innerText === 'That is not the token.'")
        tab.call("Input.insertText", text=TOKEN)
        tab.press("Enter")
        tab.until("it is described", "!document.getElementById('described').hidden")
        assert "Authorization: Bearer $LIVECACHE_HTTP_TOKEN" in tab.text("#op-candles pre")
        assert TOKEN not in tab.run("document.body.innerText")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("width", "phone"), [(1280, False), (360, True)])
def test_it_fits_any_screen(
    tab: Tab, kept: Served, tmp_path: Path, scheme: str, width: int, phone: bool
) -> None:
    tab.system_colours(scheme)
    tab.resize(width, 800, phone=phone)
    opened(tab, kept.url)
    assert tab.run("document.documentElement.scrollWidth") <= width, "nothing to be scrolled sideways"
    tab.screenshot(tmp_path / f"docs-{width}-{scheme}.png")
