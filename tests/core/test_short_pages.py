"""A page that lacks rows looks like one of a market that slept; the bigger timeframe's page gives it away."""

from __future__ import annotations

from livecache.model.timeframe import Timeframe
from livecache.proof.plan import Priority

from .driver import SYMBOL, Driver

M5, M15, H1 = Timeframe.M5, Timeframe.M15, Timeframe.H1
NOW = 1_771_588_800_000 + 60_000  # 2026-02-20T12:01Z


def test_rows_that_a_page_lacked_are_read_again_once_a_fetched_parent_shows_them() -> None:
    driver = Driver((M5, M15, H1), NOW)
    lacking = M5.floor(NOW) - 30 * M5.ms
    driver.trades = lambda timeframe, time: time >= lacking  # the page of 5m holds its newest 30 rows
    (first, *_) = [w for w in driver.wants() if w.timeframe is M5]
    driver.answer(first)
    assert driver.settled(M5) == 30
    driver.trades = lambda timeframe, time: True  # what the venue really has
    driver.fill()
    for timeframe in (M5, M15, H1):
        track = driver.symbol.tracks[timeframe]
        empty = [
            time
            for start, end in track.coverage
            for time in range(start, end, timeframe.ms)
            if time not in track.settled
        ]
        assert empty == []
        assert driver.settled(timeframe) >= 100


def test_a_venue_that_keeps_to_its_story_is_believed_the_second_time() -> None:
    driver = Driver((M5, M15, H1), NOW)
    lacking = M5.floor(NOW) - 30 * M5.ms
    driver.trades = lambda timeframe, time: timeframe is H1 or time >= lacking
    took = driver.fill()
    assert took <= 12
    assert driver.fill() == 0
    assert [w for w in driver.wants() if w.priority is Priority.REPAIR] == []
    assert driver.symbol.symbol == SYMBOL
