"""Closed hours are no gap: nobody asks for them, and whatever is taken away leaves none behind."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from livecache import Reader
from livecache.history.sqlite.store import SqliteHistory
from livecache.history.store import JobState, Want
from livecache.model.coverage import Coverage
from livecache.model.series import SeriesId
from livecache.model.timeframe import Timeframe

from .bourse import DAY, NAME, SESSIONS, Bourse, Filling
from .test_damage import spoil

HOUR = 3_600_000


@pytest.fixture
def filling(tmp_path: Path) -> Filling:
    filled = Filling(tmp_path, Bourse(), ["AAPL"])
    filled.run()
    return filled


def number(store: SqliteHistory) -> int:
    series = store.series(SeriesId(NAME, "AAPL", Timeframe.D1))
    assert series
    return series.id


def test_a_night_that_nobody_knows_is_neither_asked_for_nor_missing(filling: Filling) -> None:
    night = SESSIONS.end(SESSIONS.floor(filling.now - 20 * DAY))
    spoil(filling.path, "UPDATE coverage SET start = ?", night + 3 * HOUR)
    with closing(SqliteHistory.open(filling.path, lambda: filling.now)) as store:
        series, first = number(store), SESSIONS.ceil(filling.span.start)
        store.submit([Want(series, first, night + HOUR)])
    asked = len(filling.bourse.asked)
    filling.run(until_s=600)
    assert {job.state for job in filling.jobs()} == {JobState.SUCCEEDED}
    assert len(filling.bourse.asked) - asked <= 3
    with Reader(history=f"sqlite:///{filling.path}") as reader:
        years = reader.history("AAPL", "1d", first, filling.final)
        assert not years.missing and years.time.tolist() == SESSIONS.opens(first, filling.final)


@pytest.mark.parametrize("what", ["uncover", "drop", "damage"])
def test_what_is_taken_away_is_whole_sessions(filling: Filling, what: str) -> None:
    edge = SESSIONS.end(SESSIONS.floor(filling.now - 20 * DAY)) + 3 * HOUR
    with closing(SqliteHistory.open(filling.path, lambda: filling.now)) as store:
        series = number(store)
        (before,) = store.coverage(series)
        if what == "uncover":
            store.uncover(series, Coverage([(edge - 5 * DAY, edge)]))
        elif what == "drop":
            store.drop(series, edge)
        else:
            spoil(filling.path, "UPDATE blocks SET data = x''")
            store.heal(series)
        for start, end in store.coverage(series):
            assert (start, end) == (SESSIONS.end_before(SESSIONS.ceil(start)), SESSIONS.closed(end))
    filling.run(until_s=600)
    rows, coverage = filling.held("AAPL")
    assert coverage.covers(SESSIONS.ceil(filling.span.start), SESSIONS.closed(filling.final))
    assert coverage.spans[-1].end == before.end and len(coverage.spans) == 1
    assert [row.time for row in rows] == SESSIONS.opens(rows[0].time, before.end)
