"""The plan: the fewest requests, for every alignment of buckets."""

import pytest

from livecache.model.policy import Policy
from livecache.model.timeframe import TIMEFRAME_PRIORITY, Timeframe
from livecache.proof.plan import Priority
from tests.core.driver import Driver

SERVED = tuple(map(Timeframe, ("1m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "1d")))
M1, M5, M15, M30, H1, H2, H4, H6, D1 = SERVED
DAY = 1_770_000_000_000 // D1.ms * D1.ms
FIRST_FILL = (Priority.WARM, Priority.REPAIR)


@pytest.mark.parametrize("hour", range(24))
def test_three_pages_a_symbol_make_all_five_timeframes_ready_and_a_fourth_fills_them(hour: int) -> None:
    # Another 5m bucket, another 15m; tests of properties draw any moment.
    for minutes in (0, 5, 25, 55):
        driver = Driver(TIMEFRAME_PRIORITY, DAY + hour * H1.ms + minutes * M1.ms + 61_000)
        assert driver.fill(*FIRST_FILL) == 3
        assert {w.timeframe for w in driver.asked} == {M5, H1, D1}
        assert [driver.settled(t) >= 60 for t in TIMEFRAME_PRIORITY] == [True] * 5
        assert driver.fill() == 1
        assert driver.asked[-1].timeframe is H4
        assert [driver.settled(t) >= 100 for t in TIMEFRAME_PRIORITY] == [True] * 5
        assert all(w.end - w.start <= 330 * w.timeframe.ms for w in driver.asked)


@pytest.mark.parametrize("into_bucket_ms", [0, 1, 9_999, 10_000, 59_999, 60_000, 299_999])
@pytest.mark.parametrize("boundary", [DAY, DAY + H4.ms, DAY + H1.ms, DAY + M15.ms, DAY + M5.ms])
def test_around_every_kind_of_boundary_the_fill_ends_and_is_complete(
    boundary: int, into_bucket_ms: int
) -> None:
    driver = Driver(TIMEFRAME_PRIORITY, boundary + into_bucket_ms)
    driver.fill()
    for timeframe in TIMEFRAME_PRIORITY:
        track = driver.symbol.tracks[timeframe]
        assert driver.settled(timeframe) >= 100
        assert len(track.coverage.spans) == 1
        assert track.coverage.spans[0].end == timeframe.floor(driver.now - 10_000)


@pytest.mark.parametrize(
    ("timeframes", "pages"),
    [
        ((M5,), 1),
        ((H1,), 2),  # and the 5m that work unseen for the hour in progress
        ((D1,), 2),
        ((M5, D1), 2),
        ((M5, M15), 1),
        ((M15, M5), 1),
        ((M1, M5), 1),
        ((M1, M5, M15), 2),
        ((D1, H4, H1, M15, M5), 3),
        (SERVED[1:], 4),
        (SERVED, 4),
    ],
    ids=str,
)
def test_other_choices_of_timeframes_also_take_few_pages(
    timeframes: tuple[Timeframe, ...], pages: int
) -> None:
    driver = Driver(timeframes, DAY + 3 * H1.ms + 17 * 60_000 + 61_000)
    assert driver.fill(*FIRST_FILL) == pages
    assert all(driver.settled(t) >= 60 for t in timeframes)


def test_a_page_serves_the_timeframes_that_wait_to_be_rolled_up_from_it() -> None:
    driver = Driver((H4, D1, M5, M15, H1), DAY + 3 * H1.ms)
    serves = {w.timeframe: w.serves for w in driver.wants()}
    assert serves == {M5: {M5, M15}, H1: {H1, H4}, D1: {D1}}


@pytest.mark.parametrize("away", [1, 5, 11, 12, 13, 100, 300, 329])
def test_after_an_absence_one_page_brings_everything_that_was_missed(away: int) -> None:
    driver = Driver(TIMEFRAME_PRIORITY, DAY + 2 * H1.ms + 61_000)
    driver.fill()
    driver.now += away * M5.ms
    assert driver.fill() == 1
    for timeframe in TIMEFRAME_PRIORITY:
        coverage = driver.symbol.tracks[timeframe].coverage
        assert coverage.spans[-1].end == timeframe.floor(driver.now - 10_000)
        assert len(coverage.spans) == 1


@pytest.mark.parametrize("days", [2, 5, 40, 400])
def test_after_a_long_absence_the_hole_is_filled_or_left_behind_never_hidden(days: int) -> None:
    driver = Driver(TIMEFRAME_PRIORITY, DAY + 2 * H1.ms + 61_000)
    driver.fill()
    driver.now += days * D1.ms
    assert driver.fill() <= 4
    for timeframe in TIMEFRAME_PRIORITY:
        assert driver.settled(timeframe) >= 100
        assert len(driver.symbol.tracks[timeframe].coverage.spans) == 1


def test_settling_reaches_a_dozen_buckets_back_and_asks_for_no_more() -> None:
    driver = Driver(TIMEFRAME_PRIORITY, DAY + 2 * H1.ms + 61_000)
    driver.fill()
    assert driver.wants() == []
    driver.now += M5.ms
    (want,) = driver.wants()
    assert (want.priority, want.timeframe) == (Priority.SETTLE, M5)
    edge = M5.floor(driver.now)
    assert (want.start, want.end) == (edge - 12 * M5.ms, edge + M5.ms)


def test_a_bucket_is_not_asked_for_before_it_can_be_settled() -> None:
    driver = Driver(TIMEFRAME_PRIORITY, DAY + 2 * H1.ms + 61_000)
    driver.fill()
    driver.now = DAY + 2 * H1.ms + M5.ms + 9_999
    assert driver.wants() == []
    driver.now += 1
    assert [w.priority for w in driver.wants()] == [Priority.SETTLE]


def test_a_shorter_page_limit_only_takes_more_pages() -> None:
    driver = Driver(TIMEFRAME_PRIORITY, DAY + 2 * H1.ms + 61_000, page_limit=100)
    driver.fill()
    assert all(driver.settled(t) >= 99 for t in TIMEFRAME_PRIORITY)
    assert all(w.end - w.start <= 100 * w.timeframe.ms for w in driver.asked)


UNSERVED = tuple(map(Timeframe, ("3m", "8h", "12h")))


@pytest.mark.parametrize("timeframe", UNSERVED)
def test_what_the_venue_does_not_serve_is_filled_by_pages_of_what_it_is_rolled_up_from(
    timeframe: Timeframe,
) -> None:
    driver = Driver((timeframe,), DAY + 3 * H1.ms + 61_000, unserved=UNSERVED)
    driver.fill()
    assert driver.settled(timeframe) >= 100
    assert not {w.timeframe for w in driver.asked} & set(UNSERVED)
    assert all(w.end - w.start <= 330 * w.timeframe.ms for w in driver.asked)
    assert len({w[1:4] for w in driver.asked}) == len(driver.asked), "nothing is asked for twice"


@pytest.mark.parametrize("timeframe", UNSERVED)
def test_the_search_for_its_history_ends_where_the_venue_has_nothing_older(timeframe: Timeframe) -> None:
    listed = DAY - 30 * timeframe.ms
    driver = Driver((timeframe,), DAY + 61_000, trades=lambda _, time: time >= listed, unserved=UNSERVED)
    assert driver.fill() < 15
    track = driver.symbol.tracks[timeframe]
    assert track.coverage.spans[-1].start <= listed + timeframe.ms
    assert track.history_from == track.coverage.spans[-1].start and track.exhausted


def test_as_many_candles_are_kept_as_are_wanted_however_many_pages_that_takes() -> None:
    driver = Driver((M5,), DAY, policy=Policy(candles=3_000))
    driver.fill()
    assert driver.settled(M5) == 3_000
