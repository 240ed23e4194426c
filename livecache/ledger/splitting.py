"""A split rewrites a symbol's past at a venue that adjusts for it: what was read before has other units."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction

from ..model.candle import ExactCandle
from ..proof.track import Track
from .symbol import SymbolTimeline

__all__ = ["forget", "rescaled_since"]

_NEAR = Fraction(1, 200)  # A candle that is revised besides is not off by a ratio.


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


def forget(symbol: SymbolTimeline, before: int) -> None:
    """Nothing that opened before is known any more, of any timeframe: it is asked for again."""
    for track in symbol.tracks.values():
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
