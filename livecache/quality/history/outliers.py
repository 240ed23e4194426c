"""Candles that stand out: moves that come back at once, long wicks, prices that move without a trade."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

from ...history.columns import Columns
from ...model.coverage import Coverage
from ...model.grid import Grid
from ...model.series import SeriesId
from ...model.timeframe import iso
from .findings import Finding, Kind, Rules

__all__ = ["MARGIN_BUCKETS", "joined", "outliers", "typical"]

_AROUND = 500
_LEAST = 20  # moves, of which a median means something
_BACK = 3
_BESIDE = 3

MARGIN_BUCKETS = 2 * _AROUND
"""So many buckets on either side belong to a judgement."""

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


def outliers(
    series: SeriesId, rows: Columns, coverage: Coverage, grid: Grid, rules: Rules
) -> Iterator[Finding]:
    """What stands out among candles that can be, oldest first."""
    if len(rows) < 2:
        return
    opens, highs, lows, closes = (np.log(each.floats()) for each in rows.numbers[:4])
    moves = np.diff(closes)
    usual = typical(np.abs(moves))
    together = joined(rows, coverage)
    found: dict[int, str] = {}
    for at in np.flatnonzero(together & (np.abs(moves) > rules.move * usual)).tolist():
        after = closes[at + 2 : at + 2 + _BACK]
        back = np.abs(after - closes[at]) < abs(moves[at]) / 2
        if (back & np.logical_and.accumulate(together[at + 1 : at + 1 + len(after)])).any():
            by, most = _percent(abs(moves[at])), _percent(rules.move * usual[at])
            found[at + 1] = (
                f"closes {by} away from the candle before, and is back at once: over {most} stands out"
            )
    wicks = np.maximum(highs - np.maximum(opens, closes), np.minimum(opens, closes) - lows)
    beside = _beside(highs - lows)
    bound = np.maximum(rules.wick * beside, rules.move * np.append(usual[:1], usual))
    for at in np.flatnonzero(wicks > bound).tolist():
        found.setdefault(
            at,
            f"has a wick of {_percent(wicks[at])}, the candles beside it a range of {_percent(beside[at])}",
        )
    for at in np.flatnonzero((rows.volume.scaled == 0) & (highs > lows)).tolist():
        found.setdefault(at, "moves the price without any volume")
    for at in sorted(found):
        time = int(rows.time[at])
        yield Finding(Kind.OUTLIER, series, f"{iso(time)} {found[at]}", "", time, grid.end(time))


def joined(rows: Columns, coverage: Coverage) -> Mask:
    """For each but the first, whether nothing is missing between it and the one before."""
    starts = np.array([start for start, _ in coverage], np.int64)
    return np.asarray(np.diff(np.searchsorted(starts, rows.time, "right")) == 0)


def typical(sizes: Floats) -> Floats:
    """For each of these, the median of about 500 around it that are not 0; infinite where there are few."""
    moved = np.flatnonzero(sizes > 0)
    if len(moved) < _LEAST:
        return np.full(len(sizes), np.inf)
    held = sizes[moved]
    if len(held) <= _AROUND:
        return np.full(len(sizes), np.median(held))
    step = _AROUND // 2
    firsts = np.unique(np.append(np.arange(0, len(held) - _AROUND, step), len(held) - _AROUND))
    medians = np.median(sliding_window_view(held, _AROUND)[firsts], axis=1)
    place = np.searchsorted(moved, np.arange(len(sizes)))
    window = np.searchsorted(firsts + step // 2, place, "right") - 1
    return np.asarray(medians[np.maximum(window, 0)])


def _beside(ranges: Floats) -> Floats:
    """For each, the median range of the three on either side."""
    padded = np.pad(ranges, _BESIDE, mode="edge")
    size = len(ranges)
    others = [padded[n : n + size] for n in range(2 * _BESIDE + 1) if n != _BESIDE]
    return np.asarray(np.median(np.stack(others), axis=0))


def _percent(move: float) -> str:
    percent = 100 * np.expm1(move)
    return f"{percent:,.0f} %" if percent >= 1_000 else f"{percent:.3g} %"
