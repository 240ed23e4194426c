"""Candles of a stretch by themselves: can they be, do they lie where buckets do, and what is not there."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from ...errors import OutsideCalendar
from ...history.columns import Columns
from ...model.coverage import Coverage
from ...model.grid import EpochGrid, Grid
from ...model.series import SeriesId
from ...model.timeframe import TIME_MAX, iso
from .findings import Finding, Gap, Kind, Rules, fill_command

__all__ = ["aligned", "far_after", "gap_finding", "gaps_of", "unsound"]

Mask = npt.NDArray[np.bool_]


def unsound(series: SeriesId, rows: Columns, in_buckets: Mask, grid: Grid) -> Iterator[Finding]:
    """Candles that cannot be, and such as open where no bucket does."""
    for row in rows.take(~rows.sound()).candles():
        numbers = ", ".join(row.numbers)
        yield _at(series, grid, Kind.OHLCV, row.time, f"holds {numbers}, which no candle can be")
    for time in rows.time[~in_buckets].tolist():
        yield _at(series, grid, Kind.MISALIGNED, time, "is not where a bucket opens")


def aligned(rows: Columns, grid: Grid) -> Mask:
    """Which open where a bucket does."""
    if isinstance(grid, EpochGrid) or not len(rows):
        step, origin = (grid.step, grid.origin) if isinstance(grid, EpochGrid) else (1, 0)
        return np.asarray((rows.time - origin) % step == 0)
    return np.isin(rows.time, grid.opens(int(rows.time[0]), int(rows.time[-1]) + 1))


def far_after(grid: Grid, time: int, n: int) -> int:
    """As `after`, but no further than the calendar goes."""
    try:
        return grid.after(time, n)
    except OutsideCalendar:
        return grid.closed(TIME_MAX)


def _at(series: SeriesId, grid: Grid, kind: Kind, time: int, message: str) -> Finding:
    start = grid.floor(time)
    remedy = fill_command(series, start, grid.end(start), force=True)
    return Finding(kind, series, f"{iso(time)} {message}", remedy, start, grid.end(start))


def gaps_of(series: SeriesId, grid: Grid, kind: Kind, spans: Coverage) -> list[Gap]:
    """Stretches with at least a bucket, from its open."""
    counted = ((span, grid.count(*span)) for span in spans)
    return [Gap(series, kind, grid.ceil(span.start), span.end, count) for span, count in counted if count]


def gap_finding(gap: Gap, rules: Rules, failed: str = "") -> Finding | None:
    """What is to be said of it, if it is long enough; `failed` is why it was asked for in vain."""
    if gap.buckets < rules.gap_buckets:
        return None
    plural = gap.buckets > 1
    many = f"{gap.buckets:,} bucket{'s' * plural} from {iso(gap.start)} to {iso(gap.end)}"
    verb = "are" if plural else "is"
    match gap.kind:
        case Kind.EMPTY:
            said, remedy = f"{verb} known to hold no candle", ""
        case Kind.ABSENT:
            said = f"{verb} expected by the calendar, and the venue shows no candle"
            remedy = fill_command(gap.series, gap.start, gap.end, force=True)
        case Kind.UNKNOWN:
            said, remedy = "may be sessions or not: the calendar is not sure of them", "a newer livecache"
        case _:
            said, remedy = f"{verb} missing", fill_command(gap.series, gap.start, gap.end)
            said += f", asked for in vain: {failed}" if failed else ""
    return Finding(gap.kind, gap.series, f"{many} {said}", remedy, gap.start, gap.end)
