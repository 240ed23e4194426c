"""Configuration: what wins over what, and how each mistake is told."""

from __future__ import annotations

import os
import re
import socket
import tomllib
from collections.abc import Mapping
from pathlib import Path

import msgspec
import pytest

from livecache.config.load import check, load, order_timeframes, parse_timeframes
from livecache.config.render import redact, render, settings
from livecache.config.schema import Config
from livecache.config.symbols import parse_symbols
from livecache.errors import ConfigError, UnknownTimeframe
from livecache.files import why_not
from livecache.model.timeframe import TIMEFRAME_PRIORITY, Timeframe
from livecache.venues.coinbase.settings import CoinbaseSettings
from livecache.venues.settings import VenueSettings

ROOT = Path(__file__).parent.parent


def from_file(tmp_path: Path, text: str, env: Mapping[str, str] | None = None) -> Config:
    path = tmp_path / "livecache.toml"
    path.write_text(text)
    return load(path, env or {}).config


def coinbase_in(config: Config) -> CoinbaseSettings:
    settings = config.venues["coinbase"]
    assert isinstance(settings, CoinbaseSettings)
    return settings


# --- the shipped file


def test_config_toml_holds_every_setting_with_its_default() -> None:
    path = ROOT / "config.toml"
    assert load(path, {}).config == Config()
    text = path.read_text()
    for key, default in settings(Config()):
        section, _, name = key.rpartition(".")
        _, _, own = text.partition(f"\n[{section}]")
        line = re.search(rf"^(# )?{name} = .+  # .+$", own, re.MULTILINE)
        assert line, f"{key} has no line, or no word on it"
        assert bool(line[1]) == (default is None), f"{key}: only a setting without default is commented out"


def test_config_toml_holds_nothing_else() -> None:
    written = {
        f"{head}.{name}"
        for head, table in _tables("", tomllib.loads((ROOT / "config.toml").read_text()))
        for name in table
    }
    assert written == {key for key, default in settings(Config()) if default is not None}


def _tables(head: str, table: Mapping[str, object]) -> list[tuple[str, list[str]]]:
    found = [(head, [name for name, value in table.items() if not isinstance(value, dict)])] if head else []
    for name, value in table.items():
        if isinstance(value, dict):
            found += _tables(f"{head}.{name}" if head else name, value)
    return found


# --- what wins


def test_without_a_file_the_defaults_serve_and_it_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    loaded = load(None, {})
    assert loaded.config == Config()
    assert loaded.source == "the defaults (no ./config.toml here)"


def test_a_config_toml_in_the_current_directory_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.toml").write_text("[cache]\ncandles = 77\n")
    loaded = load(None, {})
    assert (loaded.config.cache.candles, loaded.source) == (77, "config.toml")


def test_a_flag_wins_over_the_environment_over_the_file_over_the_default(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_text('[redis]\nprefix = "file"\n[cache]\ncandles = 70\nmin_candles = 50\n')
    env = {"LIVECACHE_REDIS_PREFIX": "env", "LIVECACHE_CACHE_CANDLES": "80"}
    loaded = load(path, env, {"redis.prefix": "flag", "redis.url": None})
    config = loaded.config
    assert (config.redis.prefix, config.cache.candles, config.cache.min_candles) == ("flag", 80, 50)
    assert config.redis.url == "embedded"
    assert loaded.origins == {
        "redis.prefix": "--prefix",
        "cache.candles": "LIVECACHE_CACHE_CANDLES",
        "cache.min_candles": str(path),
    }


def test_lists_in_the_environment_go_by_comma() -> None:
    env = {
        "LIVECACHE_CACHE_TIMEFRAMES": "1h, 5m",
        "LIVECACHE_VENUES_COINBASE_SYMBOLS": "SOL-USD,BTC-USD",
        "LIVECACHE_VENUES_COINBASE_REQUESTS_PER_SECOND": "2.5",
        "LIVECACHE_BACKFILL_BATCH_SIZE": "5",
        "LIVECACHE_BACKFILL_BATCH_DELAY_MS": "1000",
        "LIVECACHE_LOG_LEVEL": "debug",
    }
    config = load(None, env).config
    assert config.cache.timeframes == (Timeframe.H1, Timeframe.M5), "a configured order is kept"
    assert config.venues["coinbase"].symbols == ("SOL-USD", "BTC-USD")
    assert coinbase_in(config).requests_per_second == 2.5
    assert (config.backfill.batch_size, config.backfill.batch_delay_ms) == (5, 1000)
    assert config.log.level == "DEBUG"


def test_an_empty_variable_counts_as_not_set() -> None:
    assert load(None, {"LIVECACHE_REDIS_URL": "", "LIVECACHE_CACHE_CANDLES": ""}).config == Config()


def test_secrets_and_the_variables_of_kubernetes_services_are_no_settings() -> None:
    env = {
        "LIVECACHE_COINBASE_KEY_NAME": "organizations/x",
        "LIVECACHE_COINBASE_KEY_SECRET": "s3cret",
        "LIVECACHE_EMBEDDED": "refuse",
        "LIVECACHE_SERVICE_HOST": "10.0.0.1",
        "LIVECACHE_PORT_8787_TCP_ADDR": "10.0.0.1",
        "LIVECACHE_REDIS_PORT": "tcp://10.0.0.2:6379",
        "LIVECACHE_REDIS_SERVICE_PORT_TCP": "6379",
    }
    assert load(None, env).config == Config()


def test_integers_serve_where_seconds_are_wanted(tmp_path: Path) -> None:
    config = from_file(tmp_path, "[venues.coinbase]\nsettle_delay = 0\n")
    assert config.venues["coinbase"].settle_delay == 0.0


# --- mistakes


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("[cache]\ncandels = 5", "unknown key 'cache.candels'", "did you mean cache.candles?"),
        ("[redis]\ncandles = 5", "unknown key 'redis.candles'", "did you mean cache.candles?"),
        ("[cahce]\ncandles = 5", "unknown section 'cahce'", "did you mean cache?"),
        ("[coinbase]\nsymbols = ['A-B']", "unknown section 'coinbase'", "did you mean venues.coinbase?"),
        ("[venues.coinbse]\n", "unknown section 'venues.coinbse'", "did you mean venues.coinbase?"),
        ("candles = 5", "unknown key 'candles'", "did you mean cache.candles?"),
        ("cache = 5", "cache is a section, not a key", "write [cache]"),
        (
            "[cache]\ncandles = 'x'",
            "cache.candles: 'x' cannot be used: it has to be a whole number",
            "such as 100",
        ),
        ("[cache]\ncandles = true", "'true' cannot be used: it has to be a whole number", ""),
        ("[cache]\ncandles = 59", "cache.candles: 59 is less than cache.min_candles (60)", "ready"),
        (
            "[cache]\ncandles = 10001",
            "cache.candles: '10001' cannot be used: it has to be a whole number, at most 10000",
            "",
        ),
        (
            "[cache]\nmin_candles = 0",
            "cache.min_candles: '0' cannot be used: it has to be a whole number, 1 or more",
            "",
        ),
        ("[cache]\ntimeframes = ['5m', '7m']", "cache.timeframes: unknown timeframe '7m'", "did you mean"),
        (
            "[cache]\ntimeframes = '5m'",
            "cache.timeframes: '5m' cannot be used: it has to be a list",
            'such as ["5m", "15m"',
        ),
        ("[cache]\ntimeframes = []", "cache.timeframes: is empty", "name at least one"),
        (
            "[cache]\nindicators = ['rsi(14)', 'mcad']",
            "cache.indicators: unknown indicator 'mcad'",
            "did you mean macd(12,26,9)?",
        ),
        ("[cache]\nindicators = ['rsi', 'RSI(14)']", "cache.indicators: names 'rsi(14)' twice", "once"),
        ("[cache]\nindicators = [14]", "cache.indicators: '14' is no indicator", "write it as"),
        ("[cache]\nindicators = 'rsi'", "cache.indicators: 'rsi' cannot be used", 'such as ["macd(12,26,9)"'),
        (
            "[cache]\nindicators = ['ema(5000)']",
            "cache.indicators: ema(5000) needs 22,270 candles, and at most 10,000 are kept",
            "a bigger timeframe",
        ),
        ("[cache]\ntimeframes = ['5m', '5m']", "cache.timeframes: names '5m' twice", "once"),
        ("[venues.coinbase]\nsymbols = 'BTC-USD'", "it has to be a list", 'such as ["BTC-USD", "ETH-USD"]'),
        ("[venues.coinbase]\nsymbols = []", "venues.coinbase.symbols: is empty", ""),
        ("[venues.coinbase]\nsymbols = ['A-B', 'A-B']", "symbols: names 'A-B' twice", ""),
        ("[venues.coinbase]\nsymbols = ['btc-usd']", "'btc-usd' is not the name", "did you mean BTC-USD?"),
        ("[venues.coinbase]\nsymbols = ['BTC USD']", "'BTC USD' is not the name", "they look like BTC-USD"),
        ("[venues.coinbase]\nsymbols = ['{BTC}-USD']", "'{BTC}-USD' is not the name", ""),
        ("[venues.coinbase]\nrequests_per_second = 0", "requests_per_second: '0' cannot be used", ""),
        (
            "[venues.binance]\nleast_delay = 0",
            "least_delay: '0' cannot be used: it has to be a number, more than 0",
            "",
        ),
        ("[venues.binance]\nbudget_scope = 'eu 1'", "budget_scope: 'eu 1' cannot be used", 'such as "eu-1"'),
        ("[venues.binance]\nrequests_per_hour = 0", "requests_per_hour: '0' cannot be used", ""),
        ("[venues.coinbase]\nrequests_per_second = -1.5", "requests_per_second: '-1.5' cannot", ""),
        ("[venues.coinbase]\nrequests_per_second = nan", "requests_per_second: 'nan' cannot", ""),
        ("[venues.coinbase]\nrequests_per_second = inf", "requests_per_second: 'inf' cannot", ""),
        (
            "[venues.coinbase]\npage_limit = 351",
            "page_limit: '351' cannot be used: it has to be a whole number, at most 350",
            "",
        ),
        ("[venues.coinbase]\nsettle_delay = -1", "settle_delay: '-1' cannot be used", ""),
        (
            "[venues.coinbase]\nconfirm_after = 541",
            "confirm_after: 541 s leave less than a minute of cache.max_lag (600 s)",
            "lower confirm_after",
        ),
        ("[venues.coinbase]\nrequest_timeout = 0", "request_timeout: '0' cannot be used", ""),
        (
            "[venues.coinbase]\nrest_url = 'api.coinbase.com'",
            "rest_url: 'api.coinbase.com' is not",
            "https://",
        ),
        ("[venues.coinbase]\nws_url = ''", "ws_url: is empty", "wss://"),
        ("[venues.coinbase]\nws_url = 'https://x'", "ws_url: 'https://x' is not", "wss://"),
        ("[venues.coinbase]\nrest_url = 'https://h/a b'", "rest_url: holds a space", "https://"),
        ("[venues.coinbase]\nrest_url = ' https://h'", "rest_url: holds a space", "https://"),
        ("[venues.coinbase]\nrest_url = 'https://h?token=x'", "rest_url: holds a query", "https://"),
        ("[venues.coinbase]\nws_url = 'wss://h/#x'", "ws_url: holds a fragment", "wss://"),
        ('[venues.coinbase]\nws_url = "wss://h\\t"', r"ws_url: holds '\t', which no URL holds", "wss://"),
        ("[venues.coinbase]\nws_url = 'wss://b\u00f6rse'", "ws_url: holds '\u00f6', which no URL", "wss://"),
        ("[venues.coinbase]\nrest_url = 'http://h:99999'", "rest_url: its port is not", ""),
        ("[backfill]\nbatch_size = 5", "backfill.batch_size: is set without backfill.batch_delay_ms", "both"),
        ("[backfill]\nbatch_delay_ms = 5", "batch_delay_ms: is set without backfill.batch_size", "both"),
        ("[redis]\nurl = 'localhost:6379'", "redis.url: is not a URL", "redis://"),
        ("[redis]\nurl = 'http://localhost'", "redis.url: the scheme 'http' is not one", "redis://"),
        ("[redis]\nurl = 'valkeys://localhost'", "redis.url: the scheme 'valkeys'", "write rediss://"),
        ("[redis]\nprefix = 'a b'", "redis.prefix: 'a b' holds a space or a brace", "hash tags"),
        ("[redis]\nprefix = ''", "redis.prefix: '' cannot be used", ""),
        ("[http]\nlisten = ':8787'", "':8787': there is no address before its port", "0.0.0.0:8787"),
        (
            "[http]\norigins = ['https://x.org/']",
            "http.origins: 'https://x.org/' is not an origin",
            "for all",
        ),
        ("[http]\norigins = ['null']", "'null' is not an origin", "https://charts.example.com"),
        ("[http]\nlisten = '8787'", "a port alone: did you mean 127.0.0.1:8787?", "address:port"),
        ("[http]\nlisten = '::1:80'", "an IPv6 address stands in brackets", "[::1]:8787"),
        (
            "[http]\nlisten = 'example.com:80'",
            "'example.com' is no IP address, and not localhost",
            "127.0.0.1:8787",
        ),
        ("[http]\nlisten = '127.0.0.1'", "its port is not a number from 0 to 65535", "[::1]:8787"),
        ("[http]\nlisten = '[::1]:65536'", "its port is not a number from 0 to 65535", '"off"'),
        ("[log]\nlevel = 'loud'", "log.level: 'LOUD' cannot be used", "DEBUG"),
        ("[log]\nformat = 'xml'", "log.format: 'xml' cannot be used", "text or json"),
        ("[cache\n", "is not TOML", ""),
    ],
)
def test_a_mistake_in_the_file_is_told_with_file_and_key(
    tmp_path: Path, text: str, message: str, hint: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        from_file(tmp_path, text)
    assert "livecache.toml: " in caught.value.message
    assert message in caught.value.message
    assert hint in caught.value.hint
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("env", "message", "hint"),
    [
        ({"LIVECACHE_CACHE_CANDELS": "5"}, "variable LIVECACHE_CACHE_CANDELS", "LIVECACHE_CACHE_CANDLES?"),
        ({"LIVECACHE_SYMBOLS": "X-Y"}, "variable LIVECACHE_SYMBOLS", "LIVECACHE_VENUES_COINBASE_SYMBOLS?"),
        ({"LIVECACHE_COINBASE_KEYNAME": "x"}, "LIVECACHE_COINBASE_KEYNAME", "LIVECACHE_COINBASE_KEY_NAME?"),
        ({"LIVECACHE_CACHE_CANDLES": "many"}, "LIVECACHE_CACHE_CANDLES: 'many' cannot be used", ""),
        ({"LIVECACHE_CACHE_TIMEFRAMES": "5min"}, "LIVECACHE_CACHE_TIMEFRAMES: unknown timeframe", "5m"),
        ({"LIVECACHE_CACHE_TIMEFRAMES": ","}, "LIVECACHE_CACHE_TIMEFRAMES: is empty", ""),
    ],
)
def test_a_mistake_in_the_environment_names_the_variable(
    env: dict[str, str], message: str, hint: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        load(None, env)
    assert message in caught.value.message
    assert hint in caught.value.hint


def test_a_mistake_in_a_flag_names_the_flag() -> None:
    with pytest.raises(ConfigError, match="--log-level: 'LOUD' cannot be used"):
        load(None, {}, {"log.level": "loud"})


def test_a_missing_or_unreadable_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.toml: no such file"):
        load(tmp_path / "none.toml", {})
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        load(tmp_path, {})
    (tmp_path / "latin.toml").write_bytes(b"# caf\xe9\n")
    with pytest.raises(ConfigError, match="is not UTF-8 text"):
        load(tmp_path / "latin.toml", {})


def test_what_is_no_regular_file_is_never_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "socket"))
        for name, kind in (("pipe", "a pipe"), ("socket", "a socket"), ("/dev/zero", "a device")):
            with pytest.raises(ConfigError, match=f"cannot be read: it is {kind}, and no regular file"):
                load(tmp_path / name, {})
    assert load(Path("/dev/null"), {}).config == Config(), "as a way to say that there is none"


def test_a_file_that_this_user_may_not_read_is_told_with_the_user_and_the_file(tmp_path: Path) -> None:
    path = tmp_path / "livecache.toml"
    why, remedy = why_not(path, PermissionError(13, "Permission denied", str(path)))
    assert why == "Permission denied"
    assert str(path) in remedy and f"user {os.geteuid()} " in remedy


def test_a_bad_url_never_shows_its_password() -> None:
    for url in ("valkey://u:s3cret@h", "redis://u:s3cret@h:port", "s3cret", "redis://u:s3/cret@h"):
        with pytest.raises(ConfigError) as caught:
            load(None, {"LIVECACHE_REDIS_URL": url})
        assert "s3" not in str(caught.value)


# --- the order of timeframes


def test_timeframes_given_out_of_order_follow_the_default_order() -> None:
    given = [Timeframe(name) for name in ("1d", "5m", "4h", "1h", "15m")]
    assert order_timeframes(given, TIMEFRAME_PRIORITY) == TIMEFRAME_PRIORITY


def test_a_configured_order_overrides_the_default_one() -> None:
    configured = (Timeframe.D1, Timeframe.M5)
    assert order_timeframes((Timeframe.M5, Timeframe.D1), configured) == configured


def test_timeframes_that_nobody_ordered_come_last() -> None:
    assert order_timeframes((Timeframe.M30, Timeframe.M1, Timeframe.H1), (Timeframe.H1,)) == (
        Timeframe.H1,
        Timeframe.M1,
        Timeframe.M30,
    )


def test_timeframes_that_make_no_sense_are_told() -> None:
    with pytest.raises(UnknownTimeframe):
        parse_timeframes("--timeframes", "5min")
    with pytest.raises(ConfigError, match="'5m' twice"):
        parse_timeframes("--timeframes", "5m,5m")
    with pytest.raises(ConfigError, match="names none"):
        parse_timeframes("--timeframes", ",")


def test_symbols_given_by_flag_are_checked_alike() -> None:
    assert parse_symbols("--symbols", "BTC-USD, ETH-USD", Config()) == {"coinbase": ("BTC-USD", "ETH-USD")}
    with pytest.raises(ConfigError, match="--symbols: is empty"):
        parse_symbols("--symbols", "", Config())
    with pytest.raises(ConfigError, match="--symbols: 'btc' is not"):
        parse_symbols("--symbols", "btc", Config())


# --- showing it


def test_the_effective_configuration_is_toml_that_loads_alike(tmp_path: Path) -> None:
    env = {"LIVECACHE_CACHE_TIMEFRAMES": "1h,5m", "LIVECACHE_REDIS_DATA_DIR": 'a "b" \\ ü'}
    loaded = load(None, env)
    again = from_file(tmp_path, render(loaded))
    assert again == loaded.config
    assert "data_dir" in render(loaded)
    assert "# LIVECACHE_CACHE_TIMEFRAMES" in render(loaded)


def test_passwords_are_hidden() -> None:
    shown = render(load(None, {"LIVECACHE_REDIS_URL": "rediss://user:p@ss:w@host:6379/0"}))
    assert 'url = "rediss://user:***@host:6379/0"' in shown
    assert redact("at redis://:pw@h/0 and redis://h?password=pw&db=1") == (
        "at redis://:***@h/0 and redis://h?password=***&db=1"
    )
    assert (
        redact("redis://host:6379/0 by someone@example.com") == "redis://host:6379/0 by someone@example.com"
    )


def test_structs_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        Config().cache.candles = 5  # type: ignore[misc]
    assert all(isinstance(value, msgspec.Struct) for value in (Config().redis, *Config().venues.values()))


# --- all that is wrong


def test_a_check_tells_all_that_is_wrong_not_just_the_first(tmp_path: Path) -> None:
    path = tmp_path / "livecache.toml"
    path.write_text(
        "[cache]\ncandels = 5\nmin_candles = 200\ntimeframes = ['5min']\n"
        "[venues]\ncoinbase = 1\n[nosuch]\nx = 1\n"
    )
    env = {"LIVECACHE_CACHE_CANDLES": "many", "LIVECACHE_NOSUCH": "1", "LIVECACHE_REDIS_PREFIX": "a b"}
    loaded, wrong = check(path, env, {"log.level": "loud"})
    told = "\n".join(error.message for error in wrong)
    assert len(wrong) == 8, told
    for part in (
        "unknown key 'cache.candels'",
        "venues.coinbase is a section, not a key",
        "unknown section 'nosuch'",
        "unknown environment variable LIVECACHE_NOSUCH",
        "LIVECACHE_CACHE_CANDLES: 'many' cannot be used",
        "cache.timeframes: unknown timeframe '5min'",
        "--log-level: 'LOUD' cannot be used",
        "LIVECACHE_REDIS_PREFIX: 'a b' holds a space",
    ):
        assert part in told
    assert loaded.config.cache.min_candles == 200, "what can be used is used"
    assert loaded.config.cache.candles == Config().cache.candles


def test_what_is_told_first_is_what_loading_raises(tmp_path: Path) -> None:
    env = {"LIVECACHE_CACHE_CANDLES": "many", "LIVECACHE_NOSUCH": "1"}
    _, wrong = check(None, env)
    with pytest.raises(ConfigError) as caught:
        load(None, env)
    assert str(caught.value) == str(wrong[0])


def test_a_sound_configuration_has_nothing_wrong() -> None:
    loaded, wrong = check(ROOT / "config.toml", {})
    assert (loaded.config, wrong) == (Config(), [])


# --- several venues

SEVERAL = """
[cache]
timeframes = ["5m", "1h"]
[venues.coinbase]
symbols = ["BTC-USD"]
[venues.coinbase-small]
kind = "coinbase"
symbols = ["ATOM-USD", "BTC-USD"]
timeframes = ["1d"]
candles = 300
"""


def test_venues_stand_side_by_side_each_with_its_own(tmp_path: Path) -> None:
    env = {"LIVECACHE_VENUES_COINBASE_SMALL_MIN_CANDLES": "200", "LIVECACHE_COINBASE_SMALL_KEY_NAME": "x"}
    config = from_file(tmp_path, SEVERAL, env)
    assert list(config.venues) == ["coinbase", "coinbase-small"]
    assert config.cache_of("coinbase") == config.cache
    small = config.cache_of("coinbase-small")
    assert (small.timeframes, small.candles, small.min_candles) == ((Timeframe.D1,), 300, 200)
    assert small.max_lag == config.cache.max_lag


def test_indicators_raise_the_counts_and_a_venue_may_have_its_own(tmp_path: Path) -> None:
    text = SEVERAL.replace("[cache]", "[cache]\nindicators = ['macd(12,26,9)', 'SMA(200)']")
    config = from_file(tmp_path, text)
    assert config.cache.indicators == ("macd(12,26,9)", "sma(200)")
    counts = [(own.candles, own.min_candles) for own in map(config.cache_of, config.venues)]
    assert counts == [(200, 200), (300, 200)]
    own = {"LIVECACHE_VENUES_COINBASE_SMALL_INDICATORS": "rsi(14), macd(12,26,9)"}
    assert from_file(tmp_path, text, own).cache_of("coinbase-small").min_candles == 155
    none = from_file(tmp_path, text + "indicators = []\n").cache_of("coinbase-small")
    assert (none.candles, none.min_candles, none.indicators) == (300, 60, ())
    fewer = from_file(tmp_path, "[cache]\ncandles = 50\nindicators = ['sma(100)', 'sma(20)']")
    assert fewer.cache_of("coinbase").candles == 100, "a count that is too low alone is raised"


def test_only_what_is_named_is_filled_and_a_variable_names_as_well_as_a_section(tmp_path: Path) -> None:
    other = '[venues.other]\nkind = "coinbase"\nsymbols = ["A-B"]\n'
    assert list(from_file(tmp_path, other).venues) == ["other"]
    env = {"LIVECACHE_VENUES_COINBASE_SYMBOLS": "C-D"}
    assert list(from_file(tmp_path, other, env).venues) == ["other", "coinbase"]
    alone = {"LIVECACHE_VENUES_MY_OWN_KIND": "coinbase", "LIVECACHE_VENUES_MY_OWN_SYMBOLS": "C-D"}
    assert list(load(Path("/dev/null"), alone).config.venues) == ["my-own"]
    assert load(Path("/dev/null"), alone).config.venues["my-own"].symbols == ("C-D",)


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("[venues.a]\nkind = 'coinbse'", "venues.a.kind: 'coinbse' is no kind of venue", "mean coinbase?"),
        ("[venues.coinbase]\nkind = 'coinbse'", "coinbase.kind: 'coinbse' is no kind", "mean coinbase?"),
        ("[venues.a]\nkind = 5", "venues.a.kind: 5 is no kind of venue", "one of coinbase"),
        ("[venues.zzz]\nsymbols = ['A-B']", "unknown section 'venues.zzz'", "set its kind, one of coinbase"),
        (
            "[venues.binance-usdm]\nmarket = 'usdm'",
            "unknown section 'venues.binance-usdm'",
            'kind = "binance"',
        ),
        ("[venues.binance]\nmarket = 'futures'", "binance.market: 'futures' cannot be", "spot, usdm or us"),
        ("[venues.x]\nkind = 'ccxt'\nmarket = 'spot'", "unknown key 'venues.x.market'", "one of kind, sym"),
        ("[venues.my_own]\nkind = 'coinbase'", "venues.my_own is no id of a venue", "dashes"),
        ("[venues.a]\nkind = 'coinbase'\nsymbls = ['A-B']", "key 'venues.a.symbls'", "venues.a.symbols?"),
        ("[venues.coinbase]\ncandles = 59", "venues.coinbase.candles: 59 candles are kept, and 60", ""),
        ("[venues.coinbase]\nmin_candles = 101", "venues.coinbase.min_candles: 100 candles are kept", ""),
        ("[venues.coinbase]\ntimeframes = []", "venues.coinbase.timeframes: is empty", "at least one"),
        (
            "[venues.coinbase]\nindicators = ['rsi(0)']",
            "coinbase.indicators: 'rsi(0)': n has to be",
            "rsi(14)",
        ),
        ("[venues.coinbase]\nindicators = ['ema(9999)']", "coinbase.indicators: ema(9999) needs", ""),
        ("[venues.coinbase]\ntimeframes = ['5min']", "coinbase.timeframes: unknown timeframe", "5m"),
        ("[venues.a]\nkind = 'coinbase'\nrest_url = 'https://u:s3@h'", "venues.a.rest_url: holds a user", ""),
    ],
)
def test_a_mistake_in_a_venue_is_told_with_its_id(tmp_path: Path, text: str, message: str, hint: str) -> None:
    path = tmp_path / "livecache.toml"
    path.write_text(text)
    _, wrong = check(path, {})
    assert len(wrong) == 1, wrong
    assert message in wrong[0].message
    assert "s3" not in str(wrong[0])
    assert hint in wrong[0].hint


def test_a_variable_of_no_venue_is_told() -> None:
    for name in ("LIVECACHE_VENUES_COINBSE_SYMBOLS", "LIVECACHE_COINBASE_SMALL_KEY_NAME"):
        with pytest.raises(ConfigError, match=f"unknown environment variable {name}"):
            load(None, {name: "x"})
    with pytest.raises(ConfigError, match="LIVECACHE_VENUES_A_KIND: 'coinbse' is no kind of venue"):
        load(None, {"LIVECACHE_VENUES_A_KIND": "coinbse"})


def test_of_a_venue_whose_kind_is_wrong_nothing_else_is_told(tmp_path: Path) -> None:
    variables = {f"LIVECACHE_VENUES_A_{name}": "x" for name in ("SYMBOLS", "REST_URL")}
    _, wrong = check(tmp_path / "none", {"LIVECACHE_VENUES_A_KIND": "coinbse", **variables})
    assert [one.message for one in wrong[1:]] == ["LIVECACHE_VENUES_A_KIND: 'coinbse' is no kind of venue"]
    path = tmp_path / "livecache.toml"
    path.write_text("[venues.a]\nkind = 'coinbse'\n[venues.b]\nkind = 'coinbase'\nsymbls = ['A-B']\n")
    _, wrong = check(path, {**variables, "LIVECACHE_A_KEY_NAME": "x", "LIVECACHE_VENUES_B_NOTHING": "x"})
    assert len(wrong) == 3 and "symbls" in wrong[1].message and "B_NOTHING" in wrong[2].message


def test_several_venues_are_shown_as_toml_that_loads_alike(tmp_path: Path) -> None:
    config = from_file(tmp_path, SEVERAL)
    assert from_file(tmp_path, render(load(tmp_path / "livecache.toml", {}))) == config


def test_a_symbol_of_a_flag_says_its_venue_where_it_is_not_clear(tmp_path: Path) -> None:
    config = from_file(tmp_path, SEVERAL)
    for text, chosen in {
        "coinbase-small:SOL-USD": {"coinbase-small": ("SOL-USD",)},
        "atom-usd, coinbase:BTC-USD": {"coinbase-small": ("ATOM-USD",), "coinbase": ("BTC-USD",)},
    }.items():
        assert parse_symbols("--symbols", text, config) == chosen
    with pytest.raises(ConfigError, match="BTC-USD is at coinbase and at coinbase-small"):
        parse_symbols("--symbols", "BTC-USD", config)
    with pytest.raises(ConfigError, match="'SOL-USD' does not say at which venue"):
        parse_symbols("--symbols", "SOL-USD", config)


@pytest.mark.parametrize("symbol", ["BTC/USDT:USDT", "btcusdt", "^GSPC", "BTC-27DEC26", "1000PEPE"])
def test_a_venue_may_write_its_symbols_as_it_likes(symbol: str) -> None:
    assert VenueSettings(symbols=(symbol,)).symbol_problem(symbol) is None


@pytest.mark.parametrize("symbol", ["BTC USD", "{BTC}", "BTC*", "BT?", "[B]", "a,b", "", "x" * 101, "B\nT"])
def test_but_not_with_what_breaks_keys_lists_and_patterns(symbol: str) -> None:
    assert VenueSettings().symbol_problem(symbol) is not None
