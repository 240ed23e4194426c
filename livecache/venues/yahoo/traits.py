"""What Yahoo is like: how far back and how much at once, when a day is final, how often it is asked.

Nothing of it is documented; docs/venues.md says where each comes from.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from itertools import takewhile
from typing import NamedTuple

from ...model.budget import Rolling, Spacing
from ...model.grid import Grid, SessionGrid
from ...model.timeframe import Timeframe
from ...model.traits import Served, Traits
from .hours import Hours

__all__ = ["INTERVALS", "WINDOWS", "Window", "served_of", "traits_of"]

INTERVALS: dict[Timeframe, str] = {
    Timeframe.M1: "1m",
    Timeframe.M5: "5m",
    Timeframe.M15: "15m",
    Timeframe.H1: "1h",
    Timeframe.D1: "1d",
}
"""How Yahoo names what it is asked for. It answers 30m with hours, and its weeks and months are adjusted
wrongly: these are added up.
"""


class Window(NamedTuple):
    """What may be asked for, in calendar days: so many at once, and so many back from now; 0: all."""

    span: int = 0
    reach: int = 0


WINDOWS: Mapping[Timeframe, Window] = {
    Timeframe.M1: Window(8, 30),
    Timeframe.M5: Window(60, 60),
    Timeframe.M15: Window(60, 60),
    Timeframe.H1: Window(730, 730),
    Timeframe.D1: Window(),
}

_DAY_MS = Timeframe.D1.ms
_MINUTE_MS = 60_000
_DAYS_PAGE = 500  # sessions: two years; where all are wanted it is as long as any page
_ROWS_MOST = 5_000
_AHEAD = 400 * _DAY_MS  # so far ahead windows are measured: a year's holidays come again

# Quotes of many exchanges come 15 minutes late. A day's prices stand after its closing auction.
_LATE_MS = 16 * _MINUTE_MS
_DAY_SHOWN_MS = 45 * _MINUTE_MS
_ALWAYS_LATE_MS = 5 * _MINUTE_MS  # what is always traded comes at once; within any usual max_lag


def traits_of(hours: Hours, now: int) -> Traits:
    """What it is like, before it has taught anything else. `now`: Unix ms."""
    shown = dict.fromkeys(INTERVALS, _LATE_MS) | {Timeframe.D1: _DAY_SHOWN_MS}
    return Traits(
        served=served_of(hours, WINDOWS, now),
        prepends=True,
        settle_delay_ms=_LATE_MS if hours.calendar else _ALWAYS_LATE_MS,
        calendar=hours.name if hours.calendar else "",
        calendar_through=hours.calendar.through if hours.calendar else 0,
        finals=hours.calendar.sessions if hours.calendar else None,
        shown_after_ms=shown if hours.calendar else {},
        clock=False,
        lists=False,
        sums_below=Timeframe.D1,
        grids=hours.grids,
        # By the names of the settings, which so take their place.
        budgets=(Spacing("least_delay", 1.0), Rolling("requests_per_hour", 1_800, 3_600.0)),
        list_costs={"least_delay": 0, "requests_per_hour": 0},
    )


def served_of(hours: Hours, windows: Mapping[Timeframe, Window], now: int) -> dict[Timeframe, Served]:
    """What can be asked for within such windows."""
    served = {}
    for timeframe, (span, reach) in windows.items():
        grid = hours.grids.get(timeframe, timeframe.grid)
        page = min(sure_buckets(grid, span, now, reach), _ROWS_MOST) if span else _DAYS_PAGE
        most = 0 if span else _ROWS_MOST
        back = sure_buckets(grid, reach, now, reach) if reach else 0
        served[timeframe] = Served(min(page, back or page), reach=back, most=most)
    return served


def sure_buckets(grid: Grid, days: int, now: int, since: int) -> int:
    """How many buckets lie within any so many days on end, however these lie, from `since` days ago on.

    One that begins just after an open has only the sessions that follow it.
    """
    span = days * _DAY_MS
    if not isinstance(grid, SessionGrid):
        return grid.count(0, span) - 1
    openings, last = grid.openings, min(now + _AHEAD, grid.closings[-1]) - span
    first = bisect_left(openings, now - max(since, days) * _DAY_MS)
    starts = takewhile(lambda opening: opening <= last, openings[first:])
    counts = (
        grid.number(grid.closed(opening + span) - 1) - grid.number(grid.closings[first + n] - 1)
        for n, opening in enumerate(starts)
    )
    return max(1, min(counts, default=1))
