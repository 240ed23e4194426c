"""Columns adjusted as they are wanted: for splits as they are stored, for none, or for dividends too."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol

import numpy as np

from ...equities.action import Action
from ...equities.adjust import Adjust, Factor, as_traded, dividend_factors
from ...errors import HistoryError, Incomplete
from ...model.grid import Grid
from ...model.series import SeriesId
from ...model.timeframe import Timeframe, iso
from ..columns import BIG, Array, Columns, Decimals
from ..records.symbols import SymbolStore
from ..scaling import rescaled
from ..store import Answer, HistoryStore

__all__ = ["Adjusted", "Adjuster"]

_PLACES = 10
_BACK = 10  # sessions: a symbol may have been halted before a dividend


class _Store(HistoryStore, SymbolStore, Protocol):
    """A store that knows symbols, too."""


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

    @property
    def heeded(self) -> list[Action]:
        """What rows are adjusted for, by the venue or here."""
        return [each for each in self.actions if self.adjust == "all" or each.kind == "split"]

    def __call__(self, rows: Columns) -> Columns:
        """The same rows. Raises `Incomplete` where a close before a dividend is not known, `HistoryError`
        where that is no more than the dividend.
        """
        if self.adjust == "splits" or not self.actions or not len(rows):
            return rows
        if self.adjust == "none":
            return rescaled(rows, as_traded(self.actions))
        factors, unknown, close = self._factors
        if rows.time[0] < unknown:
            if close:
                raise HistoryError(
                    f"{self._series}: the dividend of {iso(unknown)} is no less than the close before it, "
                    f"{close:g}",
                    "one of them is wrong, or in pence: adjust='splits' does without",
                )
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
    def _factors(self) -> tuple[list[Factor], int, float | None]:
        """What `dividend_factors` says, and the close before the dividend that it ends at."""
        times, grid = [each.time for each in self.actions if each.kind == "dividend"], self._grid
        if not times:
            return [], 0, None
        answer = self._closes(grid.far_back(min(times), _BACK), max(times))
        closes = answer.rows.close.floats()

        def before(time: int) -> float | None:
            at = int(np.searchsorted(answer.rows.time, time)) - 1
            if at < 0 or not answer.coverage.covers(int(answer.rows.time[at]), grid.closed(time)):
                return None
            return float(closes[at])

        factors, unknown = dividend_factors(self.actions, before)
        return factors, unknown, before(unknown) if unknown else None


@dataclass(frozen=True, slots=True)
class Adjusted:
    """A store whose rows are read adjusted."""

    store: _Store
    adjust: Adjust

    def read(self, series: int, start: int, end: int) -> Answer:
        """What is stored of `[start, end)`."""
        answer = self.store.read(series, start, end)
        return replace(answer, rows=self._adjuster(series)(answer.rows))

    def batches(self, series: int, start: int, end: int) -> Iterator[Answer]:
        """The same, oldest first, in parts."""
        adjuster = self._adjuster(series)
        for answer in self.store.batches(series, start, end):
            yield replace(answer, rows=adjuster(answer.rows))

    def heeded(self, series: int) -> list[Action]:
        """What rows of a series are adjusted for."""
        return self._adjuster(series).heeded

    def _adjuster(self, series: int) -> Adjuster:
        info = self.store.info(series)
        days = self.store.series(info.key._replace(timeframe=Timeframe.D1)) or info
        days = days if days.rev else info
        actions = self.store.actions(*info.key[:2])
        return Adjuster(
            *(info.key, self.adjust, actions, lambda start, end: self.store.read(days.id, start, end)),
            days.grid,
        )


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
