"""Completeness month by month: candles of the buckets that are expected."""

from __future__ import annotations

from bisect import bisect_right
from datetime import UTC, date, datetime

import msgspec
import numpy as np
import numpy.typing as npt

from ...model.coverage import Coverage, Span
from ...model.grid import Grid, SessionGrid
from ...model.series import SeriesId

__all__ = ["LATE_MS", "MonthLine", "Months", "percent"]

_DAY_MS = 86_400_000
LATE_MS = 3 * 3_600_000
"""Sessions that open so late in the evening of UTC are of the next day where their exchange is."""


class MonthLine(msgspec.Struct, frozen=True):
    """A month in which something lacks, in buckets."""

    series: SeriesId
    month: str
    """As `2024-02`; of an exchange's sessions by their own date."""
    expected: int
    rows: int
    """Candles that can be, each in a bucket."""
    absent: int
    """Sessions, or buckets of them, of which the venue shows none."""
    empty: int
    """Known to hold none, where there are no sessions."""
    missing: int
    completeness_percent: float


class Months:
    """Counts one series, a stretch after the other."""

    def __init__(self, series: SeriesId, grid: Grid, wanted: Span) -> None:
        self.series, self.grid, self.wanted = series, grid, wanted
        shift = LATE_MS if isinstance(grid, SessionGrid) else 0
        self._opens = [day * _DAY_MS - shift for day in _firsts(wanted, shift)]
        self._names = [_date(each + shift).strftime("%Y-%m") for each in self._opens]
        self._rows = np.zeros(len(self._opens), np.int64)

    def add(self, times: npt.NDArray[np.int64]) -> None:
        """Candles that open then, each in a bucket."""
        at = np.searchsorted(self._opens, times, "right") - 1
        self._rows += np.bincount(at[at >= 0], minlength=len(self._opens))

    @property
    def rows(self) -> int:
        """How many were added."""
        return int(self._rows.sum())

    def lines(self, missing: Coverage, nothing: Coverage, shown: Coverage) -> list[MonthLine]:
        """The months in which something lacks, the oldest first: what nobody knows, what holds no candle.

        What is `shown`, and not final yet, is not expected.
        """
        sessions = isinstance(self.grid, SessionGrid)
        found, ends = [], [*self._opens[1:], self.wanted.end]
        lacks, none, later = map(self._tally, (missing, nothing, shown))
        for at, rows in enumerate(self._rows.tolist()):
            month = max(self._opens[at], self.wanted.start), min(ends[at], self.wanted.end)
            if rows < (expected := self.grid.count(*month) - later[at]):
                absent, empty = (none[at], 0) if sessions else (0, none[at])
                numbers = (expected, rows, absent, empty, lacks[at])
                found.append(MonthLine(self.series, self._names[at], *numbers, percent(rows, expected)))
        return found

    def _tally(self, spans: Coverage) -> list[int]:
        """The buckets of these spans, by month."""
        count, edges = [0] * len(self._opens), [*self._opens, self.wanted.end]
        for start, end in spans:
            at = max(0, bisect_right(self._opens, start) - 1)
            while at < len(count) and edges[at] < end:
                count[at] += self.grid.count(max(start, edges[at]), min(end, edges[at + 1]))
                at += 1
        return count


def percent(part: int, whole: int) -> float:
    """Never 100 for less than all."""
    if not whole:
        return 0.0
    return 100.0 if part >= whole else min(99.99, round(100 * part / whole, 2))


def _firsts(wanted: Span, shift: int) -> list[int]:
    """The first days of the months that a stretch reaches into, since the epoch."""
    if wanted.start >= wanted.end:
        return []
    first, last = (_date(time + shift) for time in (wanted.start, wanted.end - 1))
    months = range(first.year * 12 + first.month - 1, last.year * 12 + last.month)
    epoch = date(1970, 1, 1).toordinal()
    return [date(month // 12, month % 12 + 1, 1).toordinal() - epoch for month in months]


def _date(time: int) -> date:
    return datetime.fromtimestamp(time // 1000, UTC).date()
