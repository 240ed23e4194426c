"""Multiples of timeframes: which names are some, and where their buckets begin."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from livecache.errors import UnknownTimeframe
from livecache.model.grid import DAY_MS, EpochGrid, MonthGrid, SessionGrid, read_grid
from livecache.model.timeframe import Multiple, Timeframe, readable, stored_of
from livecache.model.traits import Served, Traits

SIXTY_YEARS = datetime(2030, 1, 1, tzinfo=UTC).timestamp() * 1000


def test_a_timeframe_is_itself_and_a_multiple_is_named_as_one() -> None:
    assert [readable(t.value) for t in Timeframe] == list(Timeframe)
    several = readable("45m")
    assert isinstance(several, Multiple) and several == "45m" and several.ms == 45 * 60_000
    assert ("BTC-USD", several) in {("BTC-USD", "45m")}
    assert isinstance(readable("120m"), Multiple) and readable("120m").grid == Timeframe.H2.grid
    assert stored_of(Timeframe.H1) is Timeframe.H1


@pytest.mark.parametrize(
    ("name", "meant"),
    [("10min", "10m"), ("5min", "5m"), ("2D", "2d"), ("3mo", "3M"), ("0m", "1m"), ("4000d", "1w")],
)
def test_what_is_no_name_is_refused_with_one_that_is(name: str, meant: str) -> None:
    with pytest.raises(UnknownTimeframe, match=rf"did you mean {meant}\?.*or a whole multiple such as 45m"):
        readable(name)


@given(
    st.integers(1, 400),
    st.sampled_from("mhdwM"),
    st.integers(0, int(SIXTY_YEARS)),
    st.sampled_from(Timeframe),
)
def test_each_bucket_is_so_many_of_what_it_is_added_up_from(
    count: int, unit: str, time: int, source: Timeframe
) -> None:
    try:
        several = Multiple(readable(f"{count}{unit}"))
    except UnknownTimeframe:
        return
    its = several.added_up(source, source.grid, {})
    assert (its is not None) == source.grid.divides(several.grid)
    if its is None:
        return
    bucket = its.grid.floor(time)
    assert its.grid == several.grid and bucket <= time < its.grid.end(bucket)
    assert bucket in source.grid and its.grid.end(bucket) in source.grid
    units = Timeframe(f"1{unit}").grid
    assert units.count(bucket, its.grid.end(bucket)) == count
    if unit in "mhd":
        assert bucket % its.ms == 0, "counted from 1970"
    if unit == "w":
        assert datetime.fromtimestamp(bucket / 1000, UTC).weekday() == 0
    if unit == "M" and count <= 12 and 12 % count == 0:
        assert datetime.fromtimestamp(bucket / 1000, UTC).month % count == 1 % count, (
            "the year's first is one"
        )


def test_a_venues_own_days_weeks_and_sessions_stay_its_own() -> None:
    eight, sunday = EpochGrid(DAY_MS, 8 * 3_600_000), EpochGrid(7 * DAY_MS, 3 * DAY_MS)
    day, week, fortnight = Multiple("2d"), Multiple("1w"), Multiple("2w")
    made = day.added_up(Timeframe.D1, eight, {})
    assert made is not None and made.grid == EpochGrid(2 * DAY_MS, 8 * 3_600_000)
    assert week.added_up(Timeframe.D1, eight, {}) is None, "Monday 00:00 is the middle of such a day"
    made = fortnight.added_up(Timeframe.D1, Timeframe.D1.grid, {Timeframe.W1: sunday})
    assert made is not None and made.grid == EpochGrid(14 * DAY_MS, 3 * DAY_MS)
    made = Multiple("1d").added_up(Timeframe.H1, Timeframe.H1.grid, {Timeframe.D1: eight})
    assert made is not None and made.grid == eight
    halves = EpochGrid(12 * 3_600_000, 8 * 3_600_000)
    assert Multiple("24h").added_up(Timeframe.H12, halves, {}) is None, "whatever is kept, 24h begin at 00:00"
    minutes = SessionGrid((DAY_MS, 2 * DAY_MS), (DAY_MS + 3_600_000, 2 * DAY_MS + 3_600_000), 300_000)
    made = Multiple("45m").added_up(Timeframe.M5, minutes, {})
    assert made is not None and [*made.grid.opens(DAY_MS, 2 * DAY_MS)] == [DAY_MS, DAY_MS + 2_700_000]
    assert Multiple("2d").added_up(Timeframe.M5, minutes, {}) is None
    assert minutes.within(0).times(2) is None and minutes.within(0).times(1) is not None
    assert MonthGrid().times(3) == MonthGrid(3)


def test_readers_are_told_of_what_is_unusual_only() -> None:
    served = {Timeframe.H1: Served(100)}
    assert Traits(served).told() == {}
    eight = EpochGrid(DAY_MS, 8 * 3_600_000)
    minutes = SessionGrid((DAY_MS,), (2 * DAY_MS,), 300_000)
    own = {Timeframe.D1: eight, Timeframe.M5: minutes}
    told = Traits(served, grids=own, sums_below=Timeframe.D1).told()
    assert told == {"grids": '{"1d":"86400000 from 28800000"}', "sums_below": "1d"}
    assert read_grid("86400000 from 28800000") == eight
