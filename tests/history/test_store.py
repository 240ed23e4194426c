"""What the embedded store promises beyond the model: any order, readers beside writers, copies, upkeep."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from random import Random

import pytest

from livecache.errors import StoreUnusable
from livecache.history.columns import Columns
from livecache.history.records.log import LogEntry, LogStore
from livecache.history.sqlite.store import SqliteHistory
from livecache.history.store import HistoryStore, JobStore
from livecache.model.coverage import Coverage

from .support import HandClock, covered, market, minute, number_of, opened, put, same


def blocks(store: SqliteHistory) -> list[tuple[int, bytes]]:
    with store.reading() as db:
        return db.execute("SELECT block, data FROM blocks ORDER BY block").fetchall()


def test_it_is_what_the_protocols_promise(store: SqliteHistory) -> None:
    history: HistoryStore = store
    jobs: JobStore = store
    log: LogStore = store
    assert history and jobs and log


@pytest.mark.parametrize("seed", range(2))
def test_pages_in_any_order_and_more_than_once_make_the_same_bytes(
    store: SqliteHistory, tmp_path: Path, seed: int
) -> None:
    series, random = number_of(store), Random(seed)
    pages = [(n, n + 170) for n in range(-340, 2_040, 170)] * 2 + [(-100, 900), (1_300, 1_600)]
    random.shuffle(pages)
    for start, end in pages:
        put(store, series, start, end)
    (tmp_path / "at-once").mkdir()
    at_once = opened(tmp_path / "at-once")
    put(at_once, number_of(at_once), -340, 2_040)
    assert blocks(store) == blocks(at_once)
    assert store.coverage(series) == covered(-340, 2_040) == at_once.coverage(1)
    assert list(store.revisions(series, 0, 1 << 60)) == []
    at_once.close()


def test_a_copy_is_whole_and_another_store(store: SqliteHistory, series: int, tmp_path: Path) -> None:
    put(store, series, 0, 3_000)
    (tmp_path / "copy").mkdir()
    store.backup(tmp_path / "copy" / "history.db")
    with pytest.raises(StoreUnusable, match="already"):
        store.backup(tmp_path / "copy" / "history.db")
    put(store, series, 3_000, 3_100)
    copy = opened(tmp_path / "copy")
    assert copy.coverage(series) == covered(0, 3_000) and list(copy.verify()) == []
    assert same(copy.read(series, minute(0), minute(3_000)).rows.candles(), market(0, 3_000))
    put(copy, series, 3_000, 3_010)
    copy.close()
    assert [path.name for path in (tmp_path / "copy").iterdir() if "unfinished" in path.name] == []


def test_room_that_is_not_used_any_more_is_given_back(store: SqliteHistory, series: int) -> None:
    put(store, series, 0, 20_000)
    before = store.path.stat().st_size
    store.drop(series, minute(18_000))
    store.vacuum()
    assert store.path.stat().st_size < before / 2
    assert same(store.read(series, 0, 1 << 60).rows.candles(), market(18_000, 20_000))


def test_the_log_is_asked_by_job_and_series_and_has_a_bound(store: SqliteHistory, clock: HandClock) -> None:
    store.log([LogEntry(clock.now, "INFO", "page", f"{n}", job=n % 2, series=n % 3) for n in range(12)])
    assert [entry.message for entry in store.logged(limit=2)] == ["10", "11"]
    assert [entry.message for entry in store.logged(job=1, series=2)] == ["5", "11"]
    last = store.logged()[-1].id
    assert store.logged(after=last) == []
    with store.writing() as db:
        db.execute("UPDATE sqlite_sequence SET seq = 100000 WHERE name = 'log'")
    store.log([LogEntry(clock.now, "INFO", "page", f"later {n}") for n in range(5)])
    store.tidy()
    assert [entry.message for entry in store.logged()] == [
        *(f"{n}" for n in range(5, 12)),
        *(f"later {n}" for n in range(5)),
    ]


def test_it_is_one_plain_file_that_any_tool_opens(store: SqliteHistory, series: int, tmp_path: Path) -> None:
    put(store, series, 0, 100)
    assert [path.name for path in tmp_path.iterdir() if path.stat().st_size] == ["history.db"]
    with sqlite3.connect(store.path) as db:
        assert db.execute('SELECT start, "end" FROM coverage').fetchall() == [tuple(covered(0, 100).spans[0])]


@pytest.mark.parametrize("taken_back", ["uncovered", "dropped", "put aside"])
def test_what_was_taken_back_and_came_again_was_not_known_before(
    store: SqliteHistory, series: int, clock: HandClock, taken_back: str
) -> None:
    """Neither a candle where nothing had been traded, nor another than was told then."""
    clock.now = then = minute(10_000)
    store.commit(series, Columns.of(()), covered(0, 10))
    put(store, series, 10, 20)
    if taken_back == "uncovered":
        store.uncover(series, covered(0, 15))
    elif taken_back == "dropped":
        store.drop(series, minute(15))
    else:
        store.db.execute("UPDATE blocks SET data = zeroblob(9)")
        store.heal()
    clock.now += 7_200_000
    put(store, series, 0, 20, of=2)
    was = store.read(series, minute(0), minute(20), as_of=then)
    kept = Coverage() if taken_back == "put aside" else covered(15, 20)
    assert was.coverage == kept and same(was.rows.candles(), market(15, 20) if kept else [])
    assert store.read(series, minute(0), minute(20), as_of=clock.now).coverage == covered(0, 20)
