"""What one witness alone stands behind: it can be read, and is told as settled once another one agrees."""

from __future__ import annotations

import pytest

from livecache.model.candle import ExactCandle
from livecache.model.coverage import Span
from livecache.model.series import Kind, SeriesState, Stored
from livecache.model.timeframe import Timeframe
from livecache.proof.track import Track
from tests.core.driver import SYMBOL, Driver, candle

M5, M15 = Timeframe.M5, Timeframe.M15
W = M5.ms
HOUR = Timeframe.H1.ms
START = Timeframe.D1.floor(1_770_000_000_000) + 12 * HOUR
ASLEEP = 3  # buckets before the start in which nothing was traded, as often happens to this product


def trades(timeframe: Timeframe, time: int) -> bool:
    return time < START - ASLEEP * W and (time // W) % 5 == 0


def started(timeframes: list[Timeframe] | None = None) -> Driver:
    driver = Driver(timeframes or [M5], START + 30_000, trades=trades)
    driver.fill()
    return driver


def state(driver: Driver, timeframe: Timeframe = M5) -> SeriesState:
    driver.timeline.take(driver.now)
    found = driver.symbol.tracks[timeframe].state
    assert found is not None
    return found


def read_again(driver: Driver, after_ms: int) -> list[Kind]:
    """Time passes, and what the plan wants is answered; what is announced of buckets before the start."""
    driver.now += after_ms
    driver.fill()
    closes = driver.timeline.take(driver.now).closes
    return [close.kind for close in closes if START - ASLEEP * W <= close.time < START]


def feed(driver: Driver, *candles: ExactCandle) -> None:
    stamp = driver.now
    driver.timeline.feed_candles(0, stamp, [(SYMBOL, M5, each, False) for each in candles], driver.now)


def test_what_is_likely_is_known_and_not_told_as_settled_before_another_witness_agrees() -> None:
    """By habit alone the last three buckets hold nothing, which is what a venue that lags shows as well."""
    driver = started()
    seen = state(driver)
    assert seen.ready
    assert seen.known_through == START, "a thin product is readable at once"
    assert seen.settled_through <= START - ASLEEP * W
    assert not any(t in seen.coverage for t in range(START - ASLEEP * W, START, W))
    read_again(driver, HOUR + W)
    seen = state(driver)
    assert seen.settled_through >= START, "an hour later no edge lags any more"


def test_something_newer_settles_what_was_likely() -> None:
    driver = started()
    driver.trades = lambda timeframe, time: trades(timeframe, time) or time == START + W
    read_again(driver, 2 * W)
    assert state(driver).settled_through >= START + W


@pytest.mark.parametrize("back", [1, 2, 3])
def test_what_the_feed_shows_takes_back_what_was_likely(back: int) -> None:
    """Its snapshot comes after the first page, which was behind."""
    driver = started()
    shown = candle(START - back * W, "7")
    feed(driver, shown)
    track = driver.symbol.tracks[M5]
    assert track.candle(shown.time) == shown
    assert shown.time not in state(driver).coverage
    driver.trades = lambda timeframe, time: trades(timeframe, time) or time == shown.time
    driver.revised[M5, shown.time] = 7
    read_again(driver, 3 * W)
    assert track.settled[shown.time].equals(shown)


def test_a_bigger_bucket_of_what_is_likely_is_no_surer() -> None:
    driver = started([M5, M15])
    assert state(driver, M15).known_through == START
    assert START - M15.ms not in state(driver, M15).coverage
    feed(driver, candle(START - W, "7"))
    seen = state(driver, M15)
    assert START - M15.ms not in seen.coverage
    assert seen.known_through <= START - M15.ms, "nor is it served as if nothing had been traded in it"
    driver = started([M5, M15])
    read_again(driver, HOUR + 3 * W)
    assert state(driver, M15).settled_through >= START


def test_what_was_called_empty_and_is_shown_by_the_feed_is_read_again_at_once() -> None:
    driver = started()
    empty = START - 9 * W
    track = driver.symbol.tracks[M5]
    assert empty in track.coverage
    assert empty not in track.settled
    feed(driver, candle(empty, "7"))
    assert any(want.start <= empty < want.end for want in driver.wants())


def test_what_was_likely_stays_known_over_a_restart_and_is_still_not_told_as_settled() -> None:
    before = started()
    seen = state(before)
    track = before.symbol.tracks[M5]
    after = Driver([M5], before.now + 5_000, trades=trades)
    stored = Stored(
        track.series,
        tuple(sorted(track.settled.values())),
        seen.coverage,
        seen.history_from,
        Span(seen.contiguous_from, seen.known_through),
        seen.ready,
    )
    after.timeline.adopt([stored], after.now)
    again = state(after)
    assert (again.ready, again.known_through) == (True, seen.known_through)
    assert again.settled_through == seen.settled_through
    assert again.coverage == seen.coverage


def test_what_is_likely_confirms_nothing_of_another_timeframe() -> None:
    """A page of the hour that is as far behind says no more than the one of the five minutes."""
    driver = started([M5, M15])
    bigger: Track = driver.symbol.tracks[M15]
    assert bigger.likely
    assert all(t in driver.symbol.tracks[M5].likely for t in range(START - ASLEEP * W, START, W))


@pytest.mark.parametrize("shown", [None, 2])
def test_a_feed_that_carries_the_product_bears_out_what_is_likely_or_takes_it_back(shown: int | None) -> None:
    """Its snapshot has what was traded last: a second witness, a second after it has begun."""
    driver = started()
    older = candle(START - (shown or 30) * W)
    feed(driver, older)
    assert state(driver).settled_through < START, "not yet: the rest of the snapshot may be on its way"
    driver.now += 1_000
    seen = state(driver)
    assert seen.settled_through == (START - shown * W if shown else START)


def test_what_empty_pages_alone_say_of_days_ago_is_not_borne_out_by_a_feed_that_is_silent_now() -> None:
    """Its snapshot shows what was traded last, and nothing of what lies before that."""
    driver = Driver([M5], START + 30_000, trades=lambda timeframe, time: False)
    driver.timeline.subscribe(0, driver.now, [SYMBOL], driver.now)
    for _ in range(8):
        driver.fill()
        driver.now += 40_000
    track = driver.symbol.tracks[M5]
    assert track.likely, "three wholly empty pages over two minutes agree, and the feed has shown nothing"
    driver.now += 5_000
    driver.timeline.heard(0, driver.now, driver.now)
    old = max(t for t in track.likely if t < START - HOUR)
    assert old not in state(driver).coverage


def test_the_oldest_bucket_of_a_page_is_confirmed_with_the_others_and_not_asked_for_in_a_loop() -> None:
    driver = Driver([M5], START + 30_000, trades=lambda timeframe, time: False)
    driver.timeline.subscribe(0, driver.now, [SYMBOL], driver.now)
    for _ in range(12):
        driver.fill()  # It fails where the plan never ends.
        driver.now += 40_000
    assert driver.symbol.tracks[M5].likely


def test_where_no_feed_carries_a_product_that_was_never_traded_nothing_is_told_of_it() -> None:
    driver = Driver([M5], START + 30_000, trades=lambda timeframe, time: False)
    for _ in range(12):
        driver.fill()  # It fails where the plan never ends.
        driver.now += 40_000
    assert not driver.symbol.tracks[M5].coverage


def test_a_candle_older_than_where_history_seemed_to_end_resumes_the_search() -> None:
    driver = started()
    track = driver.symbol.tracks[M5]
    track.history_from = START - 20 * W  # where it seemed to end while pages were empty
    assert min(track.settled) < track.history_from
    read_again(driver, W)
    assert not track.history_from
