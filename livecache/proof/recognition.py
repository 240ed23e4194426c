"""Whether a page is of the series that was asked for, and of its times; and whether it lags. Pure.

An answer may be another product's, or have every row under another row's time: each row looks right by
itself. Candles are cumulative, so that a row reaches at least as high and as low as its bucket was known to;
what was proven empty has none, and what is settled is not passed over.
"""

from __future__ import annotations

import msgspec

from ..model.coverage import Span
from ..model.policy import CONFIRM_MS
from .evidence import APART_MS, DISPUTE_MS, Kin, PageFacts, Strange
from .joining import KinOf
from .track import Track

__all__ = ["lags", "recognise"]

_PAGES = 3
_ROWS = 2  # One row that does not fit is the newest, of a venue that lags, or was spoilt.


_SPANS = 4  # Counted at once: the newest page and those with holes take turns.


class _Fit(msgspec.Struct):
    """The closed rows that fit what is known of their buckets, and those that do not."""

    fits: list[int] = []
    strange: list[int] = []
    against_feed: int = 0  # of the strange ones

    def refutes(self, span: Span) -> bool:
        """Whether the page shows that what pages told of the span was not the venue's last word."""
        fits, strange = (sum(span.start <= t < span.end for t in rows) for rows in (self.fits, self.strange))
        return fits > strange

    def agrees(self, earlier: Strange, page: PageFacts) -> bool:
        """Whether what is strange of the page is what an earlier one said as well."""
        told = [t for t in self.strange if t in earlier.rows or t not in page.rows]
        both = [(earlier.rows.get(t), page.rows.get(t)) for t in told]
        same = sum(one is other or bool(one and other and one.equals(other)) for one, other in both)
        return 2 * same > len(both)


def recognise(track: Track, page: PageFacts) -> bool:
    """Whether what the page says may be taken: most of its rows fit what is known of their buckets.

    If not, three such pages that agree over five minutes are right, and what is known is not; over an hour,
    if they do not fit what the feed vouches for. Pages of other times speak neither for nor against them.
    """
    fit, counts = _fit(track, page), track.strange
    for span in [s for s, told in counts.items() if page.heard >= told.last + CONFIRM_MS]:
        del counts[span]  # Nobody asks for it any more: a lie of later days begins at one.
    if len(fit.strange) < _ROWS or len(fit.strange) <= len(fit.fits):
        for span in [s for s in counts if fit.refutes(s)]:
            del counts[span]
        return True
    start, end = min(fit.strange), max(fit.strange) + 1
    same = [s for s in counts if s.start < end and start < s.end]
    told = min((counts[s] for s in same), key=lambda told: told.pages, default=None)
    if told is None or not all(fit.agrees(counts[s], page) for s in same):
        told = Strange(
            page.heard, page.heard, 1, page.rows
        )  # Lies that differ are no witnesses of each other.
    elif page.heard >= told.last + APART_MS:
        told = Strange(told.first, page.heard, told.pages + 1, page.rows)
    for span in same:
        start, end = min(start, span.start), max(end, span.end)
        del counts[span]
    if len(counts) >= _SPANS:
        del counts[next(iter(counts))]
    counts[Span(start, end)] = told
    over_ms = CONFIRM_MS if fit.against_feed else DISPUTE_MS
    return told.pages >= _PAGES and told.last - told.first >= over_ms


def _fit(track: Track, page: PageFacts) -> _Fit:
    fit, edge = _Fit(), track.grid.closed(page.heard)
    if not track.coverage and not track.provisional:
        return fit
    doubted = track.contested.keys() | track.suspect | track.presumed.keys() | track.likely.keys()
    richer = False
    for bucket, row in page.rows.items():
        held = track.candle(bucket)
        if bucket >= edge or bucket in doubted or (held is None and bucket not in track.coverage):
            continue
        if held is not None and row.equals(held):
            fit.fits.append(bucket)
        elif held is not None and row.reaches(held):
            richer = richer or bucket in track.settled
        else:
            shown = track.provisional.get(bucket)
            fit.strange.append(bucket)
            fit.against_feed += shown is not None and shown.vouched
    empty = (t for t in page.flat if t in track.coverage and t not in track.settled)
    fit.fits += [t for t in empty if t < edge and t not in doubted]
    # Rows of a bigger timeframe reach as far as any, and pass over what is known.
    rows = page.rows.keys() | page.flat
    start, end = min(rows, default=0), min(max(rows, default=0) + 1, edge)
    if rows and (richer or not fit.fits):
        start, end = page.start, min(page.end, edge)
    vouched = {t for t, each in track.provisional.items() if each.vouched}
    told = page.rejected | page.rows.keys() | doubted
    passed_over = [t for t in (*track.settled, *vouched) if start <= t < end and t not in told]
    fit.strange += passed_over
    fit.against_feed += len(vouched.intersection(passed_over))
    return fit


def lags(track: Track, page: PageFacts, kin: KinOf) -> bool:
    """Whether the page lacks, or has less of, what somebody else showed: it lags, or hides rows."""
    in_progress = track.grid.floor(page.heard)
    reach = min(page.end, in_progress)
    shown = ((t, each.candle) for t, each in track.provisional.items() if each.vouched)
    lacks = any(
        page.start <= t < reach and ((row := page.rows.get(t)) is None or candle.richer_than(row))
        for t, candle in shown
    )
    here = page.end > in_progress and in_progress not in page.rows
    begun = page.heard >= in_progress + APART_MS
    # The feed, or a smaller timeframe, may show a trade in the bucket in progress.
    unseen = here and begun and (in_progress in track.provisional or kin(in_progress) is Kin.DENIES)
    return lacks or unseen or _has_grown(track, page)


def _has_grown(track: Track, page: PageFacts) -> bool:
    """Whether it has rows that an earlier page, of after their end, lacked or showed poorer."""
    return any(
        row is not None
        and not told.unusable
        and told.first >= track.grid.end(t)
        and (told.row is None or row.richer_than(told.row))
        for t, told in track.open.items()
        if t not in track.coverage
        for row in (page.rows.get(t),)
    )
