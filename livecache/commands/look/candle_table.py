"""Candles as rows of numbers: in a pipe the venue's own digits, on a terminal as wide as that is. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from ..reading import utc
from .stored import Bucket, BucketKind

__all__ = ["Columns", "last_price", "table_lines"]

_TOLD = {BucketKind.FORMING: "in progress", BucketKind.UNVOUCHED: "not vouched for"}
_NUMBERS = ("OPEN", "HIGH", "LOW", "CLOSE", "VOLUME")
_NOTHING = ("-",) * 5


def table_lines(buckets: Sequence[Bucket], width: int | None = None) -> list[str]:
    """The buckets as a table. Without a `width` with the venue's own digits, whole times and kinds.

    With one, prices get the zeros that they lack, so that digits stand below each other. Where that does not
    fit, times lose year and seconds, and a kind is a letter, explained below; where not even that does, open,
    high and low are left out.
    """
    numbers: list[tuple[str, ...]] = [
        bucket.candle.numbers if bucket.candle else _NOTHING for bucket in buckets
    ]
    if width is not None:
        decimals = max(map(_decimals, numbers), default=0)
        numbers = [_padded(row, decimals) for row in numbers]
    whole = [["OPEN TIME (UTC)", *_NUMBERS, ""]]
    whole += [[utc(b.time), *row, _told(b.kind)] for b, row in zip(buckets, numbers, strict=True)]
    lines = _aligned(whole)
    if width is None or _longest(lines) <= width:
        return lines
    short = [["UTC", *_NUMBERS, ""]]
    short += [[_short(b.time), *row, b.kind.value[0]] for b, row in zip(buckets, numbers, strict=True)]
    lines = _aligned(short)
    if _longest(lines) > width:
        lines = _aligned([[row[0], *row[4:]] for row in short])
    kinds = dict.fromkeys(bucket.kind for bucket in buckets)
    return [*lines, "  ".join(f"{kind.value[0]} {_told(kind)}" for kind in kinds)]


def last_price(numbers: Sequence[str]) -> str:
    """The close, with as many decimals as any of the candle's prices has."""
    return _padded(numbers, _decimals(numbers))[3]


class Columns:
    """Lines one after another, whose columns grow, so that what stands below each other stays aligned.

    With a width of 0 the venue's own digits in lines of any length.
    """

    def __init__(self) -> None:
        self._widths = [0] * 5
        self._decimals = 0

    def line(self, time: int, kind: str, numbers: tuple[str, ...] | None, width: int = 0) -> str:
        """Open time, what happened, prices and volume; as `table_lines` shortens them."""
        cells = numbers or _NOTHING
        if width:
            self._decimals = max(self._decimals, _decimals(cells))
            cells = _padded(cells, self._decimals)
        self._widths = [max(most, len(cell)) for most, cell in zip(self._widths, cells, strict=True)]
        aligned = [cell.rjust(most) for cell, most in zip(cells, self._widths, strict=True)]
        line = "  ".join([f"{utc(time)}  {kind:<11}", *aligned])
        for begin, shown in (
            (f"{_short(time)}  {kind:<7}", aligned),
            (f"{_short(time)}  {kind[0]}", aligned),
            (f"{_short(time)}  {kind:<7}", aligned[3:]),
        ):
            if not width or len(line) < width:
                break
            line = "  ".join([begin, *shown])
        return line


def _aligned(table: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in list(zip(*table, strict=True))[:-1]]
    lines = []
    for *cells, last in table:
        aligned = [cell.rjust(width) for cell, width in zip(cells, widths, strict=True)]
        lines.append("  ".join([*aligned, last]).rstrip())
    return lines


def _longest(lines: Sequence[str]) -> int:
    return max(map(len, lines))


def _told(kind: BucketKind) -> str:
    return _TOLD.get(kind, kind.value)


def _short(time: int) -> str:
    return utc(time)[5:16]


def _decimals(numbers: Sequence[str]) -> int:
    """The most that any of the prices has."""
    return max(len(price.partition(".")[2]) for price in numbers[:4])


def _padded(numbers: Sequence[str], decimals: int) -> tuple[str, ...]:
    """Prices with so many decimals; the volume as it is."""
    return (*(_with_zeros(price, decimals) for price in numbers[:4]), *numbers[4:])


def _with_zeros(price: str, decimals: int) -> str:
    whole, _, fraction = price.partition(".")
    if not decimals or not (whole + fraction).lstrip("-").isdigit():
        return price
    return f"{whole}.{fraction.ljust(decimals, '0')}"
