"""`livecache show SYMBOL TIMEFRAME`: the newest candles, a chart of them, and what vouches for them."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence

from ..cache.candles import Candles
from ..cache.reader import Reader
from ..cache.reading import SeriesView
from ..config import Config
from ..core.candle import Candle
from ..core.timeframe import Timeframe
from ..errors import OutOfSync
from .reading import duration, open_reader, utc
from .status import row_of

__all__ = ["chart", "show_series"]

CHART_CANDLES = 60
CHART_ROWS = 12


def show_series(config: Config, symbol: str, timeframe: str, rows: int) -> None:
    """Print the series. Raises what a read raises, after showing what vouches for it, if anything does."""
    known = Timeframe.parse(timeframe)
    with open_reader(config) as reader:
        view = reader.state(symbol, known)
        if view.record is not None:
            print("\n".join(_head(view)))
        candles = _read(reader, view, max(rows, CHART_CANDLES))
    colour = sys.stdout.isatty() and "NO_COLOR" not in os.environ
    print()
    print("\n".join(chart(candles[-CHART_CANDLES:], colour=colour)))
    print()
    print("\n".join(_table(candles, rows)))


def _read(reader: Reader, view: SeriesView, count: int) -> Candles:
    """The newest closed candles, as many as there are, and the one in progress if the feed vouches for it."""
    series = view.series
    forming = view.record is not None and view.record.state.forming > 0
    try:
        return reader.candles(series.symbol, series.timeframe, count, at_least=1, forming=forming)
    except OutOfSync:
        # The feed broke between the two questions, or is not vouched for.
        return reader.candles(series.symbol, series.timeframe, count, at_least=1)


def _head(view: SeriesView) -> Iterator[str]:
    assert view.record is not None
    (venue, symbol, timeframe), row, state = view.series, row_of(view), view.record.state
    yield f"{symbol} {timeframe} at {venue}: {row.state}, {row.count} candles"
    if row.reason:
        yield f"  because           {row.reason}"
    yield f"  contiguous from   {utc(state.contiguous_from)} UTC"
    behind = f" (behind by {duration(row.lag_ms)})" if row.lag_ms else ""
    yield f"  settled through   {utc(state.settled_through)}{behind}"
    yield f"  known through     {utc(state.known_through)}"
    if state.history_from:
        yield f"  searched back to  {utc(state.history_from)}"
    if alive := view.alive:
        yield f"  vouched for by    {alive.instance}, feed {alive.feed}, venue time {utc(alive.time)}"
    yield f"  origin            {view.record.origin}"


def chart(candles: Sequence[Candle], *, rows: int = CHART_ROWS, colour: bool = False) -> list[str]:
    """The candles as lines of text, one column each, a price axis at the right; time runs to the right."""
    top, bottom = max(candle.high for candle in candles), min(candle.low for candle in candles)
    step = (top - bottom) / rows or 1.0
    lines = []
    for row in range(rows):
        above, below = top - row * step, top - (row + 1) * step
        cells = "".join(_cell(candle, above, below, colour) for candle in candles)
        lines.append(f"{cells} ┤ {_price((above + below) / 2, step)}")
    return lines


def _cell(candle: Candle, above: float, below: float, colour: bool) -> str:
    body_top, body_bottom = max(candle.open, candle.close), min(candle.open, candle.close)
    if body_top >= below and body_bottom <= above:
        mark = "┃"
    elif candle.high >= below and candle.low <= above:
        mark = "│"
    else:
        return " "
    if not colour:
        return mark
    return f"\x1b[{32 if candle.close >= candle.open else 31}m{mark}\x1b[0m"


def _price(price: float, step: float) -> str:
    """The price with as many decimals as tell one row of the chart from the next."""
    decimals = 0
    while decimals < 10 and step < 10.0**-decimals:
        decimals += 1
    return f"{price:,.{decimals}f}"


def _table(candles: Candles, rows: int) -> Iterator[str]:
    table = [["OPEN TIME (UTC)", "OPEN", "HIGH", "LOW", "CLOSE", "VOLUME", ""]]
    for candle in candles[-rows:]:
        kind = "settled" if candle.time < candles.settled_through else "provisional"
        if candles.forming and candle.time >= candles.forming:
            kind = "in progress"
        prices = (candle.open, candle.high, candle.low, candle.close)
        table.append([utc(candle.time), *map(_number, prices), _number(candle.volume), kind])
    widths = [max(len(row[column]) for row in table) for column in range(6)]
    for row in table:
        numbers = "  ".join(text.rjust(width) for text, width in zip(row[:6], widths, strict=True))
        yield f"{numbers}  {row[6]}".rstrip()


def _number(value: float) -> str:
    # Python's shortest form that reads back alike, without an exponent: the venue's own digits.
    text = f"{value:.12f}".rstrip("0").rstrip(".") if "e" in repr(value) else repr(value)
    return text.removesuffix(".0")
