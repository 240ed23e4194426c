"""Repair: having a span of one series read again, because somebody doubts what is stored. Pure.

What is settled stays served meanwhile. The pages are the plan's: a contested bucket is one more suspect.
"""

from __future__ import annotations

from typing import NamedTuple

from ..errors import RepairNotNow, RepairRefused, UnknownSeries
from ..model.coverage import Span
from ..model.timeframe import Timeframe, iso
from ..proof.track import Track
from .timeline import Timeline

__all__ = [
    "PAGES_A_REPAIR_MAX",
    "PAGES_WAITING_MAX",
    "RepairPlan",
    "order_repair",
    "pages_waiting",
]

PAGES_A_REPAIR_MAX = 250
PAGES_WAITING_MAX = 1_000
"""How many pages one request may take, and how many may wait in all: two minutes at nine a second.

The first is more than all that may be kept of a series takes: 10,000 candles, and 100 pages of search."""


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
) -> RepairPlan:
    """Have `[start, end)` of a series read again, and the series written whole from memory at once.

    Without `start` or `end`, from the oldest that is kept, or through the last that has closed. What the span
    holds beyond that is no reason to refuse: whoever found it in Redis had better be rid of it. `now` is the
    venue's time as heard, Unix ms; a timeframe that it does not serve is read by the pages that it is rolled
    up from. Raises `UnknownSeries`, `RepairRefused` or `RepairNotNow`.
    """
    track = _track(timeline, symbol, timeframe)
    source = _source(timeline, symbol, timeframe)
    start, end, kept = _span(track, source, start, end, now)
    pages = -(-source.grid.count(kept.start, kept.end) // source.page)
    if pages > PAGES_A_REPAIR_MAX:
        raise RepairRefused(
            f"{symbol} {timeframe}: that takes {pages} requests, and at most {PAGES_A_REPAIR_MAX} are taken",
            "ask for it in parts",
        )
    waiting = pages_waiting(timeline)
    if waiting + pages > PAGES_WAITING_MAX:
        raise RepairNotNow(
            f"{waiting} pages wait to be read again already, and at most {PAGES_WAITING_MAX} may",
            "ask again in a minute",
        )
    timeline.read_again(symbol, source.series.timeframe, kept.start, kept.end)
    track.whole = True
    span = kept if pages else Span(start, end)
    return RepairPlan(*span, pages, pages_waiting(timeline))


def pages_waiting(
    timeline: Timeline,
    series: tuple[str, Timeframe] | None = None,
) -> int:
    """How many pages repairs still take: of all series, or of one `(symbol, timeframe)`."""
    if series is None:
        tracks = [t for symbol in timeline.symbols.values() for t in symbol.tracks.values()]
    else:
        _track(timeline, *series)
        tracks = [_source(timeline, *series)]
    return sum(_pages(track) for track in tracks if track.contested)


def _source(timeline: Timeline, symbol: str, timeframe: Timeframe) -> Track:
    its = timeline.symbols[symbol]
    return its.tracks[its.sources[timeframe]]


def _track(timeline: Timeline, symbol: str, timeframe: Timeframe) -> Track:
    """The track of a configured series; `UnknownSeries` for any other."""
    if symbol not in timeline.symbols or timeframe not in timeline.timeframes:
        raise UnknownSeries(
            f"{symbol} {timeframe}: this service fills no such series",
            "`livecache series` lists those that are filled",
        )
    return timeline.symbols[symbol].tracks[timeframe]


def _pages(track: Track) -> int:
    """The pages that hold all contested buckets, each begun at the oldest that is left: as the plan asks."""
    count, first = 0, None
    for bucket in sorted(track.contested):
        if first is None or track.grid.count(first, bucket) >= track.page:
            count, first = count + 1, bucket
    return count


def _span(track: Track, source: Track, start: int | None, end: int | None, now: int) -> tuple[int, int, Span]:
    """The span that is meant, checked, and what of it `source` keeps: that can be read again."""
    timeframe = track.series.timeframe
    name = f"{track.series.symbol} {timeframe}"
    grid, edge = track.grid, source.grid.closed(now)
    oldest = min(edge, max(source.keep_from, source.coverage.spans[0].start)) if source.coverage else edge
    if start is not None and end is not None and start >= end:
        raise RepairRefused(f"{name}: a span ends after it begins", "the end is exclusive")
    end = edge if end is None else end
    start = min(oldest, end) if start is None else start
    if track is source and not (grid.bounds(start) and grid.bounds(end)):
        raise RepairRefused(
            f"{name}: a span begins and ends where a bucket does, at whole multiples of {timeframe}",
            f"the buckets around it are {iso(grid.floor(start))} to {iso(grid.ceil(end))}",
        )
    first, last = max(start, oldest), min(end, edge)
    return start, end, Span(first, last) if first < last else Span(edge, edge)
