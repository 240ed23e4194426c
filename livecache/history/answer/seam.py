"""Two tiers as one: what Redis has settled lately, and years of history behind it. Needs numpy.

Redis is asked first. What it trims afterwards has been copied into the history by then, so a bucket that both
have known is in one of the answers at least; the other way round one could fall between them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ...errors import HistoryChanged
from ...model.coverage import Coverage, Span
from ...model.grid import Grid
from ...model.series import SeriesId
from ...model.timeframe import Timeframe
from ..block import BUCKETS
from ..columns import NO_ROWS, concat, merge, within
from ..scaling import apart
from ..store import NONE, Answer
from .derive import derive

__all__ = ["NOTHING", "Ask", "Seam", "Source", "gather", "newest_close", "over"]

NOTHING = Answer(NO_ROWS, NONE, 0, 0)
"""Nothing is known."""

_PARTS_AT_ONCE = 16 * BUCKETS  # of candles that are added up; they begin with a block

Ask = Callable[[SeriesId, int, int], Answer]
"""What one tier knows of `[start, end)` of a series."""


@dataclass(frozen=True, slots=True)
class Seam:
    """Both tiers. Where Redis covers a bucket its candle counts: it learns of revisions first."""

    hot: Ask
    stored: Ask

    def read(self, series: SeriesId, start: int, end: int) -> Answer:
        """What both know; what they lack is looked for once more."""
        answer = self._once(series, start, end)
        if missing := answer.coverage.missing(start, end):
            again = self._once(series, missing.spans[0].start, missing.spans[-1].end)
            answer = over(again, answer)
        return answer

    def _once(self, series: SeriesId, start: int, end: int) -> Answer:
        hot = self.hot(series, start, end)
        stored = self.stored(series, start, end)
        if apart(hot.rows, stored.rows):
            raise HistoryChanged(
                f"{series}: of a split either Redis or the history has not heard yet", "read it in a minute"
            )
        return over(hot, stored)


class Source(NamedTuple):
    """What a series can be had from: itself, or a smaller timeframe that adds up to its grid."""

    series: SeriesId
    grid: Grid
    derives: bool

    def read(self, seam: Seam, start: int, end: int) -> Answer:
        """Its candles in `[start, end)`, which begins and ends with buckets of the grid."""
        if not self.derives:
            return seam.read(self.series, start, end)
        parts, at, step = list[Answer](), start, _PARTS_AT_ONCE * self.series.timeframe.ms
        while at < end:
            upto = self.grid.closed((at // step + 1) * step)
            upto = min(end, max(upto, self.grid.end(at)))
            part = seam.read(self.series, at, upto)
            rows, known = derive(part.rows, part.coverage, self.grid)
            later = _touched(self.grid, part.provisional)
            later = known.without(known.without(later))
            old = _touched(self.grid, part.converted)
            parts.append(Answer(rows, known, part.rev, part.block_rev, later, old))
            at = self.grid.ceil(upto)
        return Answer(
            concat(part.rows for part in parts),
            Coverage(span for part in parts for span in part.coverage),
            max((part.rev for part in parts), default=0),
            max((part.block_rev for part in parts), default=0),
            Coverage(span for part in parts for span in part.provisional),
            Coverage(span for part in parts for span in part.converted),
        )


def _touched(grid: Grid, spans: Coverage) -> Coverage:
    """The buckets that hold any of it."""
    if not spans:
        return spans
    touched = []
    for start, end in spans:
        first, last = grid.floor(start), grid.floor(end - 1)
        first = first if grid.end(first) > start else grid.after(first)
        touched.append((grid.end_before(first), grid.end(last)))
    return Coverage(touched)


def over(upper: Answer, lower: Answer) -> Answer:
    """Both as one; where the upper one covers a bucket, what it says counts."""
    if not upper.coverage:
        return lower
    beneath = lower.rows.take(~within(lower.rows.time, upper.coverage))
    return Answer(
        merge(beneath, upper.rows).rows,
        upper.coverage | lower.coverage,
        max(upper.rev, lower.rev),
        max(upper.block_rev, lower.block_rev),
        upper.provisional | lower.provisional.without(upper.coverage),
        upper.converted | lower.converted.without(upper.coverage),
    )


def gather(seam: Seam, sources: Iterable[Source], wanted: Span) -> tuple[Answer, Timeframe | None]:
    """What is known of `wanted`, from the first source, the rest from the next; and which had to be added up.

    That is the biggest of these timeframes, None if none was.
    """
    answer, derived_from = NOTHING, None
    for source in sources:
        missing = answer.coverage.missing(*wanted)
        if not missing:
            break
        more = source.read(seam, missing.spans[0].start, missing.spans[-1].end)
        if source.derives and more.coverage.without(answer.coverage):
            derived_from = derived_from or source.series.timeframe
        answer = over(answer, more)
    known = answer.coverage.clip(*wanted)
    rows = answer.rows.clip(*wanted)
    later, old = (each.clip(*wanted) for each in (answer.provisional, answer.converted))
    return Answer(rows, known, answer.rev, answer.block_rev, later, old), derived_from


def newest_close(read: Callable[[int, int], Answer], grid: Grid, before: int) -> float:
    """The close that holds at `before`: of the newest candle from which on all is known. NaN: none is."""
    upto, buckets = before, 64
    while (start := grid.far_back(upto, buckets)) < upto:
        answer = read(start, upto)
        if len(answer.rows):
            known = answer.coverage.covers(int(answer.rows.time[-1]), upto)
            return float(answer.rows.close.floats()[-1]) if known else np.nan
        if not answer.coverage.covers(start, upto):
            break
        upto, buckets = start, buckets * 8
    return np.nan
