"""The warm cache through odd days of New York: clocks that change, half days, holidays, a leap day."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from livecache.engine.schedule import Schedule
from livecache.ledger.timeline import Timeline
from livecache.model.candle import ExactCandle
from livecache.model.policy import Policy
from livecache.model.timeframe import Timeframe
from livecache.model.traits import Served, Traits

from ..core.test_calendar import ms, named
from .test_sessions import MINUTE_MS, QUARTER, Desk, Shares

M15, H1, H4, D1, W1, MN1 = (Timeframe(name) for name in ("15m", "1h", "4h", "1d", "1w", "1M"))
TIMEFRAMES = (M15, H1, H4, D1, W1, MN1)
NEW_YORK = named("XNYS")
SESSIONS, QUARTERS = NEW_YORK.sessions, NEW_YORK.grid(M15)
TRAITS = Traits(
    {M15: Served(500), H1: Served(500), D1: Served(500)},
    grids=NEW_YORK.grids(),
    calendar=NEW_YORK.name,
    finals=SESSIONS,
    shown_after_ms={M15: QUARTER, H1: QUARTER, D1: 45 * MINUTE_MS},
    settle_delay_ms=QUARTER,
    sums_below=D1,
    clock=False,
    prepends=True,
)


class Counted(Shares):
    """The volume of a candle is how many quarters of an hour there are in it; a final day has one more."""

    def products(self) -> Sequence[str]:
        return ("AAPL",)

    def candles(self, symbol: str, timeframe: Timeframe, start: int, end: int, now: int) -> list[ExactCandle]:
        grid, final = TRAITS.grid(timeframe), SESSIONS.floor(now)
        rows = []
        for time in grid.opens(start, min(end, now)):
            count = QUARTERS.count(time, min(grid.end(time), now)) + (timeframe is D1 and time < final)
            rows.append(ExactCandle(time, "100", "102", "98", "101", str(count)))
        return rows


class NewYork(Desk):
    def __init__(self, now: int) -> None:
        self.now, self.market = now, Counted()
        policy = Policy(candles=80, min_candles=60, settle_delay_ms=QUARTER)
        self.timeline = Timeline("test", self.market.products(), TIMEFRAMES, policy, TRAITS)
        self.schedule = Schedule(self.timeline, jitter=lambda: 0.0)
        self.asked: list[tuple[int, Timeframe]] = []
        self.dead = False
        self.until(now)


@pytest.mark.parametrize(
    ("start", "end", "sessions"),
    [
        ("2026-11-25T15:00", "2026-12-01T15:00", 3),  # Thanksgiving, and the half day after it
        ("2026-03-06T12:00", "2026-03-10T12:00", 2),  # clocks go forward
        ("2026-10-30T12:00", "2026-11-03T13:00", 2),  # and back
        ("2025-01-08T12:00", "2025-01-10T22:30", 2),  # closed on the 9th, as was said days before
        ("2024-02-28T12:00", "2024-03-01T22:30", 3),  # the 29th of February
    ],
)
def test_through_odd_days_every_series_is_ready_and_counts_what_there_was(
    start: str, end: str, sessions: int
) -> None:
    desk = NewYork(ms(start))
    while desk.now < ms(end):
        desk.until(desk.now + 20 * MINUTE_MS)
        for timeframe in TIMEFRAMES:
            state = desk.state(timeframe)
            assert state.ready, (timeframe, state.reason)
            assert TRAITS.grid(timeframe).due(state.known_through) > desk.now - 2 * MINUTE_MS
    assert SESSIONS.count(ms(start), ms(end)) == sessions
    tracks = desk.timeline.symbols["AAPL"].tracks
    for timeframe in (M15, H1, H4):
        grid = TRAITS.grid(timeframe)
        for time, candle in tracks[timeframe].settled.items():
            assert int(candle.volume) == QUARTERS.count(time, grid.end(time))
    days = tracks[D1].settled
    for timeframe in (W1, MN1):
        grid = TRAITS.grid(timeframe)
        for time, candle in tracks[timeframe].settled.items():
            parts = [days.get(day) for day in SESSIONS.opens(time, grid.end(time))]
            known = [int(part.volume) for part in parts if part]
            assert len(known) < len(parts) or int(candle.volume) == sum(known)
