"""Watermarks: from where to where a series can be read, and what stands in the way. Pure."""

from __future__ import annotations

from bisect import bisect_left

from ..model.coverage import Coverage, Span
from ..model.series import SeriesState
from ..model.timeframe import iso
from ..proof.readiness import AWAITS_PROOF_MS, UNUSABLE, Facts, reason_not_ready, with_standing
from ..proof.track import Track

__all__ = ["compute_state", "runs_out"]


def compute_state(
    track: Track,
    now: int,
    heard_through: int,
    forming: int,
    *,
    awaits_proof: bool = False,
    standing: str = "",
) -> SeriesState:
    """The watermarks and readiness as of `now`; remembered as the track's `state`.

    `awaits_proof`: the newest buckets were read, but what the page showed of them proves nothing yet.
    `standing`: "unknown: …" or "halted: …" where the venue does not know the product, or not trade it.
    """
    policy = track.policy
    closed_through = track.grid.closed(now)
    known = _known_spans(track, min(heard_through, closed_through), now).clip(track.keep_from, closed_through)
    run, have, elsewhere = _best_run(track, known, now)
    proven = track.proven()
    settled = proven.span_of(run.start) if run else None
    # A product that was listed just now has nothing to wait for until its first bucket closes.
    begins = track.grid.floor(track.listed) if track.listed and not run else 0
    hole = _hole_beside(run, known)
    why, given_up = _why(track, hole) if hole else ("", False)
    reason = reason_not_ready(
        Facts(
            have=have,
            elsewhere=elsewhere,
            need=policy.min_candles,
            known_from=run.start if run else 0,
            known_through=run.end if run else 0,
            due=track.grid.due(run.end if run else begins) if run or begins else 0,
            now=now,
            hole=hole,
            why=why,
            given_up=given_up,
            history_from=track.history_from or begins,
            failure=track.failure,
            was_ready=track.sound,
        ),
        settling_ms=policy.settling_ms + (AWAITS_PROOF_MS if awaits_proof else 0),
        max_lag_ms=policy.max_lag_ms,
    )
    track.sound = not reason
    reason = with_standing(standing, reason)
    ready = not reason
    if ready and hole and hole.end == (run.start if run else 0):
        reason = f"further back a hole: {iso(hole.start)} to {iso(hole.end)}{': ' if why else ''}{why}"
    track.state = SeriesState(
        ready=ready,
        reason=reason,
        contiguous_from=run.start if run else 0,
        settled_through=min(settled.end, run.end) if settled and run else (run.start if run else 0),
        known_through=run.end if run else 0,
        closed_through=closed_through,
        coverage=proven.clip(track.keep_from, 1 << 62),
        history_from=track.history_from,
        forming=forming,
        grid=_told_grid(track, closed_through, now),
    )
    return track.state


def _told_grid(track: Track, closed_through: int, now: int) -> str:
    """Where its buckets lie, of all that is kept, if not where its timeframe says."""
    if track.grid is track.series.timeframe.grid:
        return ""
    covered = [span.start for span in track.coverage.spans[:1]]
    return track.grid.text(min([closed_through, *covered, *track.settled, *track.provisional]), now)


def runs_out(track: Track, now: int) -> bool:
    """Whether the state may be another one by the mere passing of time."""
    state = track.state
    if state is None or not (state.ready or not state.known_through):
        return False
    return track.grid.due(state.known_through) < now or any(_owed(track, t, now) for t in track.flagged)


def _owed(track: Track, bucket: int, now: int) -> bool:
    """Whether a page should have made final, long since, what another one showed of a bucket."""
    return track.traits.finals is not None and track.flagged[bucket] + track.policy.max_lag_ms < now


def _known_spans(track: Track, heard_through: int, now: int) -> Coverage:
    """All closed buckets that are known, as spans."""
    until, shown = max(heard_through, track.told_through), track.provisional.items()
    owed = {t for t in track.flagged if _owed(track, t, now)}
    vouched = [
        track.owned(t) for t, each in shown if each.vouched and track.grid.end(t) <= until and t not in owed
    ]
    vouched += [track.owned(t) for t in track.flagged if t not in owed]
    return Coverage((*track.coverage.spans, *vouched)) if vouched else track.coverage


def _best_run(track: Track, known: Coverage, now: int) -> tuple[Span | None, int, int]:
    """The contiguous run that readers are served from, its real candles, and those outside it.

    The newest that is long enough to be ready. Else the newest, so that an old hole costs only those who
    ask across it; but while what ends before it is not overdue, that with the most candles: a fresh fragment
    hides no history that can be served.
    """
    if not known:
        return None, 0, 0
    times = sorted((*track.settled, *track.provisional))
    counts = [bisect_left(times, s.end) - bisect_left(times, s.start) for s in known.spans]
    need = track.policy.min_candles
    timely = now - track.policy.max_lag_ms
    among = [i for i, s in enumerate(known.spans) if track.grid.due(s.end) >= timely] or [len(counts) - 1]
    best = max(among, key=lambda i: (min(counts[i], need), i))
    return known.spans[best], counts[best], sum(counts) - counts[best]


def _hole_beside(run: Span | None, known: Coverage) -> Span | None:
    """What is not known right after the run, or else right before it, between known spans."""
    if run is None:
        return None
    after = next((s for s in known.spans if s.start > run.end), None)
    if after is not None:
        return Span(run.end, after.start)
    before = [s for s in known.spans if s.end < run.start]
    return Span(before[-1].end, run.start) if before else None


def _why(track: Track, hole: Span) -> tuple[str, bool]:
    """Why the hole is there, as far as pages have said; and whether its buckets were given up."""
    told = [track.open.get(t) for t in track.grid.opens(*hole)]
    first = next((each for each in told if each is not None), None)
    if first is None:
        return "", False
    if not first.unusable:
        return "what the venue says of it proves nothing yet", False
    return f"{UNUSABLE}{first.unusable}", all(each is not None and each.told_unusable for each in told)
