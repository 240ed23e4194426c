"""A page of another series, or of other times: each of its rows looks right, and they do not fit."""

from __future__ import annotations

import pytest

from livecache.model.candle import ExactCandle
from livecache.model.policy import Policy
from livecache.model.series import SeriesId
from livecache.model.timeframe import Timeframe
from livecache.proof.evidence import PageFacts, PageOutcome
from livecache.proof.feeding import Channel
from livecache.proof.settling import settle_page
from livecache.proof.track import Track
from livecache.venues.coinbase.traits import TRAITS

from .driver import SYMBOL, Driver

W = Timeframe.M5.ms
T = 1_770_000_000_000 // W * W
MINUTE = 60_000


def row(time: int, price: int, volume: str = "5") -> ExactCandle:
    return ExactCandle(time, str(price), str(price + 2), str(price), str(price + 1), volume)


def read(on: Track, rows: list[ExactCandle], heard: int) -> PageOutcome:
    facts = PageFacts(T - 4 * W, T + 2 * W, {each.time: each for each in rows}, heard)
    return settle_page(on, facts, Channel(), feed=True)


def page(price: int, step: int, times: range = range(-4, 2)) -> list[ExactCandle]:
    """Rows before and after T, whose prices rise by `step` a bucket."""
    return [row(T + n * W, price + step * n) for n in times]


def filled() -> Track:
    on = Track(SeriesId("coinbase", "BTC-USD", Timeframe.M5), Policy(), TRAITS, working=False)
    read(on, page(1000, 10, range(-4, 1)), T + 30_000)
    assert on.coverage.covers(T - 4 * W, T)
    return on


@pytest.mark.parametrize(
    "lie", [page(50, 10), page(1010, 10), page(990, 10)], ids=["another product", "a bucket late", "early"]
)
def test_a_page_that_does_not_fit_what_is_known_is_not_taken(lie: list[ExactCandle]) -> None:
    on = filled()
    before = dict(on.settled)
    for minutes in (0, 1, 4):
        outcome = read(on, lie, T + W + 30_000 + minutes * MINUTE)
        assert outcome.strange and not outcome.touched
    assert on.settled == before, "however much volume it tells of"
    read(on, page(1000, 10), T + W + 300_000)
    assert T in on.coverage and on.settled[T] == row(T, 1000)
    assert not read(on, page(1000, 10), T + W + 301_000).strange


def test_rows_of_a_bigger_timeframe_reach_as_far_as_any_and_are_not_taken() -> None:
    on = Track(SeriesId("coinbase", "BTC-USD", Timeframe.M5), Policy(), TRAITS, working=False)
    true = [row(T + n * W, 1000 + 10 * n) for n in range(-12, 1)]

    def told(rows: list[ExactCandle], heard: int) -> bool:
        facts = PageFacts(T - 12 * W, T + 2 * W, {each.time: each for each in rows}, heard)
        return not settle_page(on, facts, Channel(), feed=True).strange

    assert told(true, T + 30_000)
    before = dict(on.settled)
    bigger = [ExactCandle(each.time, each.open, "9999", "1", each.close, "99") for each in true[::3]]
    assert not told(bigger, T + 60_000) and on.settled == before
    assert not told(bigger[1:2], T + 60_000) and on.settled == before, "all that is beside it is not there"
    assert told([each for n, each in enumerate(true) if n % 3], T + 90_000), (
        "a page that lacks a few is short"
    )
    assert on.settled == before
    assert told(true[6:], T + 91_000) and told(true[:6], T + 92_000), (
        "so is one that ends early, or begins late"
    )
    assert on.settled == before


def test_rows_where_nothing_was_traded_are_not_taken_from_one_page() -> None:
    on = Track(SeriesId("coinbase", "BTC-USD", Timeframe.M5), Policy(), TRAITS, working=False)
    read(on, page(1000, 10, range(-4, 1, 2)), T + 30_000)
    assert T - 3 * W in on.coverage and T - W in on.coverage
    late = [row(each.time + W, 1000) for each in page(1000, 10, range(-4, 0, 2))]
    assert read(on, late, T + 40_000).strange
    assert T - 3 * W not in on.settled


def test_three_such_pages_over_five_minutes_are_right_and_what_was_known_was_not() -> None:
    on = filled()
    for minutes in (0, 2, 4):
        assert read(on, page(50, 10), T + W + 30_000 + minutes * MINUTE).strange
    assert not read(on, page(50, 10), T + W + 30_000 + 5 * MINUTE).strange
    assert on.settled[T] == row(T, 50)


@pytest.mark.parametrize("lies", [(50, 3000, 400), (50, 50, 3000), (50, 3000, 3000, 50)])
def test_pages_that_do_not_agree_with_each_other_are_no_witnesses_of_each_other(
    lies: tuple[int, ...],
) -> None:
    on = filled()
    before = dict(on.settled)
    for n, price in enumerate(lies * 5):
        assert read(on, page(price, 10), T + W + 30_000 + n * 2 * MINUTE).strange
    assert on.settled == before


def read_far_back(on: Track, rows: list[ExactCandle], heard: int) -> PageOutcome:
    """A page that ends before those of the others begin."""
    facts = PageFacts(T - 40 * W, T - 30 * W, {each.time: each for each in rows}, heard)
    return settle_page(on, facts, Channel(), feed=True)


def holed() -> Track:
    """Filled, and far back as well, but for the bucket 35 before T."""
    on = filled()
    for n in (*range(-40, -35), *range(-34, -30)):
        on.settle(T + n * W, row(T + n * W, 1000), derived=False)
    return on


CORRECTED = [row(T + n * W, 50) for n in range(-40, -30)]


def test_pages_of_other_times_do_not_speak_against_them() -> None:
    """The newest page, which fits, and an older one with a hole are asked for in turn."""
    on = holed()
    for minutes in range(5):
        heard = T + W + 30_000 + minutes * MINUTE
        assert read_far_back(on, CORRECTED, heard).strange
        assert not read(on, page(1000, 10), heard + 30_000).strange
    assert not read_far_back(on, CORRECTED, T + W + 30_000 + 5 * MINUTE).strange
    assert T - 35 * W in on.coverage


def test_two_places_that_do_not_fit_are_counted_apart() -> None:
    on = holed()
    for minutes in range(5):
        heard = T + W + 30_000 + minutes * MINUTE
        assert read_far_back(on, CORRECTED, heard).strange
        if minutes >= 3:
            assert read(on, page(50, 10), heard + 30_000).strange, "it has a count of its own"
    assert not read_far_back(on, CORRECTED, T + W + 30_000 + 5 * MINUTE).strange
    assert read(on, page(50, 10), T + W + 60_000 + 5 * MINUTE).strange


def test_a_page_that_fits_begins_the_count_of_its_own_times_again() -> None:
    on = holed()
    true = [row(T + n * W, 1000) for n in (*range(-40, -35), *range(-34, -30))]
    for minutes in (0, 2, 4):
        assert read_far_back(on, CORRECTED, T + W + 30_000 + minutes * MINUTE).strange
    assert not read_far_back(on, true, T + W + 270_000).strange
    assert read_far_back(on, CORRECTED, T + W + 30_000 + 5 * MINUTE).strange


def test_what_nobody_asked_for_in_an_hour_begins_again() -> None:
    on = holed()
    for minutes in (0, 2, 4):
        assert read_far_back(on, CORRECTED, T + W + 30_000 + minutes * MINUTE).strange
    assert not read_far_back(on, CORRECTED, T + W + 30_000 + 5 * MINUTE).strange
    others = [row(each.time, 3000) for each in CORRECTED]
    assert read_far_back(on, others, T + W + 30_000 + 65 * MINUTE).strange


def test_however_many_places_do_not_fit_few_are_remembered() -> None:
    on = filled()
    for place in range(50):
        times = [T - (1000 - 10 * place + n) * W for n in range(4)]
        for time in times:
            on.settle(time, row(time, 1000), derived=False)
        facts = PageFacts(times[-1], times[0] + W, {t: row(t, 50) for t in sorted(times)}, T + W + place)
        assert settle_page(on, facts, Channel(), feed=True).strange
    assert len(on.strange) <= 4


def test_what_the_feed_vouches_for_is_given_up_after_an_hour_only() -> None:
    on = filled()
    on.lay(row(T, 1000), vouched=True)
    for minutes in range(60):
        assert read(on, page(50, 10), T + W + 30_000 + minutes * MINUTE).strange
    assert not read(on, page(50, 10), T + W + 30_000 + 60 * MINUTE).strange


def test_nor_is_it_by_pages_that_pass_over_it() -> None:
    on = filled()
    for n in (1, 2, 3):
        on.lay(row(T + n * W, 1000 + 10 * n), vouched=True)
    bigger = [
        ExactCandle(T - 3 * W, "970", "9999", "1", "1", "99"),
        ExactCandle(T, "1000", "9999", "1", "1", "99"),
    ]
    for minutes in range(60):
        facts = PageFacts(
            T - 4 * W, T + 4 * W, {each.time: each for each in bigger}, T + 4 * W + minutes * MINUTE
        )
        assert settle_page(on, facts, Channel(), feed=True).strange


def test_one_row_that_does_not_fit_costs_no_page() -> None:
    """The newest is partial where the venue lags; one may be spoilt."""
    on = filled()
    on.lay(row(T, 1000, "9"), vouched=True)
    partial = [*page(1000, 10, range(-4, 0)), ExactCandle(T, "1000", "1001", "1000", "1000", "1")]
    assert not read(on, partial, T + W + 30_000).strange
    assert T not in on.coverage


def test_a_row_of_less_range_than_the_feed_showed_is_poorer_whatever_its_volume() -> None:
    on = filled()
    on.lay(row(T, 1000), vouched=True)
    read(on, [*page(1000, 10, range(-4, 0)), row(T, 50, "99"), row(T + W, 1010)], T + W + 30_000)
    assert T not in on.coverage
    assert on.provisional[T].candle == row(T, 1000)


def test_what_somebody_asks_to_have_read_again_is_not_held_against_a_page() -> None:
    on = filled()
    on.contest(T - 4 * W, T + W)
    assert not read(on, page(50, 10), T + W + 30_000).strange


def test_a_page_that_is_not_taken_ends_no_repair_and_no_halt() -> None:
    driver = Driver([Timeframe.M5, Timeframe.M15], T + 30_000, policy=Policy(candles=100, min_candles=10))
    driver.fill()
    driver.now = now = T + W + 30_000
    driver.timeline.read_again(SYMBOL, Timeframe.M5, T, T + W)
    driver.timeline.stand(SYMBOL, "halted: it says so", T - 10 * W)
    driver.timeline.take(now)
    track, wanted = driver.symbol.tracks[Timeframe.M5], driver.wants()
    assert T in track.contested and wanted

    others = PageFacts(T - 4 * W, T + 2 * W, {each.time: each for each in page(3000, 10)}, now)
    driver.timeline.apply_page(SYMBOL, Timeframe.M5, others, now)
    assert T in track.contested and driver.wants() == wanted, "nothing of it was read"
    assert driver.symbol.standing
    assert not driver.timeline.take(now).series, "readers hear nothing of it"
    assert [note.event for note in driver.timeline.notes()] == ["page_strange"]

    driver.fill()
    assert T in track.settled and not track.contested and not driver.symbol.standing
