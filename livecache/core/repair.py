"""Repair: having a span of one series read again, because somebody doubts what is stored. Pure.

What is settled stays served meanwhile. The pages are the plan's: a contested bucket is one more suspect.
"""

from __future__ import annotations

from typing import NamedTuple

from ..errors import RepairNotNow, RepairRefused, UnknownSeries
from .timeframe import Timeframe, iso
from .timeline import Timeline
from .track import Track

__all__ = ["PAGES_A_REPAIR_MAX", "PAGES_WAITING_MAX", "RepairPlan", "order_repair", "pages_waiting"]

PAGES_A_REPAIR_MAX = 100
PAGES_WAITING_MAX = 1_000
"""How many pages one request may take, and how many may wait in all: two minutes at nine a second."""


class RepairPlan(NamedTuple):
    """A span that will be read again, `[start, end)` in Unix ms, and how many pages that takes."""

    start: int
    end: int
    pages: int
    waiting: int  # pages of all repairs that are still to be read, these among them


def order_repair(
    timeline: Timeline,
    symbol: str,
    timeframe: Timeframe,
    start: int | None,
    end: int | None,
    *,
    now: int,
    page_limit: int,
) -> RepairPlan:
    """Have `[start, end)` of a series read again, and the series written whole from memory at once.

    Without `start` or `end`, from the oldest that is kept, or through the last that has closed. `now` is the
    venue's time as heard, Unix ms. Raises `UnknownSeries`, `RepairRefused` or `RepairNotNow`.
    """
    track = _track(timeline, symbol, timeframe)
    start, end = _span(track, start, end, now)
    pages = -(-(end - start) // (page_limit * track.width))
    if pages > PAGES_A_REPAIR_MAX:
        raise RepairRefused(
            f"{symbol} {timeframe}: that takes {pages} requests, and at most {PAGES_A_REPAIR_MAX} are taken",
            "ask for it in parts",
        )
    waiting = pages_waiting(timeline, page_limit)
    if waiting + pages > PAGES_WAITING_MAX:
        raise RepairNotNow(
            f"{waiting} pages wait to be read again already, and at most {PAGES_WAITING_MAX} may",
            "ask again in a minute",
        )
    timeline.read_again(symbol, timeframe, start, end)
    return RepairPlan(start, end, pages, pages_waiting(timeline, page_limit))


def pages_waiting(timeline: Timeline, page_limit: int, series: tuple[str, Timeframe] | None = None) -> int:
    """How many pages repairs still take: of all series, or of one `(symbol, timeframe)`."""
    if series is None:
        tracks = [t for symbol in timeline.symbols.values() for t in symbol.tracks.values()]
    else:
        tracks = [_track(timeline, *series)]
    return sum(_pages(track, page_limit) for track in tracks if track.contested)


def _track(timeline: Timeline, symbol: str, timeframe: Timeframe) -> Track:
    """The track of a configured series; `UnknownSeries` for any other."""
    if symbol not in timeline.symbols or timeframe not in timeline.timeframes:
        raise UnknownSeries(
            f"{symbol} {timeframe}: this service fills no such series",
            "`livecache series` lists those that are filled",
        )
    return timeline.symbols[symbol].tracks[timeframe]


def _pages(track: Track, page_limit: int) -> int:
    """The pages that hold all contested buckets, each begun at the oldest that is left: as the plan asks."""
    count = end = 0
    for bucket in sorted(track.contested):
        if bucket >= end:
            count += 1
            end = bucket + page_limit * track.width
    return count


def _span(track: Track, start: int | None, end: int | None, now: int) -> tuple[int, int]:
    """The span that is meant, checked: aligned, and within what is kept."""
    timeframe = track.series.timeframe
    name = f"{track.series.symbol} {timeframe}"
    if not track.coverage:
        raise RepairRefused(
            f"{name}: nothing is settled yet", "it is still being filled: see `livecache status`"
        )
    kept = max(track.keep_from, track.coverage.spans[0].start), timeframe.floor(now)
    start, end = kept[0] if start is None else start, kept[1] if end is None else end
    if start % track.width or end % track.width:
        raise RepairRefused(
            f"{name}: a span begins and ends where a bucket does, at whole multiples of {timeframe}",
            f"the buckets around it are {iso(timeframe.floor(start))} to {iso(timeframe.ceil(end))}",
        )
    if start < kept[0] or end > kept[1] or start >= kept[1] or end <= kept[0]:
        raise RepairRefused(
            f"{name}: what is kept is {iso(kept[0])} to {iso(kept[1])}, and the span reaches beyond",
            "leave an end out to mean that of what is kept",
        )
    if start >= end:
        raise RepairRefused(f"{name}: a span ends after it begins", "the end is exclusive")
    return start, end
