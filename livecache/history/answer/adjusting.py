"""Columns adjusted as they are wanted: for splits as they are stored, for none, or for dividends too."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property

import numpy as np

from ...equities.action import Action
from ...equities.adjust import Adjust, Factor, as_traded, dividend_factors
from ...errors import Incomplete
from ...model.grid import Grid
from ...model.series import SeriesId
from ...model.timeframe import iso
from ..columns import BIG, Array, Columns, Decimals
from ..scaling import rescaled
from ..store import Answer

__all__ = ["Adjuster"]

_PLACES = 10
_BACK = 10  # sessions: a symbol may have been halted before a dividend


class Adjuster:
    """Adjusts what is stored of one symbol.

    `closes` are its days as they are stored, over a stretch, and lie on `grid`: of them those before
    dividends are read.
    """

    def __init__(
        self,
        series: SeriesId,
        adjust: Adjust,
        actions: Sequence[Action],
        closes: Callable[[int, int], Answer],
        grid: Grid,
    ) -> None:
        self.adjust, self.actions = adjust, actions
        self._series, self._closes, self._grid = series, closes, grid

    def __call__(self, rows: Columns) -> Columns:
        """The same rows. Raises `Incomplete` where a close before a dividend is not known."""
        if self.adjust == "splits" or not self.actions or not len(rows):
            return rows
        if self.adjust == "none":
            return rescaled(rows, as_traded(self.actions))
        factors, unknown = self._factors
        if rows.time[0] < unknown:
            raise Incomplete(
                f"{self._series}: the close before the dividend of {iso(unknown)} is not known",
                f"livecache history fill --symbols {self._series.symbol} --timeframe 1d --since "
                f"{iso(unknown - 7 * 86_400_000)[:10]} asks for it; adjust='splits' does without",
                have=0,
                want=1,
                missing=((unknown - 1, unknown),),
            )
        return _multiplied(rows, factors)

    @cached_property
    def _factors(self) -> tuple[list[Factor], int]:
        times, grid = [each.time for each in self.actions if each.kind == "dividend"], self._grid
        if not times:
            return [], 0
        answer = self._closes(grid.far_back(min(times), _BACK), max(times))
        closes = answer.rows.close.floats()

        def before(time: int) -> float | None:
            at = int(np.searchsorted(answer.rows.time, time)) - 1
            if at < 0 or not answer.coverage.covers(int(answer.rows.time[at]), grid.closed(time)):
                return None
            return float(closes[at])

        return dividend_factors(self.actions, before)


def _multiplied(rows: Columns, factors: Sequence[Factor]) -> Columns:
    """Prices times the factor of the first dividend after them; to ten decimal places."""
    befores = np.array([each.before for each in factors], np.int64)
    by = np.append([each.factor for each in factors], 1.0)[np.searchsorted(befores, rows.time, "right")]
    first, high, low, last = (_of(each.floats() * by) for each in rows.numbers[:4])
    return Columns(rows.time, first, high, low, last, rows.volume)


def _of(floats: Array) -> Decimals:
    scaled = np.rint(floats * 10.0**_PLACES)
    if np.abs(scaled).max(initial=0.0) < BIG:
        return Decimals(scaled.astype(np.int64), _PLACES).least()
    return Decimals.fit([round(each) for each in scaled.tolist()], _PLACES).least()
