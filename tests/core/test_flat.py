"""Where a venue shows flat rows: they are dropped, and prove that nothing was traded. Absent ones do not."""

from __future__ import annotations

import pytest

from livecache.model.candle import ExactCandle
from livecache.model.policy import Policy
from livecache.model.series import SeriesState
from livecache.model.timeframe import Timeframe
from livecache.model.traits import Carriage
from livecache.proof.evidence import APART_MS, PageFacts
from tests.core.driver import SYMBOL, Driver, candle

M1, M5 = Timeframe.M1, Timeframe.M5
W = M1.ms
NOW = 1_770_000_000_000 // M5.ms * M5.ms + 20_000
EDGE = M1.floor(NOW)
QUIET = range(EDGE - 8 * W, EDGE - 3 * W, W)  # nothing was traded in these


def flat(time: int) -> ExactCandle:
    return ExactCandle(time, "10.50", "10.5", "10.5", "10.5", "0.000")


def driver(timeframes: tuple[Timeframe, ...] = (M1,), *, feed: bool = False) -> Driver:
    found = Driver(timeframes, NOW, empty="flat", carries=(Carriage(M1, flag=True),))
    if feed:
        found.timeline.subscribe(0, EDGE - 1, [SYMBOL], NOW)
    return found


def page(driver: Driver, *, absent: frozenset[int] = frozenset(), empty: bool = False) -> None:
    """The newest 100 minutes, flat where nothing was traded; with `empty` in all of them."""
    rows = {}
    for time in range(EDGE - 100 * W, EDGE + W, W):
        if time not in absent:
            rows[time] = flat(time) if empty or time in QUIET else candle(time)
    facts = PageFacts(EDGE - 100 * W, EDGE + W, rows, driver.now)
    driver.timeline.apply_page(SYMBOL, M1, facts, driver.now)


def state(driver: Driver) -> SeriesState:
    driver.timeline.take(driver.now)
    found = driver.symbol.tracks[M1].state
    assert found is not None
    return found


def test_flat_rows_prove_that_nothing_was_traded_and_are_stored_nowhere() -> None:
    told = driver((M1, M5))
    page(told)
    track = told.symbol.tracks[M1]
    assert track.coverage.covers(EDGE - 100 * W, EDGE)
    assert not [t for t in QUIET if track.candle(t)]
    assert track.presumed == track.likely == {}
    (change,) = [c for c in told.timeline.take(NOW).series if c.series.timeframe is M1]
    assert not set(change.members).intersection(QUIET)
    bucket = M5.floor(EDGE - 3 * W)
    assert told.symbol.tracks[M5].settled[bucket].open == "10"


def test_a_market_that_sleeps_is_known_by_flat_rows_alone() -> None:
    told = driver()
    page(told, empty=True)
    assert told.symbol.tracks[M1].coverage.covers(EDGE - 100 * W, EDGE - W)
    assert told.symbol.tracks[M1].settled == {}


def test_flat_rows_over_what_was_traded_are_of_another_product_and_prove_nothing() -> None:
    told = driver()
    page(told)
    track = told.symbol.tracks[M1]
    before = dict(track.settled)
    told.now += 5 * W
    for start, fits in ((EDGE - 60 * W, False), (EDGE - 9 * W, True)):
        rows = {time: flat(time) for time in range(start, EDGE + 6 * W, W)}
        told.timeline.apply_page(SYMBOL, M1, PageFacts(start, EDGE + 6 * W, rows, told.now), told.now)
        assert track.coverage.covers(EDGE, EDGE + 4 * W) is fits, "most are where nothing was traded"
        assert bool(track.strange) is not fits
        assert track.settled == before


def test_an_absent_row_is_no_proof_by_itself_and_is_asked_for_again() -> None:
    told = driver()
    page(told, absent=frozenset(QUIET))
    track = told.symbol.tracks[M1]
    assert not [t for t in QUIET if t in track.coverage]
    assert all(t in track.open for t in QUIET)
    for _ in range(20):
        told.now += APART_MS + 1
        page(told, absent=frozenset(QUIET))
    assert not [t for t in QUIET if t in track.coverage], "the page may lack them for long"
    five = dict.fromkeys(range(M5.floor(EDGE) - 105 * W, EDGE, M5.ms), 0)
    for time in range(min(five), EDGE, W):
        five[M5.floor(time)] += time not in QUIET
    rows = {time: candle(time, str(volume)) for time, volume in five.items() if volume}
    told.timeline.apply_witness(SYMBOL, M1, M5, PageFacts(min(five), EDGE, rows, told.now), told.now)
    assert [t for t in QUIET if t in track.coverage] == list(QUIET), "five minutes hold no more: it was down"


def test_where_absence_is_the_rule_a_row_without_volume_is_a_row() -> None:
    told = Driver((M1,), NOW)
    page(told)
    assert told.symbol.tracks[M1].settled[QUIET[0]] == flat(QUIET[0])


def test_a_flat_row_against_what_the_feed_showed_is_read_again() -> None:
    told = driver(feed=True)
    page(told)
    told.now = EDGE + W
    told.timeline.feed_candles(0, told.now, [(SYMBOL, M1, candle(EDGE), True)], told.now)
    told.now = EDGE + W + Policy().settle_delay_ms
    facts = PageFacts(EDGE - W, EDGE + W, {EDGE - W: candle(EDGE - W), EDGE: flat(EDGE)}, told.now)
    told.timeline.apply_page(SYMBOL, M1, facts, told.now)
    track = told.symbol.tracks[M1]
    assert EDGE in track.open
    assert track.candle(EDGE) == candle(EDGE)


@pytest.mark.parametrize("last", [False, True])
def test_a_flat_candle_of_the_feed_is_no_candle_and_its_flag_makes_the_bucket_known(last: bool) -> None:
    told = driver(feed=True)
    page(told)
    told.now = EDGE + W
    told.timeline.feed_candles(0, told.now, [(SYMBOL, M1, flat(EDGE), last)], told.now)
    assert told.symbol.tracks[M1].candle(EDGE) is None
    assert state(told).known_through == EDGE + W * last
    assert state(told).settled_through == EDGE


def test_a_trade_after_a_flat_candle_said_to_be_the_last_is_shown_and_asked_for() -> None:
    told = driver(feed=True)
    page(told)
    told.now = EDGE + W
    told.timeline.feed_candles(0, told.now, [(SYMBOL, M1, flat(EDGE), True)], told.now)
    told.timeline.feed_candles(0, told.now + 5, [(SYMBOL, M1, candle(EDGE), False)], told.now)
    assert told.symbol.tracks[M1].candle(EDGE) == candle(EDGE)
    assert told.symbol.hurried


def test_a_bucket_of_minutes_in_which_nothing_was_traded_is_known_when_they_are() -> None:
    """It waits for no page: a reader would be told that the newest candle is overdue."""
    five = Timeframe.M5
    begin = EDGE // five.ms * five.ms + five.ms
    told = Driver((five,), begin + 20_000, empty="flat", carries=(Carriage(M1, flag=True),))
    told.fill()
    told.timeline.subscribe(0, begin - 1, [SYMBOL], told.now)
    for minute in range(begin, begin + five.ms, W):
        told.now = minute + W
        told.timeline.feed_candles(0, told.now, [(SYMBOL, M1, flat(minute), True)], told.now)
    told.now += 1_000
    told.timeline.heard(0, told.now, told.now)
    told.timeline.take(told.now)
    track = told.symbol.tracks[five]
    assert track.candle(begin) is None and track.state is not None
    assert track.state.known_through == begin + five.ms
    assert track.state.settled_through == begin
