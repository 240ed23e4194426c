"""Candles as lines of text: one column a bucket, a price axis at the right, time to the right. Pure.

Rows are drawn in halves, so that twelve of them tell 24 prices apart.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

from ..reading import utc
from .stored import Bucket, BucketKind

__all__ = ["UNICODE_GLYPHS", "Height", "Style", "chart", "height_of"]

ROWS = 12
VOLUME_ROWS = 3

_ROWS_LEAST = 4
_ROWS_FOR_VOLUME = 9  # below so many, the volume has one row
_BESIDE = 3  # lines of marks, times and their legend

_RISING, _FALLING, _PLAIN = "32", "31", ""

# The halves of a cell, upper and lower: nothing, a wick, a body.
_UNICODE = {
    "  ": " ",
    "ww": "│",
    " w": "╷",
    "w ": "╵",
    "bb": "┃",
    " b": "╻",
    "b ": "╹",
    "wb": "╽",
    "bw": "╿",
}
_EIGHTHS = " ▁▂▃▄▅▆▇█"
_EIGHTHS_ASCII = " ...::::#"

# Without colour a falling body is told by these.
_FALLING_BODY, _FALLING_BODY_ASCII = "┇", "#"
_RISING_BODY_ASCII = "O"

UNICODE_GLYPHS = "".join(_UNICODE.values()) + _EIGHTHS + _FALLING_BODY + "┤·"
"""Whatever a chart may need of an encoding that is not ASCII."""

_MARKS = {
    BucketKind.SETTLED: " ",
    BucketKind.PROVISIONAL: "~",
    BucketKind.EMPTY: "·",
    BucketKind.FORMING: ">",
    BucketKind.UNVOUCHED: "!",
    BucketKind.MISSING: "?",
    BucketKind.DAMAGED: "x",
}
_TOLD = {
    BucketKind.PROVISIONAL: "provisional",
    BucketKind.EMPTY: "nothing traded",
    BucketKind.FORMING: "in progress",
    BucketKind.UNVOUCHED: "not vouched for",
    BucketKind.MISSING: "missing",
    BucketKind.DAMAGED: "damaged",
}
_TIME_COLUMNS = 15  # between two labels of the time axis


class Style(NamedTuple):
    """How to draw: with ANSI colours or without, in ASCII or with the lines and blocks of Unicode."""

    colour: bool = False
    ascii: bool = False


class Height(NamedTuple):
    """How many rows the prices have, and how many the volumes."""

    rows: int = ROWS
    volume_rows: int = VOLUME_ROWS


def height_of(lines: int | None) -> Height:
    """The height of a chart that takes about so many lines in all; None: as it is by itself."""
    if lines is None:
        return Height()
    volume_rows = VOLUME_ROWS if lines - _BESIDE - VOLUME_ROWS >= _ROWS_FOR_VOLUME else 1
    return Height(min(ROWS, max(_ROWS_LEAST, lines - _BESIDE - volume_rows)), volume_rows)


class _Column(NamedTuple):
    """A candle in half rows, counted from the bottom; the ends are inclusive. `None`s where there is none."""

    wick: tuple[int, int]
    body: tuple[int, int]
    colour: str
    volume: float


def chart(
    buckets: Sequence[Bucket],
    *,
    width: int,
    height: Height = Height(),  # noqa: B008  (an immutable value)
    style: Style = Style(),  # noqa: B008  (an immutable value)
) -> list[str]:
    """The newest buckets that fit into `width` columns; no lines where none of them has a candle.

    Below the candles: what each bucket is worth, unless it is settled, and its volume.
    """
    shown, (rows, volume_rows) = list(buckets[-width:]), height
    while shown and any(bucket.candle for bucket in shown):
        axis = _Axis.of(shown, rows, volume_rows)
        if len(shown) + 3 + axis.width <= width or len(shown) == 1:
            return list(_lines(shown, axis, rows, volume_rows, style))
        shown = shown[1:]
    return []


class _Axis(NamedTuple):
    """The scale: prices from bottom to top, and what stands beside the rows."""

    bottom: float
    top: float
    prices: list[str]  # one a row, from the top; "" for rows without
    volume: float  # the largest
    volumes: list[str]

    @property
    def width(self) -> int:
        """Columns of the longest label."""
        return max(map(len, [*self.prices, *self.volumes]))

    @classmethod
    def of(cls, buckets: Sequence[Bucket], rows: int, volume_rows: int) -> _Axis:
        """The scale that shows these buckets, at least one with a candle."""
        candles = [bucket.candle for bucket in buckets if bucket.candle]
        bottom, top = min(float(c.low) for c in candles), max(float(c.high) for c in candles)
        if not top > bottom * (1 + 1e-12):
            bottom, top = bottom * 0.999, top * 1.001  # a flat market lies in the middle
        step = (top - bottom) / rows
        prices = [_price(top - (row + 0.5) * step, step) if row % 3 == 1 else "" for row in range(rows)]
        volume = max(float(c.volume) for c in candles)
        volumes = [f"{volume:.4g} volume", *[""] * (volume_rows - 1)][:volume_rows]
        return cls(bottom, top, prices, volume, volumes)

    def halves(self, low: float, high: float, count: int) -> tuple[int, int]:
        """The half rows of `count` that the prices from `low` to `high` touch; at least one."""
        scale = count / (self.top - self.bottom)
        first = min(count - 1, max(0, math.floor((low - self.bottom) * scale)))
        last = min(count - 1, math.ceil((high - self.bottom) * scale) - 1)
        return first, max(first, last)


def _lines(
    buckets: Sequence[Bucket], axis: _Axis, rows: int, volume_rows: int, style: Style
) -> Iterator[str]:
    columns = [_column(bucket, axis, rows * 2) for bucket in buckets]
    for row in range(rows):
        upper = (rows - row) * 2 - 1
        cells = [_cell(column, upper, style) for column in columns]
        yield f"{_painted(cells, columns, style)} {_edge(axis.prices[row], style)}"
    marks = "".join(_MARKS[bucket.kind] for bucket in buckets)
    kinds = [kind for kind in _TOLD if any(bucket.kind is kind for bucket in buckets)]
    plain = str.maketrans("·", ".") if style.ascii else {}
    if kinds:
        yield marks.translate(plain).rstrip()
    for row in range(volume_rows):
        bars = [_bar(column, axis.volume, volume_rows - 1 - row, volume_rows, style) for column in columns]
        yield f"{_painted(bars, columns, style)} {_edge(axis.volumes[row], style)}"
    yield _times(buckets)
    if kinds:
        yield "  ".join(f"{_MARKS[kind]} {_TOLD[kind]}" for kind in kinds).translate(plain)


def _edge(label: str, style: Style) -> str:
    if style.ascii:
        return f"| {label}".rstrip()
    return f"┤ {label}" if label else "│"


def _column(bucket: Bucket, axis: _Axis, halves: int) -> _Column | None:
    if bucket.candle is None:
        return None
    opened, high, low, close, volume = map(float, bucket.candle.numbers)
    body = axis.halves(min(opened, close), max(opened, close), halves)
    first, last = axis.halves(low, high, halves)
    wick = min(first, body[0]), max(last, body[1])
    return _Column(wick, body, _RISING if close >= opened else _FALLING, volume)


def _cell(column: _Column | None, upper: int, style: Style) -> str:
    """What stands in the cell whose upper half is that half row."""
    if column is None:
        return " "
    halves = "".join(_half(column, half) for half in (upper, upper - 1))
    rising = column.colour == _RISING
    if style.ascii:
        body = _RISING_BODY_ASCII if rising else _FALLING_BODY_ASCII
        return body if "b" in halves else "|" if "w" in halves else " "
    if halves == "bb" and not rising and not style.colour:
        return _FALLING_BODY
    return _UNICODE[halves]


def _half(column: _Column, half: int) -> str:
    if column.body[0] <= half <= column.body[1]:
        return "b"
    return "w" if column.wick[0] <= half <= column.wick[1] else " "


def _bar(column: _Column | None, largest: float, row: int, rows: int, style: Style) -> str:
    """The part of a volume's bar that stands in that row, counted from the bottom."""
    if column is None or not column.volume:
        return " "
    # However little was traded, it was traded.
    eighths = max(1, round(column.volume / largest * rows * 8))
    return (_EIGHTHS_ASCII if style.ascii else _EIGHTHS)[min(8, max(0, eighths - row * 8))]


def _painted(cells: Sequence[str], columns: Sequence[_Column | None], style: Style) -> str:
    if not style.colour:
        return "".join(cells)
    tinted = [
        (column.colour if column and cell != " " else _PLAIN, cell)
        for cell, column in zip(cells, columns, strict=True)
    ]
    runs = [(colour, "".join(cell for _, cell in run)) for colour, run in groupby(tinted, lambda t: t[0])]
    return "".join(f"\x1b[{colour}m{text}\x1b[0m" if colour else text for colour, text in runs)


def _times(buckets: Sequence[Bucket]) -> str:
    """Open times, each beginning under its bucket; the year is in the table below."""
    line = ""
    for position in range(0, len(buckets), _TIME_COLUMNS):
        label = utc(buckets[position].time)[5:16]
        if position + len(label) <= len(buckets):
            line = line.ljust(position) + label
    return line


def _price(price: float, step: float) -> str:
    """The price with as many decimals as tell one row of the chart from the next."""
    decimals = 0
    while decimals < 18 and step < 2 * 10.0**-decimals:  # a label is of the middle of its row
        decimals += 1
    return f"{price:,.{decimals}f}"
