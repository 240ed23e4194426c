"""Looking into a running service on terminals, wide and narrow, and through pipes."""

from __future__ import annotations

import csv
import io
import json
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from livecache.embedded.server import EmbeddedServer

from .screen import on_a_terminal
from .support import Process, environment, exchange, livecache, market_of, until

SYMBOLS = ("BTC-USD", "THIN-USD")
SPEED = 60.0


@pytest.fixture(scope="module")
def env() -> Iterator[dict[str, str]]:
    """The environment in which a warm service is found; its market closes a 5m bucket every five seconds."""
    with (
        EmbeddedServer(temporary=True) as server,
        exchange(market_of("BTC-USD", "THIN-USD:thin"), speed=SPEED) as venue,
    ):
        settings = venue.settings(server.url, SYMBOLS)
        with livecache("run", env=settings) as service:
            service.event("warm", 60.0)
            yield settings
            service.stop()


def said(*arguments: str, env: dict[str, str]) -> Process:
    """A command that has ended well."""
    with livecache(*arguments, env=env) as process:
        assert process.ended() == 0, process.story()
        return process


# --- status --watch


def test_the_table_is_drawn_anew_until_q_is_pressed(env: dict[str, str]) -> None:
    with on_a_terminal("status", "--watch", "--every", "0.2", env=env) as screen:
        screen.shows("10 series: ")
        screen.shows("THIN-USD 1d")
        screen.shows("q quits")
        assert "SETTLED THROUGH (UTC)" in screen.shown
        assert screen.raw.count("\x1b[?1049h") == 1, "on a screen of its own"
        screen.press("xq")
        assert screen.ended() == 0
        assert "\x1b[?1049l" in screen.raw
        assert screen.settings == screen.before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_leaves_the_terminal_as_it_was(env: dict[str, str], number: signal.Signals) -> None:
    with on_a_terminal("status", "-w", env=env) as screen:
        screen.shows("q quits")
        screen.process.send_signal(number)
        assert screen.ended() == 0
        assert "\x1b[?1049l" in screen.raw
        assert screen.settings == screen.before


def test_a_small_terminal_shows_what_fits_and_says_how_much_does_not(env: dict[str, str]) -> None:
    with on_a_terminal("status", "--watch", env=env, columns=40, rows=9) as screen:
        screen.shows("q quits")
        screen.press("q")
        assert screen.ended() == 0
        assert "SETTLED THROUGH" not in screen.shown
        assert "… and 5 more; q quits" in screen.shown
        assert max(map(len, screen.frame.splitlines())) <= 40


def test_in_a_pipe_status_tells_what_changes(env: dict[str, str], clean_valkey: str) -> None:
    elsewhere = {**env, "LIVECACHE_REDIS_URL": clean_valkey}
    with redis.Redis.from_url(clean_valkey) as client:
        with livecache("status", "--watch", "--every", "0.1", env=elsewhere) as process:
            process.line("0 series: none")
            client.sadd("livecache:{coinbase}:series", "NEW-USD:5m")
            assert process.line("NEW-USD 5m").endswith("NEW-USD 5m warming: nothing written yet")
            client.delete("livecache:{coinbase}:series")
            process.line("NEW-USD 5m warming -> no longer configured")
            process.send(signal.SIGINT)
            assert process.ended() == 0
        with livecache("status", "--watch", "--json", "--every", "0.1", env=elsewhere) as process:
            assert json.loads(process.line("summary"))["series"] == []
            process.send(signal.SIGTERM)
            assert process.ended() == 0


# --- watch


def test_watch_shows_buckets_closing_and_settling(env: dict[str, str]) -> None:
    with livecache("watch", "btc-usd", "5m", "-n", "2", env=env) as process:
        process.line("-- vouched for by")
        begun = list(process.output)
        assert len(begun) >= 3
        process.line("  closed  ", 60.0)
        settled = process.line("  settled  ", 60.0)
        assert len(settled.split()) >= 8
        assert not any("  forming  " in line for line in process.output), "in a pipe only when asked for"
        process.send(signal.SIGINT)
        assert process.ended() == 0
        assert process.errors == []


def test_watch_writes_over_the_bucket_in_progress_on_a_terminal(env: dict[str, str]) -> None:
    with on_a_terminal("watch", "BTC-USD", "5m", env=env, columns=60) as screen:
        screen.shows("  forming  ")
        screen.shows("  closed  ", 60.0)
        assert "\r\x1b[K" in screen.raw
        lines = re.split(r"[\r\n]+", screen.shown)
        assert len([line for line in lines if "  forming  " in line]) > 1
        assert max(map(len, lines)) < 60, "nothing wraps: a wrapped line could not be written over"
        screen.process.send_signal(signal.SIGINT)
        assert screen.ended() == 0


def test_watch_speaks_json_and_tells_of_empty_buckets(env: dict[str, str]) -> None:
    with livecache("watch", "THIN-USD", "5m", "--json", "--forming", env=env) as process:
        standing = json.loads(process.line('"standing"'))
        assert standing == {"kind": "standing", "vouched": True, "feed": "up"}
        process.line('"candle": null', 60.0)
        kinds = {json.loads(line)["kind"] for line in process.output}
        assert kinds <= {
            "settled",
            "empty",
            "provisional",
            "missing",
            "unvouched",
            "standing",
            "closed",
            "forming",
        }
        process.send(signal.SIGINT)
        assert process.ended() == 0


def test_watch_says_when_nobody_vouches_any_more_and_when_somebody_does_again(env: dict[str, str]) -> None:
    def said(part: str) -> int:
        return sum(part in line for line in process.output)

    with livecache("watch", "BTC-USD", "1d", env=env) as process:
        process.line("-- vouched for by")
        with redis.Redis.from_url(env["LIVECACHE_REDIS_URL"]) as client:
            key = "livecache:{coinbase:BTC-USD}:alive"
            # Its writer renews it every few seconds.
            until("it is told", lambda: client.delete(key) < 2 and said("-- nobody vouches for it now") > 0)
        until("the writer vouches again", lambda: said("-- vouched for by") > 1)
        process.send(signal.SIGINT)
        assert process.ended() == 0


def test_watch_and_status_outlive_a_server_that_comes_back_elsewhere(tmp_path: Path) -> None:
    """The embedded one, which has another port at each start."""
    with exchange(market_of("BTC-USD"), speed=SPEED) as venue:
        env = venue.settings("embedded", CACHE_TIMEFRAMES="5m", REDIS_DATA_DIR=tmp_path / "valkey")
        with livecache("run", env=env) as service:
            service.event("warm")
            with (
                livecache("watch", "BTC-USD", "5m", env=env) as watch,
                livecache("status", "--watch", "--every", "0.2", env=env) as status,
            ):
                watch.line("-- vouched for by")
                status.line("BTC-USD 5m ready")
                service.stop()
                watch.line("-- no Redis is given, and no embedded server runs")
                status.line("no Redis is given, and no embedded server runs")
                before = len(watch.output)

                def happened() -> set[str]:
                    return {line[21:28] for line in watch.output[before:]}

                with livecache("run", env=env) as again:
                    again.event("warm")
                    until("it closes and settles there", lambda: {"closed ", "settled"} <= happened(), 60.0)
                    for process in (watch, status):
                        process.send(signal.SIGINT)
                        assert process.ended() == 0
                        assert process.errors == []
                    again.stop()


# --- show, export, series, prune, config


def test_show_fits_the_terminal_it_is_on(env: dict[str, str]) -> None:
    for columns in (120, 80, 50):
        with on_a_terminal("show", "THIN-USD", "5m", env=env, columns=columns, rows=60) as screen:
            assert screen.ended() == 0, screen.shown
            drawn = [line for line in screen.shown.splitlines() if "│" in line or "┤" in line]
            assert len(drawn) == 15
            assert max(map(len, drawn)) <= columns
            assert "· nothing traded" in screen.shown
            assert "\x1b[32m" in screen.raw
            ends = ("  settled", "  empty", "  s", "  e")
            listed = [line for line in screen.shown.splitlines() if line.endswith(ends)]
            assert listed
            assert max(map(len, listed)) <= columns
    with on_a_terminal("show", "BTC-USD", "5m", env={**env, "NO_COLOR": "1"}) as screen:
        assert screen.ended() == 0
        assert "\x1b[" not in screen.raw


def test_what_is_exported_is_what_a_reader_gets(env: dict[str, str], tmp_path: Path) -> None:
    target = tmp_path / "candles.csv"
    process = said("export", "--timeframes", "4h,1d", "-o", str(target), env=env)
    rows = list(csv.DictReader(io.StringIO(target.read_text())))
    assert len([row for row in rows if (row["symbol"], row["timeframe"]) == ("BTC-USD", "4h")]) >= 100
    assert {row["kind"] for row in rows} <= {"settled", "provisional"}
    assert f"exported {len(rows)} candles of 4 series to {target}" in "\n".join(process.errors)
    told = json.loads("\n".join(said("export", "--symbols", "BTC-USD", "--json", env=env).output))
    assert {series["timeframe"] for series in told["series"]} == {"5m", "15m", "1h", "4h", "1d"}
    for series in told["series"]:
        assert series["candles"][0][0] >= series["contiguous_from"]
        assert series["candles"][-1][0] < series["known_through"]


def test_lists_and_answers_are_one_json_object(env: dict[str, str]) -> None:
    until("all is ready", lambda: _is_ready(env))
    for command in ("status", "series", "ready", "prune", "config", "config --check", "show BTC-USD 1d"):
        process = said(*shlex.split(command), "--json", env=env)
        assert isinstance(json.loads("\n".join(process.output)), dict), command
        assert process.errors == []


def test_prune_keeps_what_the_running_service_fills(env: dict[str, str]) -> None:
    here = {**env, "LIVECACHE_VENUES_COINBASE_SYMBOLS": "BTC-USD"}
    output = said("prune", "--yes", env=here).output
    assert output[0].startswith("kept: 5 series not configured here, since ")
    until("all is ready", lambda: _is_ready(env))


def _is_ready(env: dict[str, str]) -> bool:
    """Whether all is; on a busy host nobody may vouch for it for a moment."""
    with livecache("ready", env=env) as process:
        return process.ended() == 0 and process.output[0].startswith("ready: 10 series")


# --- pipes


@pytest.mark.parametrize("command", ["watch BTC-USD 5m", "show BTC-USD 5m", "export", "status --watch"])
def test_whoever_has_read_enough_hears_no_complaint(env: dict[str, str], command: str) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "livecache", *shlex.split(command)],
        env=environment({**env, "PYTHONUNBUFFERED": "1"}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        line = process.stdout.readline()
        assert line
        while command.startswith("status") and line and " series: " not in line:
            line = process.stdout.readline()  # to the last it has to say, since nothing changes
        process.stdout.close()
        if command.startswith("status"):
            process.send_signal(signal.SIGINT)
        said = process.stderr.read()
        assert process.wait(60) in (0, 1)
    assert [line for line in said.splitlines() if not line.startswith("exported ")] == []


def test_a_closed_stdout_is_no_bug(env: dict[str, str]) -> None:
    for command in ("status", "show BTC-USD 5m", "export", "config"):
        ended = subprocess.run(
            ["sh", "-c", f"{shlex.quote(sys.executable)} -m livecache {command} >&- <&-"],
            env=environment(env),
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
        assert ended.returncode == 0, ended.stderr


# --- completion


def test_a_shell_completes_commands_symbols_and_timeframes(env: dict[str, str]) -> None:
    def offered(words: str, position: int) -> list[str]:
        asked = {"_LIVECACHE_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(position)}
        completed = said(env={**env, **asked})
        assert completed.errors == []
        return [line.partition(",")[2] for line in completed.output]

    assert {"status", "series", "show", "simulator"} == set(offered("livecache s", 1))
    assert offered("livecache show ", 2) == ["BTC-USD", "THIN-USD"]
    assert offered("livecache show TH", 2) == ["THIN-USD"]
    assert offered("livecache watch BTC-USD 1", 3) == ["15m", "1h", "1d"]
    assert offered("livecache repair BTC-USD 4", 3) == ["4h"]
    assert offered("livecache check --symbols BTC-USD,T", 3) == ["BTC-USD,THIN-USD"]
    nowhere = {
        **env,
        "LIVECACHE_REDIS_URL": "redis://127.0.0.1:1",
        "LIVECACHE_VENUES_COINBASE_SYMBOLS": "X-USD",
    }
    env = nowhere
    assert offered("livecache show ", 2) == ["X-USD"], "what is configured, if nothing answers"


def test_a_shell_is_taught_to_complete_by_what_the_command_prints() -> None:
    for shell in ("bash", "zsh", "fish"):
        if shutil.which(shell) is None:
            continue  # bash is nearly everywhere
        taught = said("completion", shell, env={})
        checked = subprocess.run(
            [shell, "-n"],
            input="\n".join(taught.output),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert checked.returncode == 0 and checked.stderr == ""
    if shutil.which("bash") is None:
        pytest.skip("there is no bash here")
    command = f'eval "$({shlex.quote(sys.executable)} -m livecache completion bash)"; complete -p livecache'
    installed = subprocess.run(
        ["bash", "-c", command], env=environment({}), capture_output=True, text=True, timeout=60, check=False
    )
    assert "_livecache_completion livecache" in installed.stdout, installed.stderr
