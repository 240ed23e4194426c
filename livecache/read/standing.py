"""How a series stands for those who look at it, and when all of them are ready.

`livecache status`, `livecache ready` and the HTTP server decide by these, from what readers see.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ..errors import OutsideCalendar
from ..keys.keyspace import Damaged, StateRecord, decode_member
from ..model.candle import ExactCandle
from ..model.series import SHORT, SeriesId
from .reading import SeriesView

__all__ = ["Require", "Row", "forming_in", "left_warm", "reasons_not_ready", "row_of", "state_of"]

Require = Literal["known", "all"]
"""Which series hold readiness back: `cache.require`."""


@dataclass(frozen=True, slots=True)
class Row:
    """One series as the table of `livecache status` shows it."""

    series: SeriesId
    # ready, short (the venue has no more), unknown (to the venue), halted (there), stale, warming, lagging,
    # hole, failing or damaged
    state: str
    count: int
    settled_through: int  # Unix ms, 0 while nothing is settled
    # How far that is behind the last bucket to close, or since when the next one should be final; None while
    # nothing is settled.
    lag_ms: int | None
    reason: str
    feed: str  # up, down, none of a series that is only asked for, or "" where nobody vouches


def row_of(view: SeriesView) -> Row:
    """What the table shows of a series."""
    feed = view.alive.feed if view.alive else ""
    if view.record is None:
        state, reason = ("damaged", view.damage) if view.damage else ("warming", "nothing written yet")
        return Row(view.series, state, view.members, 0, None, reason, feed)
    stored = view.record.state
    through, grid = stored.settled_through, stored.grid_of(view.series.timeframe)
    try:
        now = _venue_time(view, view.record)
        due = grid.final_due(through) if grid.late and through else 0
        lag = max(0, now - due if due else grid.closed(now) - through) if through else None
    except OutsideCalendar as error:
        return Row(view.series, "damaged", view.members, through, None, error.message, feed)
    feed = "none" if feed and grid.late else feed
    state, reason = _vouched(stored.ready, stored.reason, vouched=view.alive is not None)
    if view.members != view.record.count:
        state, reason = "damaged", f"{view.members} of {view.record.count} candles are left"
    return Row(view.series, state, view.members, through, lag, reason, feed)


def forming_in(view: SeriesView) -> ExactCandle | None:
    """The bucket in progress, as it is stored; None unless a living writer vouches for it."""
    if view.record is None or view.alive is None or view.newest is None:
        return None
    try:
        grid = view.record.state.grid_of(view.series.timeframe)
        newest = decode_member(view.newest, view.series.timeframe, grid)
    except (Damaged, OutsideCalendar):
        return None
    return newest if newest.time == view.record.state.forming else None


def reasons_not_ready(table: Sequence[Row], prefix: str, require: Require = "known") -> list[str]:
    """Why not everything is ready, a line for each series that is not; [] if all is.

    A series of which the venue has too little does not hold the others back; nor, unless "all" are required,
    one of a symbol that the venue does not know or trade, as long as it knows any. Of several venues each is
    named.
    """
    if not table:
        return [f"no series under the prefix {prefix!r} yet"]
    venues = {row.series.venue for row in table}
    knowing = {row.series.venue for row in table if row.state != "unknown"}
    return [
        f"{row.series.venue + ':' if len(venues) > 1 else ''}{row.series.symbol} {row.series.timeframe}: "
        f"{row.reason or row.state}"
        for row in table
        if not _enough(row.state, row.reason, require) or row.series.venue not in knowing
    ]


def left_warm(views: Sequence[SeriesView], require: Require = "known") -> bool:
    """Whether an earlier run left everything ready, as a restart in a venue's outage finds it."""
    stored = [view.record.state for view in views if view.record is not None]
    words = [state_of(ready=s.ready, reason=s.reason) for s in stored]
    return (
        len(stored) == len(views)
        and any(word != "unknown" for word in words)
        and all(_enough(word, s.reason, require) for word, s in zip(words, stored, strict=True))
    )


def _enough(state: str, reason: str, require: Require) -> bool:
    """Whether a series that stands so holds nothing back."""
    if require == "all":
        # A halted one whose candles are all there lacks nothing; else its reason goes on.
        return state in ("ready", "short") or (state == "halted" and "; " not in reason)
    return state in ("ready", "short", "unknown", "halted")


def state_of(*, ready: bool, reason: str) -> str:
    """One word for a series that somebody vouches for, from what its state says."""
    word = reason.partition(":")[0]
    if word in ("unknown", "halted", "retired"):
        return word
    if ready:
        return "ready"
    if reason.startswith(SHORT):
        return "short"
    return word if word in ("failing", "hole", "lagging") else "warming"


def _venue_time(view: SeriesView, record: StateRecord) -> int:
    """The venue's clock, Unix ms; once nobody vouches, what it must show by now."""
    if view.alive:
        return view.alive.time
    # A simulated venue may be days away from this host: by as many buckets as when the state was written. A
    # real one is away by none, and there this is the host's clock.
    closed = record.state.closed_through
    ahead = record.state.grid_of(view.series.timeframe).closed(record.updated_at) - closed
    return max(closed, int(time.time() * 1000) - ahead)


def _vouched(ready: bool, reason: str, *, vouched: bool) -> tuple[str, str]:
    if vouched:
        return state_of(ready=ready, reason=reason), reason
    return "stale", f"nobody vouches for it now{': ' if reason else ''}{reason}"
