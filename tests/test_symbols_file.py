"""A file that lists symbols, named by a flag or by the configuration."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from livecache.config.changes import compare
from livecache.config.load import load
from livecache.config.render import render
from livecache.config.schema import Config
from livecache.config.symbols import read_symbols
from livecache.errors import ConfigError

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "docs/examples"


def configured(home: Path, text: str, env: dict[str, str] | None = None) -> Config:
    file = home / "config.toml"
    file.write_text(text)
    return load(file, env or {}).config


@pytest.mark.parametrize(
    "text",
    [
        '{"name": "S&P 500", "last_updated": "2026-11-30", "symbols": ["MMM", "BRK-B"]}',
        '\ufeff ["MMM", "BRK-B"]',
        "MMM  # 3M\n\n# and one with a class\nBRK-B\r\n",
    ],
)
def test_a_list_is_json_or_a_symbol_a_line(text: str, tmp_path: Path) -> None:
    file = tmp_path / "list"
    file.write_text(text, "utf-8")
    assert read_symbols("--symbols-file", file) == ("MMM", "BRK-B")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"tickers": []}', "has no list of symbols"),
        ("[1, 2]", "has no list of symbols"),
        ("{", "Expecting"),
        ("[" * 100_000, "recursion"),
        (b"\xff\xfe", "codec"),
        ("", "is empty"),
        ("# nothing yet\n", "is empty"),
        ("MMM\nAAPL\nMMM\n", "names 'MMM' twice"),
        ("A" * 1_000_001, "is longer than 1,000,000 bytes"),
        (None, "No such file"),
    ],
)
def test_what_is_no_list_is_named_with_its_file(text: str | bytes | None, told: str, tmp_path: Path) -> None:
    file = tmp_path / "list"
    if text is not None:
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ConfigError) as error:
        configured(tmp_path, '[venues.coinbase]\nsymbols_file = "list"\n')
    assert error.value.message.startswith(f"{tmp_path}/config.toml: venues.coinbase.symbols_file {file}: ")
    assert told in error.value.message and error.value.hint


def test_it_lies_beside_the_configuration_and_adds_to_what_that_names(tmp_path: Path) -> None:
    (tmp_path / "list.json").write_text('{"symbols": ["SOL-USD", "BTC-USD"]}')
    alone = configured(tmp_path, '[venues.coinbase]\nsymbols_file = "list.json"\n')
    assert alone.venues["coinbase"].symbols == ("SOL-USD", "BTC-USD"), "and no default"
    both = '[venues.coinbase]\nsymbols = ["ADA-USD", "BTC-USD"]\nsymbols_file = "list.json"\n'
    expected = ("ADA-USD", "BTC-USD", "SOL-USD")
    assert configured(tmp_path, both).venues["coinbase"].symbols == expected
    shown = render(load(tmp_path / "config.toml", {}))
    assert f"config.toml and {tmp_path}/list.json" in shown
    assert configured(tmp_path, shown).venues["coinbase"].symbols == expected, "what is shown can be used"


def test_a_symbol_that_both_name_is_one_however_it_is_written(tmp_path: Path) -> None:
    (tmp_path / "list").write_text("brk-b\nAAPL\n")
    config = configured(tmp_path, '[venues.yahoo]\nsymbols = ["BRK.B"]\nsymbols_file = "list"\n')
    assert config.venues["yahoo"].symbols == ("BRK-B", "AAPL")


def test_the_environment_names_it_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "list").write_text("SOL-USD\n")
    (tmp_path / "etc").mkdir()
    monkeypatch.chdir(tmp_path)
    named = {"LIVECACHE_VENUES_COINBASE_SYMBOLS_FILE": "list"}
    assert configured(tmp_path / "etc", "", named).venues["coinbase"].symbols == ("SOL-USD",)
    named["LIVECACHE_VENUES_COINBASE_SYMBOLS"] = "ADA-USD"
    assert configured(tmp_path / "etc", "", named).venues["coinbase"].symbols == ("ADA-USD", "SOL-USD")


def test_a_symbol_of_it_that_cannot_be_one_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "list").write_text("BTC/USDT\nETHUSDT\n")
    with pytest.raises(ConfigError) as error:
        configured(tmp_path, '[venues.kraken]\nkind = "ccxt"\nsymbols_file = "list"\n')
    assert f"{tmp_path}/list: 'ETHUSDT'" in error.value.message


def test_a_changed_list_is_taken_over_while_it_runs(tmp_path: Path) -> None:
    text = '[venues.coinbase]\nsymbols_file = "list"\n'
    (tmp_path / "list").write_text("BTC-USD\nSOL-USD\n")
    running = configured(tmp_path, text)
    (tmp_path / "list").write_text("BTC-USD\nADA-USD\n")
    changes = compare(running, configured(tmp_path, text))
    assert (changes.live, changes.restart) == (("venues.coinbase.symbols",), ())
    assert changes.named("symbols") == (("ADA-USD",), ("SOL-USD",))
    assert changes.config.venues["coinbase"].symbols == ("BTC-USD", "ADA-USD")


# --- the S&P 500, shipped as an example


def test_the_list_of_the_s_and_p_500_has_its_date_and_source_and_yahoos_symbols() -> None:
    listed = json.loads((EXAMPLES / "sp500.json").read_text())
    assert listed["name"] == "S&P 500" and listed["last_updated"] and "PDDL" in listed["source"]
    symbols = read_symbols("--symbols-file", EXAMPLES / "sp500.json")
    assert len(symbols) == 503 and {"AAPL", "BRK-B", "GOOG", "GOOGL"} <= set(symbols)


def test_it_is_what_its_script_makes_of_its_source() -> None:
    source = ROOT / "../shared/data/equities/sp500_constituents.csv"
    if not source.exists():
        pytest.skip("needs the real data beside the checkout")
    made = subprocess.run(
        [sys.executable, EXAMPLES / "sp500.py", source], check=True, capture_output=True, text=True
    )
    assert made.stdout == (EXAMPLES / "sp500.json").read_text()
