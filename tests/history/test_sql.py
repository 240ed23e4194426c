"""`livecache history sql`, and jobs as they are watched."""

from __future__ import annotations

import csv
import io
import json
import sys
from pathlib import Path

import pytest

from livecache.commands.history.jobs import watch_jobs
from livecache.history.sqlite.store import SqliteHistory
from livecache.history.store import Outcome, Want
from livecache.keys.history_place import Place
from livecache.model.timeframe import iso

from .support import KEY, HandClock, market, minute, number_of, put
from .test_commands import Run, run

__all__ = ["run"]  # a fixture

ASKED = "SELECT symbol, count(*), min(time), max(time) FROM ohlcv GROUP BY symbol ORDER BY symbol"


@pytest.fixture(autouse=True)
def _duckdb(request: pytest.FixtureRequest) -> None:
    if "run" in request.fixturenames:
        pytest.importorskip("duckdb")


def test_the_query_of_the_request_works_as_it_is_written(
    run: Run,
    store: SqliteHistory,
    series: int,
) -> None:
    put(store, series, 0, 1_440)
    put(store, number_of(store, KEY._replace(symbol="ETH'S/USD")), 0, 60)
    code, out, _ = run("sql", ASKED, "--csv")
    head, btc, eth = csv.reader(io.StringIO(out))
    rows = market(0, 1_440)
    assert code == 0 and head[0] == "symbol" and btc[:2] == ["BTC-USD", str(len(rows))]
    assert btc[2:] == [iso(row.time).replace("Z", ":00Z") for row in (rows[0], rows[-1])]
    assert eth[:2] == ["ETH'S/USD", str(len(market(0, 60)))]
    told = json.loads(run("sql", ASKED, "--symbols", "BTC-USD", "--since", iso(rows[5].time), "--json")[1])
    assert [row["count_star()"] for row in told["rows"]] == [len(rows) - 5]
    assert run("sql", ASKED)[1].splitlines()[-1] == "2 rows"


def test_numbers_times_and_gaps_are_what_is_stored(
    run: Run,
    store: SqliteHistory,
    series: int,
) -> None:
    put(store, series, 0, 100)
    put(store, series, 160, 200)
    rows = [*market(0, 100), *market(160, 200)]
    asked = "SELECT epoch_ms(time) AS t, close, volume FROM ohlcv ORDER BY time"
    told = json.loads(run("sql", asked, "--json")[1])["rows"]
    expected = [(row.time, float(row.close), float(row.volume)) for row in rows]
    assert [(row["t"], row["close"], row["volume"]) for row in told] == expected
    (gap,) = json.loads(run("sql", "SELECT * FROM gaps", "--json")[1])["rows"]
    assert gap["gap_start"].startswith("2024-10-04T01:40") and gap["gap_end"].startswith("2024-10-04T02:40")
    store.list_since(series, minute(0))
    (known,) = json.loads(run("sql", "SELECT symbol, listed FROM series", "--json")[1])["rows"]
    assert known == {"symbol": "BTC-USD", "listed": "2024-10-04T00:00:00Z"}


def test_of_an_empty_history_the_answer_is_empty(run: Run, store: SqliteHistory) -> None:
    assert json.loads(run("sql", ASKED, "--json")[1])["rows"] == []


@pytest.mark.parametrize("statement", ["SELEC 1", "SELECT nothing FROM ohlcv", "SELECT * FROM '{}'"])
def test_what_is_no_question_about_it_is_refused(
    run: Run,
    store: SqliteHistory,
    tmp_path: Path,
    statement: str,
) -> None:
    (tmp_path / "secret.csv").write_text("a,b\n1,2\n")
    code, out, err = run("sql", statement.format(tmp_path / "secret.csv"))
    assert code == 2 and out == "" and "tables: ohlcv, provisional, series, coverage, gaps, actions" in err


def test_without_the_extra_it_is_named(
    run: Run,
    store: SqliteHistory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "duckdb", None)
    code, _, err = run("sql", ASKED)
    assert code == 2 and "pip install 'livecache[sql]'" in err


def test_jobs_are_watched_until_nothing_is_left_to_do(
    store: SqliteHistory, series: int, clock: HandClock, capsys: pytest.CaptureFixture[str]
) -> None:
    wants = [Want(series, minute(0), minute(100)), Want(series, minute(200), minute(300))]
    first, second = store.submit(wants).jobs

    def work() -> None:
        if not (job := store.claim("somebody")):
            return
        start = (job.want.start - minute(0)) // 60_000
        if job.id == first:
            put(store, series, start, start + 100, job.lease)
            store.settle(job.lease, Outcome.SUCCEEDED)
        else:
            store.settle(job.lease, Outcome.FAILED, "the venue does not know BTC-USD")

    watch_jobs(Place(store.path), (), count=100, as_json=False, pause=work)
    lines = [line.partition(" ")[2] for line in capsys.readouterr().out.splitlines()]
    new = f"{len(market(0, 100)):,}"
    assert lines == [
        f"job {first} venue:BTC-USD 1m pending, 0 candles new",
        f"job {second} venue:BTC-USD 1m pending, 0 candles new",
        f"job {first} venue:BTC-USD 1m pending -> succeeded, {new} candles new",
        f"job {second} venue:BTC-USD 1m pending -> failed: the venue does not know BTC-USD",
    ]
    watch_jobs(Place(store.path), (), count=100, as_json=True, pause=work)
    (look,) = map(json.loads, capsys.readouterr().out.splitlines())
    assert {job["state"] for job in look["jobs"]} == {"succeeded", "failed"}
