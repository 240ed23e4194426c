"""Candles as a file has them: put in order, and judged, whatever it is. Pure; needs numpy."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ...errors import ConfigError
from ...model.candle import ExactCandle, rejection
from ...model.coverage import Coverage, Span
from ...model.grid import EpochGrid, Grid
from ...model.timeframe import TIME_MAX, Timeframe, iso, time_in
from ..columns import NO_ROWS, Columns, Decimals, concat, runs_of

__all__ = [
    "ROWS_MAX",
    "Candles",
    "Kept",
    "decimals_of",
    "gathered",
    "slices",
    "times_of",
    "whole_ms",
]

ROWS_MAX = 50_000_000
"""Rows of one file: a century of minutes. They are held in memory until they are in order."""

_SHOWN = 3
_SCALES = 13
_SCALE_MOST = 36  # of a number that a venue may print
_WHOLE = float(1 << 53)
_OF_DIGITS = 15  # so many survive the way through a double
_UNITS = ((10**17, 1_000_000), (10**14, 1_000), (10**11, 1))  # from so large on a time is in ns, µs or ms
_INTEGER = re.compile(r"-?\d{1,18}(?:\.0+)?", re.ASCII)


class Candles(NamedTuple):
    """Rows in a file's order, as texts or as numbers that are exact already."""

    time: npt.NDArray[np.int64]
    """Unix ms; below 0 where it is none."""
    numbers: Sequence[Sequence[str]] | Sequence[Decimals]
    """Open, high, low, close and volume."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What of a file can be believed."""

    rows: Columns
    covered: Coverage
    rejected: int
    """Rows that cannot be believed; what was in their buckets is not known."""
    repeated: int
    """Rows that say again what another one does."""
    why: tuple[str, ...]
    """Of the first of those that were rejected."""


def gathered(
    parts: Iterable[Candles],
    timeframe: Timeframe,
    grid: Grid,
    *,
    whole: Span | None,
    complete: bool,
    now: int = TIME_MAX,
    written: int = 0,
) -> Kept:
    """All rows in order, and what they prove.

    That is the buckets that have one; with `complete` those between the first and the last as well, and all
    of `whole`, where the file is known to hold all that there was in that span; neither where a row tells no
    time. What was in progress when the file was `written` is not final, nor what is not over `now`. Raises
    ConfigError for more than `ROWS_MAX` rows.
    """
    held, why, doubted, rejected = list[Columns](), list[str](), list[int](), 0
    for part in parts:
        rows, wrong, told = _believed(part, timeframe, grid)
        held.append(rows)
        rejected += len(wrong)
        doubted += wrong
        why += told[: _SHOWN - len(why)]
        if sum(map(len, held)) > ROWS_MAX:
            raise ConfigError(f"it has more than {ROWS_MAX:,} rows", "split it")
    rows = concat(held)
    rows = rows.take(np.argsort(rows.time, kind="stable"))
    rows, repeated, twice = _single(rows)
    if twice:
        why += [f"two candles of {iso(twice[0])} differ"][: _SHOWN - len(why)]
    sound = rows.sound() if len(rows) else np.ones(0, np.bool_)
    for row in rows.take(~sound).candles()[: _SHOWN - len(why)]:
        why.append(f"{iso(row.time)} holds {', '.join(row.numbers)}, which no candle can be")
    early = rows.time >= grid.floor(now)
    if len(rows) and written >= rows.time[0]:
        early |= rows.time == grid.floor(written)
    for time in rows.time[early & sound].tolist()[: _SHOWN - len(why)]:
        why.append(f"the bucket of {iso(time)} was not over when the file was written")
    sound &= ~early
    doubted += [*twice, *rows.time[~sound].tolist()]
    rejected += 2 * len(twice) + int((~sound).sum())
    rows = rows.take(sound)
    buckets = {grid.floor(time) for time in doubted if 0 < time < TIME_MAX}
    if any(not 0 < time < TIME_MAX for time in doubted):
        complete, whole = False, None  # it may be of any bucket
    covered = runs_of(rows.time, grid)
    if covered and complete:
        covered = Coverage([(covered.spans[0].start, covered.spans[-1].end)])
    if whole is not None and len(rows):
        covered = Coverage([*covered, whole]).clip(0, grid.floor(now))
    covered = covered.without(Coverage((bucket, grid.end(bucket)) for bucket in buckets))
    kept = np.isin(rows.time, list(buckets), invert=True) if buckets else slice(None)
    return Kept(rows.take(kept), covered, rejected, repeated, tuple(why))


def _believed(part: Candles, timeframe: Timeframe, grid: Grid) -> tuple[Columns, list[int], list[str]]:
    """The rows whose numbers are such and that lie where a bucket opens; the times of the others, and why."""
    time, numbers = part.time, part.numbers
    there = (time > 0) & (time < TIME_MAX)
    if isinstance(grid, EpochGrid):
        there &= (time - grid.origin) % grid.step == 0
    else:
        there[there] = [each in grid for each in time[there].tolist()]
    wrong = time[~there].tolist()
    why = [
        f"{iso(each)} is not where a {timeframe} bucket opens" if each > 0 else "a row tells no time"
        for each in wrong[:_SHOWN]
    ]
    if not there.all():
        kept = np.flatnonzero(there)
        time, numbers = time[kept], [_taken(each, kept) for each in numbers]  # type: ignore[assignment]
    if not len(time):
        return NO_ROWS, wrong, why
    try:
        columns = Columns(
            time, *(each if isinstance(each, Decimals) else Decimals.of(each) for each in numbers)
        )
        if not any(each.wide or each.scale > _SCALE_MOST for each in columns.numbers):
            return columns, wrong, why
        numbers = [each.texts() for each in columns.numbers]
    except (ValueError, ArithmeticError):
        pass
    rows = [ExactCandle(*row) for row in zip(time.tolist(), *numbers, strict=True)]
    good: list[ExactCandle] = []
    for row in rows:
        if reason := rejection(row, timeframe, None, grid):
            wrong.append(row.time)
            why.append(f"{iso(row.time)}: {reason}")
        else:
            good.append(row)
    if not good:
        return NO_ROWS, wrong, why
    texts = zip(*(row.numbers for row in good), strict=True)
    time = np.array([row.time for row in good], np.int64)
    return Columns(time, *(Decimals.of(each) for each in texts)), wrong, why


def _taken(numbers: Sequence[str] | Decimals, kept: npt.NDArray[np.int64]) -> Sequence[str] | Decimals:
    return numbers.take(kept) if isinstance(numbers, Decimals) else [numbers[at] for at in kept.tolist()]


def _single(rows: Columns) -> tuple[Columns, int, list[int]]:
    """One row a time; how many said the same again, and the times of which two say different things."""
    again = np.flatnonzero(np.diff(rows.time) == 0) + 1
    if not len(again):
        return rows, 0, []
    before, after = rows.take(again - 1), rows.take(again)
    pairs = zip(before.numbers, after.numbers, strict=True)
    differ = np.any([one.differ(other) for one, other in pairs], axis=0)
    twice = sorted(set(after.time[differ].tolist()))
    kept = np.ones(len(rows), np.bool_)
    kept[again] = False
    kept &= ~np.isin(rows.time, twice)
    return rows.take(kept), int((~differ).sum()), twice


def times_of(texts: Sequence[str]) -> npt.NDArray[np.int64]:
    """Unix ms, of texts that tell s, ms, µs or ns since 1970, or a date; -1 for what tells no time."""
    if not texts:
        return np.empty(0, np.int64)
    try:
        return whole_ms(np.array(list(map(int, texts)), np.int64))
    except (ValueError, OverflowError):
        return np.array([_time_of(text) for text in texts], np.int64)


def whole_ms(numbers: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Unix ms of numbers in s, ms, µs or ns; -1 where that is no whole ms."""
    ms = numbers * 1_000
    for least, divisor in reversed(_UNITS):
        large = numbers >= least
        ms = np.where(large, np.where(numbers % divisor == 0, numbers // divisor, -1), ms)
    return np.asarray(np.where(numbers > 0, ms, -1), np.int64)


def _time_of(text: str) -> int:
    text = text.strip()
    if _INTEGER.fullmatch(text):
        return int(whole_ms(np.array([int(text.partition(".")[0])], np.int64))[0])
    time = time_in(text)
    return -1 if time is None else time


def decimals_of(floats: npt.NDArray[np.float64], digits: int | None) -> Decimals:
    """The shortest decimals that are these doubles. With `digits`, rounded to so many where that is one.

    So it is where it moves a number by no more than the last bit: dust of an addition or a division.
    """
    for scale in range(_SCALES):
        with np.errstate(over="ignore"):
            scaled = np.rint(floats * 10.0**scale)
        if (np.abs(scaled) < _WHOLE).all() and (scaled / 10.0**scale == floats).all():
            return Decimals(scaled.astype(np.int64), scale)
    return Decimals.of([_text_of(each, digits) for each in floats.tolist()])


def _text_of(number: float, digits: int | None) -> str:
    if digits is not None:
        text = f"{number:.{min(digits, _OF_DIGITS)}g}"
        if abs(float(text) - number) <= math.ulp(number):
            return text
    return repr(number)


def slices(kept: Kept, most: int) -> Iterator[tuple[Columns, Coverage]]:
    """What is kept, in parts of so many rows, each with what it proves."""
    rows, start = kept.rows, -1
    for first in range(0, max(1, len(rows)), most):
        part = rows.take(slice(first, first + most))
        end = int(rows.time[first + most]) if first + most < len(rows) else TIME_MAX
        yield part, kept.covered.clip(start, end)
        start = end
