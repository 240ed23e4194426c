"""The plan under any alignment, any choice of timeframes and any earlier coverage."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from livecache.model.coverage import Coverage
from livecache.model.series import SeriesId, Stored
from livecache.model.timeframe import TIMEFRAME_PRIORITY, Timeframe
from livecache.proof.plan import Want
from tests.core.driver import SYMBOL, Driver, candle
from tests.sizes import examples

WEEK_MS = 7 * Timeframe.D1.ms
MONDAY = 1_769_990_400_000  # 2026-02-02T00:00:00Z
STEPS = [t for t in Timeframe if t.ms <= Timeframe.D1.ms]
MOST_REQUESTS = 40
DOZEN = 12  # buckets that a settling page reads again; it has the one in progress, too

moments = st.one_of(
    st.integers(MONDAY, MONDAY + WEEK_MS - 1),
    # Where rounding goes wrong: bucket ends, midnight, and the settling delay after them.
    st.builds(
        lambda timeframe, n, off: MONDAY + n * timeframe.ms % WEEK_MS + off,
        st.sampled_from(STEPS),
        st.integers(1, 2_000),
        st.sampled_from([-1, 0, 1, 9_999, 10_000, 10_001]),
    ),
)
page_limits = st.integers(300, 350)
choices = st.lists(st.sampled_from(STEPS), min_size=1, max_size=9, unique=True)
holes = st.lists(st.tuples(st.integers(0, 400), st.integers(1, 60)), max_size=4)


def held_before(driver: Driver, holes: list[tuple[int, int]], length: int, ago: int) -> None:
    """What an earlier run left of each timeframe: `length` buckets until `ago` buckets ago, with holes."""
    stored = []
    for timeframe in driver.timeline.timeframes:
        edge = timeframe.floor(driver.now - 10_000) - ago * timeframe.ms
        coverage = Coverage([(edge - length * timeframe.ms, edge)])
        for start, width in holes:
            first = edge - (start + width) * timeframe.ms
            coverage = coverage.remove(first, first + width * timeframe.ms)
        buckets = [t for start, end in coverage for t in range(start, end, timeframe.ms)]
        candles = tuple(candle(t, str(driver._volume(timeframe, t))) for t in buckets)
        stored.append(Stored(SeriesId("coinbase", SYMBOL, timeframe), candles, coverage, 0))
    driver.timeline.adopt(stored, driver.now)


def fill(driver: Driver) -> None:
    """Answer wants as they come, the most urgent first; each has to be one that the venue would take."""
    while wants := driver.wants():
        assert len({w.timeframe for w in wants}) == len(wants), "two pages of one timeframe at a time"
        for want in wants:
            is_sound(driver, want)
        before = {t: track.coverage for t, track in driver.symbol.tracks.items()}
        driver.answer(wants[0])
        after = {t: track.coverage for t, track in driver.symbol.tracks.items()}
        assert before != after, f"{wants[0]} settled nothing, and would be asked for again for ever"
        assert len(driver.asked) <= MOST_REQUESTS, "there is no end"


def is_sound(driver: Driver, want: Want) -> None:
    step = want.timeframe.ms
    assert want.start % step == want.end % step == 0
    assert 0 < want.end - want.start <= driver.page_limit * step
    assert want.end <= want.timeframe.floor(driver.now) + step, "a page of the future"


def is_complete(driver: Driver) -> None:
    for timeframe in driver.timeline.timeframes:
        track = driver.symbol.tracks[timeframe]
        edge = timeframe.floor(driver.now - driver.timeline.policy.settle_delay_ms)
        run = track.newest_settled_run()
        assert run is not None and run[0].end == edge, f"{timeframe} is not settled up to the last close"
        assert run[1] >= driver.timeline.policy.candles or track.history_from, f"{timeframe} has {run[1]}"


@settings(max_examples=examples(60), deadline=None, derandomize=True)
@given(now=moments, timeframes=choices, page_limit=page_limits)
def test_from_nothing_every_choice_of_timeframes_is_filled_at_any_moment(
    now: int, timeframes: list[Timeframe], page_limit: int
) -> None:
    driver = Driver(timeframes, now, page_limit=page_limit)
    fill(driver)
    is_complete(driver)
    # A page a timeframe would do it alone, and a working one beside it.
    assert len(driver.asked) <= len(driver.symbol.tracks) + 1
    assert driver.wants() == []


@settings(max_examples=examples(40), deadline=None, derandomize=True)
@given(now=moments, page_limit=page_limits)
def test_the_default_timeframes_take_four_pages_at_any_moment_and_are_ready_after_three(
    now: int, page_limit: int
) -> None:
    """No fewer can do it: days, 4 h, 1 h and 5m reach back too differently to share pages.

    A hundred whole 15m are within a page of 5m only if that holds 302 closed ones; else they need a fifth.
    """
    driver = Driver(TIMEFRAME_PRIORITY, now, page_limit=page_limit)
    fill(driver)
    is_complete(driver)
    assert len(driver.asked) == 4 or (len(driver.asked) == 5 and page_limit < 303)
    early = Driver(TIMEFRAME_PRIORITY, now, page_limit=page_limit)
    for _ in range(3):
        early.answer(early.wants()[0])
    assert all(early.settled(timeframe) >= 60 for timeframe in TIMEFRAME_PRIORITY)


@settings(max_examples=examples(60), deadline=None, derandomize=True)
@given(
    now=moments,
    timeframes=choices,
    page_limit=page_limits,
    holes=holes,
    length=st.integers(1, 500),
    ago=st.sampled_from([0, 0, 1, 5, 12, 13, 100, 400]),
)
def test_from_any_earlier_coverage_all_becomes_complete_in_a_bounded_number_of_pages(
    now: int,
    timeframes: list[Timeframe],
    page_limit: int,
    holes: list[tuple[int, int]],
    length: int,
    ago: int,
) -> None:
    driver = Driver(timeframes, now, page_limit=page_limit)
    held_before(driver, holes, length, ago)
    fill(driver)
    is_complete(driver)
    assert driver.wants() == []


@settings(max_examples=examples(60), deadline=None, derandomize=True)
@given(now=moments, timeframes=choices, page_limit=page_limits, missed=st.integers(1, DOZEN - 1))
def test_what_closed_since_is_asked_for_with_a_dozen_buckets_before_it_and_no_more(
    now: int, timeframes: list[Timeframe], page_limit: int, missed: int
) -> None:
    driver = Driver(timeframes, now, page_limit=page_limit)
    fill(driver)
    before = len(driver.asked)
    fresh = {t for t, track in driver.symbol.tracks.items() if not track.coverage}
    smallest = min(driver.symbol.tracks, key=lambda t: t.ms)
    driver.now += missed * smallest.ms
    fill(driver)
    asked = driver.asked[before:]
    assert len(asked) <= len(driver.symbol.tracks)
    for n, want in enumerate(asked):
        length = (want.end - want.start) // want.timeframe.ms
        # A working series of which nothing was needed so far begins with a whole page.
        first = want.timeframe in fresh and want.timeframe not in {w.timeframe for w in asked[:n]}
        assert length <= DOZEN + 1 or first, f"{want} reads {length} buckets again"
    is_complete(driver)
