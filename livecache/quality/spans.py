"""What every bucket of a series is: settled, proven empty, provisional, not due yet, or missing. Pure."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from ..model.coverage import Coverage
from ..model.timeframe import iso
from ..proof.evidence import LAG_MS
from ..proof.readiness import UNUSABLE
from ..read.standing import state_of
from .findings import RENEW, Flaw, runs
from .stored import Examined

__all__ = ["GAPS_LISTED_MAX", "Gap", "Tally", "judge_spans"]

GAPS_LISTED_MAX = 100
"""Gaps that are listed, the largest ones."""

_BUCKETS_MAX = 1_000_000
"""Buckets between a series' first and last that are looked at: beyond that its times are absurd."""


class Gap(msgspec.Struct, frozen=True):
    """Closed buckets that are neither settled nor there, `[start, end)` in Unix ms."""

    symbol: str
    timeframe: str
    start: int
    end: int
    buckets: int
    claimed: bool  # the state says that all of it is known: a reader is told so


@dataclass(frozen=True, slots=True)
class Tally:
    """How many of a series' closed buckets are what, and from where to where they were counted, Unix ms."""

    start: int = 0
    end: int = 0
    settled: int = 0  # with a candle that the venue's REST API has confirmed
    empty: int = 0  # settled too: proven to hold none
    provisional: int = 0  # with a candle that is not settled
    pending: int = 0  # without one, and closed so shortly ago that this is no fault
    missing: int = 0

    @property
    def buckets(self) -> int:
        """All closed buckets that were counted."""
        return self.settled + self.empty + self.provisional + self.pending + self.missing

    @property
    def coverage_percent(self) -> float:
        """How much of them is settled, proven empty ones among it; 0 where nothing was counted."""
        return round(100 * (self.settled + self.empty) / self.buckets, 2) if self.buckets else 0.0


def judge_spans(
    stored: Examined, *, patience_ms: int, gap_buckets: int = 1, sure_until: int | None = None
) -> tuple[Tally, list[Gap]]:
    """The tally and the gaps; what is wrong goes to the series' findings.

    `patience_ms`: how long a bucket that is due may be missing or provisional without a fault, in ms of the
    venue's clock. `gap_buckets`: shorter gaps are not reported. `sure_until`: sessions after it (Unix ms) may
    be none.
    """
    if stored.record is None:
        return Tally(), []
    state, grid = stored.record.state, stored.grid
    end = grid.closed(state.closed_through)
    # What is older than all that was settled, the search has not come to, or has ended before: nobody misses
    # it, and no repair would bring it. A feed's snapshot of a quiet product reaches back there.
    firsts = [*(s.start for s in state.coverage.spans[:1]), *filter(None, [state.contiguous_from])]
    start = min(firsts or stored.candles, default=end)
    start = max(grid.ceil(start), grid.far_back(end, _BUCKETS_MAX))
    _note_older(stored, start)
    covered = state.coverage.clip(start, end)
    settled, bare = _parted(stored, covered)
    provisional, missing = _parted(stored, covered.missing(start, end))
    # What lies there damaged is not proven empty; that it is damaged was told.
    damaged = [time for time in bare if time in stored.damaged]
    idle = _standing(stored) != ""
    due = [
        t
        for t in missing
        # What is likely to be empty is told as known, and not as settled; unless members are gone.
        if (_is_claimed(stored, t) and stored.members < stored.record.count)
        # Of what the venue does not know or trade any more nothing new is to be expected.
        or (
            stored.now - grid.due(t) > patience_ms
            and not _is_claimed(stored, t)
            and not (idle and t >= state.known_through)
        )
    ]
    if sure_until is not None:
        due = _of_sure_sessions(stored, due, sure_until)
    gaps = _gaps(stored, due, gap_buckets)
    _report(stored, gaps, provisional, patience_ms)
    tally = Tally(
        start,
        end,
        settled=len(settled),
        empty=len(bare) - len(damaged),
        provisional=len(provisional),
        pending=len(missing) - len(due),
        missing=len(due) + len(damaged),
    )
    return tally, gaps


def _of_sure_sessions(stored: Examined, due: list[int], sure_until: int) -> list[int]:
    """The missing buckets that should be there for sure; what is to be said of the others is noted."""
    unsure = [time for time in due if time >= sure_until and not _is_claimed(stored, time)]
    if unsure:
        count = f"{len(unsure)} bucket{'s' * (len(unsure) > 1)}"
        message = f"{count} since {iso(unsure[0])} may be missing, or the exchange was closed"
        stored.report(
            Flaw.CALENDAR, f"{message}: its calendar is not sure of them", remedy=RENEW, mends=False
        )
    return [time for time in due if time not in unsure]


def _note_older(stored: Examined, start: int) -> None:
    assert stored.record is not None
    older = sum(time < start for time in stored.candles)
    if older:
        searched = stored.record.state.history_from
        how = "where the search for history ended" if searched else "which the search has not come to"
        message = f"{older} candle{'s' * (older > 1)} from before {iso(start)}, {how}: no reader gets them"
        stored.report(Flaw.UNSEARCHED, message, mends=False)


def _parted(stored: Examined, spans: Coverage) -> tuple[list[int], list[int]]:
    """The open times of the buckets of these spans: those with a candle, and those without."""
    times = [t for span in spans for t in stored.grid.opens(*span)]
    return [t for t in times if t in stored.candles], [t for t in times if t not in stored.candles]


def _standing(stored: Examined) -> str:
    """`unknown` or `halted` where the venue says that of the symbol; else ""."""
    assert stored.record is not None
    state = stored.record.state
    word = state_of(ready=state.ready, reason=state.reason)
    return word if word in ("unknown", "halted") else ""


def _is_claimed(stored: Examined, time: int) -> bool:
    """Whether readers are told that the bucket is known."""
    assert stored.record is not None
    state = stored.record.state
    return state.contiguous_from <= time < state.known_through


def _is_likely(stored: Examined, time: int) -> bool:
    """Whether the bucket is told as known, and nothing newer as settled."""
    assert stored.record is not None
    state = stored.record.state
    newest = max([state.settled_through, *(span.end for span in state.coverage)])
    return newest <= time < state.known_through


def _gaps(stored: Examined, due: list[int], gap_buckets: int) -> list[Gap]:
    series = stored.series
    gaps = []
    for claimed in (True, False):
        times = [time for time in due if _is_claimed(stored, time) is claimed]
        gaps += [
            Gap(series.symbol, series.timeframe.value, run.start, run.end, run.buckets, claimed)
            for run in runs(times, stored.grid)
            if run.buckets >= gap_buckets
        ]
    return sorted(gaps, key=lambda gap: (-gap.buckets, gap.start))


def _report(stored: Examined, gaps: list[Gap], provisional: list[int], patience_ms: int) -> None:
    assert stored.record is not None
    state = stored.record.state
    # A repair reads what is kept, and that begins with the first bucket that was settled.
    mends = bool(state.coverage)
    why = f" ({state.reason})" if state.reason else ""
    if _standing(stored) == "unknown":
        mends, why = False, f"; the venue does not answer for it{why}"
    elif not mends:
        why = f"; it is filled as soon as the venue answers{why}"
    elif UNUSABLE in state.reason:
        # Which of several it is, Redis does not tell; and what is no such one is read again anyhow.
        mends, why = False, f"; the venue's row cannot be believed, and is asked for again by itself{why}"
    for gap in gaps[:GAPS_LISTED_MAX]:
        count = f"{gap.buckets} bucket{'s' * (gap.buckets > 1)} from {iso(gap.start)} to {iso(gap.end)}"
        is_there = "are" if gap.buckets > 1 else "is"
        message = f"{count} {is_there} missing"
        if gap.claimed:
            message += (
                ", and the state calls them known" if gap.buckets > 1 else ", and the state calls it known"
            )
        stored.report(Flaw.GAP, message + why, start=gap.start, end=gap.end, mends=mends)
    if len(gaps) > GAPS_LISTED_MAX:
        stored.report(Flaw.GAP, f"and {len(gaps) - GAPS_LISTED_MAX} smaller gaps")
    grid = stored.grid
    late = [
        time
        for time in provisional
        # A newest row that only one page has shown is told as known, and proven after an hour at the latest.
        if stored.now - grid.final_due(time) > patience_ms + 2 * LAG_MS * _is_likely(stored, time)
    ]
    for run in runs(late, grid)[:GAPS_LISTED_MAX]:
        count = f"{run.buckets} closed bucket{'s' * (run.buckets > 1)}"
        stored.report(
            Flaw.OVERDUE,
            f"{count} from {iso(run.start)} not settled yet{why}",
            start=run.start,
            end=run.end,
            mends=mends,
        )
    _report_claims(stored)


def _report_claims(stored: Examined) -> None:
    """Whether what the state calls settled is in its own coverage."""
    assert stored.record is not None
    state = stored.record.state
    if state.contiguous_from < state.settled_through and not state.coverage.covers(
        state.contiguous_from, state.settled_through
    ):
        stored.report(
            Flaw.WATERMARKS,
            f"settled_through ({iso(state.settled_through)}) claims buckets that are not in the coverage",
            start=state.contiguous_from,
            end=state.settled_through,
        )
