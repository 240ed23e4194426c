"""The commands that look at a history, and keep it: what a user sees, also where something is wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from livecache.__main__ import main
from livecache.history.records.log import LogEntry
from livecache.history.sqlite.schema import SCHEMA
from livecache.history.sqlite.store import SqliteHistory
from livecache.history.store import Outcome, Want
from livecache.model.timeframe import Timeframe

from .support import KEY, HandClock, covered, market, minute, number_of, opened, put, same
from .test_damage import cut
from .test_opening import altered

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """`livecache history …` on the file of the test: its exit code, and what it prints."""
    monkeypatch.chdir(tmp_path)
    for name in ("LIVECACHE_HISTORY_URL", "LIVECACHE_REDIS_URL"):
        monkeypatch.delenv(name, raising=False)

    def ran(*arguments: str) -> tuple[int, str, str]:
        code = main(["history", *arguments, "--history-url", "sqlite:///history.db"])
        return code, *capsys.readouterr()

    return ran


def told(ran: tuple[int, str, str]) -> Any:
    """The JSON that a command printed."""
    return json.loads(ran[1])


@pytest.fixture
def filled(store: SqliteHistory, series: int) -> int:
    """Minutes with a gap, an hour without."""
    put(store, series, 0, 1_440)
    put(store, series, 1_500, 3_000)
    put(store, number_of(store, KEY._replace(symbol="ETH-USD")), 0, 60)
    return series


def test_stats_tell_how_much_there_is(run: Run, filled: int) -> None:
    code, out, _ = run("stats")
    head, btc, eth, _, total = out.splitlines()
    assert code == 0 and head.split()[:3] == ["SERIES", "CANDLES", "FROM"]
    rows = len(market(0, 1_440)) + len(market(1_500, 3_000))
    assert btc.split()[:5] == ["venue:BTC-USD", "1m", f"{rows:,}", "2024-10-04T00:00Z", "2024-10-06T02:00Z"]
    assert btc.split()[5:8] == ["98.00", "%", "1"] and eth.split()[5:8] == ["100", "%", "0"]
    assert total.startswith("2 series, ") and total.endswith("history.db")
    (only,) = told(run("stats", "--symbols", "venue:BTC-USD", "--json"))["series"]
    assert only["candles"] == rows
    assert only["coverage"] == [[minute(0), minute(1_440)], [minute(1_500), minute(3_000)]]


def test_gaps_are_named_and_make_the_exit_code(run: Run, filled: int, store: SqliteHistory) -> None:
    code, out, _ = run("gaps")
    assert code == 1 and out.splitlines()[-1] == "1 gap, 60 buckets"
    assert " ".join(out.split()[4:9]) == "venue:BTC-USD 1m 2024-10-05T00:00Z 2024-10-05T01:00Z 60"
    assert run("gaps", "--symbols", "ETH-USD")[:2] == (0, "nothing is missing\n")
    code, out, _ = run("gaps", "--since", "2024-10-03", "--top", "1", "--json")
    assert code == 1 and json.loads(out)["total"]["gaps"] == 3
    assert [gap["buckets"] for gap in json.loads(out)["gaps"]] == [1_440]
    store.list_since(filled, minute(0))
    wanted = ("--symbols", "BTC-USD", "--since", "2024-10-03", "--until", "2024-10-05")
    assert run("gaps", *wanted)[0] == 0, "before its listing nothing is missing"


def test_jobs_are_listed_shown_cancelled_and_tried_again(
    run: Run, store: SqliteHistory, series: int, clock: HandClock
) -> None:
    assert run("jobs")[:2] == (0, "no jobs\n")
    first, second = store.submit(
        [Want(series, minute(0), minute(100)), Want(series, minute(0), minute(9))]
    ).jobs
    job = store.claim("somebody")
    assert job
    put(store, series, 0, 40, job.lease)
    store.settle(job.lease, Outcome.FAILED, "the venue does not know BTC-USD")
    code, out, _ = run("jobs")
    assert code == 0 and [line.split()[2:4] for line in out.splitlines()[1:]] == [
        [str(second), "pending"],
        [str(first), "failed"],
    ]
    assert len(told(run("jobs", "list", "--state", "failed", "--json"))["jobs"]) == 1
    _, out, _ = run("jobs", "show", str(first))
    assert f"job {first}: failed" in out and "the venue does not know BTC-USD" in out
    assert "missing   2024-10-04T00:40Z to 2024-10-04T01:40Z" in out
    assert told(run("jobs", "show", str(first), "--json"))["missing"] == [[minute(40), minute(100)]]
    assert run("jobs", "cancel", str(second))[:2] == (0, f"job {second} is cancelled\n")
    assert run("jobs", "cancel", str(second))[0] == 1
    code, out, _ = run("jobs", "retry", str(first))
    assert code == 0 and "pending again" in out
    assert told(run("jobs", "retry", str(first), "--json"))["done"] is False
    code, _, err = run("jobs", "--json", "cancel", str(first))
    assert code == 2 and "--json is said after cancel, not before it" in err
    code, _, err = run("jobs", "show", "99")
    assert code == 2 and "there is no job 99" in err and "livecache history jobs lists them" in err


def test_damage_is_told_put_aside_and_then_missing(run: Run, store: SqliteHistory, series: int) -> None:
    put(store, series, 0, 1_440 * 4)
    assert run("verify")[:2] == (0, "1 series: nothing is damaged\n")
    cut(store.path)
    code, out, _ = run("verify")
    first, last = out.splitlines()
    assert code == 7 and first.startswith("venue:BTC-USD 1m 2024-10-05T00:00Z to 2024-10-06T00:00Z: ")
    assert "--heal" in last
    assert len(told(run("verify", "--json"))["damaged"]) == 1
    assert run("verify", "--heal")[0] == 0
    assert run("verify")[0] == 0 and run("gaps")[1].splitlines()[-1] == "1 gap, 1,440 buckets"


def test_nothing_is_dropped_beside_a_damaged_block(run: Run, store: SqliteHistory, series: int) -> None:
    put(store, series, 0, 1_440 * 4)
    cut(store.path)
    for asked in (("--yes",), ()):
        code, _, err = run("drop", "--before", "2024-10-05T12:00", *asked)
        assert code == 1 and "is damaged" in err and "livecache history verify --heal" in err
    assert store.coverage(series) == covered(0, 1_440 * 4)
    run("verify", "--heal")
    assert run("drop", "--before", "2024-10-05T12:00", "--yes")[0] == 0


def test_a_file_that_is_no_history_is_told(run: Run, tmp_path: Path) -> None:
    (tmp_path / "history.db").write_bytes(b"not a database, but long enough to be looked at" * 99)
    code, _, err = run("stats")
    assert code == 8 and "give history.url another path" in err


def test_a_backup_is_the_same_and_takes_the_place_of_nothing(
    run: Run, store: SqliteHistory, filled: int, tmp_path: Path
) -> None:
    code, out, _ = run("backup", "copy.db")
    assert code == 0 and out.endswith("in copy.db\n")
    copy = SqliteHistory.open(tmp_path / "copy.db", read_only=True)
    assert same(copy.read(filled, minute(0), minute(1_440)).rows.candles(), market(0, 1_440))
    assert copy.stats() == store.stats()
    copy.close()
    before = (tmp_path / "copy.db").read_bytes()
    code, _, err = run("backup", "copy.db")
    assert code == 8 and "is there already" in err and (tmp_path / "copy.db").read_bytes() == before
    code, _, err = run("backup", "none/copy.db")
    assert code == 8 and "there is no directory" in err


def test_what_is_old_is_dropped_when_told_and_its_room_given_back(
    run: Run, store: SqliteHistory, series: int
) -> None:
    put(store, series, 0, 1_440 * 20)
    code, out, _ = run("drop", "--before", "2024-10-14")
    gone = len(market(0, 1_440 * 10))
    assert code == 0 and out.splitlines()[0] == f"would drop {gone:,} candles of venue:BTC-USD 1m"
    assert store.coverage(series) == covered(0, 1_440 * 20)
    asked = ("drop", "--before", "2024-10-14", "--yes", "--json")
    assert told(run(*asked))["candles"] == {"venue:BTC-USD 1m": gone}
    assert store.coverage(series) == covered(1_440 * 10, 1_440 * 20)
    vacuumed = told(run("vacuum", "--json"))
    assert vacuumed["bytes"] < 0.7 * vacuumed["before"]
    assert "nothing lies before" in run("drop", "--before", "2024-10-14")[1]
    for none in ("1970-01-01", "1960-01-01"):
        assert "nothing lies before" in run("drop", "--before", none, "--yes")[1], "a date is no age"
    assert store.coverage(series) == covered(1_440 * 10, 1_440 * 20)


def test_the_log_is_told_with_what_it_is_about(run: Run, store: SqliteHistory, series: int) -> None:
    assert run("log")[1] == "nothing is logged\n"
    entry = LogEntry(
        minute(0), "WARNING", "page_failed", "it timed out", 3, series, "Traceback\nit timed out"
    )
    store.log([entry, LogEntry(minute(1), "INFO", "filled", "done", 4, series)])
    lines = run("log")[1].splitlines()
    assert lines[0] == "2024-10-04T00:00Z WARNING venue:BTC-USD 1m job 3: it timed out"
    assert lines[1:3] == ["    Traceback", "    it timed out"] and len(lines) == 4
    (one,) = told(run("log", "--job", "4", "--json"))["entries"]
    assert one["event"] == "filled" and one["symbol"] == "BTC-USD"


LOOKS = [
    ("stats",),
    ("gaps",),
    ("log",),
    ("jobs",),
    ("jobs", "cancel", "1"),
    ("verify",),
    ("verify", "--heal"),
    ("backup", "copy.db"),
    ("vacuum",),
    ("drop", "--before", "2020-01-01", "--yes"),
]


@pytest.mark.parametrize("command", LOOKS, ids=" ".join)
def test_where_there_is_no_file_none_is_made_and_how_to_make_one_is_said(
    run: Run, tmp_path: Path, command: tuple[str, ...]
) -> None:
    code, _, err = run(*command)
    assert code == 8 and "there is no history at" in err and "livecache history fill makes it" in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", LOOKS, ids=" ".join)
def test_a_file_of_a_newer_livecache_is_left_as_it_is(
    run: Run, tmp_path: Path, command: tuple[str, ...]
) -> None:
    opened(tmp_path).close()
    altered(tmp_path / "history.db", f"PRAGMA user_version = {SCHEMA + 1}")
    before = (tmp_path / "history.db").read_bytes()
    code, _, err = run(*command)
    assert code == 8 and "made by a newer livecache" in err and "upgrade livecache" in err
    assert (tmp_path / "history.db").read_bytes() == before


def test_a_symbol_that_is_not_stored_is_answered_with_the_one_that_is_near(run: Run, filled: int) -> None:
    code, _, err = run("stats", "--symbols", "BTCUSD")
    assert code == 1 and "did you mean BTC-USD?" in err
    assert run("stats", "--timeframe", Timeframe.H1.value)[1].startswith("0 series")
