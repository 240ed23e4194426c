"""Candles as columns of exact decimals. Pure; needs numpy.

A column is integers over one power of ten: int64 where they fit, Python's own where not. So every number that
a venue prints is kept, whatever its length, but for its trailing zeros.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Context, Decimal, Inexact
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..model.candle import ExactCandle
from ..model.coverage import Coverage
from ..model.grid import EpochGrid, Grid

__all__ = [
    "BIG",
    "NO_ROWS",
    "Array",
    "Columns",
    "Decimals",
    "Merged",
    "concat",
    "merge",
    "runs_of",
    "within",
]

Array = npt.NDArray[Any]

BIG = 1 << 61
"""Integers below it are kept as int64: their differences are int64, too."""

_POWERS = [10.0**power for power in range(23)]  # as doubles, each exact
_PLAIN = 18  # digits at most: such integers are below BIG
_TENS = 10 ** np.arange(_PLAIN + 1, dtype=np.int64)
_COMMA, _MINUS, _POINT, _SLASH, _NINE = b",-./9"
_WHOLE = 1 << 53  # below it, so is no integer
_LONG = re.compile(r"-?\d+(?:\.\d+)?", re.ASCII)
_EXACT = Context(prec=120, traps=[Inexact])  # the default context would round to 28 digits


class Decimals(NamedTuple):
    """Decimal numbers: each is `scaled / 10**scale`."""

    scaled: Array  # int64, or objects: Python's integers
    scale: int

    @classmethod
    def of(cls, texts: Sequence[str]) -> Decimals:
        """What the texts say, exactly. Raises ValueError for what is no finite number."""
        if not texts:
            return cls(np.empty(0, np.int64), 0)
        plain = cls.plain(",".join((*texts, "")).encode(), 1)
        return plain[0] if plain and len(plain[0].scaled) == len(texts) else cls._long(texts)

    @classmethod
    def plain(cls, cells: bytes, width: int) -> list[Decimals] | None:
        """Lines of so many numbers, a comma after each, as columns.

        None unless all of them are of digits and points alone, and not of many.
        """
        letters = np.frombuffer(cells, np.uint8)
        if (
            letters.min() < _COMMA
            or letters.max() > _NINE
            or ((letters == _MINUS) | (letters == _SLASH)).any()
        ):
            return None
        marks = np.flatnonzero(letters < _SLASH)
        is_point = letters[marks] == _POINT
        ends, points = marks[~is_point], np.flatnonzero(is_point)
        of = points - np.arange(len(points))  # the number that each point is in
        if len(ends) % width or (np.diff(of) == 0).any():
            return None
        digits = np.diff(ends, prepend=-1) - 1
        places = np.zeros(len(ends), np.int64)
        digits[of] -= 1
        places[of] = ends[of] - marks[points] - 1
        scales = places.reshape(-1, width).max(axis=0)
        more = np.tile(scales, len(ends) // width) - places
        if not ((digits > 0) & (digits + more <= _PLAIN)).all():
            return None
        integers = np.fromstring(cells.replace(b".", b"")[:-1], np.int64, sep=",") * _TENS[more]
        columns = np.ascontiguousarray(integers.reshape(-1, width).T)
        return [*map(cls, columns, scales.tolist())]

    @classmethod
    def _long(cls, texts: Sequence[str]) -> Decimals:
        if all(map(_LONG.fullmatch, texts)):
            split = [text.partition(".") for text in texts]
            scale = max(len(digits) for _, _, digits in split)
            return cls.fit([int(whole + digits.ljust(scale, "0")) for whole, _, digits in split], scale)
        numbers = [_EXACT.create_decimal(text) for text in texts]
        if not all(map(Decimal.is_finite, numbers)):
            raise ValueError("not a finite number")
        scale = max(0, *(-int(_EXACT.normalize(number).as_tuple().exponent) for number in numbers))
        return cls.fit([int(_EXACT.scaleb(number, scale)) for number in numbers], scale)

    @classmethod
    def fit(cls, integers: Sequence[int], scale: int) -> Decimals:
        """Of these integers, as int64 if they allow it."""
        if all(-BIG < each < BIG for each in integers):
            return cls(np.array(integers, np.int64), scale)
        objects = np.empty(len(integers), object)
        objects[:] = integers
        return cls(objects, scale)

    @property
    def wide(self) -> bool:
        """Whether they are Python's integers."""
        return bool(self.scaled.dtype == object)

    def take(self, where: Any) -> Decimals:
        """Those at these indices, in this slice, or where a mask is true."""
        return Decimals(self.scaled[where], self.scale)

    def at(self, scale: int) -> Decimals:
        """The same numbers over a larger power of ten."""
        if scale == self.scale:
            return self
        factor = 10 ** (scale - self.scale)
        if not self.wide and int(np.abs(self.scaled).max(initial=1)) * factor < BIG:
            return Decimals(self.scaled * factor, scale)
        return Decimals.fit([int(each) * factor for each in self.scaled], scale)

    def least(self) -> Decimals:
        """The same without the zeros that all end with: one long number widens no block but its own."""
        common = math.gcd(*self.scaled.tolist()) if self.wide else int(np.gcd.reduce(self.scaled))
        if not common:
            return Decimals(np.zeros(len(self.scaled), np.int64), 0)
        zeros = 0
        while zeros < self.scale and common % 10 ** (zeros + 1) == 0:
            zeros += 1
        if not self.wide:
            return Decimals(self.scaled // 10**zeros, self.scale - zeros) if zeros else self
        return Decimals.fit([each // 10**zeros for each in self.scaled.tolist()], self.scale - zeros)

    def floats(self) -> npt.NDArray[np.float64]:
        """As doubles: what `float` makes of the text, to the last bit, since only one division rounds."""
        if not self.wide and self.scale < len(_POWERS):
            doubles = self.scaled / _POWERS[self.scale]
            for at in np.flatnonzero(np.abs(self.scaled) > _WHOLE):
                doubles[at] = int(self.scaled[at]) / 10**self.scale
            return doubles
        return np.array([int(each) / 10**self.scale for each in self.scaled], np.float64)

    def texts(self) -> list[str]:
        """As plain decimal texts without trailing zeros."""
        if self.scale == 0:
            return list(map(str, self.scaled.tolist()))
        return [_text(each, self.scale) for each in self.scaled.tolist()]

    def differ(self, other: Decimals) -> npt.NDArray[np.bool_]:
        """Where these numbers are not the others."""
        scale = max(self.scale, other.scale)
        return np.asarray(self.at(scale).scaled != other.at(scale).scaled, dtype=np.bool_)


def _text(scaled: int, scale: int) -> str:
    digits = str(abs(scaled)).zfill(scale + 1)
    text = f"{digits[:-scale]}.{digits[-scale:]}".rstrip("0").rstrip(".")
    return f"-{text}" if scaled < 0 else text


@dataclass(frozen=True, slots=True, eq=False)
class Columns:
    """Candles, oldest first, no two of one time. `time` is the bucket's open in Unix ms."""

    time: npt.NDArray[np.int64]
    open: Decimals
    high: Decimals
    low: Decimals
    close: Decimals
    volume: Decimals

    @classmethod
    def of(cls, candles: Iterable[ExactCandle]) -> Columns:
        """Of candles in any order; of two of one time the later one counts."""
        rows = list(candles)
        time = np.array([row.time for row in rows], np.int64)
        if (np.diff(time) <= 0).any():
            latest = {row.time: row for row in rows}
            return cls.of(latest[each] for each in sorted(latest))
        return cls(
            time,
            Decimals.of([row.open for row in rows]),
            Decimals.of([row.high for row in rows]),
            Decimals.of([row.low for row in rows]),
            Decimals.of([row.close for row in rows]),
            Decimals.of([row.volume for row in rows]),
        )

    def __len__(self) -> int:
        return len(self.time)

    @property
    def numbers(self) -> tuple[Decimals, Decimals, Decimals, Decimals, Decimals]:
        """Open, high, low, close and volume."""
        return self.open, self.high, self.low, self.close, self.volume

    def take(self, where: Any) -> Columns:
        """Those at these indices, in this slice, or where a mask is true."""
        return Columns(self.time[where], *(each.take(where) for each in self.numbers))

    def clip(self, start: int, end: int) -> Columns:
        """Those that open in `[start, end)`."""
        first, last = np.searchsorted(self.time, (start, end))
        return self if last - first == len(self) else self.take(slice(first, last))

    def sound(self) -> npt.NDArray[np.bool_]:
        """Which can be: positive prices, open and close within low and high, and no volume below 0."""
        scale = max(each.scale for each in self.numbers[:4])
        opens, highs, lows, closes = (each.at(scale).scaled for each in self.numbers[:4])
        within = (lows > 0) & (lows <= opens) & (opens <= highs) & (lows <= closes) & (closes <= highs)
        return np.asarray(within & (self.volume.scaled >= 0), dtype=np.bool_)

    def candles(self) -> list[ExactCandle]:
        """As candles in exact digits, without trailing zeros."""
        return list(map(ExactCandle, self.time.tolist(), *(each.texts() for each in self.numbers)))


NO_ROWS = Columns.of(())


def within(times: npt.NDArray[np.int64], coverage: Coverage) -> npt.NDArray[np.bool_]:
    """Which of these times lie in the coverage."""
    if not coverage:
        return np.zeros(len(times), np.bool_)
    starts, ends = np.array(coverage.spans, np.int64).T
    at = np.searchsorted(starts, times, "right") - 1
    return np.asarray((at >= 0) & (times < ends[at]), dtype=np.bool_)


def runs_of(times: npt.NDArray[np.int64], grid: Grid) -> Coverage:
    """The buckets that open at these times, oldest first, as spans."""
    if not len(times):
        return Coverage()
    step = grid.step if isinstance(grid, EpochGrid) else 0
    breaks = np.flatnonzero(np.diff(times) != step)
    firsts, lasts = np.append(0, breaks + 1), np.append(breaks, len(times) - 1)
    ends = zip(times[firsts].tolist(), times[lasts].tolist(), strict=True)
    return Coverage((grid.end_before(first), grid.end(last)) for first, last in ends)


def concat(parts: Iterable[Columns]) -> Columns:
    """These one after the other; nothing is sorted."""
    held = [part for part in parts if len(part)]
    if len(held) == 1:
        return held[0]
    if not held:
        return NO_ROWS
    together = []
    for numbers in zip(*(part.numbers for part in held), strict=True):
        scale = max(each.scale for each in numbers)
        together.append(Decimals(np.concatenate([each.at(scale).scaled for each in numbers]), scale))
    return Columns(np.concatenate([part.time for part in held]), *together)


class Merged(NamedTuple):
    """What became of rows under which others were laid."""

    rows: Columns
    inserted: npt.NDArray[np.int64]
    """The times that are new."""
    changed: Array
    """Indices of the old rows that were other candles."""


def merge(old: Columns, new: Columns) -> Merged:
    """The new rows over the old ones."""
    none = np.empty(0, np.int64)
    if not len(old) or not len(new):
        return Merged(new if len(new) else old, new.time, none)
    if old.time[-1] < new.time[0]:
        return Merged(concat([old, new]), new.time, none)
    if new.time[-1] < old.time[0]:
        return Merged(concat([new, old]), new.time, none)
    at = np.searchsorted(old.time, new.time)
    there = old.time[np.minimum(at, len(old) - 1)] == new.time
    pairs = zip(old.take(at[there]).numbers, new.take(there).numbers, strict=True)
    differs = np.any([before.differ(after) for before, after in pairs], axis=0)
    inserted, changed = new.time[~there], at[there][differs]
    if not len(inserted) and not len(changed):
        return Merged(old, inserted, changed)
    kept = np.ones(len(old), np.bool_)
    kept[at[there]] = False
    both = concat([old.take(kept), new])
    return Merged(both.take(np.argsort(both.time, kind="stable")), inserted, changed)
