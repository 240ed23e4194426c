"""A span that is read again by request: served meanwhile, revised where the venue says otherwise."""

from __future__ import annotations

import pytest

from livecache.errors import RepairNotNow, RepairRefused, UnknownSeries
from livecache.ledger.repair import (
    PAGES_A_REPAIR_MAX,
    PAGES_WAITING_MAX,
    RepairPlan,
    order_repair,
    pages_waiting,
)
from livecache.ledger.timeline import Timeline
from livecache.model.policy import Policy
from livecache.model.series import Close, Kind
from livecache.model.timeframe import Timeframe
from livecache.proof.evidence import Open, PageFacts
from livecache.proof.plan import Priority
from livecache.venues.coinbase.traits import TRAITS

from .driver import SYMBOL, Driver, candle

M5, M15 = Timeframe.M5, Timeframe.M15
W = M5.ms
NOW = 1_770_000_000_000 // M15.ms * M15.ms + 61_000


def filled(*timeframes: Timeframe, candles: int = 100) -> Driver:
    """A symbol that is filled, and of which all was told."""
    driver = Driver(timeframes or (M5,), NOW, policy=Policy(candles=candles, min_candles=10))
    driver.fill()
    driver.timeline.take(NOW)
    driver.asked.clear()
    return driver


def order(driver: Driver, start: int | None = None, end: int | None = None, of: Timeframe = M5) -> RepairPlan:
    return order_repair(driver.timeline, SYMBOL, of, start, end, now=driver.now)


def closes(driver: Driver) -> list[Close]:
    return list(driver.timeline.take(driver.now).closes)


def test_it_is_read_again_at_once_and_stays_served_meanwhile() -> None:
    driver = filled()
    track = driver.symbol.tracks[M5]
    state, held = track.state, dict(track.settled)
    bucket = M5.floor(NOW) - 50 * W
    assert order(driver, bucket, bucket + W) == (bucket, bucket + W, 1, 1)
    (want,) = driver.wants()
    assert want.priority is Priority.REPAIR
    assert want.start <= bucket < want.end
    (change,) = driver.timeline.take(driver.now).series
    assert change.whole, "Redis is written from memory at once"
    assert change.state == state and track.settled == held
    driver.answer(want)
    assert driver.wants() == []
    assert closes(driver) == [], "it was as it is"


def test_what_the_venue_now_says_otherwise_is_an_announced_revision() -> None:
    driver = filled(M5, M15)
    bucket = M15.floor(NOW) - 60 * W
    before = driver.symbol.tracks[M5].settled[bucket]
    driver.revised[M5, bucket] = 7
    order(driver, bucket, bucket + W)
    driver.fill()
    found = closes(driver)
    assert [(c.kind, c.series.timeframe, c.time) for c in found] == [
        (Kind.REVISED, M5, bucket),
        (Kind.REVISED, M15, bucket),
    ]
    assert found[0].replaced == before and found[0].candle == candle(bucket, "7")
    assert found[1].candle is not None and found[1].candle.volume == "9", "seven, and one each of the others"


def test_what_the_venue_shows_no_more_is_proven_empty_once_two_pages_say_so() -> None:
    driver = filled(M5, M15)
    bucket = M15.floor(NOW) - 60 * W
    track = driver.symbol.tracks[M5]
    driver.revised[M5, bucket] = 0
    order(driver, bucket, bucket + W)
    driver.answer(driver.wants()[0])
    assert track.settled[bucket].volume == "1", "one page may simply be short"
    assert closes(driver) == []
    assert driver.fill(Priority.REPAIR) == 1
    assert bucket in track.coverage and bucket not in track.settled
    (revised, parent) = closes(driver)
    assert (revised.kind, revised.time, revised.candle) == (Kind.REVISED, bucket, None)
    assert parent.candle is not None and parent.candle.volume == "2"


def test_a_page_that_lacks_a_row_once_changes_nothing() -> None:
    driver = filled()
    bucket = M5.floor(NOW) - 60 * W
    driver.revised[M5, bucket] = 0
    order(driver, bucket, bucket + W)
    driver.answer(driver.wants()[0])
    del driver.revised[M5, bucket]
    driver.fill()
    assert driver.symbol.tracks[M5].settled[bucket].volume == "1"
    assert closes(driver) == []
    assert driver.wants() == []


def test_a_row_that_vanished_is_no_news_where_nobody_asked() -> None:
    """Every settling page reads a dozen old buckets too; a short one takes nothing back."""
    driver = filled()
    bucket = M5.floor(NOW) - 3 * W
    driver.revised[M5, bucket] = 0
    for _ in range(3):
        driver.now += W
        driver.fill()
    assert driver.symbol.tracks[M5].settled[bucket].volume == "1"


def test_a_bucket_that_was_proven_empty_gets_the_candle_that_the_venue_shows_now() -> None:
    bucket = M5.floor(NOW) - 60 * W
    driver = Driver([M5], NOW, policy=Policy(min_candles=10), trades=lambda _, t: t != bucket)
    driver.fill()
    driver.timeline.take(NOW)
    driver.trades = lambda _, t: True
    order(driver, bucket, bucket + W)
    driver.fill()
    (close,) = closes(driver)
    assert (close.kind, close.time, close.replaced) == (Kind.REVISED, bucket, None)
    assert driver.symbol.tracks[M5].settled[bucket].volume == "1"


def test_everything_that_is_kept_takes_as_many_pages_as_were_told() -> None:
    driver = filled(candles=1_000)
    plan = order(driver)
    track = driver.symbol.tracks[M5]
    assert plan.start == max(track.keep_from, track.coverage.spans[0].start)
    assert plan.end == M5.floor(NOW)
    assert plan.pages == plan.waiting == 4
    assert driver.fill() == 4
    assert pages_waiting(driver.timeline) == 0


def test_the_same_order_twice_is_one() -> None:
    driver = filled(candles=1_000)
    assert order(driver).waiting == 4
    assert order(driver).waiting == 4
    assert order(driver, M5.floor(NOW) - 20 * W).waiting == 4
    assert driver.fill() == 4


@pytest.mark.parametrize(
    ("start", "end", "message"),
    [
        (NOW, None, "where a bucket does"),
        (M5.floor(NOW) - 10 * W + 1, None, "where a bucket does"),
        (M5.floor(NOW) - 10 * W, M5.floor(NOW) - 10 * W, "ends after it begins"),
        (M5.floor(NOW) + 9 * W, M5.floor(NOW) + 8 * W, "ends after it begins"),
    ],
)
def test_what_makes_no_sense_is_refused_and_changes_nothing(
    start: int | None, end: int | None, message: str
) -> None:
    driver = filled()
    with pytest.raises(RepairRefused, match=message):
        order(driver, start, end)
    assert driver.wants() == []


@pytest.mark.parametrize(
    ("start", "end", "pages"),
    [(-10_000, None, 1), (-10_000, 9, 1), (-10_000, -9_000, 0), (None, 9, 1), (-5, 9, 1)],
)
def test_a_span_may_reach_beyond_what_is_kept(start: int | None, end: int | None, pages: int) -> None:
    driver = filled()
    edge = M5.floor(NOW)
    plan = order(driver, start and edge + start * W, end and edge + end * W)
    assert plan.pages == pages
    assert plan.end <= edge
    assert not pages or driver.symbol.tracks[M5].keep_from <= plan.start
    (change,) = driver.timeline.take(NOW).series
    assert change.whole, "what lies in Redis beyond it goes"
    assert driver.fill() == pages


def test_it_asks_anew_for_what_is_empty_and_where_history_ends() -> None:
    oldest, hole = M5.floor(NOW) - 40 * W, M5.floor(NOW) - 20 * W
    driver = Driver([M5], NOW, policy=Policy(min_candles=10), trades=lambda _, t: t >= oldest and t != hole)
    driver.fill()
    track = driver.symbol.tracks[M5]
    assert track.exhausted and track.history_from == oldest
    assert hole in track.coverage and hole not in track.settled
    driver.trades = lambda timeframe, time: True
    order(driver)
    driver.fill()
    assert hole in track.settled
    assert len(track.settled) >= 100 and not track.history_from


def test_an_unknown_series_and_one_that_only_works_unseen_are_told() -> None:
    driver = filled(M15)
    for timeframe in (M5, Timeframe.D1):
        with pytest.raises(UnknownSeries):
            order(driver, of=timeframe)


def test_what_reaches_beyond_what_is_kept_is_read_as_far_as_it_is_kept() -> None:
    driver = filled()
    track, edge = driver.symbol.tracks[M5], M5.floor(NOW)
    oldest = max(track.keep_from, track.coverage.spans[0].start)
    assert order(driver, oldest - 10_000 * W, edge + 50 * W) == (oldest, edge, 1, 1)
    driver.fill()
    assert order(driver, None, edge + W).end == edge


@pytest.mark.parametrize("span", [(-20_000, -10_000), (5, 9), (0, 1)])
def test_of_a_span_that_is_not_kept_at_all_the_series_is_still_written_anew(span: tuple[int, int]) -> None:
    """Whatever somebody put there in Redis is gone by it, and nothing has to be read."""
    driver = filled()
    start, end = (M5.floor(NOW) + n * W for n in span)
    assert order(driver, start, end) == (start, end, 0, 0)
    assert driver.wants() == []
    (change,) = driver.timeline.take(driver.now).series
    assert change.whole


def test_while_nothing_is_settled_it_is_written_anew_and_filled_as_ever() -> None:
    driver = Driver([M5], NOW)
    driver.timeline.take(NOW)
    assert order(driver).pages == 0
    (change,) = driver.timeline.take(NOW).series
    assert change.whole and change.members == {}


def test_a_hole_is_asked_for_at_once_whenever_it_would_have_been_tried_again() -> None:
    """Whoever orders it does not wait out the growing waits of a page that settled nothing."""
    driver = filled()
    track = driver.symbol.tracks[M5]
    hole = M5.floor(NOW) - 50 * W
    track.coverage = track.coverage.remove(hole, hole + 2 * W)
    del track.settled[hole], track.settled[hole + W]
    track.open = {t: Open(None, NOW, NOW, again=NOW + 300_000) for t in (hole, hole + W)}
    assert order(driver, hole, hole + 2 * W).pages == 1
    (want,) = driver.wants()
    assert want.priority is Priority.REPAIR and want.start <= hole < want.end
    driver.answer(want)
    assert track.coverage.covers(hole, hole + 2 * W) and hole in track.settled
    assert pages_waiting(driver.timeline) == 0


def test_what_a_page_could_not_settle_is_not_asked_for_over_and_over() -> None:
    driver = filled()
    track = driver.symbol.tracks[M5]
    hole = M5.floor(NOW) - 50 * W
    track.coverage = track.coverage.remove(hole, hole + W)
    del track.settled[hole]
    order(driver, hole, hole + W)
    (want,) = driver.wants()
    rows = {t: candle(t) for t in range(want.start, want.end, W) if t != hole}
    facts = PageFacts(want.start, want.end, rows, NOW, rejected=frozenset({hole}))
    driver.timeline.apply_page(SYMBOL, M5, facts, NOW)
    assert hole not in track.coverage
    assert pages_waiting(driver.timeline) == 0
    assert driver.wants() == []


def test_a_timeframe_that_the_venue_does_not_serve_is_read_by_what_it_is_rolled_up_from() -> None:
    driver = filled(M5, M15)
    bucket = M15.floor(NOW) - 20 * M15.ms
    span = (bucket, bucket + M15.ms)
    driver.timeline.learn(driver.timeline.traits.without(M15))
    plan = order_repair(driver.timeline, SYMBOL, M15, *span, now=NOW)
    assert plan == (*span, 1, 1)
    assert pages_waiting(driver.timeline, (SYMBOL, M15)) == 1
    (want,) = driver.wants()
    assert want.timeframe is M5
    driver.revised[M5, bucket] = 7
    driver.fill()
    held = driver.symbol.tracks[M15].settled[bucket]
    assert held.volume == "9"
    assert {c.series.timeframe for c in driver.timeline.take(NOW).series if c.whole} == {M5, M15}


def test_all_that_the_largest_configuration_keeps_is_one_order() -> None:
    assert PAGES_A_REPAIR_MAX >= -(-10_000 // 300) + 1 + 100


def test_no_more_is_taken_than_can_be_read_in_a_while() -> None:
    driver = filled(candles=1_000)
    driver.page_limit = 3
    with pytest.raises(RepairRefused, match=f"at most {PAGES_A_REPAIR_MAX}"):
        order(driver)
    driver.page_limit = 10
    assert order(driver).waiting == 100
    symbols = [f"S{n}-USD" for n in range(PAGES_WAITING_MAX // 100)]
    many = Timeline("coinbase", symbols, [M5], Policy(), TRAITS.paged(10))
    for symbol in symbols:
        many.symbols[symbol].tracks[M5] = driver.symbol.tracks[M5]
    with pytest.raises(RepairNotNow, match=f"at most {PAGES_WAITING_MAX}"):
        order_repair(many, symbols[0], M5, None, None, now=NOW)


def test_what_is_trimmed_meanwhile_is_not_waited_for() -> None:
    driver = filled()
    order(driver)
    for _ in range(400):
        driver.now += W
        wants = [w for w in driver.wants() if w.priority is not Priority.REPAIR]
        driver.timeline.advance(driver.now)
        if wants:
            driver.answer(wants[0])
    driver.fill()
    assert pages_waiting(driver.timeline) == 0
