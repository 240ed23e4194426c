"""What a configuration that is read again changes, and what has to wait for a restart."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import msgspec
import pytest

from livecache.config.changes import Changes, compare, live_keys
from livecache.config.load import load
from livecache.config.render import settings
from livecache.config.schema import Config

ROOT = Path(__file__).parent.parent
LIVE = live_keys(Config())
KEYS = [key for key, _ in settings(Config())]


def changed(tmp_path: Path, text: str) -> Changes:
    """What a file with that text changes in the defaults."""
    file = tmp_path / "config.toml"
    file.write_text(text)
    return compare(Config(), load(file, {}).config)


def test_what_can_be_taken_over_is_and_the_rest_is_named_and_stays(tmp_path: Path) -> None:
    text = """
        [redis]
        prefix = "other"
        [cache]
        candles = 200
        timeframes = ["1m", "5m"]
        [venues.coinbase]
        symbols = ["BTC-USD", "SOL-USD"]
        ws_url = "wss://elsewhere"
    """
    done = changed(tmp_path, text)
    assert done.live == ("cache.timeframes", "cache.candles", "venues.coinbase.symbols")
    assert done.restart == ("redis.prefix", "venues.coinbase.ws_url")
    assert done.named("symbols") == (("SOL-USD",), ("ETH-USD",))
    assert done.named("timeframes") == (("1m",), ("15m", "1h", "4h", "1d"))
    assert done.config.cache.candles == 200
    assert done.config.venues["coinbase"].symbols == ("BTC-USD", "SOL-USD")
    assert done.config.redis.prefix == "livecache", "what needs a restart is as it was"
    assert done.config.venues["coinbase"].ws_url == Config().venues["coinbase"].ws_url
    again = compare(done.config, load(tmp_path / "config.toml", {}).config)
    assert (again.live, again.restart) == ((), done.restart), "it is named for as long as it waits"


def test_indicators_come_and_go_while_it_runs(tmp_path: Path) -> None:
    done = changed(tmp_path, '[cache]\nindicators = ["macd(12,26,9)", "rsi"]\n')
    assert (done.live, done.restart) == (("cache.indicators",), ())
    assert str(done) == "indicators +macd(12,26,9) +rsi(14)"
    assert done.config.cache_of("coinbase").candles == 155


def test_another_order_is_a_change_and_adds_nothing(tmp_path: Path) -> None:
    done = changed(tmp_path, '[venues.coinbase]\nsymbols = ["ETH-USD", "BTC-USD"]\n')
    assert done.live == ("venues.coinbase.symbols",)
    assert done.named("symbols") == ((), ())
    assert str(done) == "venues.coinbase.symbols"


def test_nothing_different_changes_nothing() -> None:
    done = compare(Config(), Config())
    assert (done.live, done.restart, done.config) == ((), (), Config())


@pytest.mark.parametrize("key", KEYS)
def test_config_toml_marks_what_needs_a_restart(key: str) -> None:
    """By "at start", beside the setting or its section. What is new needs one until somebody says no."""
    section, _, name = key.rpartition(".")
    text = (ROOT / "config.toml").read_text()
    assert tomllib.loads(text)
    head = re.search(rf"^\[{re.escape(section)}\](.*)$", text, re.MULTILINE)
    assert head is not None
    line = re.search(rf"^(?:# )?{name} = (.*)$", text[head.start() :], re.MULTILINE)
    assert line is not None
    assert ("at start" in head[1] + line[1]) is (key not in LIVE)


def test_every_setting_that_is_taken_over_is_one() -> None:
    assert set(KEYS) >= LIVE
    assert msgspec.structs.asdict(Config())


SEVERAL = """
[venues.coinbase]
symbols = ["BTC-USD"]
[venues.other]
kind = "coinbase"
symbols = ["{}"]
timeframes = ["{}"]
"""


def test_each_venues_changes_are_its_own(tmp_path: Path) -> None:
    before, after = tmp_path / "before.toml", tmp_path / "after.toml"
    before.write_text(SEVERAL.format("ATOM-USD", "1h"))
    after.write_text(SEVERAL.format("SOL-USD", "5m"))
    done = compare(load(before, {}).config, load(after, {}).config)
    assert done.live == ("venues.other.symbols", "venues.other.timeframes")
    assert done.lists["venues.other.symbols"] == (("SOL-USD",), ("ATOM-USD",))
    assert done.named("symbols") == (("other:SOL-USD",), ("other:ATOM-USD",))
    assert str(done) == "other symbols +SOL-USD -ATOM-USD; other timeframes +5m -1h"
    assert done.config == load(after, {}).config


def test_a_venue_that_is_new_or_gone_needs_a_restart(tmp_path: Path) -> None:
    several = tmp_path / "several.toml"
    several.write_text(SEVERAL.format("ATOM-USD", "1h"))
    one, two = Config(), load(several, {}).config
    come = compare(one, two)
    assert (come.live, come.restart) == (("venues.coinbase.symbols",), ("venues.other",))
    assert list(come.config.venues) == ["coinbase"]
    gone = compare(two, one)
    assert gone.restart == ("venues.other",)
    assert gone.config.venues["other"] == two.venues["other"], "it goes on as it was"
