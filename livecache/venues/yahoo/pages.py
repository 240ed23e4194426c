"""Yahoo's chart as a page: which bucket each row is of, and which rows can be believed. Pure.

A row is placed by the local day, or by the bucket that its stamp opens, never by the stamp itself: days bear
the open, the time of asking, or an hour of the evening before where clocks were changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date, timedelta
from typing import Any, NamedTuple

from ...model.candle import ExactCandle
from ...model.grid import Grid
from ...model.timeframe import Timeframe
from ..rows import DecodedPage, Wire, clean_page, page_of
from ..text import excerpt, one_line
from ..venue import FailureKind, FetchFailure, PageRequest, Rejected
from .digits import number_text
from .hours import Hours
from .told import about, actions

__all__ = ["decode_page"]

_COLUMNS = ("open", "high", "low", "close", "volume")
_EVENING = 20


class _Row(NamedTuple):
    """A row that lies in a bucket of the request. `live`: it is the newest, and may be of the last trade."""

    bucket: int
    cells: tuple[Any, ...]
    live: bool


def decode_page(
    request: PageRequest, grid: Grid, hours: Hours, chart: Mapping[str, Any], now: int | None
) -> DecodedPage | FetchFailure:
    """The page of one result of a chart. `grid` is where buckets lie; `now`: Yahoo's clock, Unix ms."""
    meta = chart.get("meta")
    meta = meta if isinstance(meta, dict) else {}
    if not hours.in_zone(zone := meta.get("exchangeTimezoneName")):
        return FetchFailure(
            FailureKind.UNKNOWN_SYMBOL,  # at this venue
            one_line(
                f"it trades by the clocks of {zone}, and the calendar {hours.name} goes by {hours.zone.key}: "
                "list it at a second venue of this kind, with a calendar of its own"
            ),
        )
    stamps, columns = chart.get("timestamp") or [], _columns(chart)
    if not isinstance(stamps, list) or any(len(column) != len(stamps) for column in columns):
        return FetchFailure(FailureKind.MALFORMED, "columns of unequal length, or none", 200)
    odd: list[Rejected] = []
    rows = _each_once(_placed(request, grid, hours, zip(stamps, *columns, strict=True), meta, now, odd))
    decoded = _page(request, grid, rows, now)
    if isinstance(decoded, FetchFailure):
        return decoded
    page, rejected = decoded
    done, undone = actions(chart.get("events"), hours, request)
    page = replace(page, spoiled=page.spoiled + len(odd), actions=done, about=about(meta, hours))
    return DecodedPage(page, (*rejected, *odd, *undone))


def _columns(chart: Mapping[str, Any]) -> list[list[Any]]:
    """Those of the quotes, in the order of a candle's numbers. Without them: one that fits no rows."""
    match chart.get("indicators"):
        case {"quote": [dict() as quote, *_]}:
            columns = [quote.get(name) or [] for name in _COLUMNS]
            return columns if all(isinstance(column, list) for column in columns) else [[None]]
    return [[None]]


def _placed(
    request: PageRequest,
    grid: Grid,
    hours: Hours,
    told: Iterable[tuple[Any, ...]],
    meta: Mapping[str, Any],
    now: int | None,
    odd: list[Rejected],
) -> Iterator[_Row | Wire]:
    """The rows within the request; those of a day without a session are put among the `odd`."""
    daily, traded = request.timeframe is Timeframe.D1, meta.get("regularMarketTime")
    rows = [(stamp, row, _day(stamp, hours, live=stamp == traded)) for stamp, *row in told]
    buckets = [
        None if day is None else hours.session_on(day) if daily else _bucket_at(stamp * 1000, grid, request)
        for stamp, _, day in rows
    ]
    here = [bucket is not None and request.start <= bucket < request.end for bucket in buckets]
    newest = max((row[0] for row, inside in zip(rows, here, strict=True) if inside), default=None)
    for (stamp, row, day), bucket, inside in zip(rows, buckets, here, strict=True):
        if day is None:
            yield Wire(None, None, "a row without a time", _raw(stamp, row))
        elif bucket is not None and inside:
            going_on = now is not None and now < grid.end(bucket)
            live = stamp == traded or (stamp == newest and (daily or going_on))
            if daily or live or bucket == stamp * 1000:
                yield _Row(bucket, tuple(row), live)
            else:
                reason = f"its time {stamp} is not the open of a bucket"
                yield Wire(bucket, None, reason, _raw(stamp, row))
        elif _volume(row) > 0 and request.start <= stamp * 1000 < request.end and not hours.session_on(day):
            # In extended hours of a day that has a session rows are none of ours, and no harm.
            reason = f"no session of {hours.name} on {day}: is the calendar right?"
            odd.append(Rejected(reason, excerpt(_raw(stamp, row))))


def _raw(stamp: Any, cells: Sequence[Any]) -> bytes:
    """The row, for the log."""
    return repr((stamp, *cells)).encode()


def _day(stamp: Any, hours: Hours, *, live: bool) -> date | None:
    """The local day that a stamp is of; None for what is no time."""
    if not isinstance(stamp, int) or isinstance(stamp, bool):
        return None
    try:
        local = hours.local(stamp)
    except (ValueError, OverflowError, OSError):
        return None
    # A midnight that a change of clocks put into the evening before.
    early = not live and local.hour >= _EVENING and not local.minute and not local.second
    return local.date() + timedelta(days=1) if early else local.date()


def _bucket_at(time: int, grid: Grid, request: PageRequest) -> int | None:
    """The bucket of the request in which that lies; None where it is closed then, or not asked for."""
    if not request.start <= time < request.end:
        return None
    bucket = grid.floor(time)
    return bucket if time < grid.end(bucket) else None


def _each_once(rows: Iterator[_Row | Wire]) -> Iterator[_Row | Wire]:
    """The same without what merely repeats the row before it, and with the bucket in progress there once.

    Of its own row and the last trade's the fuller one counts.
    """
    held: _Row | None = None
    for row in rows:
        if held is not None:
            if isinstance(row, _Row) and row.bucket == held.bucket:
                if row.live != held.live:
                    held = max(held, row, key=lambda one: (_volume(one.cells), one.live))
                    continue
                if row.cells == held.cells:
                    continue
            yield held
        held = row if isinstance(row, _Row) else None
        if held is None:
            yield row
    if held is not None:
        yield held


def _volume(cells: Sequence[Any]) -> float:
    volume = cells[-1]
    return volume if isinstance(volume, int | float) and not isinstance(volume, bool) else -1.0


def _page(
    request: PageRequest, grid: Grid, told: Iterable[_Row | Wire], now: int | None
) -> DecodedPage | FetchFailure:
    rows = [row for row in told if isinstance(row, Wire) or not _silent(row)]
    candles = [None if isinstance(row, Wire) else _candle(row) for row in rows]
    sound = [candle for candle in candles if candle is not None]
    if len(sound) == len(rows) and (page := clean_page(request, grid, sound, now)):  # nearly always
        return page
    wires = (row if isinstance(row, Wire) else _wire(row) for row in rows)
    return page_of(request, grid, wires, now)


def _silent(row: _Row) -> bool:
    """Whether it says that it was looked, and that nothing was traded: a halt. So says an absent row."""
    open_, high, low, close, volume = row.cells
    return open_ is high is low is close is None and not volume


def _candle(row: _Row) -> ExactCandle | None:
    open_, high, low, close, volume = map(number_text, row.cells)
    if open_ and high and low and close and volume:
        return ExactCandle(row.bucket, open_, high, low, close, volume)
    return None


def _wire(row: _Row) -> Wire:
    numbers = [number_text(cell) for cell in row.cells]
    raw = _raw(row.bucket, row.cells)
    if None in numbers:
        return Wire(row.bucket, None, "a price or the volume is missing, or is no number", raw)
    if any(number and number.startswith("-") for number in numbers):
        return Wire(row.bucket, None, "a price or the volume is below zero, which is not kept", raw)
    return Wire(row.bucket, ExactCandle(row.bucket, *map(str, numbers)), "", raw)
