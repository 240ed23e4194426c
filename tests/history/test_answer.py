"""Two tiers read as one, and bigger candles added up: the same as if all had been in one place, exactly."""

from __future__ import annotations

from collections.abc import Callable
from itertools import groupby

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from livecache.history.answer.derive import derive
from livecache.history.answer.seam import NOTHING, Seam, Source, gather, over
from livecache.history.columns import NO_ROWS, Columns, Decimals, within
from livecache.history.store import Answer
from livecache.model.candle import ExactCandle
from livecache.model.coverage import Coverage, Span
from livecache.model.rollup import roll_up
from livecache.model.series import SeriesId
from livecache.model.timeframe import Timeframe

from .drawing import numbers
from .support import KEY, MINUTE, START, covered, market, minute, same


def told(start: int, end: int, *, of: int = 1) -> Answer:
    """What a tier says that knows these minutes."""
    return Answer(Columns.of(market(start, end, of=of)), covered(start, end), 1, 1)


class World:
    """A service that settles into Redis, copies that into the history, and trims what is copied."""

    def __init__(self, steps: list[tuple[str, int]]) -> None:
        self.hot_from, self.settled, self.copied, self.asked = 40, 100, 60, 0
        self._steps = iter(steps)

    def work(self) -> None:
        kind, count = next(self._steps, ("", 0))
        if kind == "settle":
            self.settled += count
        elif kind == "copy":
            self.copied = self.settled
        elif kind == "trim":
            self.hot_from = min(self.copied, self.hot_from + count)

    def tier(self, known: Callable[[], tuple[int, int]]) -> Callable[[SeriesId, int, int], Answer]:
        def asked(_: SeriesId, start: int, end: int) -> Answer:
            self.asked += 1
            self.work()
            first, last = known()
            first, last = max(first, (start - START) // MINUTE), min(last, (end - START) // MINUTE)
            answer = told(first, last) if first < last else NOTHING
            self.work()
            return answer

        return asked


STEPS = st.lists(st.tuples(st.sampled_from(["settle", "copy", "trim"]), st.integers(1, 60)), max_size=8)


@given(STEPS)
def test_nothing_falls_between_the_tiers_whatever_moves_while_they_are_read(
    steps: list[tuple[str, int]],
) -> None:
    world = World(steps)
    seam = Seam(world.tier(lambda: (world.hot_from, world.settled)), world.tier(lambda: (0, world.copied)))
    answer = seam.read(KEY, minute(0), minute(100))
    assert answer.coverage == covered(0, 100) and same(answer.rows.candles(), market(0, 100))
    assert world.asked == 2, "it needs no second look"


def test_what_redis_knows_counts_and_what_is_missing_is_looked_for_once_more() -> None:
    answers = iter([told(50, 80, of=2), told(0, 60), NOTHING, told(80, 90)])

    def tier(*_: object) -> Answer:
        return next(answers)

    answer = Seam(tier, tier).read(KEY, minute(0), minute(100))
    assert answer.coverage == covered(0, 90)
    assert same(answer.rows.candles(), [*market(0, 50), *market(50, 80, of=2), *market(80, 90)])


def test_a_bucket_that_redis_knows_to_be_empty_stays_so() -> None:
    emptied = Answer(NO_ROWS, covered(10, 20), 0, 0)
    answer = over(emptied, told(0, 30))
    assert same(answer.rows.candles(), [*market(0, 10), *market(20, 30)])


ROWS = st.lists(st.tuples(st.integers(0, 59), *[numbers] * 5), max_size=30, unique_by=lambda row: row[0])
SPANS = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), max_size=4)


@given(ROWS, SPANS, st.sampled_from([Timeframe.M5, Timeframe.M15, Timeframe.H1]))
def test_a_parent_is_the_exact_sum_of_its_children_and_known_if_all_of_them_are(
    rows: list[tuple[int, str, str, str, str, str]], spans: list[tuple[int, int]], bigger: Timeframe
) -> None:
    coverage = Coverage((minute(start), minute(end)) for start, end in spans)
    children = [ExactCandle(minute(n), *texts) for n, *texts in sorted(rows) if minute(n) in coverage]
    sums, known = derive(Columns.of(children), coverage, bigger.grid)
    parents = range(minute(0), minute(60), bigger.ms)
    assert known == Coverage((p, p + bigger.ms) for p in parents if coverage.covers(p, p + bigger.ms))
    grouped = groupby(children, key=lambda child: bigger.floor(child.time))
    expected = [roll_up(parent, [*group]) for parent, group in grouped if parent in known]
    assert same(sums.candles(), [each for each in expected if each])


def test_months_are_added_up_from_days_of_any_number() -> None:
    days = [ExactCandle(day * 86_400_000, "1", "2", "0.5", "1.5", "0.1") for day in range(365)]
    coverage = Coverage([(0, 365 * 86_400_000)])
    sums, known = derive(Columns.of(days), coverage, Timeframe.MN1.grid)
    assert [row.volume for row in sums.candles()][:4] == ["3.1", "2.8", "3.1", "3"]
    assert known == coverage


def test_volumes_whose_sum_does_not_fit_into_64_bits_are_added_up_all_the_same() -> None:
    big = "999999999999999999"
    rows = Columns.of(ExactCandle(minute(n), "1", "1", "1", "1", big) for n in range(60))
    (row,) = derive(rows, covered(0, 60), Timeframe.H1.grid)[0].candles()
    assert row.volume == str(60 * int(big))


@pytest.mark.parametrize("bigger", [Timeframe.H1, Timeframe.H6, Timeframe.D1, Timeframe.W1, Timeframe.MN1])
def test_what_is_added_up_part_by_part_is_the_same_as_at_once(bigger: Timeframe) -> None:
    """Weeks and months begin where no part does."""
    random = np.random.default_rng(1)
    times = minute(0) + np.flatnonzero(random.random(100 * 1_440) < 0.5) * MINUTE
    numbers = [Decimals(random.integers(1, 10**6, len(times)), 2) for _ in range(5)]
    rows, spans = Columns(times, *numbers), covered(77, 70_000) | covered(70_500, 100 * 1_440)

    def stored(_: SeriesId, start: int, end: int) -> Answer:
        known = spans.clip(start, end)
        return Answer(rows.clip(start, end).take(within(rows.clip(start, end).time, known)), known, 1, 1)

    start, end = bigger.grid.floor(minute(0)), bigger.grid.end(bigger.grid.floor(minute(100 * 1_440) - 1))
    seam = Seam(lambda *_: NOTHING, stored)
    answer = Source(KEY, bigger.grid, derives=True).read(seam, start, end)
    at_once, known = derive(rows.take(within(times, spans)), spans, bigger.grid)
    assert answer.coverage == known and len(answer.rows) and same(answer.rows.candles(), at_once.candles())


@pytest.mark.parametrize("gap", [(70, 71), (120, 180)])
def test_what_a_series_lacks_is_added_up_where_all_parts_are_there(gap: tuple[int, int]) -> None:
    hours = KEY._replace(timeframe=Timeframe.H1)
    minutes = Coverage([(minute(0), minute(600))]).remove(minute(gap[0]), minute(gap[1]))

    def stored(series: SeriesId, start: int, end: int) -> Answer:
        if series == hours:
            rows, known = derive(Columns.of(market(0, 60)), covered(0, 60), Timeframe.H1.grid)
            return Answer(rows.clip(start, end), known.clip(start, end), 7, 7)
        known = minutes.clip(start, end)
        rows = Columns.of(row for row in market(0, 600) if row.time in known)
        return Answer(rows, known, 8, 8)

    seam = Seam(lambda *_: NOTHING, stored)
    sources = [Source(hours, Timeframe.H1.grid, False), Source(KEY, Timeframe.H1.grid, True)]
    answer, derived_from = gather(seam, sources, Span(minute(0), minute(600)))
    hour = gap[0] // 60 * 60
    assert answer.coverage == Coverage([(minute(0), minute(600))]).remove(minute(hour), minute(hour + 60))
    assert derived_from is Timeframe.M1 and answer.rev == 8
