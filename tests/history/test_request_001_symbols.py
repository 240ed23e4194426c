"""Property P1 of request 001: whether a text is a symbol, and which, is told alike wherever it is named."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from livecache.config.load import load
from livecache.config.schema import Config
from livecache.config.symbols import parse_symbols
from livecache.errors import ConfigError
from livecache.venues.yahoo.settings import YahooSettings
from tests.sizes import examples

YAHOO = YahooSettings()

tickers = st.text("AaBbKkRrTtLl019.-^=&/", min_size=1, max_size=9)
anything = st.text(min_size=1, max_size=40).filter(lambda text: not set(text) & set(",:\r\n\x00#"))


def named(file: Path, text: str) -> str | None:
    """Which symbol a configuration that lists it has, None where it is refused."""
    file.with_name("list").write_text(text, "utf-8")
    file.write_text('[venues.yahoo]\nsymbols_file = "list"\n')
    try:
        (symbol,) = load(file, {}).config.venues["yahoo"].symbols
    except ConfigError:
        return None
    return symbol


def flagged(text: str) -> str | None:
    """Which symbol `--symbols` names."""
    try:
        ((symbol,),) = parse_symbols("--symbols", text, Config(venues={"yahoo": YAHOO})).values()
    except ConfigError:
        return None
    return symbol


@settings(max_examples=examples(60))
@given(st.one_of(tickers, tickers, anything))
@example("brk.b")
@example("VOD.L")
@example("^gspc")
@example("CL=F")
@example("\u0130")
def test_P1_whether_and_which_symbol_it_is_is_told_alike_wherever_it_is_named(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    text = text.strip()
    if len(text.splitlines()) != 1 or text[0] in "{[":
        return
    symbol = YAHOO.symbol_meant(text)
    problem = YAHOO.symbol_problem(text)
    assert YAHOO.symbol_meant(symbol) == symbol, "it is itself"
    assert (YAHOO.symbol_problem(symbol) is None) == (problem is None)
    for spelling in (text.lower(), text.upper()) if text.isascii() else ():
        assert YAHOO.symbol_meant(spelling) == symbol
        assert (YAHOO.symbol_problem(spelling) is None) == (problem is None)
    expected = symbol if problem is None else None
    assert flagged(text) == expected
    assert named(tmp_path_factory.getbasetemp() / "config.toml", text) == expected
    if problem is not None:
        assert all(problem), "what is wrong, and what mends it"
