"""A bucket whose row cannot be believed is added up from smaller candles, asked for this purpose. Pure."""

from __future__ import annotations

from ..model.coverage import Span
from ..model.policy import CONFIRM_MS
from ..model.rollup import roll_up
from ..model.timeframe import Timeframe
from .evidence import APART_MS, PageFacts
from .track import Track

__all__ = ["rebuild", "rebuilding"]

_TRIES_BEFORE = 2  # The same row may be sound a moment later.
_MOST = 24  # Where more cannot be believed, it is not the rows that are spoilt.


def rebuilding(track: Track, now: int) -> tuple[Timeframe, Span] | None:
    """Which page of which smaller timeframe would add up to what cannot be had, the oldest first.

    The largest that divides the series' own is asked first; if its rows are spoilt too, the next one.
    """
    due = sorted(
        t
        for t, told in track.open.items()
        if told.unusable and told.tries >= _TRIES_BEFORE and told.others_again <= now
    )
    smaller = [
        t
        for t in reversed(Timeframe)
        if track.traits.adds_up(t, track.series.timeframe)
        and t in track.traits.served
        and 2 * track.width <= track.traits.page(t) * t.ms
        and due
        and track.grid.back(due[0]) >= track.traits.oldest(t, now)
    ]
    if not due or not smaller or len(due) > _MOST:
        return None
    first = end = due[0]
    timeframe = smaller[track.open[first].asked_others // 2 % len(smaller)]
    grid, page = track.traits.grid(timeframe), track.traits.page(timeframe)
    # Settled neighbours tell whether the page is this product's, and of these times.
    if (before := track.grid.back(first)) in track.coverage:
        first = before
    for bucket in due:
        if grid.count(first, track.grid.end(bucket)) <= page:
            end = track.grid.end(bucket)
    after = track.grid.ceil(end)
    if after in track.coverage and grid.count(first, track.grid.end(after)) <= page:
        end = track.grid.end(after)
    return timeframe, Span(first, end)


def rebuild(track: Track, timeframe: Timeframe, page: PageFacts) -> list[int]:
    """Settle what two pages of the smaller timeframe, a minute apart, agree on; those buckets."""
    rebuilt: list[int] = []
    fits = _fits(track, timeframe, page)
    for bucket, told in list(track.open.items()):
        end = track.grid.end(bucket)
        if not told.unusable or bucket < page.start or end > page.end or bucket in track.coverage:
            continue
        told.asked_others += 1
        told.others_again = page.heard + min(APART_MS << min(told.asked_others - 1, 10), CONFIRM_MS)
        parts = track.traits.grid(timeframe).opens(bucket, end)
        rows = [page.rows[t] for t in parts if t in page.rows]
        if not fits or any(t in page.rejected for t in parts):
            continue
        candle = roll_up(bucket, rows)
        shown = track.provisional.get(bucket)
        if candle is None or (shown is not None and shown.candle.richer_than(candle)):
            continue
        agrees = told.rebuilt is not None and told.rebuilt.equals(candle)
        if agrees and page.heard >= told.rebuilt_at + APART_MS:
            track.settle(bucket, candle, derived=True)
            rebuilt.append(bucket)
        elif not agrees:
            told.rebuilt, told.rebuilt_at = candle, page.heard
    return rebuilt


def _fits(track: Track, timeframe: Timeframe, page: PageFacts) -> bool:
    """Whether the page's rows add up to most of what is settled beside those that cannot be had."""
    doubted = track.contested.keys() | track.suspect | track.presumed.keys() | track.likely.keys()
    fits = strange = 0
    for bucket in track.grid.opens(page.start, page.end):
        parts = track.traits.grid(timeframe).opens(bucket, track.grid.end(bucket))
        if bucket in track.coverage and bucket not in doubted and page.rejected.isdisjoint(parts):
            candle = roll_up(bucket, [page.rows[t] for t in parts if t in page.rows])
            held = track.settled.get(bucket)
            same = candle is held if candle is None or held is None else candle.reaches(held)
            fits, strange = fits + same, strange + (not same)
    return strange <= fits
