"""Symbols and timeframes come and go in a timeline that runs; what stays goes on as if nothing was."""

from __future__ import annotations

from livecache.model.policy import Policy
from livecache.model.timeframe import Timeframe

from .driver import SYMBOL, Driver, candle

M1, M5, M15, M30, H1 = (Timeframe(name) for name in ("1m", "5m", "15m", "30m", "1h"))
NOW = 1_771_590_120_000  # 2026-02-20T12:22
W = M5.ms


def running() -> Driver:
    """Filled, taken, and with its feed up."""
    driver = Driver((M5, M15, H1), NOW)
    driver.fill()
    driver.timeline.subscribe(0, NOW, [SYMBOL], NOW)
    driver.timeline.feed_candles(0, NOW, [(SYMBOL, M5, candle(M5.floor(NOW)), False)], NOW)
    driver.timeline.take(NOW)
    return driver


def test_what_stays_is_neither_written_anew_nor_unvouched_for() -> None:
    driver = running()
    tracks = dict(driver.symbol.tracks)
    before = {t: track.state for t, track in tracks.items()}
    driver.timeline.arrange([SYMBOL, "ETH-USD"], (M5, M15, H1), Policy())
    driver.timeline.adopt((), NOW)
    changes = driver.timeline.take(NOW)
    assert {change.series.symbol for change in changes.series} == {"ETH-USD"}
    assert driver.symbol is driver.timeline.symbols[SYMBOL]
    assert {t: track.state for t, track in driver.symbol.tracks.items()} == before
    assert all(driver.symbol.tracks[t] is track for t, track in tracks.items())
    assert driver.timeline.feed_up(SYMBOL) and not driver.timeline.feed_up("ETH-USD")


def test_a_timeframe_that_comes_is_rolled_up_from_what_is_there_without_a_request() -> None:
    driver = running()
    driver.timeline.arrange([SYMBOL], (M5, M15, M30, H1), Policy(candles=40, min_candles=40))
    driver.timeline.adopt((), NOW)
    (change,) = [c for c in driver.timeline.take(NOW).series if c.series.timeframe is M30]
    assert change.whole and change.state is not None
    assert change.state.ready, "half an hour is two quarters, and those are settled"
    assert driver.wants() == []


def test_one_that_goes_and_is_needed_for_others_works_unseen() -> None:
    driver = running()
    driver.timeline.arrange([SYMBOL], (M15, H1), Policy())
    assert driver.symbol.tracks[M5].working
    driver.timeline.feed_candles(0, NOW + 1, [(SYMBOL, M5, candle(M5.floor(NOW), "2"), False)], NOW + 1)
    told = {change.series.timeframe for change in driver.timeline.take(NOW + 1).series}
    assert told <= {M15, H1} and M15 in told, "the quarter in progress grows by it"
    driver.timeline.arrange([SYMBOL], (M5, M15, H1), Policy())
    (change,) = [c for c in driver.timeline.take(NOW + 1).series if c.series.timeframe is M5]
    assert change.whole, "it is written again from the beginning"


def test_what_still_comes_of_a_symbol_that_went_is_no_news() -> None:
    driver = running()
    driver.timeline.arrange(["ETH-USD"], (M5,), Policy())
    driver.timeline.subscribe(0, NOW, [SYMBOL], NOW)
    driver.timeline.feed_candles(0, NOW, [(SYMBOL, M5, candle(M5.floor(NOW)), False)], NOW)
    driver.timeline.feed_trades(0, NOW, [(SYMBOL, 1, "10", "1", NOW)], NOW)
    driver.timeline.broken(0, [SYMBOL, "ETH-USD"], resumes=True, now=NOW)
    driver.timeline.heard(0, NOW + 1_000, NOW + 1_000)
    assert {change.series.symbol for change in driver.timeline.take(NOW + M5.ms).series} == {"ETH-USD"}
    assert not driver.timeline.feed_up(SYMBOL)


def test_a_break_that_was_to_resume_resumes_for_those_that_stay() -> None:
    driver = running()
    driver.timeline.arrange([SYMBOL, "ETH-USD"], (M5,), Policy())
    driver.timeline.subscribe(0, NOW, ["ETH-USD"], NOW)
    driver.timeline.broken(0, [SYMBOL, "ETH-USD"], resumes=True, now=NOW)
    driver.timeline.arrange([SYMBOL], (M5,), Policy())
    driver.timeline.heard(0, NOW + 1_000, NOW + 1_000)
    assert driver.timeline.feed_up(SYMBOL)


def test_fewer_candles_are_trimmed_and_more_are_wanted() -> None:
    driver = running()
    driver.timeline.arrange([SYMBOL], (M5, M15, H1), Policy(candles=70))
    driver.symbol.trim(NOW)
    (change,) = [c for c in driver.timeline.take(NOW).series if c.series.timeframe is H1]
    assert change.state is not None
    assert change.state.contiguous_from == H1.floor(NOW) - 70 * H1.ms
    driver.timeline.arrange([SYMBOL], (M5, M15, H1), Policy(candles=500))
    driver.symbol.trim(NOW)
    assert driver.fill() > 0
    assert all(len(track.settled) >= 500 for track in driver.symbol.tracks.values())


def test_a_search_back_that_ended_goes_on_where_it_may_go_further() -> None:
    driver = Driver((M5,), NOW, trades=lambda timeframe, time: time % (100 * W) == 0)
    driver.fill()
    track = driver.symbol.tracks[M5]
    assert track.history_from and driver.wants() == []
    driver.timeline.arrange([SYMBOL], (M5,), Policy(widen_pages=8))
    assert driver.fill() > 0
