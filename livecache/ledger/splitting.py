"""A split rewrites a symbol's past at a venue that adjusts for it: what was read before has other units."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction

from ..model.candle import ExactCandle
from ..proof.evidence import DISPUTE_MS
from ..proof.track import Track
from .symbol import SymbolTimeline

__all__ = ["forget", "rescaled", "rescaled_since"]

_NEAR = Fraction(1, 200)  # A candle that is revised besides is not off by a ratio.
_ROWS = 3  # that are all off by one ratio are no revisions


def rescaled_since(
    track: Track, rows: Mapping[int, ExactCandle], splits: Sequence[tuple[int, Fraction]]
) -> int:
    """Since which split (Unix ms) a page's rows differ by its ratio from what is held; 0 where none do.

    `splits` are those that the page tells of: the time from which each holds, and the new shares for an old
    one; the oldest first.
    """
    for number, (time, _) in enumerate(splits):
        ratio = Fraction(1)
        for _, each in splits[number:]:
            ratio *= each
        newest = max((t for t in rows if t < time and track.candle(t)), default=0)
        held = track.candle(newest)
        if held is None or ratio == 1:
            continue
        off = Fraction(held.close) / (Fraction(rows[newest].close) * ratio) - 1
        if abs(off) < _NEAR and abs(ratio - 1) > 2 * _NEAR:
            return splits[-1][0]
    return 0


def rescaled(track: Track, rows: Mapping[int, ExactCandle], heard: int) -> Fraction:
    """By what a page's rows are all off from what is held, as others were for a while, so that it would be
    taken: a split that no page has told yet. 1 if they are not.
    """
    shared = [t for t in rows if t in track.settled]
    agreed = any(told.pages > 1 and heard >= told.first + DISPUTE_MS for told in track.strange.values())
    if len(shared) < _ROWS or not agreed:
        return Fraction(1)
    ratios = [Fraction(track.settled[t].close) / Fraction(rows[t].close) for t in shared]
    one = max(ratios) <= min(ratios) * (1 + _NEAR) and abs(ratios[0] - 1) > 2 * _NEAR
    return ratios[0] if one else Fraction(1)


def forget(symbol: SymbolTimeline, before: int, now: int) -> None:
    """Nothing that opened before is known any more, of any timeframe: it is asked for again. What was asked
    for until `now` (Unix ms) may still tell it as it was.
    """
    symbol.rescaled = now
    for track in symbol.tracks.values():
        if track.announce_from and track.coverage:  # That it is settled is no news once more.
            track.announce_from = max(track.announce_from, track.coverage.spans[-1].end)
        first = track.grid.ceil(before)
        track.coverage = track.coverage.clip(track.grid.end_before(first), 1 << 62)
        track.settled = {t: each for t, each in track.settled.items() if t >= first}
        track.provisional = {t: each for t, each in track.provisional.items() if t >= first}
        for buckets in (track.derived, track.suspect, track.reopened):
            buckets.difference_update([t for t in buckets if t < first])
        for told in (track.contested, track.presumed, track.likely, track.flagged):
            for bucket in [t for t in told if t < first]:
                del told[bucket]
        track.open = {t: each for t, each in track.open.items() if t >= first}
        track.glimpse, track.whole = None, True
        track.resume_search()
    symbol.hurried = True
    symbol.stir()
