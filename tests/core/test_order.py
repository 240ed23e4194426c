"""Which of two candles that the feed shows of a bucket is the later: by volume, or by the venue's stamps."""

from __future__ import annotations

from typing import Literal

from hypothesis import given
from hypothesis import strategies as st

from livecache.model.candle import ExactCandle
from livecache.model.timeframe import Timeframe
from livecache.model.traits import Carriage
from tests.core.driver import SYMBOL, Driver, candle

M5 = Timeframe.M5
OPEN = 1_770_000_000_000 // M5.ms * M5.ms
NOW = OPEN + 20_000


def live(order: Literal["volume", "stamp"]) -> Driver:
    driver = Driver((M5,), NOW, carries=(Carriage(M5, flag=True),), order=order)
    driver.fill()
    driver.timeline.subscribe(0, OPEN - 1, [SYMBOL], NOW)
    return driver


def show(driver: Driver, stamp: int, volume: str, *, bucket: int = OPEN, last: bool = False) -> None:
    told = [(SYMBOL, M5, candle(bucket, volume), last)]
    driver.timeline.feed_candles(0, OPEN + stamp, told, driver.now)


def held(driver: Driver, bucket: int = OPEN) -> ExactCandle | None:
    return driver.symbol.tracks[M5].candle(bucket)


@given(st.lists(st.tuples(st.integers(1, 99), st.integers(1, 9)), min_size=1, unique_by=lambda one: one[0]))
def test_in_whatever_order_frames_come_the_latest_stays(frames: list[tuple[int, int]]) -> None:
    by_stamp, by_volume = live("stamp"), live("volume")
    for stamp, volume in frames:
        for driver in (by_stamp, by_volume):
            show(driver, stamp, str(volume))
    assert held(by_stamp) == candle(OPEN, str(max(frames)[1]))
    assert held(by_volume) == candle(OPEN, str(max(volume for _, volume in frames)))


def test_what_a_later_frame_takes_back_after_the_flag_is_asked_for_at_once() -> None:
    driver = live("stamp")
    show(driver, 1, "5")
    driver.now = OPEN + M5.ms + 500
    show(driver, M5.ms, "5", last=True)
    assert driver.symbol.tracks[M5].flagged
    show(driver, M5.ms + 100, "4")
    assert held(driver) == candle(OPEN, "4")
    assert driver.symbol.hurried


def test_an_old_frame_after_the_flag_changes_nothing() -> None:
    driver = live("stamp")
    driver.now = OPEN + M5.ms + 500
    show(driver, M5.ms, "5", last=True)
    show(driver, 7, "9")
    assert held(driver) == candle(OPEN, "5")
    assert driver.symbol.tracks[M5].flagged[OPEN] > driver.now
    assert not driver.symbol.hurried


def test_a_pages_row_bears_no_stamp_and_stands_until_the_feeds_next_word() -> None:
    driver = live("stamp")
    track = driver.symbol.tracks[M5]
    show(driver, 5, "3")
    track.lay(candle(OPEN, "6"), vouched=False)
    show(driver, 4, "9")
    assert held(driver) == candle(OPEN, "6"), "an old word is none, however much it tells of"
    show(driver, 6, "5")
    assert held(driver) == candle(OPEN, "5"), "it takes back what the page showed"
    show(driver, 7, "7")
    assert held(driver) == candle(OPEN, "7")


def test_what_only_a_page_stood_behind_is_taken_back_by_a_later_frame_alone() -> None:
    for stamp, volume, order, stands in (
        (M5.ms + 1, "8", "stamp", True),  # of before the page was asked for
        (M5.ms + 9, "8", "stamp", False),
        (M5.ms + 9, "1", "stamp", False),
        (M5.ms + 9, "1", "volume", True),
        (M5.ms + 9, "8", "volume", False),
    ):
        driver = live(order)  # type: ignore[arg-type]
        driver.now = OPEN + M5.ms + 500
        track = driver.symbol.tracks[M5]
        track.settle(OPEN, candle(OPEN, "3"), derived=False, likely=OPEN + M5.ms + 5)
        show(driver, stamp, volume)
        assert (OPEN in track.coverage) is stands, (stamp, volume, order)
        assert held(driver) == candle(OPEN, "3" if stands else volume)
