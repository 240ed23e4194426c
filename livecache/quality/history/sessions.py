"""Sessions that stand out: prices that move as by a split that nobody told of, and next to no volume."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping
from fractions import Fraction

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

from ...history.columns import Columns
from ...model.coverage import Coverage
from ...model.grid import SessionGrid
from ...model.series import SeriesId
from ...model.timeframe import iso
from .findings import Finding, Kind, Rules, fill_command
from .outliers import joined, typical

__all__ = ["little_volume", "splits"]

_WHOLE = (2, 3, 4, 5, 6, 7, 8, 10, 15, 20, 25, 30, 40, 50, 100)
_RATIOS = {Fraction(3, 2), Fraction(2, 3), *map(Fraction, _WHOLE), *(Fraction(1, n) for n in _WHOLE)}
_NOISE = 4.0  # times the usual move, by which a session after a split opens elsewhere
_NOISE_MOST = 0.08
_USUAL = 0.02  # of shares, where there are too few to tell
_NEAR_MS = 10 * 86_400_000  # between a split and the day that a venue tells for it
_SOON = 3
_AROUND = 10  # sessions on either side
_LITTLE = 5.0  # times less than the least of these


def splits(
    series: SeriesId,
    rows: Columns,
    coverage: Coverage,
    grid: SessionGrid,
    actions: Mapping[int, Fraction],
    rules: Rules,
) -> Iterator[Finding]:
    """Overnight moves by a whole ratio, beyond what is usual; stored prices should not show any.

    `actions` are the splits that are known: new shares for an old one, by the open that they hold from.
    """
    closes, opens = np.log(rows.close.floats()), np.log(rows.open.floats())
    if len(closes) < 2:
        return
    known = {ratio for split in actions.values() for ratio in (split, 1 / split)}
    ratios = sorted(_RATIOS | known)
    logs = np.log([float(ratio) for ratio in ratios])
    usual = typical(np.abs(np.diff(closes)))
    few = bool(np.isinf(usual[0]))
    usual = np.full(len(usual), _USUAL) if few else usual
    overnight = opens[1:] - closes[:-1]
    nearest = np.abs(overnight[:, None] - logs).argmin(axis=1)
    noise = np.minimum(_NOISE * usual, _NOISE_MOST)
    alike = np.abs(overnight - logs[nearest]) <= noise
    alike &= np.abs(closes[1:] - closes[:-1] - logs[nearest]) <= 2 * noise
    alike &= np.abs(overnight) > rules.move * usual
    places = np.flatnonzero(alike & joined(rows, coverage))
    places = places[[_begins(grid, int(time)) for time in rows.time[places + 1]]]
    for at in places.tolist():
        back = nearest[places[(abs(places - at) <= _SOON) & (places != at)]]
        if not few and (np.abs(logs[back] + logs[nearest[at]]) < 1e-9).any():
            continue  # an outlier, and told as such
        time, ratio = int(rows.time[at + 1]), ratios[nearest[at]]
        split = _split_near(time, actions)
        if ratio not in _RATIOS and split not in (ratio, 1 / ratio):
            continue
        prices = rows.open.take([at + 1]).texts()[0], rows.close.take([at]).texts()[0]
        said = f"{iso(time)} opens at {prices[0]} after a close of {prices[1]}: {_reason(ratio, split)}"
        before = fill_command(series, int(rows.time[0]), time, force=True)
        yield Finding(Kind.SPLIT, series, said, before, time, grid.end(time))


def _begins(grid: SessionGrid, time: int) -> bool:
    at = bisect_left(grid.openings, time)
    return at < len(grid.openings) and grid.openings[at] == time


def _split_near(time: int, actions: Mapping[int, Fraction]) -> Fraction | None:
    return next((ratio for at, ratio in actions.items() if abs(at - time) <= _NEAR_MS), None)


def _reason(ratio: Fraction, split: Fraction | None) -> str:
    new, old = (1 / ratio).as_integer_ratio()
    as_by = f"as by a split of {new} for {old}"
    if split is not None and split == 1 / ratio:
        return f"{as_by}, which is known, and not applied to what lies before"
    if split is not None and split == ratio:
        return f"as if the split of {split.numerator} for {split.denominator} were applied twice before"
    if max(new, old) == 100:
        return f"{as_by}, or of a hundredth, as of pence and pounds"
    return f"{as_by}, and no such one is known"


def little_volume(series: SeriesId, rows: Columns, grid: SessionGrid) -> Iterator[Finding]:
    """Whole sessions with far less volume than any near them, or none."""
    if grid.step or len(rows) <= 2 * _AROUND:
        return
    volumes = rows.volume.floats()
    windows = sliding_window_view(volumes, 2 * _AROUND + 1)
    at = np.arange(len(volumes))
    first = np.clip(at - _AROUND, 0, len(windows) - 1)
    others = np.where(np.arange(2 * _AROUND + 1) == (at - first)[:, None], np.inf, windows[first])
    least: npt.NDArray[np.float64] = others.min(axis=1)
    for place in np.flatnonzero(volumes * _LITTLE < least).tolist():
        time = int(rows.time[place])
        told = rows.volume.take([place]).texts()[0]
        said = (
            f"{iso(time)} has a volume of {told}, and none of the {2 * _AROUND} sessions around it less than"
        )
        remedy = fill_command(series, time, grid.end(time), force=True)
        message = f"{said} {least[place]:,.0f}"
        yield Finding(Kind.VOLUME, series, message, remedy, time, grid.end(time))
