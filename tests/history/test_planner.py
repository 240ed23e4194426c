"""The planner: any venue's past is walked to the end, asked for once, and nothing is believed too soon."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from livecache.history.planner import APART_S, PageLength, Walk, Word, requests_left, unseen, word_of
from livecache.model.coverage import Coverage, Span
from livecache.model.grid import WEEKS, EpochGrid, Grid, MonthGrid
from tests.sizes import examples

MINUTE = 60_000
GRID = EpochGrid(MINUTE)
BEGIN = 26_000_000 * MINUTE


def span(first: int, end: int) -> Span:
    return Span(BEGIN + first * MINUTE, BEGIN + end * MINUTE)


@dataclass
class Past:
    """What a venue has: these buckets. It shows `at_most` rows, and refuses pages that are `too_long`."""

    traded: set[int]
    grid: Grid = GRID
    at_most: int = 10_000
    too_long: int = 10_000
    fails: float = 0.0
    prepends: bool = False
    lies: Callable[[Span, float], bool] = lambda asked, now_s: False
    chance: random.Random = field(default_factory=lambda: random.Random(1))
    asked: list[Span] = field(default_factory=list)

    def answer(self, asked: Span, now_s: float) -> list[int] | None:
        self.asked.append(asked)
        if self.grid.count(*asked) > self.too_long or self.chance.random() < self.fails:
            return None
        if self.lies(asked, now_s):
            return []
        rows = sorted(t for t in self.traded if asked.start <= t < asked.end)
        return rows[: self.at_most] if self.prepends else rows[-self.at_most :]


def walk_through(
    walk: Walk, past: Past, word: Callable[[Coverage], Word] = lambda _: Word.UNKNOWN
) -> set[int]:
    """Walk to the end, at most four pages in flight, answered in any order; the rows that came."""
    now_s, flying, got = 0.0, list[Span](), set[int]()
    for _ in range(50_000):
        while len(flying) < 4 and (asked := walk.next(now_s)) is not None:
            assert all(asked != other for other in flying)
            assert asked.end <= walk.wanted.spans[-1].end, "what comes then is not final"
            flying.append(asked)
        if not flying:
            if (wait_s := walk.wait_s(now_s)) is None:
                break
            now_s += wait_s
            continue
        now_s += 0.05
        asked = flying.pop(past.chance.randrange(len(flying)))
        rows = past.answer(asked, now_s)
        if rows is None:
            walk.failed(asked, "500", now_s)
            continue
        got.update(rows)
        found = walk.answered(asked, rows, (), ())
        walk.landed(asked, found.proven | walk.believe(found, word(found.silent), now_s))
    else:
        raise AssertionError("it never ends")
    return got


def wanted(first: int, end: int) -> Coverage:
    return Coverage([span(first, end)])


def opens(grid: Grid, stretch: Span) -> list[int]:
    return list(grid.opens(*stretch))


@settings(max_examples=examples(40), deadline=None)
@given(
    seed=st.integers(0, 2**32),
    buckets=st.integers(1, 400),
    page=st.integers(1, 120),
    density=st.sampled_from([0.0, 0.001, 0.05, 0.5, 0.97, 1.0]),
    fails=st.sampled_from([0.0, 0.1, 0.3]),
    cut=st.sampled_from([10_000, 70, 3]),
    prepends=st.booleans(),
    oldest_first=st.booleans(),
    filled=st.booleans(),
)
def test_every_venue_is_walked_to_the_end_and_nothing_is_lost(
    seed: int,
    buckets: int,
    page: int,
    density: float,
    fails: float,
    cut: int,
    prepends: bool,
    oldest_first: bool,
    filled: bool,
) -> None:
    chance, whole = random.Random(seed), span(0, buckets)
    traded = {t for t in opens(GRID, whole) if chance.random() < density}
    past = Past(traded, at_most=cut, fails=fails, prepends=prepends, chance=chance)
    walk = Walk(
        GRID, Coverage([whole]), PageLength(page),
        prepends=prepends, filled=filled, oldest_first=oldest_first,
    )  # fmt: skip
    got = walk_through(walk, past)
    assert walk.missing == Coverage(walk.aside)
    assert {t for t in traded if t in walk.covered} <= got, "covered, and yet never shown"
    if not fails:
        assert not walk.aside and got >= traded


@pytest.mark.parametrize("oldest_first", [False, True])
def test_a_dense_past_costs_no_page_more_than_it_must(oldest_first: bool) -> None:
    past = Past(set(opens(GRID, span(0, 6_000))))
    walk = Walk(GRID, wanted(0, 6_000), PageLength(300), oldest_first=oldest_first)
    first = walk.next(0.0)
    assert first == (span(0, 300) if oldest_first else span(5_700, 6_000))
    walk.drop(first)
    walk_through(walk, past)
    assert len(past.asked) == 20 == requests_left(wanted(0, 6_000), GRID, 300)


@pytest.mark.parametrize("oldest_first", [False, True])
@pytest.mark.parametrize("buckets", [100, 950])
def test_what_a_venue_has_no_more_is_told_and_not_asked_for(buckets: int, oldest_first: bool) -> None:
    past, oldest = Past(set(opens(GRID, span(0, 1_000)))), span(1_000 - buckets, 1_000).start
    walk = Walk(GRID, wanted(0, 1_000), PageLength(300), oldest_first=oldest_first, oldest=oldest)
    walk_through(walk, past)
    assert walk.missing == Coverage(walk.aside) == wanted(0, 1_000 - buckets)
    assert all(asked.start >= oldest for asked in past.asked) and len(past.asked) == -(-buckets // 300)
    assert "nothing from before" in next(iter(walk.aside.values()))


def test_a_thin_past_costs_hardly_more() -> None:
    chance = random.Random(7)
    past = Past({t for t in opens(GRID, span(0, 30_000)) if chance.random() < 0.1})
    walk = Walk(GRID, wanted(0, 30_000), PageLength(300))
    walk_through(walk, past)
    assert not walk.missing
    assert len(past.asked) <= 150, "100 pages, and half as many for their edges"


def test_a_venue_that_takes_only_short_pages_is_walked_with_few_in_vain() -> None:
    """Each answer holds 70 rows at most, whatever is asked for, and every tenth fails."""
    past = Past(set(opens(GRID, span(0, 6_000))), too_long=70, fails=0.1, chance=random.Random(3))
    walk = Walk(GRID, wanted(0, 6_000), PageLength(300))
    walk_through(walk, past)
    assert not walk.missing
    assert len(past.asked) <= 260, f"{len(past.asked)} requests for {6_000 // 70} at least"


def test_a_page_is_tried_longer_again_after_the_trouble() -> None:
    length = PageLength(300)
    for _ in range(3):
        length.failed(300)
    assert length.now == 150
    for _ in range(4):
        length.answered()
    assert length.now == 300


@pytest.mark.parametrize("for_s", [30.0, 59.0])
def test_an_empty_answer_is_not_believed_before_a_later_one(for_s: float) -> None:
    """The venue answers with nothing for a while, and 200."""
    past = Past(set(opens(GRID, span(0, 900))), lies=lambda _, now_s: now_s < for_s)
    walk = Walk(GRID, wanted(0, 900), PageLength(300))
    assert walk_through(walk, past) == past.traded and not walk.missing


def test_an_empty_stretch_is_believed_after_a_second_look() -> None:
    past = Past(set(opens(GRID, span(0, 300))) | set(opens(GRID, span(1_200, 1_500))))
    walk = Walk(GRID, wanted(0, 1_500), PageLength(300))
    walk_through(walk, past)
    assert not walk.missing
    assert len(past.asked) <= 3 * 5


def test_what_a_bigger_timeframe_proves_empty_is_not_asked_for() -> None:
    hour = EpochGrid(60 * MINUTE)
    start = hour.ceil(BEGIN)
    whole, traded = Coverage([(start, start + 600 * MINUTE)]), [start + 120 * MINUTE, start + 300 * MINUTE]
    left = unseen(whole, whole, traded, hour)
    assert left == Coverage((t, t + 60 * MINUTE) for t in traded)
    assert unseen(whole, Coverage(), traded, hour) == whole


def test_pages_that_are_empty_against_a_bigger_timeframe_are_never_believed() -> None:
    """It says that more was traded there: the stretch is set aside and named, and all else is had."""
    lost = span(300, 600)
    past = Past(set(opens(GRID, span(0, 900))) - set(opens(GRID, lost)))
    walk = Walk(GRID, wanted(0, 900), PageLength(300))

    def word(silent: Coverage) -> Word:
        return Word.TRADED if silent.clip(*lost) else Word.UNKNOWN

    walk_through(walk, past, word)
    assert walk.missing == Coverage([lost]) == Coverage(walk.aside)
    assert all("bigger timeframe" in reason for reason in walk.aside.values())
    assert not walk.left and walk.wait_s(0.0) is None


def test_the_word_of_a_bigger_timeframe() -> None:
    hour = EpochGrid(60 * MINUTE)
    start = hour.ceil(BEGIN)
    whole, part = Coverage([(start, start + 180 * MINUTE)]), Coverage([(start, start + 20 * MINUTE)])

    def word(parents: Coverage, volume: str | None, total: str) -> Word:
        volumes = {} if volume is None else {start: Decimal(volume)}
        return word_of(part, hour, parents, volumes, {start: Decimal(total)})

    assert word(Coverage(), None, "0") is Word.UNKNOWN, "the hour is not settled"
    assert word(whole, None, "0") is Word.EMPTY, "nothing was traded in the hour"
    assert word(whole, "5", "5.00") is Word.EMPTY, "all of it is known elsewhere in the hour"
    assert word(whole, "5", "4.999") is Word.TRADED, "some of it must be here, or in the rest of the hour"


def test_a_row_that_cannot_be_believed_costs_its_own_bucket() -> None:
    bad = BEGIN + 5 * MINUTE
    walk, now_s = Walk(GRID, wanted(0, 10), PageLength(10)), 0.0
    for _ in range(20):
        asked = walk.next(now_s)
        if asked is None:
            if (wait_s := walk.wait_s(now_s)) is None:
                break
            now_s += wait_s
            continue
        rows = [t for t in opens(GRID, span(0, 10)) if asked.start <= t < asked.end and t != bad]
        found = walk.answered(asked, rows, (), (bad,))
        assert bad not in found.proven and bad not in found.silent
        walk.reject((bad,), {bad: "high below low"}, now_s)
        walk.landed(asked, found.proven | walk.believe(found, Word.UNKNOWN, now_s))
    assert walk.aside == {span(5, 6): "high below low"}
    assert walk.covered == wanted(0, 5) | wanted(6, 10)
    assert now_s == pytest.approx(5 + 10 + 20 + 40 + 80)


def test_one_bucket_that_fails_always_is_set_aside_and_the_others_are_had() -> None:
    bad = BEGIN + 500 * MINUTE
    past = Past(set(opens(GRID, span(0, 1_000))))
    answer = past.answer
    past.answer = lambda asked, now_s: None if asked.start <= bad < asked.end else answer(asked, now_s)  # type: ignore[method-assign]
    walk = Walk(GRID, wanted(0, 1_000), PageLength(100))
    walk_through(walk, past)
    assert walk.missing == Coverage([(bad, bad + MINUTE)]) == Coverage(walk.aside)


@pytest.mark.parametrize("grid", [WEEKS, MonthGrid(), EpochGrid(86_400_000, 8 * 3_600_000)], ids=str)
def test_weeks_months_and_odd_days_are_walked_alike(grid: Grid) -> None:
    first = grid.ceil(BEGIN)
    last = grid.after(first, 100)
    traded = {t for i, t in enumerate(grid.opens(first, last)) if i % 7 and not 20 < i < 45}
    past = Past(traded, grid=grid)
    walk = Walk(grid, Coverage([(first, last)]), PageLength(12))
    assert walk_through(walk, past) == traded and not walk.missing


def test_a_walk_that_ends_anywhere_goes_on_where_it_was() -> None:
    """What is kept is the coverage, nothing else."""
    past = Past(set(opens(GRID, span(0, 3_000))))
    covered = Coverage()
    for _ in range(100):
        walk = Walk(GRID, wanted(0, 3_000), PageLength(300), covered=covered)
        if (asked := walk.next(0.0)) is None:
            break
        rows = past.answer(asked, 0.0) or []
        walk.landed(asked, walk.answered(asked, rows, (), ()).proven)
        walk.next(0.0)  # in flight when it ends: asked for again
        covered = walk.covered
    assert not walk.missing and len(past.asked) == 10


def test_a_second_look_counts_only_after_a_while() -> None:
    walk = Walk(GRID, wanted(0, 10), PageLength(10))
    asked = walk.next(0.0)
    assert asked is not None
    walk.landed(asked, walk.believe(walk.answered(asked, (), (), ()), Word.UNKNOWN, 0.0))
    assert walk.next(APART_S - 1) is None and walk.wait_s(0.0) == APART_S
    assert walk.next(APART_S) is not None
