"""Readiness: whether a series can be read from with trust, and if not, why.

Newest-bucket age and contiguity decide; never a count alone.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..model.coverage import Span
from ..model.series import SHORT
from ..model.timeframe import iso

__all__ = ["AWAITS_PROOF_MS", "UNUSABLE", "Facts", "reason_not_ready", "with_standing"]

UNUSABLE = "unusable: "
"""How the why of a hole begins whose rows cannot be believed."""

AWAITS_PROOF_MS = 300_000
"""So much longer may buckets be unknown, in a series that becomes ready, that were read and await proof."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What readiness is decided from. Times and durations in ms of the venue's clock."""

    have: int  # real closed candles in the contiguous run
    elsewhere: int  # real closed candles known outside that run
    need: int  # min_candles
    known_from: int
    known_through: int
    due: int  # when the first bucket ended, or will, that is not known; 0 if nobody can tell
    now: int
    hole: Span | None  # beside the run, between it and something that is known
    why: str  # why the hole is there, "" if nobody can tell
    given_up: bool  # the hole's buckets are unusable: waiting for them is of no use
    history_from: int  # where the search for more stopped, 0 if it goes on
    failure: str  # the last error while the series is failing, else ""
    was_ready: bool


def reason_not_ready(facts: Facts, *, settling_ms: int, max_lag_ms: int) -> str:
    """Why the series is not ready; "" if it is.

    A series *becomes* ready only once every bucket is known but those that closed less than a settling
    interval ago; it *stays* ready until a closed bucket has been unknown for `max_lag_ms`.
    """
    overdue = facts.now - facts.due
    allowed = max_lag_ms if facts.was_ready else settling_ms
    problem = ""
    only = f"{SHORT} {facts.have} of {facts.need}"
    if not facts.known_through and (overdue > settling_ms or not facts.history_from):
        problem = "warming up: nothing fetched yet"
    elif facts.have < facts.need and facts.hole and facts.given_up and facts.hole.end == facts.known_from:
        problem = f"{only} after a {_hole(facts.hole, facts.why)}"
    elif facts.have < facts.need and facts.hole and facts.have + facts.elsewhere >= facts.need:
        problem = _hole(facts.hole, facts.why)
    elif facts.have < facts.need and facts.history_from >= facts.known_from:
        problem = f"{only}, searched back to {iso(facts.history_from)}"
    elif facts.have < facts.need and facts.hole:
        problem = _hole(facts.hole, facts.why)
    elif facts.have < facts.need:
        problem = f"warming up: {facts.have} of {facts.need}"
    elif overdue > allowed and facts.hole and facts.hole.start >= facts.known_through:
        problem = _hole(facts.hole, facts.why)
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


def _hole(hole: Span, why: str) -> str:
    return f"hole: nothing is known from {iso(hole.start)} to {iso(hole.end)}{': ' if why else ''}{why}"
