"""`livecache show SYMBOL TIMEFRAME`: the newest candles, a chart of them, and what vouches for them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from ..cache.reader import Reader
from ..cache.reading import SeriesView
from ..config import Config
from ..core.series import SeriesId
from ..core.timeframe import Timeframe
from ..errors import LivecacheError
from . import terminal
from .chart import UNICODE_GLYPHS, Style, chart
from .reading import connect, duration, find_series, keyspace_of, open_reader, utc
from .status import row_of
from .stored import Bucket, BucketKind, read_stored

__all__ = ["bucket_json", "show_series", "table_lines"]

_TOLD = {BucketKind.FORMING: "in progress", BucketKind.UNVOUCHED: "not vouched for"}


def show_series(
    config: Config, symbol: str, timeframe: str, *, count: int, draw: bool, as_json: bool
) -> None:
    """Print the series with the newest `count` buckets, also if no reader would get it.

    Raises what a reader would be refused with, at the end.
    """
    Timeframe.parse(timeframe)  # a slip of the keyboard is told even where no Redis is
    with open_reader(config) as reader:
        series = find_series(reader.series(), symbol, timeframe)
        refusal = _refusal(reader, series)
    columns = terminal.width() if draw and not as_json else 0
    with connect(config) as client:
        stored = read_stored(client, keyspace_of(config), series, max(count, columns, 1))
    listed = stored.buckets[-count:] if count else ()
    if as_json:
        print(json.dumps(_json(stored.view, listed, refusal)))
    else:
        parts = [list(_head(stored.view))]
        style = Style(terminal.has_colour(), ascii=not terminal.can_show(UNICODE_GLYPHS))
        parts += [_drawing(stored.buckets, columns, style)] if draw else []
        parts += [table_lines(listed, terminal.width() if terminal.is_terminal() else None)] if listed else []
        print("\n\n".join("\n".join(lines) for lines in parts if lines))
    if refusal is not None:
        raise refusal


def _drawing(buckets: Sequence[Bucket], columns: int, style: Style) -> list[str]:
    lines = chart(buckets, width=columns, style=style)
    nothing = f"  there is no candle in the newest {min(len(buckets), columns)} buckets"
    return lines or ([nothing] if buckets else [])


def _refusal(reader: Reader, series: SeriesId) -> LivecacheError | None:
    """What a reader of the newest candle would be refused with."""
    try:
        reader.candles(series.symbol, series.timeframe, 1)
    except LivecacheError as error:
        return error  # if Redis itself is away, what comes next says so
    return None


def _head(view: SeriesView) -> Iterator[str]:
    (venue, symbol, timeframe), row = view.series, row_of(view)
    yield f"{symbol} {timeframe} at {venue}: {row.state}, {row.count} candles"
    if row.reason:
        yield f"  because           {row.reason}"
    if view.record is None:
        return
    state = view.record.state
    yield f"  contiguous from   {utc(state.contiguous_from)} UTC"
    behind = f" (behind by {duration(row.lag_ms)})" if row.lag_ms else ""
    yield f"  settled through   {utc(state.settled_through)}{behind}"
    yield f"  known through     {utc(state.known_through)}"
    if state.history_from:
        yield f"  searched back to  {utc(state.history_from)}"
    if alive := view.alive:
        yield f"  vouched for by    {alive.instance}, feed {alive.feed}, venue time {utc(alive.time)}"
    yield f"  origin            {view.record.origin}"


def table_lines(buckets: Sequence[Bucket], width: int | None = None) -> list[str]:
    """The buckets as a table, prices in the venue's own digits.

    Where they do not fit into `width` columns, open, high and low are left out.
    """
    table = [["OPEN TIME (UTC)", "OPEN", "HIGH", "LOW", "CLOSE", "VOLUME", ""]]
    for time, kind, candle in buckets:
        numbers = candle.numbers if candle else ("-",) * 5
        table.append([utc(time), *numbers, _TOLD.get(kind, kind.value)])
    lines = _aligned(table)
    if width is not None and max(map(len, lines)) > width:
        lines = _aligned([[row[0], *row[4:]] for row in table])
    return lines


def _aligned(table: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in list(zip(*table, strict=True))[:-1]]
    lines = []
    for *cells, last in table:
        aligned = [cell.rjust(width) for cell, width in zip(cells, widths, strict=True)]
        lines.append("  ".join([*aligned, last]).rstrip())
    return lines


def bucket_json(bucket: Bucket) -> dict[str, Any]:
    """A bucket as `--json` gives it: its candle as it lies in Redis, `[time,open,high,low,close,volume]`."""
    candle = json.loads(bucket.candle.member()) if bucket.candle else None
    return {"time": bucket.time, "kind": bucket.kind.value, "candle": candle}


def _json(view: SeriesView, buckets: Sequence[Bucket], refusal: LivecacheError | None) -> dict[str, Any]:
    row, record = row_of(view), view.record
    told: dict[str, Any] = {
        "venue": view.series.venue,
        "symbol": view.series.symbol,
        "timeframe": view.series.timeframe.value,
        "state": row.state,
        "reason": row.reason,
        "refused": None if refusal is None else refusal.message,
        "count": row.count,
        "feed": row.feed,
        "instance": view.alive.instance if view.alive else None,
        "origin": record.origin if record else None,
    }
    for name in ("contiguous_from", "settled_through", "known_through", "closed_through", "forming"):
        told[name] = getattr(record.state, name) if record else 0
    return {**told, "buckets": [bucket_json(bucket) for bucket in buckets]}
