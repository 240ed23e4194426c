"""A file that an older livecache made opens as it is, and what is stored in it stays."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from livecache.history.columns import NO_ROWS
from livecache.history.sqlite.schema import SCHEMA
from livecache.history.sqlite.store import SqliteHistory
from livecache.history.store import NONE, Want

from .support import HandClock, covered, market, minute, number_of, opened, put, same

FIRST = (Path(__file__).parent / "schema_1.sql").read_text()


def tables(path: Path) -> set[tuple[str, str]]:
    """What is in a file, of any schema."""
    db = sqlite3.connect(path)
    found = db.execute(
        "SELECT m.name, group_concat(i.name || ' ' || i.type || ' ' || i.\"notnull\") FROM sqlite_master m"
        " JOIN pragma_table_info(m.name) i WHERE m.type = 'table' GROUP BY m.name"
    ).fetchall()
    db.close()
    return set(found)


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A file of schema 1 with a hundred minutes and a job for more."""
    made = opened(tmp_path)
    series = number_of(made)
    put(made, series, 0, 100)
    made.submit([Want(series, minute(0), minute(200))])
    new = sqlite3.connect(tmp_path / "history.db")
    path = tmp_path / "old.db"
    db = sqlite3.connect(path)
    db.executescript(FIRST)
    for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
        columns = [f'"{column}"' for _, column, *_ in db.execute(f"PRAGMA table_info({name})")]
        rows = new.execute(f"SELECT {', '.join(columns)} FROM {name}").fetchall()
        db.executemany(f"INSERT INTO {name} VALUES ({', '.join('?' * len(columns))})", rows)
    db.commit()
    db.close()
    new.close()
    made.close()
    return path


def test_a_file_of_the_first_schema_is_brought_up_to_date_by_whoever_may_write(
    old: Path, tmp_path: Path
) -> None:
    store = SqliteHistory.open(old, HandClock())
    assert store.one("PRAGMA user_version") == (SCHEMA,)
    assert same(store.read(1, minute(0), minute(100)).rows.candles(), market(0, 100))
    job = store.claim("somebody")
    assert job and store.missing(job.id) == covered(100, 200)
    put(store, 1, 100, 200, job.lease)
    assert store.missing(job.id).spans == () and list(store.verify()) == []
    store.close()
    assert tables(old) == tables(tmp_path / "history.db"), "as one that was made today"


def test_a_reader_reads_a_file_of_the_first_schema_and_leaves_it(old: Path) -> None:
    before = old.read_bytes()
    reader = SqliteHistory.open(old, read_only=True)
    answer = reader.read(1, minute(0), minute(200), provisional=True)
    assert same(answer.rows.candles(), market(0, 100)) and answer.provisional.spans == ()
    (job,) = reader.jobs()
    assert reader.missing(job.id) == covered(100, 200)
    assert [each.provisional for each in reader.stats()] == [0]
    assert old.read_bytes() == before
    writer = SqliteHistory.open(old, HandClock())
    row = market(150, 151, quiet=0)[0]
    writer.commit(1, NO_ROWS, NONE, shown={row.time: row})
    reader.check()  # as each read begins
    answer = reader.read(1, minute(0), minute(200), provisional=True)
    assert answer.provisional == covered(150, 151), "a writer has brought it up to date meanwhile"
    writer.close()
    reader.close()
