"""Bigger candles as exact sums of smaller ones, years of them at once. Pure; needs numpy."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...model.coverage import Coverage
from ...model.grid import Grid
from ..columns import BIG, NO_ROWS, Array, Columns, Decimals, within

__all__ = ["derive", "opens_in"]


def derive(rows: Columns, coverage: Coverage, grid: Grid) -> tuple[Columns, Coverage]:
    """The candles of the bigger grid, and what is known of it: buckets of which all is covered."""
    known = Coverage((grid.ceil(start), grid.closed(end)) for start, end in coverage)
    if not (len(rows) and known.covers(int(rows.time[0]), int(rows.time[-1]) + 1)):
        rows = rows.take(within(rows.time, known))
    if not len(rows):
        return NO_ROWS, known
    opens = opens_in(grid, grid.floor(int(rows.time[0])), int(rows.time[-1]) + 1)
    begins = np.searchsorted(rows.time, opens)
    traded = np.diff(begins, append=len(rows)) > 0
    firsts = begins[traded]
    lasts = np.append(firsts[1:], len(rows)) - 1
    sums = Columns(
        opens[traded],
        rows.open.take(firsts),
        _reduced(np.maximum, rows.high, firsts),
        _reduced(np.minimum, rows.low, firsts),
        rows.close.take(lasts),
        _summed(rows.volume, firsts),
    )
    return sums, known


def opens_in(grid: Grid, start: int, end: int) -> Array:
    """The opens in `[start, end)` as an array."""
    opens = grid.opens(start, end)
    if isinstance(opens, range):
        return np.arange(opens.start, opens.stop, opens.step, dtype=np.int64)
    return np.array(opens, np.int64)


def _reduced(ufunc: Any, numbers: Decimals, firsts: Array) -> Decimals:
    return Decimals(ufunc.reduceat(numbers.scaled, firsts), numbers.scale)


def _summed(numbers: Decimals, firsts: Array) -> Decimals:
    most = int(np.diff(firsts, append=len(numbers.scaled)).max())
    if not numbers.wide and max(int(numbers.scaled.max()), -int(numbers.scaled.min())) * most < BIG:
        return _reduced(np.add, numbers, firsts)
    sums = np.add.reduceat(numbers.scaled.astype(object), firsts)
    return Decimals.fit([int(each) for each in sums], numbers.scale)
