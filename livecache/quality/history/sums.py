"""Smaller candles added up against the venue's own bigger ones, price and volume."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ...history.answer.derive import derive
from ...history.columns import within
from ...history.store import Answer
from ...model.grid import Grid
from ...model.rollup import same_sum
from ...model.series import SeriesId
from ...model.timeframe import iso
from .findings import Finding, Kind, fill_command

__all__ = ["compare_sums"]


def compare_sums(
    parent: SeriesId, own: Answer, grid: Grid, child: SeriesId, parts: Answer
) -> Iterator[Finding]:
    """Buckets of the bigger timeframe that are not the sum of the smaller one, where both are known."""
    sums, known = derive(parts.rows, parts.coverage, grid)
    both = known.without(known.without(own.coverage))
    held = own.rows.take(within(own.rows.time, both))
    sums = sums.take(within(sums.time, both))
    for time in np.setxor1d(held.time, sums.time).tolist():
        there, lacks = (parent, child) if time in held.time else (child, parent)
        yield _differs(
            parent, grid, time, f"{there.timeframe} has a candle there, and {lacks.timeframe} has none"
        )
    shared = np.intersect1d(held.time, sums.time)
    held, sums = held.take(np.isin(held.time, shared)), sums.take(np.isin(sums.time, shared))
    pairs = zip(held.numbers, sums.numbers, strict=True)
    differ = np.any([mine.differ(theirs) for mine, theirs in pairs], axis=0)
    for mine, theirs in zip(held.take(differ).candles(), sums.take(differ).candles(), strict=True):
        if not same_sum(theirs, mine):
            said = f"holds {mine.member()}, and its {child.timeframe} candles add up to {theirs.member()}"
            yield _differs(parent, grid, mine.time, said)


def _differs(parent: SeriesId, grid: Grid, time: int, message: str) -> Finding:
    end = grid.end(time)
    remedy = fill_command(parent, time, end, force=True)
    return Finding(Kind.ROLLUP, parent, f"{iso(time)} {message}", remedy, time, end)
