"""How far back a venue's history is to be had: what it keeps no more is not asked for, and proves nothing."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from livecache.model.policy import CONFIRM_MS, Policy
from livecache.model.series import SeriesId
from livecache.model.timeframe import Timeframe
from livecache.proof.evidence import PageFacts
from livecache.proof.joining import pass_on
from livecache.proof.plan import Priority
from livecache.proof.track import Track
from livecache.venues.coinbase.traits import TRAITS
from tests.core.driver import SYMBOL, Driver, candle

M1, M5, H1 = Timeframe.M1, Timeframe.M5, Timeframe.H1
W = M5.ms
NOW = 1_770_000_000_000 // H1.ms * H1.ms + 20_000
EDGE = M5.floor(NOW)


def reason(driver: Driver) -> str:
    driver.timeline.take(driver.now)
    state = driver.symbol.tracks[M5].state
    assert state is not None
    return state.reason


@settings(max_examples=15)
@given(
    reach=st.sampled_from([2, 15, 100, 400]),
    page=st.sampled_from([20, 100, 330]),
    frames=st.sampled_from([(M5,), (M5, H1), (M1, H1)]),
    unserved=st.sampled_from([(), (H1,)]),
    quiet=st.integers(1, 30),
)
def test_no_page_reaches_beyond_what_the_venue_keeps_and_the_search_ends(
    reach: int, page: int, frames: tuple[Timeframe, ...], unserved: tuple[Timeframe, ...], quiet: int
) -> None:
    driver = Driver(
        frames, NOW, page_limit=page, reach=reach, unserved=unserved, trades=lambda _, t: not t // W % quiet
    )
    for _ in range(3):
        driver.fill(most=200)
        for want in driver.asked:
            assert want.start >= driver.timeline.traits.oldest(want.timeframe, driver.now)
        driver.asked.clear()
        driver.now += 2 * CONFIRM_MS


@pytest.mark.parametrize("frames", [(H1,), (M5, H1), (M1, H1)])
@pytest.mark.parametrize("page", [100, 330])
def test_the_end_of_a_history_that_smaller_pages_bring_is_asked_for_once_an_hour(
    frames: tuple[Timeframe, ...], page: int
) -> None:
    listed = EDGE - 30 * H1.ms
    driver = Driver(frames, NOW, page_limit=page, unserved=(H1,), trades=lambda _, t: t >= listed)
    driver.fill(most=200)
    ends = driver.symbol.tracks[H1]
    assert ends.exhausted and ends.history_from == H1.floor(listed)
    for _ in range(3):
        driver.asked.clear()
        driver.now += CONFIRM_MS
        driver.fill(most=40)
        beyond = [w for w in driver.asked if w.timeframe is M5 and w.start < ends.history_from]
        assert len(beyond) == 1 and ends.exhausted


def test_what_is_older_than_the_end_of_such_a_history_is_found_after_all() -> None:
    listed = [EDGE - 30 * H1.ms]
    driver = Driver((M5, H1), NOW, unserved=(H1,), trades=lambda _, t: t >= listed[0])
    driver.fill(most=200)
    listed[0] -= 20 * H1.ms  # The venue had not shown it.
    driver.now += CONFIRM_MS
    driver.fill(most=200)
    assert driver.symbol.tracks[H1].history_from == H1.floor(listed[0])


def test_rows_that_say_that_nothing_was_traded_are_no_older_history() -> None:
    policy = Policy()
    parent, child = (Track(SeriesId("x", SYMBOL, t), policy, TRAITS, working=False) for t in (H1, M5))
    parent.history_from, parent.exhausted = H1.floor(EDGE), True
    start = parent.history_from - H1.ms
    flat = frozenset(range(start, parent.history_from, W))
    pass_on(parent, child, PageFacts(start, parent.history_from, {}, NOW, flat=flat))
    assert parent.exhausted and parent.end_asked == NOW
    pass_on(parent, child, PageFacts(start, parent.history_from, {start: candle(start)}, NOW))
    assert not parent.exhausted and not parent.history_from


@pytest.mark.parametrize("quiet", [1, 4])
def test_a_hole_further_back_than_a_small_page_reaches_is_filled(quiet: int) -> None:
    driver = Driver((H1,), NOW, page_limit=20, unserved=(H1,), trades=lambda _, t: not t // W % quiet)
    driver.fill(most=200)
    driver.now += 5 * H1.ms
    driver.fill(most=40)
    edge = H1.floor(driver.now)
    assert driver.symbol.tracks[H1].coverage.covers(edge - 5 * H1.ms, edge - H1.ms)


def test_that_it_keeps_no_more_is_no_proof_that_there_was_no_more() -> None:
    driver = Driver((M5,), NOW, reach=40)
    driver.fill()
    track = driver.symbol.tracks[M5]
    assert len(driver.asked) == 1 and driver.settled(M5) == 39
    assert reason(driver).startswith("venue has only 39 of 60, searched back to")
    assert track.history_from and not track.exhausted, "it is not asked again and again"
    driver.now += 21 * W
    driver.fill()
    assert driver.settled(M5) == 60 and reason(driver) == "", "what it forgets is kept here"


def test_a_hole_that_the_venue_has_forgotten_is_told_and_not_asked_for() -> None:
    driver = Driver((M5,), NOW, reach=40, policy=Policy(min_candles=10))
    driver.fill()
    driver.now += 60 * W
    driver.fill()
    hole = driver.symbol.tracks[M5].coverage.missing(EDGE - 39 * W, driver.now // W * W)
    assert [s.end for s in hole.spans] == [driver.timeline.traits.oldest(M5, driver.now)]
    assert reason(driver).startswith("further back a hole")
    driver.timeline.read_again(SYMBOL, M5, EDGE - 39 * W, EDGE + 40 * W)
    driver.asked.clear()
    driver.fill()
    assert [w.start >= hole.spans[0].end for w in driver.asked] == [True]


def test_nothing_is_looked_for_from_before_a_product_was_listed() -> None:
    listed = EDGE - 15 * W - 7_000
    driver = Driver((M5, H1), NOW, trades=lambda _, t: t >= M5.floor(listed))
    driver.symbol.begins(listed)
    driver.fill()
    for want in driver.asked:
        assert want.start >= want.timeframe.floor(listed)
    assert len(driver.asked) <= 2
    assert reason(driver).startswith("venue has only 16 of 60")


def test_a_product_listed_just_now_is_short_until_its_first_bucket_closes() -> None:
    listed = EDGE + 7_000
    driver = Driver((M5,), NOW, trades=lambda _, t: t >= EDGE)
    driver.symbol.begins(listed)
    for now in (NOW, EDGE + W + 5_000):
        driver.now = now
        assert reason(driver).startswith("venue has only 0 of 60, searched back to"), "nothing is waited for"
    driver.now = EDGE + W + 90_000
    assert reason(driver).startswith("warming up"), "what has closed is to be had"
    driver.fill()
    assert reason(driver).startswith("venue has only 1 of 60")


def test_without_a_date_the_search_goes_on_before_what_seems_the_first() -> None:
    driver = Driver((M5,), NOW, trades=lambda _, t: t >= EDGE - 16 * W)
    driver.fill()
    assert min(w.start for w in driver.asked) < EDGE - 300 * W


def test_when_the_date_comes_the_plan_is_made_anew() -> None:
    driver = Driver((M5,), NOW)
    first = driver.wants()[0]
    rows = {t: candle(t) for t in range(EDGE - 16 * W, NOW, W)}
    facts = PageFacts(first.start, first.end, rows, NOW)
    driver.timeline.apply_page(SYMBOL, M5, facts, NOW)
    assert [w for w in driver.wants() if w.priority is Priority.WIDEN]
    driver.symbol.hurried = False
    driver.symbol.begins(EDGE - 16 * W)
    assert driver.symbol.hurried
    assert not [w for w in driver.wants() if w.priority is Priority.WIDEN]
