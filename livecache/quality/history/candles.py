"""Candles of a stretch by themselves: can they be, do they lie where buckets do, and what is not there."""

from __future__ import annotations

from collections.abc import Iterator

from ...history.columns import Columns
from ...model.coverage import Coverage, Span
from ...model.grid import EpochGrid, Grid
from ...model.series import SeriesId
from ...model.timeframe import iso
from .findings import Finding, Gap, Kind, Rules, fill_command

__all__ = ["empty_gaps", "gap_finding", "missing_gaps", "unsound"]


def unsound(series: SeriesId, rows: Columns, grid: Grid) -> Iterator[Finding]:
    """Candles that cannot be, and such as open where no bucket does."""
    for row in rows.take(~rows.sound()).candles():
        numbers = ", ".join(row.numbers)
        yield _at(series, grid, Kind.OHLCV, row.time, f"holds {numbers}, which no candle can be")
    for time in _off(rows, grid):
        yield _at(series, grid, Kind.MISALIGNED, time, "is not where a bucket opens")


def _off(rows: Columns, grid: Grid) -> list[int]:
    if isinstance(grid, EpochGrid):
        return [int(each) for each in rows.time[(rows.time - grid.origin) % grid.step != 0]]
    return [time for time in rows.time.tolist() if time not in grid]


def _at(series: SeriesId, grid: Grid, kind: Kind, time: int, message: str) -> Finding:
    start = grid.floor(time)
    remedy = fill_command(series, start, grid.end(start), force=True)
    return Finding(kind, series, f"{iso(time)} {message}", remedy, start, grid.end(start))


def missing_gaps(series: SeriesId, grid: Grid, coverage: Coverage, wanted: Span) -> list[Gap]:
    """What of `wanted` nobody knows."""
    return _gaps(series, grid, Kind.MISSING, coverage.missing(*wanted))


def empty_gaps(series: SeriesId, grid: Grid, empty: Coverage) -> list[Gap]:
    """What is known to hold no candle."""
    return _gaps(series, grid, Kind.EMPTY, empty)


def _gaps(series: SeriesId, grid: Grid, kind: Kind, spans: Coverage) -> list[Gap]:
    counted = ((span, grid.count(*span)) for span in spans)
    return [Gap(series, kind, *span, count) for span, count in counted if count]


def gap_finding(gap: Gap, rules: Rules) -> Finding | None:
    """What is to be said of it, if it is long enough."""
    if gap.buckets < rules.gap_buckets:
        return None
    many = f"{gap.buckets:,} bucket{'s' * (gap.buckets > 1)} from {iso(gap.start)} to {iso(gap.end)}"
    verb = "are" if gap.buckets > 1 else "is"
    if gap.kind is Kind.EMPTY:
        return Finding(gap.kind, gap.series, f"{many} {verb} known to hold no candle", "", gap.start, gap.end)
    remedy = fill_command(gap.series, gap.start, gap.end)
    return Finding(gap.kind, gap.series, f"{many} {verb} missing", remedy, gap.start, gap.end)
