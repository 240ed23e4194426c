"""Series whose buckets are no steps since the epoch are filled, rolled up and told as any others are."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from livecache.ledger.timeline import Timeline
from livecache.model.candle import ExactCandle
from livecache.model.coverage import Coverage
from livecache.model.grid import WEEKS, EpochGrid, Grid, MonthGrid, SessionGrid
from livecache.model.policy import Policy
from livecache.model.series import SeriesState
from livecache.model.timeframe import Timeframe
from livecache.model.traits import Carriage, Served, Traits
from livecache.proof.evidence import PageFacts
from livecache.proof.plan import plan

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
M5, H1, H8, D1, W1, MN1 = map(Timeframe, ("5m", "1h", "8h", "1d", "1w", "1M"))
MONDAY = 1_769_990_400_000  # 2026-02-02T00:00Z
SYMBOL = "X-USD"

OPENINGS = tuple(
    MONDAY + day * DAY + 14 * HOUR + 30 * MINUTE for day in range(-3_000, 400) if day % 7 < 5 and day % 50
)
EXCHANGE = SessionGrid(OPENINGS, tuple(t + 390 * MINUTE for t in OPENINGS))
SESSIONS = {t: EXCHANGE.within(t.ms) for t in Timeframe if t.ms <= HOUR} | {D1: EXCHANGE}
FROM_EIGHT = {D1: EpochGrid(DAY, 8 * HOUR)}


class Venue:
    """Answers every page truly: the volume of a candle is how many five minutes there are in it."""

    def __init__(
        self,
        timeframes: tuple[Timeframe, ...],
        now: int,
        *,
        grids: Mapping[Timeframe, Grid],
        unserved: tuple[Timeframe, ...] = (),
        policy: Policy | None = None,
    ) -> None:
        served = {t: Served(330) for t in Timeframe if t not in unserved}
        traits = Traits(served, (Carriage(M5),), grids=grids)
        self.timeline = Timeline("venue", [SYMBOL], timeframes, policy or Policy(), traits)
        self.symbol = self.timeline.symbols[SYMBOL]
        self.smallest = grids.get(M5, M5.grid)
        self.now, self.asked = now, 0

    def candle(self, timeframe: Timeframe, bucket: int) -> ExactCandle:
        grid = self.symbol.tracks[timeframe].grid
        count = self.smallest.count(bucket, grid.end(bucket))
        return ExactCandle(bucket, "10", "12", "9", "11", str(count))

    def fill(self, most: int = 60) -> None:
        """Answer the pages that are wanted until none is."""
        for _ in range(most):
            tracks = self.symbol.tracks
            wants = plan(tracks, self.timeline.children, now=self.now, in_flight={})
            if not wants:
                return
            want = min(wants)
            grid = tracks[want.timeframe].grid
            assert want.timeframe in self.timeline.traits.served
            assert want.start in grid and grid.count(want.start, want.end) <= 330
            buckets = grid.opens(want.start, min(want.end, self.now))
            rows = {t: self.candle(want.timeframe, t) for t in buckets}
            facts = PageFacts(want.start, want.end, rows, self.now)
            self.timeline.apply_page(SYMBOL, want.timeframe, facts, self.now)
            self.asked += 1
        raise AssertionError(f"the plan never ends: {want}")

    def state(self, timeframe: Timeframe) -> SeriesState:
        self.timeline.take(self.now)
        state = self.symbol.tracks[timeframe].state
        assert state is not None
        return state


CASES: dict[str, tuple[tuple[Timeframe, ...], Mapping[Timeframe, Grid], tuple[Timeframe, ...]]] = {
    "days from 08:00": ((H1, D1), FROM_EIGHT, ()),
    "weeks of a venue that has them": ((W1,), {}, ()),
    "weeks added up": ((H1, W1), {}, (W1, MN1)),
    "months added up": ((MN1,), {}, (W1, MN1)),
    "all of it": ((M5, H1, D1, W1, MN1), {}, (W1, MN1)),
    "an exchange's hours and days": ((M5, H1, D1), SESSIONS, ()),
}


@pytest.mark.parametrize("into", [0, HOUR, 5 * DAY + 9 * HOUR, 8 * HOUR + 30_000])
@pytest.mark.parametrize("case", CASES)
def test_series_on_any_grid_are_filled_and_told_as_ready(case: str, into: int) -> None:
    timeframes, grids, unserved = CASES[case]
    venue = Venue(timeframes, MONDAY + into, grids=grids, unserved=unserved)
    venue.fill()
    for timeframe in timeframes:
        track, state = venue.symbol.tracks[timeframe], venue.state(timeframe)
        grid = track.grid
        assert state.ready, (timeframe, state.reason)
        assert len(state.coverage.spans) == 1
        assert state.settled_through == state.known_through == grid.closed(venue.now - 10_000)
        opens = grid.opens(state.contiguous_from, state.settled_through)
        assert len(opens) >= 60
        held = [track.settled[t] for t in opens]
        assert held == [venue.candle(timeframe, t) for t in opens], (
            "nothing is missing, and every sum is right"
        )


def test_a_closed_exchange_is_neither_behind_nor_asked() -> None:
    friday_night = EXCHANGE.closed(MONDAY + 5 * DAY) + MINUTE
    venue = Venue((H1, D1), friday_night, grids=SESSIONS)
    venue.fill()
    asked = venue.asked
    for hours in (3, 12, 40, 60):  # through all the weekend
        venue.now = friday_night + hours * HOUR
        venue.fill()
        for timeframe in (H1, D1):
            state = venue.state(timeframe)
            assert state.ready and state.known_through == EXCHANGE.closed(friday_night), state
            assert state.closed_through == state.known_through
            assert state.forming == 0
    assert venue.asked <= asked + 2, "what nothing newer bears out is confirmed once, and that is all"
    monday = EXCHANGE.after(friday_night)
    venue.now = monday + HOUR + 11_000
    venue.fill()
    assert venue.state(H1).known_through == monday + HOUR
    assert len(venue.state(H1).coverage.spans) == 1, "Monday's first hour brings the weekend along"


@pytest.mark.parametrize("left", [0, 1, 5])
def test_pages_are_planned_within_a_calendar_that_is_shorter_than_a_page(left: int) -> None:
    last, h4 = EXCHANGE.number(MONDAY) + left + 1, Timeframe("4h")
    short = SessionGrid(EXCHANGE.openings[last - 40 : last], EXCHANGE.closings[last - 40 : last])
    grids = {t: short.within(t.ms) for t in Timeframe if t.ms < DAY} | {D1: short}
    venue = Venue((H1, h4), short.closed(MONDAY) - HOUR, grids=grids, unserved=(h4,))
    venue.fill()
    assert venue.state(H1).ready and venue.state(h4).ready


def test_a_series_that_lags_is_told_only_when_a_bucket_is_overdue() -> None:
    venue = Venue((W1,), MONDAY + HOUR, grids={})
    venue.fill()
    assert venue.state(W1).known_through == MONDAY
    venue.now = MONDAY + 7 * DAY + 9 * MINUTE  # the week has closed, and nothing was asked since
    assert venue.state(W1).ready
    venue.now += 2 * MINUTE
    assert not venue.state(W1).ready


@settings(deadline=None, max_examples=12)
@given(st.integers(0, 60 * 24 * 40), st.sampled_from([*CASES]))
def test_what_is_missed_meanwhile_is_made_up_for(minutes: int, case: str) -> None:
    timeframes, grids, unserved = CASES[case]
    venue = Venue(
        timeframes,
        MONDAY,
        grids=grids,
        unserved=unserved,
        policy=Policy(candles=40, min_candles=20),
    )
    venue.fill()
    before = {t: venue.symbol.tracks[t].coverage for t in timeframes}
    venue.now += minutes * MINUTE
    venue.timeline.advance(venue.now)
    venue.fill()
    for timeframe in timeframes:
        track = venue.symbol.tracks[timeframe]
        edge = track.grid.closed(venue.now - 10_000)
        assert track.coverage.spans[-1].end == edge
        kept = before[timeframe].clip(track.keep_from, edge) if track.keep_from else before[timeframe]
        assert not kept.without(track.coverage | Coverage([(0, track.keep_from)]))
        for bucket in track.grid.opens(track.coverage.spans[-1].start, edge):
            assert track.settled.get(bucket) == venue.candle(timeframe, bucket)


def test_weeks_begin_on_monday_whatever_divides_them() -> None:
    venue = Venue((W1,), MONDAY + HOUR, grids={}, unserved=(W1, MN1))
    venue.fill()
    assert WEEKS.floor(MONDAY) == MONDAY and MonthGrid() == MN1.grid
    assert all((t - MONDAY) % (7 * DAY) == 0 for t in venue.symbol.tracks[W1].settled)


def test_a_day_from_eight_is_rolled_up_from_hours_and_no_week_from_it() -> None:
    venue = Venue((H1, D1, W1), MONDAY + 9 * HOUR, grids=FROM_EIGHT)
    assert venue.timeline.children[D1] is H1
    assert venue.timeline.children[W1] is H1
    venue.fill()
    assert all(t % DAY == 8 * HOUR for t in venue.symbol.tracks[D1].settled)
