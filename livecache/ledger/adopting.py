"""What an earlier run has left, taken over as it was told; what may have been wrong is asked for anew."""

from __future__ import annotations

from ..model.policy import CONFIRM_MS, Provisional
from ..model.series import Stored
from ..proof.feeding import take_word
from ..proof.track import Track

__all__ = ["adopt"]

_CLAIMS_AFTER_MS = 60_000  # after a start: what is missing is asked for first

_LONG_SLEEP = 165
"""Empty buckets in a row that an earlier run may have taken from one empty page."""


_LIKELY_MOST = 10_000
"""Buckets that an earlier run may have told as known and not as settled."""


def adopt(track: Track, one: Stored, now: int) -> None:
    """Take over a series. What it calls empty, or the end of history, is a claim: asked for again soon.

    The feed may have been heard already, while another process had the lease: it is laid over that again.
    """
    heard, track.provisional = track.provisional, {}
    track.coverage = one.coverage
    track.settled = {c.time: c for c in one.candles if c.time in one.coverage}
    track.history_from, track.exhausted = one.history_from, bool(one.history_from)
    _stand_by(track, one)
    track.keep_from = min([s.start for s in one.coverage], default=0)
    track.announce_from = track.closed_until = max([s.end for s in one.coverage], default=0)
    track.end_asked = asked = now - CONFIRM_MS + _CLAIMS_AFTER_MS
    for start, end in track.coverage:
        times = sorted(t for t in track.settled if start <= t < end)
        since = [start, *map(track.grid.end, times)]
        for before, after in zip(since, [*times, end], strict=True):
            empty = track.grid.opens(before, after)
            # What no row bounds, or as many as half a page: each single one would be too many pages.
            if before == start or after == end or len(empty) >= _LONG_SLEEP:
                track.presumed.update(dict.fromkeys(empty, asked))
    _stay_likely(track, one, asked)
    for shown in heard.values():
        track.lay(shown.candle, vouched=shown.vouched, stamp=shown.stamp)
    track.flagged = {t: at for t, at in track.flagged.items() if t not in track.coverage}


def _stand_by(track: Track, one: Stored) -> None:
    """Stand by what an earlier run has told readers, so that nothing that they have goes away again.

    What was known is complete, whatever has become since of the feed that said so.
    """
    track.sound = one.ready
    start, track.told_through = one.known or (0, 0)
    for candle in one.candles:
        if start <= candle.time < track.told_through and candle.time not in track.coverage:
            track.provisional[candle.time] = Provisional(candle, True)
            if track.traits.finals is not None:  # … until a page should have made it final.
                take_word(track, candle.time)


def _stay_likely(track: Track, one: Stored, asked: int) -> None:
    """What was told as known, holds no candle and was not told as settled had been likely to be empty."""
    start, end = one.known or (0, 0)
    for bucket in track.grid.opens(start, end)[-_LIKELY_MOST:]:
        if bucket not in track.coverage and bucket not in track.provisional:
            track.settle(bucket, None, derived=False, likely=asked)
            track.presumed[bucket] = asked
