"""What several pages prove together of buckets that none of them settled by itself. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import pairwise

from ..model.policy import CONFIRM_MS
from ..model.timeframe import Timeframe
from .evidence import APART_MS, DISPUTE_MS, Kin, Open, PageFacts
from .history import final_edge
from .kin import Kindred, hear_bigger
from .rebuilding import rebuild
from .track import Track

__all__ = ["KinOf", "bear_witness", "join", "longest_sleep", "pass_on", "review"]

_UNPROVEN = (Kin.SILENT, Kin.DENIES)

KinOf = Callable[[int], Kin]
"""What bigger and smaller timeframes say of a bucket without a row."""


def review(track: Track, kin: KinOf) -> list[int]:
    """Settle what pages had no row for and another timeframe's page has now confirmed; those buckets.

    What it refutes is asked for again at once.
    """
    confirmed: list[int] = []
    for bucket, told in track.open.items():
        if told.row is None and not told.unusable and bucket not in track.coverage:
            said = kin(bucket)
            if said is Kin.DENIES:
                _refute(told)
            elif bucket not in track.provisional and _agree(told, said):
                confirmed.append(bucket)
            told.alone = told.alone and said in _UNPROVEN
    for bucket in confirmed:
        told = track.open[bucket]
        track.settle(bucket, None, derived=False)
        if told.empty:
            track.presumed[bucket] = told.last
    return confirmed


def bear_witness(
    tracks: Mapping[Timeframe, Track], timeframe: Timeframe, other: Timeframe, page: PageFacts
) -> list[int]:
    """Take a page of another timeframe, asked for because of this one; the buckets that it settles of it."""
    page = page.without_flat() if tracks[timeframe].traits.empty == "flat" else page
    if other.ms < timeframe.ms:
        return rebuild(tracks[timeframe], other, page)
    hear_bigger(tracks[timeframe], other, page)
    return review(tracks[timeframe], Kindred(tracks, timeframe, page.heard))


def _agree(told: Open, said: Kin) -> bool:
    """Whether pages without a row and what another timeframe says prove together that nothing was traded."""
    return said is Kin.CONFIRMS or (said is Kin.BEARS_OUT and (told.pages >= 2 or not told.empty))


def _refute(told: Open) -> None:
    """Another timeframe holds what one page did not show: it is worth another one now."""
    if told.tries <= 1:
        told.again = told.last


def join(track: Track, page: PageFacts, kin: KinOf) -> list[int]:
    """Settle what lies between rows of this page and of another, or after all of them; those buckets."""
    if not track.open or not track.coverage:
        return []
    spans = track.coverage.spans
    _ask_next_to(track, spans[0].start)
    settled: list[int] = []
    gaps = track.coverage.missing(spans[0].start, spans[-1].start)
    track.witness = track.witness if gaps else None
    for gap in gaps:
        if all(t in track.open for t in track.grid.opens(*gap)):  # else there may be a row between
            settled += _between(track, track.grid.opens(*gap), kin)
    return settled + _asleep(track, page, kin)


def _between(track: Track, gap: Iterable[int], kin: KinOf) -> list[int]:
    """Rows on both sides, of two pages, of which either may have been cut short: others are to say more."""
    settled: list[int] = []
    for bucket in gap:
        told = track.open[bucket]
        if told.row is not None or told.unusable or bucket in track.provisional:
            continue
        said = kin(bucket)
        told.alone = said in _UNPROVEN
        if said is Kin.DENIES:
            _refute(told)
        elif _agree(told, said):
            track.settle(bucket, None, derived=False)
            if told.empty:
                track.presumed[bucket] = told.last
            settled.append(bucket)
        else:
            # What was beyond an empty page when it was asked for is between rows now.
            told.again = min(told.again, told.last + min(APART_MS * max(1, told.pages // 3), CONFIRM_MS))
    return settled


def _asleep(track: Track, page: PageFacts, kin: KinOf) -> list[int]:
    """What this page tells of the product's habit may speak for what another left open at the end."""
    awake = max(track.settled, default=0)
    if not awake or page.heard < track.behind_at + DISPUTE_MS:
        return []
    since, until = track.grid.end(awake), track.grid.closed(page.heard)
    told = [(t, track.open[t]) for t in track.grid.opens(since, until) if t in track.open]
    if not told or until - since > 2 * longest_sleep(track, page):
        return []
    settled: list[int] = []
    for bucket, each in told:
        absent = each.row is None and each.whole and not (each.empty or each.unusable or each.newer)
        if absent and bucket not in track.provisional and kin(bucket) is not Kin.DENIES:
            track.settle(bucket, None, derived=False, likely=each.last)
            track.presumed[bucket] = each.last
            settled.append(bucket)
    return settled


def _ask_next_to(track: Track, start: int) -> None:
    """The empty page next to the oldest candle is asked for again soon: history ends there, or not."""
    bucket = track.grid.back(start)
    while (told := track.open.get(bucket)) is not None and not told.empty:
        bucket = track.grid.back(bucket)
    first = told.first if told is not None else 0
    while (told := track.open.get(bucket)) is not None and told.empty and told.first == first:
        told.again = min(told.again, told.last + (APART_MS << min(told.pages - 1, 6)))
        bucket = track.grid.back(bucket)


def pass_on(parent: Track, child: Track, page: PageFacts) -> None:
    """A page of the child's was one of a parent too that the venue does not serve: what the roll-up did not
    settle is as open as if its own page had left it so, and the search for history goes on beyond it.
    """
    rows = sorted((*page.rows, *page.flat))
    if parent.grid.ceil(page.start) < parent.history_from:
        parent.end_asked = page.heard
        if any(time < parent.history_from for time in page.rows):
            parent.resume_search()
    edge = min(page.end, final_edge(child, page.heard))
    for bucket in parent.grid.opens(page.start, edge):
        end = parent.grid.end(bucket)
        if bucket in parent.coverage or end > edge:
            continue
        newer = bool(rows) and rows[-1] >= end
        told = parent.open.setdefault(bucket, Open(None, page.heard, page.heard, empty=not rows, newer=newer))
        told.hear(None, page.heard, fresh=False, empty=not rows, newer=newer, whole=False)
        told.tries += 1
        again = (child.open[t].again for t in child.grid.opens(bucket, end) if t in child.open)
        told.again = max(again, default=page.heard + APART_MS)


def longest_sleep(track: Track, page: PageFacts) -> int:
    """How long, in ms, the product is known to have gone without a trade."""
    # A row that cannot be believed is no sleep.
    rows = [*page.rows, *page.rejected]
    spans = [[t for t in track.settled if span.start <= t < span.end] for span in track.coverage]
    longest, grid = 0, track.grid
    for times in (rows, *spans):
        asleep = (grid.end_before(newer) - grid.end(older) for older, newer in pairwise(sorted(times)))
        longest = max(longest, *asleep, 0)
    return longest
