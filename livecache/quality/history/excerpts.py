"""Candles around what was found, to look at."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ...errors import DamagedBlock
from ...history.columns import Columns, concat
from ...history.store import HistoryStore, SeriesInfo
from ...model.series import SeriesId
from .candles import far_after
from .findings import Finding, Kind

__all__ = ["Excerpt", "excerpts"]

_BESIDE = 60  # buckets on either side
_WITHIN = 240  # of what was found itself; of a longer stretch the rest is left out
_A_KIND = 3
_KINDS = (
    *(Kind.OHLCV, Kind.MISALIGNED, Kind.SPLIT, Kind.ROLLUP, Kind.MISSING, Kind.OUTLIER, Kind.VOLUME),
    *(Kind.ABSENT, Kind.PEERS),
)


@dataclass(frozen=True, slots=True)
class Excerpt:
    """Candles before, in and after the buckets of a finding."""

    finding: Finding
    rows: Columns

    @property
    def inside(self) -> npt.NDArray[np.bool_]:
        """Which are those that it is about."""
        time = self.rows.time
        return np.asarray((time >= self.finding.start) & (time < self.finding.end))


def excerpts(
    store: HistoryStore, infos: Mapping[SeriesId, SeriesInfo], findings: Iterable[Finding], most: int = 12
) -> list[Excerpt]:
    """Of the worst findings, so many at most: of each kind some, and of each series one of a kind."""
    kinds, told, chosen = Counter[Kind](), set[tuple[Kind, SeriesId]](), list[Finding]()
    for one in sorted((f for f in findings if f.end and f.kind in _KINDS), key=_rank):
        place = one.kind, one.series
        if kinds[one.kind] < _A_KIND and place not in told and one.series in infos:
            kinds[one.kind] += 1
            told.add(place)
            chosen.append(one)
    found = []
    for one in chosen[:most]:
        try:
            found.append(Excerpt(one, _around(store, infos[one.series], one)))
        except DamagedBlock:  # told as a finding
            continue
    return [each for each in found if len(each.rows)]


def _rank(finding: Finding) -> tuple[int, int]:
    return _KINDS.index(finding.kind), finding.start - finding.end


def _around(store: HistoryStore, info: SeriesInfo, finding: Finding) -> Columns:
    grid = info.grid
    before = grid.far_back(finding.start, _BESIDE)
    upto = min(finding.end, far_after(grid, finding.start, _WITHIN))
    after = far_after(grid, finding.end, _BESIDE)
    return concat(store.read(info.id, *span).rows for span in ((before, upto), (finding.end, after)))
