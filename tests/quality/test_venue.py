"""What is settled against what the venue shows: all of it is asked for once, and what differs is found."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from livecache.model.candle import ExactCandle
from livecache.model.coverage import Coverage
from livecache.model.timeframe import Timeframe
from livecache.quality.findings import Flaw
from livecache.quality.stored import Examined, examine
from livecache.quality.venue import Compared, PageWanted, compare_page, pages_wanted

from .stored import START, Line, sound_line

W = Timeframe.M5.ms


def stored(line: Line) -> Examined:
    return examine(line.found())


def compared(line: Line, rows: dict[int, ExactCandle], *rejected: int) -> tuple[Compared, Examined]:
    """All of the line against these rows, as one page."""
    counts, one = Compared(), stored(line)
    page = PageWanted(line.series, START, line.state.closed_through)
    compare_page(one, page, rows, rejected, counts)
    return counts, one


def later(line: Line) -> ExactCandle:
    """A row of the bucket in progress, which proves that a page is fresh."""
    time = line.state.closed_through
    return ExactCandle(time, "1", "1", "1", "1", "1")


@settings(deadline=None, derandomize=True, database=None)
@given(st.lists(st.integers(1, 40), min_size=1, max_size=5), st.integers(2, 25))
def test_every_settled_bucket_is_asked_for_once_by_pages_that_fit(runs: list[int], limit: int) -> None:
    line = sound_line(sum(runs) + len(runs))
    spans, at = [], START
    for length in runs:
        spans.append((at, at + length * W))
        at += (length + 1) * W
    line.state = line.state.__class__(True, "", spans[-1][0], at - W, at - W, at, Coverage(spans), 0, 0)
    pages = pages_wanted([stored(line)], limit)
    asked = sorted(t for page in pages for t in range(page.start, page.end, W))
    assert asked == [t for start, end in spans for t in range(start, end, W)]
    assert all(page.end - page.start <= (limit - 1) * W for page in pages), "and one bucket more fits"


def test_the_newest_page_of_every_series_comes_before_the_next_of_any() -> None:
    lines = [sound_line(50), sound_line(50, Timeframe.H1), sound_line(5, Timeframe.D1)]
    pages = pages_wanted([stored(line) for line in lines], 31)
    assert [page.series.timeframe.value for page in pages] == ["5m", "1h", "1d", "5m", "1h"]


@settings(deadline=None, derandomize=True, database=None)
@given(st.sets(st.integers(0, 19)), st.sets(st.integers(0, 19)), st.sets(st.integers(0, 19)))
def test_what_differs_is_found_and_nothing_else(changed: set[int], gone: set[int], new: set[int]) -> None:
    """A row that says otherwise, one that the venue has no more, and one of a bucket that was empty."""
    line = sound_line(20)
    rows = {**line.candles, line.state.closed_through: later(line)}
    for n in changed:
        rows[START + n * W] = ExactCandle(START + n * W, "100", "101", "99", "100.5", "2.00000001")
    for n in gone - changed:
        del rows[START + n * W]
    for n in new - changed - gone:
        del line.candles[START + n * W]
    counts, one = compared(line, rows)
    different = {START + n * W for n in changed | gone | new}
    assert {f.start for f in one.findings if f.kind is Flaw.VENUE} == different
    assert (counts.differ, counts.same) == (len(different), 20 - len(different))


def test_numbers_are_compared_and_not_their_digits() -> None:
    line = sound_line(3)
    rows = {t: ExactCandle(t, "100.00", "101.0", "99", "100.500", "2.0") for t in line.candles}
    assert compared(line, rows)[0].same == 3


def test_a_page_that_may_be_older_than_the_last_close_says_nothing_of_it() -> None:
    line = sound_line(20)
    last = START + 19 * W
    rows = dict(line.candles)
    rows[last] = ExactCandle(last, "100", "101", "99", "100", "1")
    counts, one = compared(line, rows)
    assert (counts.passed_over, counts.differ, one.findings) == (1, 0, [])
    del rows[last]
    assert compared(line, rows)[0].passed_over == 1
    rows[last + W] = later(line)
    assert compared(line, rows)[0].differ == 1, "a later row proves that the page is newer than that"
    del rows[last + W]
    line.now += 60_000
    assert compared(line, rows)[0].differ == 1, "and so does a minute"


def test_provisional_buckets_and_rows_that_cannot_be_believed_are_not_compared() -> None:
    line = sound_line(20)
    last = START + 19 * W
    line.state = line.state.__class__(
        True, "", START, last, last + W, last + W, Coverage([(START, last)]), 0, 0
    )
    counts, one = compared(
        line,
        {START + n * W: line.candles[START + n * W] for n in range(3, 19)},
        *(START + n * W for n in range(3)),
    )
    assert (counts.same, counts.passed_over, counts.differ) == (16, 3, 0)
    assert one.findings == []
