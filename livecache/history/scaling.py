"""Columns in other shares: as a split makes them, and undone. Pure; needs numpy."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from ..equities.scale import Scale
from .columns import BIG, Columns, Decimals, concat

__all__ = ["alike", "apart", "in_shares", "off", "rescaled", "times"]

_PLACES = 12
"""More digits than a price has, where a ratio leaves none that end."""

_SPLIT, _ROWS = 0.01, 3
"""So far off, and so many rows by the same ratio, are no revisions."""

_NEAR = 2e-6
"""Quotes are floats of 24 bits: so far apart two of them may be that are the same but for a ratio."""


def times(numbers: Decimals, factor: Fraction, *, places: int = _PLACES) -> Decimals:
    """Each times `factor`: exact where that ends, else rounded half to even, so many places further."""
    more, rest = 0, factor.denominator
    while rest > 1 and more < places and 10**more % factor.denominator:
        more += 1
    over, under = Fraction(factor * 10**more).as_integer_ratio()
    if under == 1 and not numbers.wide and int(np.abs(numbers.scaled).max(initial=1)) * over < BIG:
        return Decimals(numbers.scaled * over, numbers.scale + more).least()
    exact = [round(Fraction(int(each) * over, under)) for each in numbers.scaled]
    return Decimals.fit(exact, numbers.scale + more).least()


def in_shares(rows: Columns, ratio: Fraction) -> Columns:
    """The same after a split: so many new shares for one old one. Whole volumes stay whole."""
    first, high, low, last = (times(each, 1 / ratio) for each in rows.numbers[:4])
    return Columns(rows.time, first, high, low, last, times(rows.volume, ratio, places=0))


def rescaled(rows: Columns, scales: Iterable[Scale]) -> Columns:
    """All in today's shares."""
    parts, at = list[Columns](), 0
    for start, end, ratio in scales:
        first, last = np.searchsorted(rows.time, (start, end))
        if first < last:
            parts += [rows.take(slice(at, first)), in_shares(rows.take(slice(first, last)), ratio)]
            at = last
    return concat([*parts, rows.take(slice(at, None))]) if parts else rows


def alike(rows: Columns, others: Columns, most: Fraction = Fraction(1)) -> npt.NDArray[np.bool_]:
    """Where rows of the same times are the same but for digits that a ratio of `most` cannot bring back."""
    pairs = zip(rows.numbers, others.numbers, strict=True)
    *prices, volume = [(mine.floats(), theirs.floats()) for mine, theirs in pairs]
    same = [np.isclose(mine, theirs, rtol=_NEAR, atol=0) for mine, theirs in prices]
    same.append(np.isclose(*volume, rtol=_NEAR, atol=max(1.0, float(most))))
    return np.asarray(np.all(same, axis=0), dtype=np.bool_)


def off(rows: Columns, others: Columns) -> float:
    """By what most prices differ from the others of the same times; NaN: there are none."""
    _, mine, theirs = np.intersect1d(rows.time, others.time, return_indices=True)
    ratio = rows.close.floats()[mine] / others.close.floats()[theirs]
    return float(np.median(ratio)) if len(ratio) else np.nan


def apart(rows: Columns, others: Columns) -> bool:
    """Whether the oldest rows of the same times differ by just one ratio: some are from before a split."""
    if not len(rows) or not len(others):
        return False
    _, mine, theirs = np.intersect1d(rows.time, others.time, return_indices=True)
    ratio = rows.close.floats()[mine] / others.close.floats()[theirs]
    off = np.abs(ratio - 1) > _SPLIT
    many = int(off.sum())
    if many < _ROWS or not off[:many].all():
        return False
    return bool((np.abs(ratio[:many] / ratio[0] - 1) < _SPLIT / 4).all())
