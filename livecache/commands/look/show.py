"""`livecache show SYMBOL TIMEFRAME`: the newest candles, a chart of them, and what vouches for them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from ...config.schema import Config
from ...errors import LivecacheError
from ...model.series import SeriesId
from ...model.timeframe import Multiple, readable
from ...read.reading import SeriesView
from ...reader.reader import Reader
from .. import terminal
from ..reading import connect, duration, find_series, keyspace_of, open_reader, utc
from .candle_table import table_lines
from .chart import UNICODE_GLYPHS, Style, chart, height_of
from .status import row_of
from .stored import Bucket, StoredSeries, read_series

__all__ = ["bucket_json", "show_series"]

_COUNT = 10
_LEAST = 3  # buckets that are listed however low the terminal is


def show_series(
    config: Config, symbol: str, timeframe: str, *, count: int | None, draw: bool, as_json: bool
) -> None:
    """Print the series with the newest `count` buckets, also if no reader would get it.

    None is ten of them, or fewer on a terminal that has no room for them below the chart.

    Raises what a reader would be refused with, at the end.
    """
    readable(timeframe)  # a slip of the keyboard is told even where no Redis is
    with open_reader(config) as reader:
        series = find_series(reader.series(), symbol, timeframe, multiples=True)
        refusal = _refusal(reader, series)
    if refusal is not None and isinstance(series.timeframe, Multiple):
        raise refusal  # it lies nowhere: there is nothing else to show
    columns = terminal.width() if draw and not as_json else 0
    with connect(config) as client:
        most = max(_COUNT if count is None else count, columns, 1)
        stored = read_series(client, keyspace_of(config, series.venue), series, most)
    if as_json:
        listed = _newest(stored.buckets, _COUNT if count is None else count)
        print(json.dumps(_json(stored.view, listed, refusal)))
    else:
        _print(stored, count, columns)
    if refusal is not None:
        raise refusal


def _print(stored: StoredSeries, count: int | None, columns: int) -> None:
    """Head, chart and table, as high as the terminal: what scrolls off at the top nobody reads."""
    parts = [list(_head(stored.view))]
    on_terminal = terminal.is_terminal()
    # What is left after the head, two empty lines, the table's head and legend, and the prompt.
    room = terminal.height() - len(parts[0]) - 5 if on_terminal else None
    if count is None:
        count = _COUNT if room is None or not columns else min(_COUNT, max(_LEAST, room // 4))
    if columns:
        parts.append(_drawing(stored.buckets, columns, None if room is None else room - count))
    if listed := _newest(stored.buckets, count):
        parts.append(table_lines(listed, terminal.width() if on_terminal else None))
    print("\n\n".join("\n".join(lines) for lines in parts if lines))


def _newest(buckets: Sequence[Bucket], count: int) -> Sequence[Bucket]:
    return buckets[-count:] if count else ()


def _drawing(buckets: Sequence[Bucket], columns: int, lines_most: int | None) -> list[str]:
    style = Style(terminal.has_colour(), ascii=not terminal.can_show(UNICODE_GLYPHS))
    lines = chart(buckets, width=columns, height=height_of(lines_most), style=style)
    nothing = f"  there is no candle in the newest {min(len(buckets), columns)} buckets"
    return lines or ([nothing] if buckets else [])


def _refusal(reader: Reader, series: SeriesId) -> LivecacheError | None:
    """What a reader of the newest candle would be refused with."""
    try:
        answer = reader.many([series], count=1)[series]
    except LivecacheError as error:
        return error  # if Redis itself is away, what comes next says so
    return answer if isinstance(answer, LivecacheError) else None


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
        yield f"  vouched for by    {alive.instance}, feed {row.feed}, venue time {utc(alive.time)}"
    yield f"  origin            {view.record.origin}"


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
