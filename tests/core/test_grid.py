"""Where buckets begin and end: every operation of every kind, against a plain list of buckets."""

from __future__ import annotations

import itertools
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from livecache.errors import OutsideCalendar
from livecache.model.grid import WEEKS, EpochGrid, Grid, MonthGrid, SessionGrid, read_grid
from livecache.model.timeframe import Timeframe
from tests.sizes import examples

MINUTE = 60_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR

# Sixty years, with leap days, and the year 2000 among them.
FIRST, LAST = date(1970, 1, 1), date(2030, 1, 1)
times = st.integers(800 * DAY, (LAST - FIRST).days * DAY - 800 * DAY)
lengths = st.integers(0, 30)


def ms(day: date, minutes: int = 0) -> int:
    return (day - date(1970, 1, 1)).days * DAY + minutes * MINUTE


class Bucket(NamedTuple):
    open: int
    end: int


def days() -> Iterator[date]:
    return (FIRST + timedelta(n) for n in range((LAST - FIRST).days))


def new_york() -> Iterator[Bucket]:
    """From 09:30 to 16:00 in a city with summer time, holidays and half days."""
    for day in days():
        if day.weekday() >= 5 or (day.month, day.day) in {(1, 1), (7, 4), (12, 25)}:
            continue
        summer = date(day.year, 3, 10) <= day < date(day.year, 11, 3)
        half = (day.month, day.day) in {(7, 3), (12, 24)}
        opening = (13 if summer else 14) * 60 + 30
        length = 210 if half else 390
        yield Bucket(ms(day, opening), ms(day, opening + length))


SESSIONS = tuple(new_york())
NEW_YORK = SessionGrid(tuple(b.open for b in SESSIONS), tuple(b.end for b in SESSIONS))


def parts(step: int) -> Iterator[Bucket]:
    for opening, closing in SESSIONS:
        for open_ in range(opening, closing, step):
            yield Bucket(open_, min(open_ + step, closing))


def weeks_of_new_york() -> list[Bucket]:
    weeks = itertools.groupby(SESSIONS, key=lambda b: (b.open - 4 * DAY) // (7 * DAY))
    return [Bucket(of[0].open, of[-1].end) for of in (list(group) for _, group in weeks)]


def gapless(opens: Iterator[int]) -> Iterator[Bucket]:
    return itertools.starmap(Bucket, itertools.pairwise(opens))


def every(step: timedelta, first: datetime) -> Iterator[int]:
    while first.date() <= LAST + 2 * step:
        yield int(first.timestamp() * 1000)
        first += step


def months(n: int) -> Iterator[int]:
    for month in range(0, (LAST.year - FIRST.year) * 12 + 2 * n + 1, n):
        yield ms(date(FIRST.year + month // 12, month % 12 + 1, 1))


WEEKS_OF_NEW_YORK = weeks_of_new_york()
KINDS: dict[str, Callable[[], tuple[Grid, list[Bucket]]]] = {
    "days": lambda: (EpochGrid(DAY), [*gapless(every(timedelta(1), datetime(1970, 1, 1, tzinfo=UTC)))]),
    "days from 08:00": lambda: (
        EpochGrid(DAY, 8 * HOUR),
        [*gapless(every(timedelta(1), datetime(1970, 1, 1, 8, tzinfo=UTC)))],
    ),
    "three days": lambda: (
        EpochGrid(3 * DAY, DAY),
        [*gapless(every(timedelta(3), datetime(1970, 1, 2, tzinfo=UTC)))],
    ),
    "weeks": lambda: (WEEKS, [*gapless(every(timedelta(7), datetime(1970, 1, 5, tzinfo=UTC)))]),
    "months": lambda: (MonthGrid(), [*gapless(months(1))]),
    "quarters": lambda: (MonthGrid(3), [*gapless(months(3))]),
    "years": lambda: (MonthGrid(12), [*gapless(months(12))]),
    "sessions": lambda: (NEW_YORK, list(SESSIONS)),
    "hours of sessions": lambda: (NEW_YORK.within(HOUR), [*parts(HOUR)]),
    "45 minutes of sessions": lambda: (NEW_YORK.within(45 * MINUTE), [*parts(45 * MINUTE)]),
    "steps longer than a session": lambda: (NEW_YORK.within(12 * HOUR), list(SESSIONS)),
    "weeks of sessions": lambda: (
        SessionGrid(tuple(b.open for b in WEEKS_OF_NEW_YORK), tuple(b.end for b in WEEKS_OF_NEW_YORK)),
        WEEKS_OF_NEW_YORK,
    ),
}


@cache
def of(kind: str) -> tuple[Grid, list[Bucket]]:
    """A grid of that kind, and its buckets; a quarter of a million of them, when first asked for."""
    return KINDS[kind]()


kinds = st.sampled_from(list(KINDS))


@cache
def opens_of(kind: str) -> list[int]:
    return [b.open for b in of(kind)[1]]


@cache
def ends_of(kind: str) -> list[int]:
    return [b.end for b in of(kind)[1]]


@settings(deadline=None, max_examples=examples(1000))
@given(kinds, times, lengths, st.data())
def test_each_operation_finds_in_the_list_what_it_says(
    kind: str, time: int, n: int, data: st.DataObject
) -> None:
    grid, buckets = of(kind)
    opens, ends = opens_of(kind), ends_of(kind)
    if data.draw(st.booleans()):  # on a boundary, where the errors are
        at = data.draw(st.sampled_from([*buckets[bisect_left(opens, time)]]))
        time = at + data.draw(st.sampled_from([-1, 0, 1]))
    here = bisect_right(opens, time) - 1
    following = bisect_left(opens, time)
    assert grid.floor(time) == opens[here]
    assert grid.ceil(time) == opens[following]
    assert (time in grid) is (opens[here] == time)
    assert grid.bounds(time) is (time in grid or grid.closed(time) == time)
    assert grid.end(opens[here]) == ends[here]
    assert grid.end_before(opens[here]) == ends[here - 1]
    assert grid.closed(time) == ends[bisect_right(ends, time) - 1]
    far = min(n, here, len(opens) - 1 - here)
    assert grid.after(time, far) == opens[here + far]
    assert grid.back(time, far) == opens[following - far]
    until = time + data.draw(st.integers(-DAY, 40 * DAY))
    within = opens[following : bisect_left(opens, until)]
    assert list(grid.opens(time, until)) == within
    assert grid.count(time, until) == len(within)


@settings(deadline=None)
@given(kinds, times, lengths)
def test_buckets_follow_each_other_and_own_all_time(kind: str, time: int, n: int) -> None:
    grid, _ = of(kind)
    bucket = grid.floor(time)
    assert grid.end_before(bucket) <= bucket < grid.end(bucket) <= grid.after(bucket)
    assert grid.end_before(grid.after(bucket)) == grid.end(bucket)
    assert grid.back(grid.after(bucket, n), n) == grid.after(grid.back(bucket, n), n) == bucket
    assert grid.count(bucket, grid.after(bucket, n)) == len(grid.opens(bucket, grid.after(bucket, n))) == n
    assert grid.opening(grid.number(time)) == bucket
    assert grid.ending(grid.number(time)) == grid.end(bucket)
    assert grid.closed(time) <= time
    assert grid.closed(grid.end(bucket)) == grid.end(bucket)
    assert grid.closed(grid.end(bucket) - 1) == grid.end_before(bucket)
    # What closed last is the last one that opens before its end: also where that end is no open.
    assert grid.end(grid.back(grid.closed(time))) == grid.closed(time)


@settings(deadline=None)
@given(st.sampled_from([t for t in Timeframe if t.ms <= DAY]), times, st.integers(-DAY, 20 * DAY), lengths)
def test_the_epoch_grid_is_todays_arithmetic(timeframe: Timeframe, time: int, more: int, n: int) -> None:
    grid, width = EpochGrid(timeframe.ms), timeframe.ms
    start, end = time - time % width, time + -time % width
    assert (grid.floor(time), grid.ceil(time), grid.closed(time)) == (start, end, start)
    assert (grid.end(start), grid.end_before(start)) == (start + width, start)
    assert (grid.after(time, n), grid.back(time, n)) == (start + n * width, end - n * width)
    assert (time in grid) is (time % width == 0)
    until = time + more - more % width
    assert grid.opens(end, until) == range(end, until, width)
    assert grid.count(start, start + n * width) == n == (start + n * width - start) // width
    # The general rules, which the fast ones leave out, say the same.
    for slow in (Grid.floor, Grid.ceil, Grid.closed, Grid.end, Grid.end_before):
        assert slow(grid, start) == getattr(grid, slow.__name__)(start)
        assert slow(grid, time) == getattr(grid, slow.__name__)(time) or slow in (Grid.end, Grid.end_before)
    assert Grid.opens(grid, time, until) == list(grid.opens(time, until))
    assert (Grid.after(grid, time, n), Grid.back(grid, time, n)) == (grid.after(time, n), grid.back(time, n))


@settings(deadline=None, max_examples=examples(300))
@given(kinds, kinds, times)
def test_what_divides_a_parent_adds_up_to_it(kind: str, other: str, time: int) -> None:
    child, parent = of(kind)[0], of(other)[0]
    if not child.divides(parent):
        return
    bucket = parent.floor(time)
    children = child.opens(bucket, parent.end(bucket))
    assert children[0] == bucket
    assert child.end_before(bucket) == parent.end_before(bucket)
    assert child.end(children[-1]) == parent.end(bucket)
    assert all(parent.floor(one) == bucket for one in children)


HOURS, MINUTES = EpochGrid(HOUR), EpochGrid(MINUTE)


@pytest.mark.parametrize(
    ("child", "parent", "divides"),
    [
        ("days", "weeks", True),
        ("days", "months", True),
        ("days", "three days", True),
        ("days", "days", True),
        ("months", "quarters", True),
        ("quarters", "years", True),
        ("months", "years", True),
        ("weeks", "months", False),
        ("months", "weeks", False),
        ("quarters", "months", False),
        ("weeks", "days", False),
        ("three days", "weeks", False),
        ("days", "days from 08:00", False),
        ("days from 08:00", "weeks", False),
        ("days from 08:00", "months", False),
        ("hours of sessions", "sessions", True),
        ("45 minutes of sessions", "sessions", True),
        ("45 minutes of sessions", "hours of sessions", False),
        ("hours of sessions", "weeks of sessions", True),
        ("sessions", "weeks of sessions", True),
        ("steps longer than a session", "sessions", True),
        ("sessions", "steps longer than a session", True),
        ("sessions", "hours of sessions", False),
        ("weeks of sessions", "sessions", False),
        ("sessions", "weeks", False),
        ("days", "sessions", False),
    ],
)
def test_what_divides_what(child: str, parent: str, divides: bool) -> None:
    assert of(child)[0].divides(of(parent)[0]) is divides


@settings(deadline=None)
@given(st.sets(st.integers(1, 8), min_size=1), st.integers(0, 9), st.integers(0, 9))
def test_what_divides_what_within_the_same_sessions_is_found_without_looking_at_each(
    hours: set[int], step: int, steps: int
) -> None:
    days = range(0, DAY * len(hours), DAY)
    sessions = SessionGrid(tuple(days), tuple(day + n * HOUR for day, n in zip(days, hours, strict=True)))
    child, parent = sessions.within(step * HOUR), sessions.within(steps * HOUR)
    looked_at = SessionGrid(tuple(days), sessions.closings, steps * HOUR)
    assert looked_at.openings is not child.openings
    assert child.divides(parent) is child.divides(looked_at)


def test_an_hour_divides_a_day_from_any_hour() -> None:
    assert HOURS.divides(EpochGrid(DAY, 8 * HOUR)) and HOURS.divides(WEEKS) and HOURS.divides(MonthGrid())
    assert not HOURS.divides(EpochGrid(DAY, 8 * HOUR + 1)) and not HOURS.divides(NEW_YORK.within(HOUR))
    assert not EpochGrid(5 * HOUR).divides(MonthGrid()) and not EpochGrid(HOUR, 1).divides(MonthGrid())


def test_an_exchanges_last_hour_of_the_day_is_a_shorter_one() -> None:
    hours, friday = NEW_YORK.within(HOUR), date(2019, 2, 1)
    opens = hours.opens(ms(friday), ms(friday, 24 * 60))
    assert [(t - ms(friday)) // MINUTE for t in opens] == [870, 930, 990, 1050, 1110, 1170, 1230]  # 14:30 …
    assert hours.end(opens[-1]) == ms(friday, 21 * 60)
    monday = ms(date(2019, 2, 4), 14 * 60 + 30)
    assert hours.after(opens[-1]) == monday
    # Monday's first hour owns the weekend, and no time on Sunday is overdue.
    assert hours.end_before(monday) == hours.closed(ms(date(2019, 2, 3))) == ms(friday, 21 * 60)


def test_a_time_outside_of_the_calendar_is_told() -> None:
    before, after = SESSIONS[0].open - 1, SESSIONS[-1].end
    for ask, time in ((NEW_YORK.floor, before), (NEW_YORK.after, after), (NEW_YORK.ceil, after)):
        with pytest.raises(OutsideCalendar, match="from 1970-01-02 to 2029-12-31"):
            ask(time)
    assert NEW_YORK.opens(before - DAY, after + DAY)[0] == SESSIONS[0].open
    assert NEW_YORK.count(before - DAY, after + DAY) == len(SESSIONS)
    assert NEW_YORK.ceil(before) == SESSIONS[0].open and NEW_YORK.closed(after) == after


def test_months_go_on_past_what_datetime_knows() -> None:
    assert MonthGrid().end(ms(date(9999, 12, 1))) == ms(date(9999, 12, 1)) + 31 * DAY
    assert MonthGrid().floor(-1) == ms(date(1969, 12, 1))
    assert MonthGrid(12).floor(ms(date(1600, 2, 29))) == ms(date(1600, 1, 1))


@pytest.mark.parametrize(
    "make",
    [
        lambda: EpochGrid(0),
        lambda: EpochGrid(DAY, DAY),
        lambda: EpochGrid(DAY, -1),
        lambda: MonthGrid(0),
        lambda: SessionGrid((), ()),
        lambda: SessionGrid((1,), (1,)),
        lambda: SessionGrid((1, 3), (2,)),
        lambda: SessionGrid((1, 3), (4, 5)),
        lambda: SessionGrid((1, 3), (2, 4), -1),
    ],
)
def test_what_is_no_grid_is_refused(make: Callable[[], Grid]) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        make()


def test_what_the_caller_goes_on_changing_moves_no_bucket() -> None:
    openings, closings = [10, 20], [15, 25]
    grid = SessionGrid(openings, closings)  # type: ignore[arg-type]
    openings[1] = 17
    assert grid.ceil(12) == 20


@settings(deadline=None)
@given(kinds, times, st.integers(0, 90 * DAY))
def test_a_grid_that_was_written_down_is_the_same_where_it_is_needed(kind: str, time: int, more: int) -> None:
    grid, _ = of(kind)
    told = read_grid(grid.text(time, time + more))
    end = time + more
    assert list(told.opens(time, end)) == list(grid.opens(time, end))
    assert told.closed(end) == grid.closed(end)
    assert told.due(end) == grid.due(end)
    assert told.floor(end) == grid.floor(end) and told.end(told.floor(end)) == grid.end(grid.floor(end))
    assert [told.end(t) for t in told.opens(time, end)] == [grid.end(t) for t in grid.opens(time, end)]


@pytest.mark.parametrize(
    "text",
    [
        *("", "x", "0 from 0", "5 from x", "1 months more", "1 weeks", "0 in 5", "0 in 5-4"),
        "0 in 5-253402300800000",  # which no date can be said of
    ],
)
def test_what_was_not_written_by_a_grid_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        read_grid(text)


@pytest.mark.parametrize("text", ["1 from 0", "299999 from 0", "1 in 0-9000000", "299999 in 0-9000000"])
def test_steps_shorter_than_expected_are_refused(text: str) -> None:
    read_grid(text)
    with pytest.raises(ValueError, match="shorter than 300000 ms"):
        read_grid(text, 300_000)


@pytest.mark.parametrize("text", ["300000 from 0", "300000 in 0-9000000", "0 in 0-9000", "1 months"])
def test_whole_sessions_and_months_are_as_long_as_they_are(text: str) -> None:
    assert read_grid(text, 300_000) == read_grid(text, 300_000)
