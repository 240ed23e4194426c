"""Readiness: whether a series can be read from with trust, and if not, why.

Newest-bucket age and contiguity decide; never a count alone.
"""

from __future__ import annotations

from dataclasses import dataclass

from .timeframe import iso

__all__ = ["Facts", "reason_not_ready", "with_standing"]


@dataclass(frozen=True, slots=True)
class Facts:
    """What readiness is decided from. Times and durations in ms of the venue's clock."""

    have: int  # real closed candles in the contiguous run
    elsewhere: int  # real closed candles known outside that run
    need: int  # min_candles
    known_through: int
    timeframe_ms: int
    now: int
    hole_from: int  # start of the hole right after the run, 0 if the run is the newest there is
    history_from: int  # where the search for more stopped, 0 if it goes on
    failure: str  # the last error while the series is failing, else ""
    was_ready: bool


def reason_not_ready(facts: Facts, *, settling_ms: int, max_lag_ms: int) -> str:
    """Why the series is not ready; "" if it is.

    A series *becomes* ready only once every bucket is known but those that closed less than a settling
    interval ago; it *stays* ready until a closed bucket has been unknown for `max_lag_ms`.
    """
    overdue = facts.now - (facts.known_through + facts.timeframe_ms)
    allowed = max_lag_ms if facts.was_ready else settling_ms
    problem = ""
    if not facts.known_through:
        problem = "warming up: nothing fetched yet"
    elif facts.have < facts.need and facts.elsewhere and facts.have + facts.elsewhere >= facts.need:
        problem = f"hole: nothing is known from {iso(facts.hole_from or facts.known_through)}"
    elif facts.have < facts.need and facts.history_from:
        problem = f"venue has only {facts.have} of {facts.need}, searched back to {iso(facts.history_from)}"
    elif facts.have < facts.need:
        problem = f"warming up: {facts.have} of {facts.need}"
    elif overdue > allowed and facts.hole_from:
        problem = f"hole: nothing is known from {iso(facts.hole_from)}"
    elif overdue > allowed:
        problem = f"lagging: nothing is known since {iso(facts.known_through)}"
    if problem and facts.failure:
        return f"failing: {facts.failure}" + (f"; {problem}" if facts.known_through else "")
    return problem


def with_standing(standing: str, problem: str) -> str:
    """Why the series is not ready, how the venue stands to its product before all else.

    `standing` is "unknown: …", "halted: …" or "". What else is amiss follows from the first, but not from the
    other.
    """
    if standing.startswith("halted") and problem:
        return f"{standing}; {problem}"
    return standing or problem
