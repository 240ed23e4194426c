"""Whether a page is of the series that was asked for, and of its times. Pure.

An answer may be another product's, or have every row under another row's time: each row looks right by
itself. Candles are cumulative, so that a row reaches at least as high and as low as its bucket was known to;
and what was proven empty has none.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..model.policy import CONFIRM_MS
from .evidence import APART_MS, DISPUTE_MS
from .page import PageFacts
from .track import Track

__all__ = ["recognise"]

_PAGES = 3
_ROWS = 2  # One row that does not fit is the newest, of a venue that lags, or was spoilt.


@dataclass(slots=True)
class _Fit:
    """How many closed rows fit what is known of their buckets, and how many do not."""

    fits: int = 0
    strange: int = 0
    against_feed: int = 0  # of the strange ones


def recognise(track: Track, page: PageFacts) -> bool:
    """Whether what the page says may be taken: most of its rows fit what is known of their buckets.

    If not, three such pages over five minutes are right, and what is known is not; over an hour, if they do
    not fit what the feed vouches for either.
    """
    fit = _fit(track, page)
    if fit.strange < _ROWS or fit.strange <= fit.fits:
        if fit.fits:
            track.strange = (0, 0, 0)
        return True
    first, last, pages = track.strange
    if not pages or page.heard >= last + APART_MS:
        first, last, pages = first or page.heard, page.heard, pages + 1
    track.strange = (first, last, pages)
    return pages >= _PAGES and last - first >= (CONFIRM_MS if fit.against_feed else DISPUTE_MS)


def _fit(track: Track, page: PageFacts) -> _Fit:
    fit, edge = _Fit(), track.grid.closed(page.heard)
    doubted = track.contested.keys() | track.suspect | track.presumed.keys() | track.likely.keys()
    for bucket, row in page.rows.items():
        held = track.candle(bucket)
        if bucket >= edge or bucket in doubted or (held is None and bucket not in track.coverage):
            continue
        if held is not None and row.reaches(held):
            fit.fits += 1
        else:
            shown = track.provisional.get(bucket)
            fit.strange += 1
            fit.against_feed += shown is not None and shown.vouched
    return fit
