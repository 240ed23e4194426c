"""The command line, as a person or a script meets it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from livecache.__main__ import main
from livecache.cache.embedded import EmbeddedServer
from livecache.cache.keyspace import (
    AliveRecord,
    Keyspace,
    LeaseRecord,
    encode_alive,
    encode_lease,
    encode_state,
)
from livecache.commands.reading import duration
from livecache.commands.show import chart
from livecache.commands.simulator import csv_files, start_time
from livecache.core.candle import Candle
from livecache.core.coverage import Coverage
from livecache.core.series import SeriesId, SeriesState
from livecache.core.timeframe import Timeframe
from livecache.errors import ConfigError

KEYS = Keyspace("cli-test")
BUCKET = Timeframe.M5.ms
NOW = 1_760_000_100_000 // BUCKET * BUCKET + 60_000


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddedServer]:
    with EmbeddedServer(temporary=True) as running:
        yield running


@pytest.fixture
def store(server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[redis.Redis]:
    """An empty Redis that the environment points at."""
    for name in [name for name in os.environ if name.startswith("LIVECACHE_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("LIVECACHE_REDIS_URL", server.url)
    monkeypatch.setenv("LIVECACHE_REDIS_PREFIX", KEYS.prefix)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    with redis.Redis.from_url(server.url) as client:
        client.flushall()
        yield client


def fill(
    store: redis.Redis,
    symbol: str = "BTC-USD",
    *,
    count: int = 70,
    ready: bool = True,
    reason: str = "",
    vouched: bool = True,
) -> None:
    """Write a series as the service would."""
    timeframe = Timeframe.M5
    end = NOW // BUCKET * BUCKET
    start = end - count * BUCKET
    key = KEYS.candles(symbol, timeframe)
    for i, time_ in enumerate(range(start, end + BUCKET, BUCKET)):
        low = 100 + i % 7
        store.zadd(key, {f"[{time_},{low + 1},{low + 3}.5,{low},{low + 2}.25,0.0001]": time_})
    state = SeriesState(
        ready=ready,
        reason=reason,
        contiguous_from=start,
        settled_through=end,
        known_through=end,
        closed_through=end,
        coverage=Coverage([(start, end)]),
        history_from=0,
        forming=end,
    )
    fields = encode_state(state, origin="http://127.0.0.1", fence=1, revision=1, updated_at=NOW)
    store.hset(KEYS.state(symbol, timeframe), items=[*fields, "count", count + 1])
    if vouched:
        store.set(KEYS.alive(symbol), encode_alive(AliveRecord("someone", NOW, "up")))
    store.sadd(KEYS.series, KEYS.series_member(SeriesId("coinbase", symbol, timeframe)))


def livecache(
    *arguments: str, env: dict[str, str] | None = None, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own, in an environment without livecache's variables."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("LIVECACHE_")}
    return subprocess.run(
        [sys.executable, "-m", "livecache", *arguments],
        env={**clean, **(env or {})},
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


# --- errors


def test_the_version_is_told() -> None:
    assert livecache("--version").stdout.startswith("livecache 0.")


@pytest.mark.parametrize(
    ("arguments", "env", "code", "said"),
    [
        (["run", "--config", "none.toml"], {}, 2, "none.toml: no such file"),
        (["run"], {"LIVECACHE_CACHE_CANDELS": "5"}, 2, "did you mean LIVECACHE_CACHE_CANDLES?"),
        (["run"], {"LIVECACHE_VENUES_COINBASE_REQUESTS_PER_SECOND": "0"}, 2, "cannot be used"),
        (["backfill", "--timeframes", "5min"], {}, 2, "unknown timeframe '5min'"),
        (["backfill", "--symbols", "btc-usd"], {}, 2, "did you mean BTC-USD?"),
        (["show", "BTC-USD", "7m"], {}, 2, "unknown timeframe '7m'"),
        (["status"], {}, 3, "start `livecache run`, or set LIVECACHE_REDIS_URL"),
        (["status", "--redis-url", "redis://u:s3cret@127.0.0.1:1"], {}, 3, "livecache: error: "),
        (["redis", "PING"], {"LIVECACHE_REDIS_URL": "redis://:s3cret@127.0.0.1:1"}, 3, "***@127.0.0.1:1"),
        (["simulator", "--csv", "x"], {}, 2, "--csv 'x' is not SYMBOL=PATH"),
        (["nosuch"], {}, 2, "No such command 'nosuch'"),
    ],
)
def test_a_mistake_is_one_clear_line_and_an_exit_code(
    tmp_path: Path, arguments: list[str], env: dict[str, str], code: int, said: str
) -> None:
    ended = livecache(*arguments, env={"XDG_DATA_HOME": str(tmp_path), **env}, cwd=tmp_path)
    assert ended.returncode == code, ended.stderr
    assert said in ended.stderr
    assert "Traceback" not in ended.stderr
    assert "s3cret" not in ended.stderr


def test_a_bug_is_a_traceback_and_another_exit_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # A bug of ours stands in here by a module that fails as no module of ours should.
    monkeypatch.setitem(sys.modules, "livecache.commands.status", object())
    assert main(["status"]) == 70
    error = capsys.readouterr().err
    assert "Traceback" in error
    assert "this is a bug" in error


def test_whoever_reads_only_the_first_line_hears_no_complaint() -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "livecache", "config"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == ""


# --- config


def test_config_shows_what_is_in_force_and_where_it_comes_from(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("[cache]\ncandles = 90\n")
    ended = livecache("config", "--redis-url", "redis://u:s3cret@h", "--log-level", "debug", cwd=tmp_path)
    assert ended.returncode == 0
    assert "# From config.toml" in ended.stdout
    assert "candles = 90  # config.toml" in ended.stdout
    assert 'url = "redis://u:***@h"  # --redis-url' in ended.stdout
    assert 'level = "DEBUG"  # --log-level' in ended.stdout


# --- status, ready, show, redis


def test_status_has_a_line_for_each_series(store: redis.Redis, capsys: pytest.CaptureFixture[str]) -> None:
    fill(store)
    fill(store, "ETH-USD", ready=False, reason="warming up: 34 of 60", count=34)
    fill(store, "OLD-USD", ready=False, reason="venue has only 34 of 60, searched back to x", count=34)
    fill(store, "ODD-USD", ready=False, reason="failing: 503; warming up: 0 of 60", count=1)
    fill(store, "SOL-USD", vouched=False)
    assert main(["status"]) == 0
    lines = capsys.readouterr().out.splitlines()
    states = {line.split()[0]: line.split()[2] for line in lines[1:6]}
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


def test_status_speaks_json(store: redis.Redis, capsys: pytest.CaptureFixture[str]) -> None:
    fill(store)
    assert main(["status", "--json"]) == 0
    (series,) = json.loads(capsys.readouterr().out)["series"]
    assert (series["symbol"], series["timeframe"], series["state"]) == ("BTC-USD", "5m", "ready")
    assert (series["count"], series["lag_ms"], series["feed"]) == (71, 0, "up")


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


def test_show_lists_the_newest_candles_with_a_chart(
    store: redis.Redis, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(store)
    assert main(["show", "btc-usd", "5m", "--rows", "3"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "BTC-USD 5m at coinbase: ready, 71 candles"
    assert any("vouched for by    someone, feed up" in line for line in lines)
    assert sum("┤" in line for line in lines) == 12
    assert [line.split()[-1] for line in lines[-3:]] == ["settled", "settled", "progress"]
    assert lines[-1].split()[2:7] == ["101", "103.5", "100", "102.25", "0.0001"]


def test_show_of_what_nobody_vouches_for_is_refused_with_the_reason(
    store: redis.Redis, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(store, vouched=False)
    assert main(["show", "BTC-USD", "5m"]) == 1
    shown = capsys.readouterr()
    assert "stale" in shown.out
    assert "nobody vouches" in shown.err
    assert main(["show", "DOGE-USD", "5m"]) == 1
    assert "livecache: error: " in capsys.readouterr().err


def test_redis_passes_everything_on(store: redis.Redis, capsys: pytest.CaptureFixture[str]) -> None:
    fill(store, count=3)
    assert main(["redis", "ZRANGE", KEYS.candles("BTC-USD", Timeframe.M5), "-1", "-1"]) == 0
    assert capsys.readouterr().out.startswith('1) "[')
    assert main(["redis", "--raw", "HGET", KEYS.state("BTC-USD", Timeframe.M5), "ready"]) == 0
    assert capsys.readouterr().out == "1\n"
    assert main(["redis", "NOSUCH", "--raw", "--help"]) == 1
    assert capsys.readouterr().out.startswith("(error) ERR unknown command")


def test_without_a_url_the_running_embedded_server_is_found(tmp_path: Path) -> None:
    with EmbeddedServer(tmp_path / "here"):
        env = {"LIVECACHE_REDIS_DATA_DIR": str(tmp_path / "here")}
        assert livecache("redis", "PING", env=env, cwd=tmp_path).stdout == "PONG\n"


# --- small parts


def test_a_chart_has_a_column_for_each_candle_and_an_axis() -> None:
    candles = [Candle(i, 10 + i, 12 + i, 9 + i, 11 + i, 1.0) for i in range(5)]
    lines = chart(candles, rows=4)
    assert [line.index("┤") for line in lines] == [6] * 4
    columns = list(zip(*(line[:5] for line in lines), strict=True))
    assert all("┃" in column for column in columns)
    assert lines[0].endswith("15")


def test_a_chart_of_one_flat_candle_is_a_chart() -> None:
    lines = chart([Candle(0, 5.0, 5.0, 5.0, 5.0, 1.0)], rows=3)
    assert len(lines) == 3
    assert "┃" in lines[0]


def test_durations_are_in_the_two_largest_units() -> None:
    seconds = [0, 59, 60, 3600, 3661, 90_000, 86_400]
    assert [duration(s * 1000) for s in seconds] == ["0s", "59s", "1m", "1h", "1h 1m", "1d 1h", "1d"]


def test_options_of_the_simulator_are_checked() -> None:
    assert csv_files(["A-B=x.csv", "C-D=y=z.csv"]) == {"A-B": "x.csv", "C-D": "y=z.csv"}
    with pytest.raises(ConfigError, match="twice"):
        csv_files(["A-B=x", "A-B=y"])
    assert start_time("2025-10-25T14:00") == start_time("2025-10-25T16:00+02:00") == 1_761_400_800_000
    with pytest.raises(ConfigError, match="is not a time"):
        start_time("yesterday")


def test_the_simulator_says_where_it_listens_and_ends_by_a_signal(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "livecache", "simulator", "--port", "0", "--symbols", "BTC-USD"],
        stdout=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
    ) as process:
        assert process.stdout is not None
        assert "http://127.0.0.1:" in process.stdout.readline()
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=10)
        assert process.returncode == 0
        assert time.monotonic() - began < 5
