"""Properties P19 and P21 of request 001: what is wrong is found, and completeness is by the calendar."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from livecache.equities.calendar import calendar_named
from livecache.history.columns import Columns
from livecache.history.sqlite.store import SqliteHistory
from livecache.history.store import SeriesInfo
from livecache.model.candle import ExactCandle, rejection
from livecache.model.coverage import Coverage
from livecache.model.grid import Grid, SessionGrid
from livecache.model.series import SeriesId
from livecache.model.timeframe import Timeframe
from livecache.quality.history.check import Check
from livecache.quality.history.findings import Kind, Rules
from livecache.quality.history.report import Report

from .support import opened

D1, H1 = Timeframe.D1, Timeframe.H1
YEAR_MS = 365 * D1.ms
NUMBERS = count()

exchanges = st.sampled_from(["XNYS", "XLON", "XTKS", "XASX", "XHKG"])
timeframes = st.sampled_from([D1, H1, Timeframe.W1])
starts = st.integers(30 * YEAR_MS, 55 * YEAR_MS)


@pytest.fixture(scope="module")
def store() -> Iterator[SqliteHistory]:
    with TemporaryDirectory() as folder:
        held = opened(Path(folder))
        yield held
        held.close()


def fresh(store: SqliteHistory, calendar: str, timeframe: Timeframe) -> SeriesInfo:
    key = SeriesId("shares", f"S{next(NUMBERS)}", timeframe)
    made = store.series(key, create=True, grid_text=calendar)
    assert made
    return made


def checked(store: SqliteHistory, series: SeriesInfo) -> Report:
    check = Check(store, Rules())
    check.take(series)
    return check.report(path="", checked_at=0, top=1_000)


def flat(time: int) -> ExactCandle:
    return ExactCandle(time, "10", "11", "9", "10", "5")


def some_opens(grid: Grid, start: int) -> list[int]:
    return [grid.after(start, n) for n in range(60)]


def stretch(grid: Grid, start: int, end: int) -> tuple[int, int]:
    """With the closed hours before each of these buckets, which they own."""
    return grid.end_before(start), grid.end(end)


VIOLATIONS: dict[str, tuple[dict[str, str], Kind]] = {
    "a price of nothing": ({"low": "0"}, Kind.OHLCV),
    "a price below nothing": ({"low": "-9"}, Kind.OHLCV),
    "a volume below nothing": ({"volume": "-1"}, Kind.OHLCV),
    "an open above the high": ({"open": "11.01"}, Kind.OHLCV),
    "a close above the high": ({"close": "12"}, Kind.OHLCV),
    "an open below the low": ({"open": "8.99"}, Kind.OHLCV),
    "a close below the low": ({"close": "1"}, Kind.OHLCV),
    "a high below the low": ({"high": "8", "open": "8.5", "close": "8.5"}, Kind.OHLCV),
    "a time between two opens": ({}, Kind.MISALIGNED),
}


@settings(max_examples=25)
@given(exchanges, timeframes, starts, st.data())
def test_P19_validation_finds_each_violation_and_no_other(
    store: SqliteHistory, exchange: str, timeframe: Timeframe, start: int, data: st.DataObject
) -> None:
    series = fresh(store, exchange, timeframe)
    opens = some_opens(series.grid, start)
    kinds = st.sampled_from(sorted(VIOLATIONS))
    wrong = data.draw(st.dictionaries(st.integers(0, len(opens) - 1), kinds, max_size=4))
    rows = []
    for place, time in enumerate(opens):
        row = flat(time)
        if place in wrong:
            fields, kind = VIOLATIONS[wrong[place]]
            at = time + 60_000 if kind is Kind.MISALIGNED else time
            row = msgspec.structs.replace(flat(at), **fields)
        assert (rejection(row, timeframe, None, series.grid) is not None) is (place in wrong), "on the way in"
        rows.append(row)
    store.commit(series.id, Columns.of(rows), Coverage([stretch(series.grid, opens[0], opens[-1])]))
    report = checked(store, store.info(series.id))
    found = {(one.start, one.kind) for one in report.findings if one.kind is not Kind.MISSING}
    assert found == {(opens[place], VIOLATIONS[name][1]) for place, name in wrong.items()}
    assert len(report.findings) == len(wrong), "and in what is stored"


@given(
    st.sampled_from(["open", "high", "low", "close", "volume"]),
    st.sampled_from(["", " ", "null", "None", "nan", "inf", "1,5", "--"]),
)
def test_P19_a_row_without_one_of_its_numbers_is_refused(field: str, value: str) -> None:
    row = flat(D1.ms)
    assert rejection(row, D1, None) is None
    assert rejection(msgspec.structs.replace(row, **{field: value}), D1, None) is not None


@settings(max_examples=25)
@given(exchanges, timeframes, starts, st.data())
def test_P21_completeness_is_records_by_expected_sessions(
    store: SqliteHistory, exchange: str, timeframe: Timeframe, start: int, data: st.DataObject
) -> None:
    """Of a series and of its months, whatever is absent or missing; holidays and nights do not count."""
    series = fresh(store, exchange, timeframe)
    opens = some_opens(series.grid, start)
    states = st.lists(st.sampled_from("rrrram"), min_size=len(opens), max_size=len(opens))
    state = ["r", *data.draw(states)[2:], "r"]
    now = [*zip(opens, state, strict=True)]
    known = Coverage(stretch(series.grid, time, time) for time, is_now in now if is_now != "m")
    store.commit(series.id, Columns.of(flat(time) for time, is_now in now if is_now == "r"), known)
    report = checked(store, store.info(series.id))
    (line,) = report.series
    counted = {name: state.count(name) for name in "ram"}
    assert (line.rows, line.absent, line.missing) == (counted["r"], counted["a"], counted["m"])
    assert (line.expected, line.known) == (len(opens), counted["r"] + counted["a"])
    assert line.completeness_percent == pytest.approx(100 * counted["r"] / len(opens), abs=0.011)
    assert (line.completeness_percent == 100) is (counted["r"] == len(opens))
    lacking = [month for month in report.months if month.rows < month.expected]
    assert lacking == report.months
    assert sum(month.expected - month.rows for month in lacking) == counted["a"] + counted["m"]
    assert sum(month.absent for month in lacking) == counted["a"]
    assert sum(month.missing for month in lacking) == counted["m"]


def test_P21_what_a_calendar_expects_is_what_its_exchange_held() -> None:
    """2025 in New York: 250 sessions, of 261 weekdays; 1,736 hours, three of whose days end at 13:00."""
    calendar = calendar_named("XNYS")
    assert calendar
    start, end = 55 * YEAR_MS + 14 * D1.ms, 56 * YEAR_MS + 14 * D1.ms
    assert calendar.sessions.count(start, end) == 250
    hours = calendar.grid(H1)
    assert isinstance(hours, SessionGrid) and hours.count(start, end) == 247 * 7 + 3 * 4
