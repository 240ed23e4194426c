"""`status`, `ready`, `show`, `series` and `redis` over what a service has written."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import time
from importlib.metadata import version

import pytest
import redis

from livecache.__main__ import main
from livecache.commands.reading import duration
from livecache.keys.keyspace import LeaseRecord, encode_lease
from livecache.model.timeframe import Timeframe

from .support import BUCKET, KEYS, NOW, fill, livecache


def test_status_has_a_line_for_each_series(store: redis.Redis, capsys: pytest.CaptureFixture[str]) -> None:
    fill(store)
    fill(store, "ETH-USD", ready=False, reason="warming up: 34 of 60", count=34)
    fill(store, "OLD-USD", ready=False, reason="venue has only 34 of 60, searched back to x", count=34)
    fill(store, "ODD-USD", ready=False, reason="failing: 503; warming up: 0 of 60", count=1)
    fill(store, "SOL-USD", vouched=False)
    assert main(["status"]) == 0
    lines = capsys.readouterr().out.splitlines()
    states = {line.split()[0]: line.split()[2] for line in lines[2:7]}
    assert [line.split()[2] for line in lines[2:7]] == ["stale", "failing", "warming", "ready", "short"]
    assert states == {
        "BTC-USD": "ready",
        "ETH-USD": "warming",
        "OLD-USD": "short",
        "ODD-USD": "failing",
        "SOL-USD": "stale",
    }
    assert "warming up: 34 of 60" in next(line for line in lines if line.startswith("ETH-USD"))
    assert lines[-1].startswith("5 series: ")
    assert "1 ready" in lines[-1]


class Terminal(io.StringIO):
    """What a command takes for one."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("words", ["failing: HTTP 500", "failing: HTTP 500: internal server error"])
def test_more_than_a_screen_holds_is_folded_to_one_whatever_is_wrapped(
    store: redis.Redis, monkeypatch: pytest.MonkeyPatch, words: str
) -> None:
    states = ("", "hole: nothing is known", words, "halted: not traded", "lagging: late", "warming: 1 of 60")
    for n in range(48):
        reason = states[n % len(states)]
        fill(store, f"S{n:02d}-USD", ready=not reason, reason=reason, count=2, vouched=n != 47)
    for name, value in {"COLUMNS": "80", "LINES": "24", "NO_COLOR": "1", "TERM": "xterm"}.items():
        monkeypatch.setenv(name, value)
    screen = Terminal()
    with contextlib.redirect_stdout(screen):
        assert main(["status"]) == 0
    lines = re.sub(r"\x1b\[\d*m", "", screen.getvalue()).splitlines()
    assert sum(max(1, -(-len(line) // 80)) for line in lines) <= 23, "and the shell's next prompt"
    assert any(line.startswith("S02-USD") and line.rstrip().endswith(words) for line in lines), (
        "it is told whole"
    )
    assert lines[0].startswith("livecache") and lines[-1].startswith("48 series: ")


def test_status_speaks_json(store: redis.Redis, capsys: pytest.CaptureFixture[str]) -> None:
    fill(store)
    assert main(["status", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    (series,) = told["series"]
    assert told["service"]["prefix"] == KEYS.prefix and told["service"]["instance"] == ""
    assert (series["symbol"], series["timeframe"], series["state"]) == ("BTC-USD", "5m", "ready")
    assert (series["count"], series["lag_ms"], series["feed"]) == (71, 0, "up")


def test_a_stale_series_lags_by_what_has_passed_since_whatever_day_its_market_plays(
    store: redis.Redis, capsys: pytest.CaptureFixture[str]
) -> None:
    floor = Timeframe.M5.floor
    written = int(time.time() * 1000) - 3 * BUCKET
    fill(store, "REAL-USD", vouched=False)
    fill(store, "SIMULATED-USD", vouched=False, updated_at=written)
    earliest = int(time.time() * 1000)
    assert main(["status", "--json"]) == 0
    latest = int(time.time() * 1000)
    lags = {row["symbol"]: row["lag_ms"] for row in json.loads(capsys.readouterr().out)["series"]}
    assert floor(earliest) <= lags["SIMULATED-USD"] + floor(written) <= floor(latest)
    assert floor(earliest) <= lags["REAL-USD"] + floor(NOW) <= floor(latest)


def test_status_says_who_writes_since_when_into_which_redis_by_which_configuration(
    store: redis.Redis, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIVECACHE_HTTP_LISTEN", "off")
    fill(store)
    assert main(["status"]) == 0
    first = capsys.readouterr().out.splitlines()[0]
    assert first.startswith(f"livecache {version('livecache')}: nobody writes; redis://127.0.0.1:")
    began = int(time.time() * 1000) - 3 * 3_600_000 - 5 * 60_000
    store.set(KEYS.lease, encode_lease(LeaseRecord("vm-7-0aff1e", began)))
    assert main(["status"]) == 0
    first = capsys.readouterr().out.splitlines()[0]
    assert "vm-7-0aff1e writes since " in first and "(3h 5m)" in first
    assert f"prefix {KEYS.prefix}; the defaults (no ./config.toml here), under LIVECACHE_HTTP_LISTEN" in first
    store.hset(KEYS.feed, mapping={"requests_this_hour": 512, "requests_per_hour": 1_800})
    assert main(["status"]) == 0
    assert "512 of 1,800 requests this hour" in capsys.readouterr().out.splitlines()[0]
    store.delete(KEYS.feed)
    store.set(KEYS.feed, "somebody else's")
    assert main(["status"]) == 0 and "vm-7-0aff1e writes since" in capsys.readouterr().out
    store.set(KEYS.lease, "what is this?")
    assert main(["status", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["service"]["instance"] == ""


def test_of_shards_status_counts_what_a_process_has_asked_once(
    store: redis.Redis, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(store)
    store.set(KEYS.lease, encode_lease(LeaseRecord("a service in 3 shards", 0, 3)))
    for shard, (name, made) in enumerate((("one", 40), ("one", 41), ("two", 5))):
        store.set(KEYS.lease_of(shard), encode_lease(LeaseRecord(name, 7)))
        store.hset(KEYS.feed_of(shard), mapping={"requests_this_hour": made, "requests_per_hour": 1_800})
    assert main(["status"]) == 0
    assert "one, two write, 46 of 1,800 requests this hour" in capsys.readouterr().out.splitlines()[0]


def test_status_takes_some_symbols_timeframes_and_states(
    store: redis.Redis, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(store)
    fill(store, "ETH-USD", ready=False, reason="hole: nothing is known from x")
    fill(store, "SOL-USD", vouched=False)

    def short(*options: str) -> list[str]:
        assert main(["status", "--short", *options]) == 0
        return capsys.readouterr().out.splitlines()

    assert short() == ["BTC-USD 5m ready", "ETH-USD 5m hole", "SOL-USD 5m stale"]
    assert short("--symbols", "sol-usd,btc-usd") == ["BTC-USD 5m ready", "SOL-USD 5m stale"]
    assert short("--state", "trouble") == ["ETH-USD 5m hole", "SOL-USD 5m stale"]
    assert short("--state", "ready,HOLE", "--timeframes", "5m") == ["BTC-USD 5m ready", "ETH-USD 5m hole"]
    assert short("--state", "damaged") == []
    for wrong, code, told in (
        (["--symbols", "BTCUSD"], 1, "did you mean BTC-USD?"),
        (["--timeframes", "1h"], 1, "nobody fills such a series"),
        (["--state", "bad"], 2, "one of damaged, stale, failing"),
    ):
        assert main(["status", *wrong]) == code
        assert told in capsys.readouterr().err
    assert main(["status", "--json", "--state", "hole"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [row["symbol"] for row in told["series"]] == ["ETH-USD"]
    assert main(["status", "--state", "damaged"]) == 0
    assert "0 series" in capsys.readouterr().out


def test_thousands_of_series_are_one_screen_with_those_in_trouble_first(
    store: redis.Redis, capsys: pytest.CaptureFixture[str]
) -> None:
    for n in range(60):
        fill(store, f"S{n:02}-USD", count=2, vouched=not 20 <= n < 40)
    fill(store, "S41-USD", count=2, ready=False, reason="failing: HTTP 503")
    assert main(["status"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) <= 24
    assert lines[2].startswith("S20-USD 5m  stale"), "the worst first"
    assert "… and 11 stale, 1 failing: --state trouble lists them" in lines
    assert any(line.split() == ["S20-USD", "stale"] for line in lines)
    assert any("more symbols, " in line and "39 ready" in line for line in lines)
    assert lines[-1].startswith("60 series: 39 ready, 20 stale, 1 failing")
    assert main(["status", "--all"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 60 + 3


def test_status_of_an_empty_redis_says_so(store: redis.Redis, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status"]) == 0
    assert "no series under the prefix 'cli-test' yet" in capsys.readouterr().out


def test_ready_is_an_exit_code_with_reasons(store: redis.Redis, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ready"]) == 1
    assert "no series" in capsys.readouterr().out
    fill(store)
    fill(store, "OLD-USD", ready=False, reason="venue has only 34 of 60, searched back to x", count=34)
    assert main(["ready"]) == 0, "what the venue does not have holds nobody back"
    assert capsys.readouterr().out.startswith("ready: 2 series")
    fill(store, "ETH-USD", ready=False, reason="warming up: 34 of 60")
    assert main(["ready", "--json"]) == 1
    assert json.loads(capsys.readouterr().out) == {
        "ready": False,
        "series": 3,
        "reasons": ["ETH-USD 5m: warming up: 34 of 60"],
    }
    fill(store, "ETH-USD")
    store.delete(KEYS.alive("BTC-USD"))
    assert main(["ready"]) == 1
    assert "BTC-USD 5m: nobody vouches for it now" in capsys.readouterr().out


def test_ready_of_some_series_looks_at_these_alone(
    store: redis.Redis, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(store)
    fill(store, "ETH-USD", ready=False, reason="warming up: 34 of 60")
    fill(store, "GONE-USD", ready=False, reason="unknown: 'GONE-USD' at coinbase")
    assert main(["ready", "BTC-USD", "5m"]) == 0
    assert capsys.readouterr().out == "ready: 1 series\n"
    assert main(["ready", "5m", "btc-usd", "eth-usd", "--json"]) == 1
    assert json.loads(capsys.readouterr().out) == {
        "ready": False,
        "series": 2,
        "reasons": ["ETH-USD 5m: warming up: 34 of 60"],
    }
    assert main(["ready", "btc-usd:5m", "BTC-USD"]) == 0
    assert capsys.readouterr().out == "ready: 1 series\n"
    assert main(["ready", "5m"]) == 1
    assert "ETH-USD 5m" in capsys.readouterr().out
    assert main(["ready", "GONE-USD"]) == 1, "whoever names it wants candles of it"
    assert "unknown: 'GONE-USD'" in capsys.readouterr().out
    for words, code, told in (
        (["BTCUSD"], 1, "did you mean BTC-USD?"),
        (["BTC-USD", "1h"], 1, "of BTC-USD there are 5m"),
        (["BTC-USD", "5min"], 2, "did you mean 5m?"),
        (["SOL-USD:5m"], 1, "nobody fills SOL-USD 5m"),
        (["1h"], 1, "nobody fills such a series"),
    ):
        assert main(["ready", *words]) == code, words
        assert told in capsys.readouterr().err


def test_health_of_some_series_is_remembered_apart_from_the_rest(store: redis.Redis) -> None:
    store.set(KEYS.lease, encode_lease(LeaseRecord("first", 1)))
    fill(store)
    fill(store, "ETH-USD", ready=False, reason="warming up: 34 of 60")
    assert main(["ready", "--health", "BTC-USD"]) == 0
    fill(store, ready=False, reason="lagging: nothing is known since x")
    assert main(["ready", "--health", "BTC-USD"]) == 0, "it was ready once"
    assert main(["ready", "--health"]) == 1, "all of it never was"


def test_once_warm_a_venues_outage_does_not_make_it_unhealthy(store: redis.Redis) -> None:
    def lease(instance: str) -> None:
        store.set(KEYS.lease, encode_lease(LeaseRecord(instance, 1)))

    lease("first")
    fill(store, ready=False, reason="warming up: 3 of 60")
    assert main(["ready", "--health"]) == 1, "not warm yet"
    fill(store)
    assert main(["ready", "--health"]) == 0
    fill(store, ready=False, reason="lagging: nothing is known since x")
    store.delete(KEYS.alive("BTC-USD"))
    assert main(["ready"]) == 1
    assert main(["ready", "--health"]) == 0, "the venue is out, and the service lives"
    store.delete(KEYS.lease)
    assert main(["ready", "--health"]) == 1, "the service is dead"
    lease("second")
    assert main(["ready", "--health"]) == 0, "restarted in an outage, it is no reason for another restart"


def test_show_lists_the_newest_buckets_with_a_chart(
    store: redis.Redis, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(store, without=[68])
    assert main(["show", "btc-usd", "5m", "--count", "3"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "BTC-USD 5m at coinbase: ready, 70 candles"
    assert any("vouched for by    someone, feed up" in line for line in lines)
    (marks,) = (line for line in lines if line.strip("· >") == "" and ">" in line)
    assert marks.endswith("· >"), "proven empty, settled, in progress"
    assert [line.split("  ")[-1] for line in lines[-3:]] == ["empty", "settled", "in progress"]
    assert lines[-3].split()[2:7] == ["-"] * 5
    assert lines[-1].split()[2:7] == ["101", "103.5", "100", "102.25", "0.0001"]


def test_show_adds_up_what_nobody_keeps(store: redis.Redis, capsys: pytest.CaptureFixture[str]) -> None:
    fill(store)
    assert main(["show", "BTC-USD", "10m", "--count", "3"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("BTC-USD 10m at coinbase: ready, 3")
    assert [line.split("  ")[-1] for line in lines[-3:]][:2] == ["settled", "settled"]
    assert main(["show", "BTC-USD", "7m"]) == 1
    assert "of BTC-USD there are 5m" in capsys.readouterr().err
    assert main(["show", "BTC-USD", "2d"]) == 1
    shown = capsys.readouterr()
    assert shown.out == "" and "it is added up from 5m, of which" in shown.err
    assert main(["watch", "BTC-USD", "10m"]) == 2 and main(["ready", "BTC-USD", "10m"]) == 2


def test_show_draws_or_lists_as_it_is_told(store: redis.Redis, capsys: pytest.CaptureFixture[str]) -> None:
    fill(store)
    assert main(["show", "BTC-USD", "5m", "--no-chart", "-n", "2"]) == 0
    shown = capsys.readouterr().out
    assert "┤" not in shown
    assert shown.count("settled") == 2  # in the head as well
    assert main(["show", "BTC-USD", "5m", "-n", "0"]) == 0
    shown = capsys.readouterr().out
    assert "┤" in shown
    assert "OPEN TIME" not in shown


def test_show_says_where_there_is_nothing_to_draw(
    store: redis.Redis, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(store, count=200, without=range(10, 201))
    assert main(["show", "BTC-USD", "5m", "-n", "1"]) == 0
    shown = capsys.readouterr().out
    assert "there is no candle in the newest 80 buckets" in shown
    assert shown.rstrip().endswith("in progress")


def test_show_speaks_json(store: redis.Redis, capsys: pytest.CaptureFixture[str]) -> None:
    fill(store, without=[69])
    assert main(["show", "BTC-USD", "5m", "--json", "-n", "3"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["symbol"], told["timeframe"], told["state"], told["feed"]) == (
        "BTC-USD",
        "5m",
        "ready",
        "up",
    )
    assert told["refused"] is None
    assert told["known_through"] == told["forming"] == told["buckets"][-1]["time"]
    assert [bucket["kind"] for bucket in told["buckets"]] == ["settled", "empty", "forming"]
    assert told["buckets"][1]["candle"] is None
    assert told["buckets"][2]["candle"] == [told["forming"], 101, 103.5, 100, 102.25, 0.0001]


def test_what_no_reader_would_get_is_shown_and_said(
    store: redis.Redis, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(store, vouched=False)
    assert main(["show", "BTC-USD", "5m"]) == 1
    shown = capsys.readouterr()
    assert shown.out.startswith("BTC-USD 5m at coinbase: stale")
    assert "102.25" in shown.out
    assert "nobody vouches" in shown.err
    assert main(["show", "BTC-USD", "5m", "--json"]) == 1
    assert "nobody vouches" in json.loads(capsys.readouterr().out)["refused"]


def test_a_damaged_series_is_shown_as_far_as_it_can_be(
    store: redis.Redis, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(store)
    store.hset(KEYS.state("BTC-USD", Timeframe.M5), "schema", 2)
    assert main(["show", "BTC-USD", "5m", "-n", "1"]) == 1
    shown = capsys.readouterr()
    assert "damaged" in shown.out.splitlines()[0]
    assert shown.out.rstrip().endswith("not vouched for")
    store.delete(KEYS.state("BTC-USD", Timeframe.M5))
    store.set(KEYS.state("BTC-USD", Timeframe.M5), "somebody's")
    assert main(["show", "BTC-USD", "5m"]) == 1
    assert "holds a string" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("symbol", "timeframe", "hint"),
    [
        ("BTC", "5m", "did you mean BTC-USD?"),
        ("btcusd", "5m", "did you mean BTC-USD?"),
        ("ETH-USDT", "5m", "did you mean ETH-USD?"),
        ("BTC-USD", "1m", "of BTC-USD there are 5m"),
        ("WXYZ", "5m", "`livecache series` lists"),
    ],
)
@pytest.mark.parametrize("command", ["show", "watch"])
def test_an_unknown_series_is_told_with_what_was_meant(
    store: redis.Redis,
    capsys: pytest.CaptureFixture[str],
    command: str,
    symbol: str,
    timeframe: str,
    hint: str,
) -> None:
    fill(store)
    fill(store, "ETH-USD")
    assert main([command, symbol, timeframe]) == 1
    error = capsys.readouterr().err
    assert error.startswith("livecache: error: nobody fills ")
    assert hint in error


def test_series_are_listed(store: redis.Redis, capsys: pytest.CaptureFixture[str]) -> None:
    fill(store, "ETH-USD")
    fill(store)
    assert main(["series"]) == 0
    assert capsys.readouterr().out == "BTC-USD 5m\nETH-USD 5m\n"
    assert main(["series", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["series"][0] == {"venue": "coinbase", "symbol": "BTC-USD", "timeframe": "5m"}


def test_an_ascii_output_gets_ascii(store: redis.Redis) -> None:
    fill(store, without=[68])
    ascii_only = {"PYTHONIOENCODING": "ascii", "LIVECACHE_REDIS_PREFIX": KEYS.prefix}
    ended = livecache(
        "show", "BTC-USD", "5m", "--redis-url", os.environ["LIVECACHE_REDIS_URL"], env=ascii_only
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ". nothing traded  > in progress" in ended.stdout
    assert "?" not in ended.stdout, "nothing had to be replaced"


def test_redis_passes_everything_on(store: redis.Redis, capsys: pytest.CaptureFixture[str]) -> None:
    fill(store, count=3)
    assert main(["redis", "ZRANGE", KEYS.candles("BTC-USD", Timeframe.M5), "-1", "-1"]) == 0
    assert capsys.readouterr().out.startswith('1) "[')
    assert main(["redis", "--raw", "HGET", KEYS.state("BTC-USD", Timeframe.M5), "ready"]) == 0
    assert capsys.readouterr().out == "1\n"
    assert main(["redis", "NOSUCH", "--raw", "--help"]) == 1
    assert capsys.readouterr().out.startswith("(error) ERR unknown command")


def test_durations_are_in_the_two_largest_units() -> None:
    seconds = [0, 59, 60, 3600, 3661, 90_000, 86_400]
    assert [duration(s * 1000) for s in seconds] == ["0s", "59s", "1m", "1h", "1h 1m", "1d 1h", "1d"]
