"""The bars of a stretch: what Redis keeps, and before it what the history does. Never over a hole."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from operator import add
from typing import Any, NamedTuple

from ...errors import Incomplete, OutOfSync, ReadError, UnknownSeries
from ...model.candle import Candle
from ...model.timeframe import Timeframe, iso
from ...read.candles import Candles
from ..past.window import Ask, Past, Window
from ..shapes.fields import ROWS_MOST
from ..source import Source

__all__ = ["Found", "Gathering", "Wanted"]

_WINDOWS_MOST = 4
"""Where hardly anything is traded, so many times 5,000 buckets are looked through for bars."""


class Wanted(NamedTuple):
    """The newest `most` that open in `[start, end)`, Unix ms; without a start, however far back."""

    symbol: str
    timeframe: Timeframe
    end: int
    start: int | None
    most: int


class Columns(NamedTuple):
    """Bars, oldest first: `time` is Unix ms."""

    time: list[int]
    open: list[float]
    high: list[float]
    low: list[float]
    close: list[float]
    volume: list[float]

    def since(self, start: int, most: int) -> Columns:
        """The newest so many that open at `start` or later."""
        first = max(bisect_left(self.time, start), len(self.time) - most)
        columns: Any = (column[first:] for column in self)
        return Columns(*columns)

    def after(self, older: Columns) -> Columns:
        """These with older ones before them."""
        columns: Any = map(add, older, self)
        return Columns(*columns)


class Found(NamedTuple):
    """What there is, up to the end of what was asked for without a gap."""

    bars: Columns
    older: int | None = None
    """Where there are none: the open of one before it, or where to look for such. None: nowhere."""


class Gathering:
    """Reads for `/udf/history`."""

    def __init__(self, source: Source, past: Past) -> None:
        self._source, self._past = source, past

    async def of(self, wanted: Wanted) -> Found:
        """The bars. Raises what a reader raises where there are none for want of knowing."""
        bars, trouble, edge = _columns(()), None, wanted.end
        try:
            newest = await self._newest(wanted)
        except ReadError as error:
            trouble = error
        else:
            bars = _columns([one for one in newest if one.time < wanted.end])
            edge = min(edge, newest.contiguous_from)
        enough = len(bars.time) >= wanted.most or (wanted.start or 0) >= edge
        if self._past.kept and (trouble or not enough):
            return await self._with_years(wanted, bars, trouble, edge)
        if trouble:
            raise trouble
        return _found(bars, wanted)

    async def _newest(self, wanted: Wanted) -> Candles:
        """What Redis keeps, with the bucket in progress if anybody vouches for it."""
        way = self._source.way()

        async def read(*, forming: bool) -> Candles:
            names = wanted.symbol, wanted.timeframe
            request = way.core.request(*names, ROWS_MOST, forming=forming, at_least=1)
            return await way.link.drive(way.core.read(request))

        try:
            return await read(forming=True)
        except OutOfSync:
            return await read(forming=False)

    async def _with_years(self, wanted: Wanted, bars: Columns, trouble: ReadError | None, edge: int) -> Found:
        """The same with what the history has before `edge`. `trouble`: why Redis tells nothing."""
        start, step = wanted.start or 0, wanted.timeframe.ms
        for number in range(_WINDOWS_MOST):
            window = await self._past.window(_ask(wanted, len(bars.time), edge, first=not number))
            if trouble and not isinstance(trouble, UnknownSeries) and window.span.end + step < edge:
                raise trouble  # Of the newest nobody knows anything: the history's end is not theirs.
            grid, missing = window.history.grid, window.history.missing
            holes = missing.clip(start, edge) if edge > start else missing
            since = holes.spans[-1].end if holes else window.span.start
            bars = bars.after(_of_years(window).since(since, ROWS_MOST))
            if holes and not bars.time:
                if edge > start:
                    raise trouble or _lacking(window)
                return Found(bars, grid.far_back(since, 1))
            if bars.time and (holes or len(bars.time) >= wanted.most or window.span.start <= start):
                return _found(bars, wanted)
            if window.next_before is None:
                return _found(bars, wanted)
            edge = window.next_before
        found = _found(bars, wanted)
        return found if bars.time else found._replace(older=grid.far_back(edge, 1))


def _ask(wanted: Wanted, have: int, edge: int, *, first: bool) -> Ask:
    buckets = wanted.most - have
    if wanted.start is not None:
        buckets = min(buckets, wanted.timeframe.grid.count(wanted.start, edge))
    limit = max(1, min(buckets, ROWS_MOST)) if first else ROWS_MOST
    names = wanted.symbol, wanted.timeframe.value
    return Ask(*names, before=edge, limit=limit, fill=first, partial=True)


def _found(bars: Columns, wanted: Wanted) -> Found:
    found = bars.since(wanted.start or 0, wanted.most)
    return Found(found, None if found.time or not bars.time else bars.time[-1])


def _columns(candles: Sequence[Candle]) -> Columns:
    columns: Any = map(list, zip(*candles, strict=True))
    return Columns(*columns) if candles else Columns([], [], [], [], [], [])


def _of_years(window: Window) -> Columns:
    history = window.history
    numbers = (history.open, history.high, history.low, history.close, history.volume)
    return Columns(history.time.tolist(), *(each.tolist() for each in numbers))


def _lacking(window: Window) -> Incomplete:
    history = window.history
    newest = history.missing.spans[-1]
    told = f"{history.series}: what lies between {iso(newest.start)} and {iso(newest.end)} is missing"
    hint = "it is being fetched: ask again" if window.job is not None else "have it fetched: see docs/api.md"
    return Incomplete(told, hint, missing=history.missing.spans, job=window.job)
