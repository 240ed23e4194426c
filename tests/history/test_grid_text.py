"""Where the buckets of a series lie is in the store: by step, by month, or by the sessions of an exchange."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from livecache.equities.calendar import calendar_named
from livecache.equities.written import calendar_of, grid_of, grid_text
from livecache.history.ordering import series_of
from livecache.history.sqlite.store import SqliteHistory
from livecache.model.grid import DAY_MS, EpochGrid, Grid, SessionGrid
from livecache.model.series import SeriesId
from livecache.model.timeframe import Timeframe
from livecache.model.traits import Served, Traits

HOUR = 3_600_000
D1, H1, W1 = Timeframe.D1, Timeframe.H1, Timeframe.W1


def sessions(*days: int) -> SessionGrid:
    opens = [day * DAY_MS + 14 * HOUR for day in days]
    return SessionGrid(tuple(opens), tuple(each + 6 * HOUR + 1_800_000 for each in opens))


def held(grid: Grid, timeframe: Timeframe = D1) -> Grid:
    return grid_of(grid_text(timeframe, grid), timeframe)


@given(
    st.lists(st.integers(1, 30_000), min_size=1, max_size=400, unique=True),
    st.sampled_from([0, 60_000, HOUR, 4 * HOUR]),
)
def test_sessions_are_the_same_when_they_are_read_again(days: list[int], step: int) -> None:
    grid = sessions(*sorted(days))
    grid = grid.within(step) if step else grid
    again = held(grid)
    assert isinstance(again, SessionGrid) and again is held(grid), "one calendar is one object"
    assert (again.openings, again.closings, again.step) == (grid.openings, grid.closings, grid.step)


def test_timeframes_of_one_calendar_stay_multiples_of_one_another() -> None:
    days = sessions(*range(1, 40_000))
    assert held(days.within(HOUR), H1).divides(held(days))
    assert len(grid_text(D1, days)) < 4_000


def test_a_calendar_of_ours_is_told_by_its_name() -> None:
    calendar = calendar_named("XNYS")
    assert calendar
    for timeframe in (H1, D1, W1):
        grid = calendar.grid(timeframe)
        assert grid_text(timeframe, grid, "XNYS") == "XNYS" and grid_of("XNYS", timeframe) is grid
    days = calendar.sessions
    own = SessionGrid(days.openings[:-1], days.closings[:-1])
    again = grid_of(grid_text(D1, own, "XNYS"), D1)
    assert isinstance(again, SessionGrid)
    assert again.openings == own.openings, "a calendar of the user's own by that name is told whole"
    told = grid_text(D1, own, "MY OWN", 1_900_000_000_000)
    assert isinstance(grid_of(told, D1), SessionGrid)
    assert calendar_of(told) == ("MY OWN", 1_900_000_000_000)
    assert calendar_of("XNYS") == ("XNYS", calendar.through)
    assert calendar_of("") is None and calendar_of("86400000 from 0") is None


def test_what_is_usual_needs_no_text() -> None:
    assert grid_text(D1, D1.grid) == "" and held(D1.grid) == D1.grid
    assert held(EpochGrid(DAY_MS, 8 * HOUR)) == EpochGrid(DAY_MS, 8 * HOUR)


@pytest.mark.parametrize(
    "text", ["0 packed", "0 packed eJw=", "x packed eJwzBAAAMgAy", "0 packed !! 0 ", "1 packed"]
)
def test_a_text_that_is_cut_off_or_foreign_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no grid"):
        grid_of(text, D1)


def test_a_stored_series_follows_the_calendar_as_it_learns(store: SqliteHistory) -> None:
    key, days = SeriesId("toy", "AAPL", D1), sessions(1, 2, 3, 6)
    traits = Traits({D1: Served(60)}, grids={D1: days})
    made = series_of(store, key, traits)
    assert made.grid.count(0, 7 * DAY_MS) == 4
    closed = Traits({D1: Served(60)}, grids={D1: sessions(1, 3, 6)})
    assert series_of(store, key, closed).id == made.id
    (info,) = store.all_series()
    assert info.grid.count(0, 7 * DAY_MS) == 3
    again = store.series(key, create=True)
    assert again and again.grid.count(0, 7 * DAY_MS) == 3, "nothing said, nothing changed"
