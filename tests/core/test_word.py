"""The feed's word: a flag closes a bucket at once, a page confirms many of them later."""

from __future__ import annotations

from dataclasses import replace

import pytest

from livecache.errors import ConfigError
from livecache.model.candle import ExactCandle
from livecache.model.policy import Policy
from livecache.model.series import Kind, SeriesState
from livecache.model.timeframe import Timeframe
from livecache.model.traits import Carriage
from livecache.proof.plan import Priority
from tests.core.driver import SYMBOL, Driver, candle

M1, M5, M15 = Timeframe.M1, Timeframe.M5, Timeframe.M15
W = M1.ms
OPEN = 1_770_000_000_000 // M15.ms * M15.ms + 30 * M15.ms
NOW = OPEN + 20_000
FLAGGED = (Carriage(M1, flag=True),)
CONFIRM_AFTER = Policy().confirm_after_ms


def live(timeframes: tuple[Timeframe, ...] = (M1,), *, flags: bool = True) -> Driver:
    """A filled timeline whose feed carries minutes, unbroken since before the one in progress began."""
    driver = Driver(timeframes, NOW, carries=FLAGGED if flags else (Carriage(M1),))
    driver.fill()
    driver.timeline.subscribe(0, OPEN - 1, [SYMBOL], driver.now)
    driver.timeline.take(driver.now)
    return driver


def show(driver: Driver, bucket: int, at: int, *, last: bool, volume: str = "1") -> None:
    driver.now = at
    driver.timeline.feed_candles(0, at, [(SYMBOL, M1, candle(bucket, volume), last)], at)


def minutes(driver: Driver, count: int, *, flags: bool = True) -> None:
    """So many minutes pass, each told and flagged a moment after its end."""
    for bucket in range(OPEN, OPEN + count * W, W):
        show(driver, bucket, bucket + 30_000, last=False, volume="0.5")
        show(driver, bucket, bucket + W + 100, last=flags)


def state(driver: Driver, timeframe: Timeframe = M1) -> SeriesState:
    driver.timeline.take(driver.now)
    found = driver.symbol.tracks[timeframe].state
    assert found is not None
    return found


def asked(driver: Driver) -> list[tuple[int, int]]:
    return [(w.start, w.end) for w in driver.wants() if w.priority is not Priority.CONFIRM]


def test_a_flagged_bucket_is_known_and_told_as_closed_at_once_and_not_as_settled() -> None:
    driver = live()
    show(driver, OPEN, OPEN + W, last=True)
    (close,) = driver.timeline.take(driver.now).closes
    assert (close.kind, close.time) == (Kind.CLOSED, OPEN)
    assert state(driver).known_through == OPEN + W
    assert state(driver).settled_through == OPEN


def test_a_flag_that_comes_a_moment_early_counts_once_the_bucket_is_over() -> None:
    driver = live()
    show(driver, OPEN, OPEN + W - 5, last=True)
    assert state(driver).known_through == OPEN
    driver.now = OPEN + W
    assert [c.time for c in driver.timeline.take(driver.now).closes] == [OPEN]
    assert state(driver).known_through == OPEN + W


def test_a_flag_that_comes_long_before_the_end_is_none() -> None:
    """Else a feed that breaks after it would leave half a minute that is told as the whole."""
    driver = live()
    show(driver, OPEN, OPEN + 30_000, last=True)
    driver.timeline.broken(0, [SYMBOL], resumes=False, now=driver.now)
    driver.now = OPEN + W
    assert driver.timeline.take(driver.now).closes == ()
    assert state(driver).known_through == OPEN
    assert driver.symbol.tracks[M1].flagged == {}


def test_many_flagged_buckets_are_confirmed_by_one_page_when_the_first_has_waited_long_enough() -> None:
    driver = live((M1, M5, M15))
    minutes(driver, 8)
    assert asked(driver) == [], "the parents wait for their children as well"
    due = OPEN + W + CONFIRM_AFTER
    assert driver.symbol.tracks[M1].next_again(driver.now) == due
    driver.now = due
    driver.timeline.heard(0, due, due)
    (page,) = asked(driver)
    assert page[0] <= OPEN
    assert page[1] >= OPEN + 8 * W
    driver.fill()
    assert state(driver).settled_through == OPEN + 8 * W
    assert state(driver, M5).settled_through == OPEN + M5.ms
    assert driver.symbol.tracks[M1].flagged == {}


def test_without_flags_each_bucket_is_asked_for_as_soon_as_it_can_settle() -> None:
    driver = live(flags=False)
    minutes(driver, 1, flags=False)
    driver.now = OPEN + W + Policy().settle_delay_ms
    assert len(asked(driver)) == 1


def test_a_lost_flag_closes_by_the_next_bucket_and_is_asked_for_as_ever() -> None:
    driver = live()
    show(driver, OPEN, OPEN + 50_000, last=False)
    show(driver, OPEN + W, OPEN + W + 200, last=False, volume="0.1")
    assert [c.time for c in driver.timeline.take(driver.now).closes] == [OPEN]
    driver.now = OPEN + W + Policy().settle_delay_ms
    assert len(asked(driver)) == 1


@pytest.mark.parametrize("late_ms", [70_000, 130_000, 300_000])
def test_a_late_or_repeated_flag_changes_nothing_that_readers_were_told(late_ms: int) -> None:
    driver = live()
    show(driver, OPEN, OPEN + 50_000, last=False)
    for at in range(OPEN + W, OPEN + W + late_ms, W):
        show(driver, at, at + 200, last=False, volume="0.1")
    driver.timeline.take(driver.now)
    before = state(driver)
    for _ in range(2):
        show(driver, OPEN, driver.now + 1, last=True)
        assert driver.timeline.take(driver.now).closes == ()
        assert state(driver) == before


def test_a_break_has_all_that_is_not_confirmed_asked_for_at_once_and_takes_nothing_back() -> None:
    driver = live()
    minutes(driver, 4)
    known = state(driver).known_through
    assert asked(driver) == []
    driver.timeline.broken(0, [SYMBOL], resumes=True, now=driver.now)
    assert driver.symbol.hurried
    driver.now += Policy().settle_delay_ms
    assert len(asked(driver)) == 1
    assert state(driver).known_through == known
    driver.fill()
    assert state(driver).settled_through == known


def test_a_flag_of_a_bucket_through_which_the_feed_was_broken_is_no_reason_to_wait() -> None:
    driver = live()
    show(driver, OPEN, OPEN + 30_000, last=False, volume="0.5")
    driver.timeline.broken(0, [SYMBOL], resumes=False, now=driver.now)
    show(driver, OPEN, OPEN + 45_000, last=False, volume="0.75")
    show(driver, OPEN, OPEN + W + 100, last=True)
    assert state(driver).known_through == OPEN + W, "the candle is cumulative"
    driver.now = OPEN + W + Policy().settle_delay_ms
    assert len(asked(driver)) == 1


def test_more_after_the_flag_is_shown_and_has_the_bucket_asked_for_at_once() -> None:
    driver = live()
    show(driver, OPEN, OPEN + W, last=True)
    show(driver, OPEN, OPEN + W + 500, last=False, volume="3")
    assert driver.symbol.hurried
    assert driver.symbol.tracks[M1].candle(OPEN) == candle(OPEN, "3")
    driver.now = OPEN + W + Policy().settle_delay_ms
    assert len(asked(driver)) == 1


def test_a_page_that_disagrees_is_read_again_in_its_own_time() -> None:
    """The page is older than the feed: the flag must not keep it from being asked for again."""
    driver = live()
    minutes(driver, 2)
    driver.now = OPEN + 2 * W + Policy().settle_delay_ms
    track = driver.symbol.tracks[M1]
    track.suspect.add(OPEN - 5 * W)  # so that a page is asked for
    driver.revised[M1, OPEN] = 0
    driver.answer(driver.wants()[0])
    again = track.open[OPEN].again
    assert again < OPEN + CONFIRM_AFTER
    driver.now = again
    assert len(asked(driver)) == 1


def test_a_poorer_last_candle_is_not_believed() -> None:
    driver = live()
    show(driver, OPEN, OPEN + 30_000, last=False, volume="3")
    show(driver, OPEN, OPEN + W, last=True, volume="1")
    assert driver.symbol.tracks[M1].flagged == {}
    assert driver.symbol.tracks[M1].candle(OPEN) == ExactCandle(OPEN, "10", "11", "9", "10.5", "3")


def test_a_word_that_may_stand_for_longer_than_readers_wait_is_refused_at_start() -> None:
    for confirm_after_ms, max_lag_ms in ((480_000, 539_999), (600_000, 600_000)):
        policy = Policy(confirm_after_ms=confirm_after_ms, max_lag_ms=max_lag_ms)
        with pytest.raises(ConfigError, match=r"less than a minute of cache\.max_lag"):
            Driver((M1,), NOW, policy=policy, carries=FLAGGED)
        Driver((M1,), NOW, policy=policy)  # where nothing is flagged, nothing waits
    Driver((M1,), NOW, policy=Policy(max_lag_ms=540_000), carries=FLAGGED)


def test_the_policy_says_how_long_the_feeds_word_may_stand_alone() -> None:
    driver = live()
    driver.symbol.tracks[M1].policy = replace(Policy(), confirm_after_ms=120_000)
    minutes(driver, 2)
    driver.now = OPEN + W + 120_000
    assert len(asked(driver)) == 1
