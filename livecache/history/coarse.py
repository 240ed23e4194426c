"""What a bigger timeframe of the same symbol knows of one that is being filled."""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal
from typing import NamedTuple

from ..model.coverage import Coverage
from ..model.grid import Grid
from ..model.timeframe import Timeframe
from ..model.traits import Traits
from .planner import Word, requests_left, unseen, word_of
from .store import HistoryStore, SeriesInfo

__all__ = ["Coarse", "coarse_of", "worth_it"]

_WORTH = 3
"""So many pages of the smaller timeframe for one of the bigger, and it is asked for first."""


def coarse_of(timeframe: Timeframe, traits: Traits) -> Timeframe | None:
    """The bigger timeframe that tells where the venue has anything of this one: days. None if it has none."""
    day = Timeframe.D1
    return day if day in traits.served and traits.adds_up(timeframe, day) else None


def worth_it(wanted: Coverage, timeframe: Timeframe, coarse: Timeframe, traits: Traits) -> bool:
    """Whether asking for the bigger timeframe first may save more than it costs."""
    pages = requests_left(wanted, traits.grid(timeframe), traits.deep_page(timeframe))
    return pages > _WORTH * requests_left(wanted, traits.grid(coarse), traits.deep_page(coarse))


class Coarse(NamedTuple):
    """A bigger timeframe as it is stored. Its methods block: they belong in the store's thread."""

    store: HistoryStore
    series: SeriesInfo
    grid: Grid

    def unseen(self, wanted: Coverage) -> Coverage:
        """What of `wanted` is worth asking for."""
        if not wanted:
            return wanted
        found = self.store.read(self.series.id, *_over(self.grid, wanted))
        return unseen(wanted, found.coverage, found.rows.time.tolist(), self.grid)

    def word(self, silent: Coverage, smaller: int) -> Word:
        """What it says of a stretch of the smaller series that pages were silent about."""
        start, end = _over(self.grid, silent)
        own = self.store.read(self.series.id, start, end)
        volumes = {row.time: Decimal(row.volume) for row in own.rows.candles()}
        sums: defaultdict[int, Decimal] = defaultdict(Decimal)
        for row in self.store.read(smaller, start, end).rows.candles():
            sums[self.grid.floor(row.time)] += Decimal(row.volume)
        return word_of(silent, self.grid, own.coverage, volumes, sums)


def _over(grid: Grid, wanted: Coverage) -> tuple[int, int]:
    """The buckets of the grid that hold any of it."""
    return grid.floor(wanted.spans[0].start), grid.end(grid.floor(wanted.spans[-1].end - 1))
