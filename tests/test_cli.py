"""The command line, as a person or a script meets it."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from livecache import SeriesId, Timeframe, UnknownSeries
from livecache.__main__ import main
from livecache.commands.reading import find_series, moment_of
from livecache.commands.simulator import csv_files
from livecache.embedded.server import EmbeddedServer
from livecache.errors import ConfigError
from livecache.http.source import near_ones

from .commands.support import livecache

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
        (["show", "BTC-USD", "7min"], {}, 2, "did you mean 7m?"),
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


def test_the_help_lists_each_command_by_a_whole_sentence() -> None:
    listed = livecache("--help", env={"COLUMNS": "80"}).stdout.partition("Commands:\n")[2].splitlines()
    assert len(listed) >= 15
    assert [line for line in listed if not line.endswith(".") or "..." in line] == []
    assert max(map(len, listed)) <= 80


def test_a_bug_is_a_traceback_and_another_exit_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # A bug of ours stands in here by a module that fails as no module of ours should.
    monkeypatch.setitem(sys.modules, "livecache.commands.look.status", object())
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


def test_a_command_line_is_understood_without_loading_what_it_may_need() -> None:
    """What is loaded for every command delays `run`'s first request."""
    script = """if True:
        import sys
        from livecache.__main__ import main
        main(["run", "--help"])
        heavy = {"aiohttp", "asyncio", "loguru", "pydantic", "redis", "rich", "websockets"}
        print("loaded:", sorted(heavy & set(sys.modules)))
    """
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ended.stdout.endswith("loaded: []\n")


def test_the_code_of_a_venue_is_loaded_before_anything_runs(tmp_path: Path) -> None:
    """Else the lease, and with it every reader after a restart, waits for all that is loaded meanwhile."""
    unreachable = "http://127.0.0.1:1"
    env = {
        "PATH": os.environ["PATH"],
        "PYTHONPROFILEIMPORTTIME": "1",
        "LIVECACHE_REDIS_URL": "redis://127.0.0.1:1",
        "LIVECACHE_HTTP_LISTEN": "127.0.0.1:0",
        "LIVECACHE_VENUES_COINBASE_REST_URL": unreachable,
    }
    command = [sys.executable, "-m", "livecache", "run"]
    with subprocess.Popen(command, env=env, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as service:
        assert service.stderr is not None
        before = list(itertools.takewhile(lambda line: "http_listening" not in line, service.stderr))
        service.kill()
    loaded = {line.rpartition("|")[2].strip() for line in before if line.startswith("import time:")}
    assert {"aiohttp", "livecache.venues.coinbase.pages"} <= loaded


# --- config


def test_config_shows_what_is_in_force_and_where_it_comes_from(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("[cache]\ncandles = 90\n")
    ended = livecache("config", "--redis-url", "redis://u:s3cret@h", "--log-level", "debug", cwd=tmp_path)
    assert ended.returncode == 0
    assert "# From config.toml" in ended.stdout
    assert "candles = 90  # config.toml" in ended.stdout
    assert 'url = "redis://u:***@h"  # --redis-url' in ended.stdout
    assert 'level = "DEBUG"  # --log-level' in ended.stdout


def test_without_a_url_the_running_embedded_server_is_found(tmp_path: Path) -> None:
    with EmbeddedServer(tmp_path / "here"):
        env = {"LIVECACHE_REDIS_DATA_DIR": str(tmp_path / "here")}
        assert livecache("redis", "PING", env=env, cwd=tmp_path).stdout == "PONG\n"


def test_config_speaks_json(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("[cache]\ncandles = 90\n")
    ended = livecache("config", "--redis-url", "redis://u:s3cret@h", "--json", cwd=tmp_path)
    told = json.loads(ended.stdout)
    assert told["source"] == "config.toml"
    assert told["settings"]["cache.candles"] == {"value": 90, "from": "config.toml"}
    assert told["settings"]["cache.min_candles"] == {"value": 60, "from": "default"}
    assert told["settings"]["redis.url"] == {"value": "redis://u:***@h", "from": "--redis-url"}
    assert told["settings"]["backfill.batch_size"]["value"] is None


def test_config_check_is_an_exit_code_with_all_that_is_wrong(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text("[cache]\ncandles = 90\n")
    good = livecache("config", "--check", cwd=tmp_path)
    assert (good.returncode, good.stderr) == (0, "")
    assert good.stdout == "config.toml: nothing is wrong (symbols: 2, timeframes: 5)\n"

    file.write_text("[cache]\ncandels = 90\n[venues.coinbase]\nkey_file = 'none.json'\n")
    bad = livecache("config", "--check", "--redis-url", "http://u:s3cret@h", cwd=tmp_path)
    assert bad.returncode == 2
    for part in ("did you mean cache.candles?", "--redis-url: the scheme 'http'", "none.json cannot be read"):
        assert part in bad.stdout
    assert bad.stdout.endswith("config.toml: 3 things are wrong\n")
    assert "s3cret" not in bad.stdout + bad.stderr

    told = livecache("config", "--check", "--json", "--config", "none.toml", cwd=tmp_path)
    assert told.returncode == 2
    (problem,) = json.loads(told.stdout)["problems"]
    assert problem["message"] == "none.toml: no such file"


def test_options_of_the_simulator_are_checked() -> None:
    assert csv_files(["A-B=x.csv", "C-D=y=z.csv"]) == {"A-B": "x.csv", "C-D": "y=z.csv"}
    with pytest.raises(ConfigError, match="twice"):
        csv_files(["A-B=x", "A-B=y"])
    assert moment_of("--start", "2025-10-25T14:00") == 1_761_400_800_000
    assert moment_of("--start", "2025-10-25T16:00+02:00") == 1_761_400_800_000
    assert moment_of("--start", "20251025") == moment_of("--start", "2025-10-25") == 1_761_350_400_000
    assert moment_of("--start", "1761350400000") == 1_761_350_400_000
    with pytest.raises(ConfigError, match="is not a time"):
        moment_of("--start", "yesterday")


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


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["show", "BTC-USD", "5m", "-n", "lots"], "'lots' is not a whole number"),
        (["demo", "--symbols", "0"], "0 is not from 1 to 200"),
        (["demo", "--seconds", "long"], "'long' is not a number"),
        (["demo", "--seconds", "0"], "0.0 is less than 1"),
    ],
)
def test_a_flag_that_cannot_be_used_is_told_without_a_programmers_words(
    arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    assert told in capsys.readouterr().err


def test_near_symbols_are_the_same_wherever_one_is_asked_for() -> None:
    """That nearly all end in -USD makes none near: WRONG-USD is no misspelt DOGE-USD."""
    known = [SeriesId("coinbase", symbol, Timeframe.M5) for symbol in ("DOGE-USD", "XRP-USD", "BTC-USD")]
    doge, btc = "did you mean DOGE-USD?", "did you mean BTC-USD?"
    for wrong, near in (("WRONG-USD", ""), ("DOGGE-USD", doge), ("BTC/USD", btc)):
        assert near_ones(SeriesId("coinbase", wrong, Timeframe.M5), known) == near
        with pytest.raises(UnknownSeries) as caught:
            find_series(known, wrong, "5m")
        assert caught.value.hint == (near or "`livecache series` lists those that are filled")
