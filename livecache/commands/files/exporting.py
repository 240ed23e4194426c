"""`livecache export --history`: years of candles as CSV, Parquet or Feather."""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...equities.adjust import Adjust
from ...errors import ConfigError, HistoryChanged
from ...model.coverage import Span
from ..history.asking import time_of
from ..history.chosen import chosen, name_of
from ..history.opened import Place, open_history
from ..look.export import replacing

if TYPE_CHECKING:
    from ...history.answer.adjusting import Adjusted
    from ...history.store import HistoryDatabase, SeriesInfo

__all__ = ["FORMATS", "Wish", "export_history"]

FORMATS = ("csv", "parquet", "feather")


@dataclass(frozen=True, slots=True)
class Wish:
    """What to export, and as what."""

    symbols: str | None
    timeframes: str | None
    since: str | None
    until: str | None
    form: str
    adjust: Adjust
    output: Path | None


def export_history(place: Place, wish: Wish) -> int:
    """Write the stored candles. What was done, and what is missing, is said on stderr; 1 for nothing.

    Raises StoreUnusable, UnknownSeries for what is not stored, and ConfigError for a place that cannot be
    written to; HistoryChanged where a split is told of meanwhile: no file has prices from before and after.
    """
    if wish.form != "csv" and wish.output is None:
        raise ConfigError(f"--format {wish.form} makes several files", "name a directory by --output")
    with open_history(place) as store:
        found = [
            (info, span)
            for info in chosen(store, wish.symbols, wish.timeframes)
            if (span := _span(store, info, wish))
        ]
        counts = _write(store, found, wish)
        for (info, span), count in zip(found, counts, strict=True):
            missing = store.coverage(info.id).missing(*span)
            buckets = sum(info.grid.count(*each) for each in missing)
            lacks = f"; {buckets:,} buckets between them are missing" if buckets else ""
            print(f"{name_of(info)}: {count:,} candles{lacks}", file=sys.stderr)
    where = f" to {wish.output}" if wish.output else ""
    print(f"exported {sum(counts):,} candles of {len(found)} series{where}", file=sys.stderr)
    return 0 if sum(counts) else 1


def _span(store: HistoryDatabase, info: SeriesInfo, wish: Wish) -> Span | None:
    """From where to where anything is known of it, within what is asked for."""
    since, until = time_of("--since", wish.since), time_of("--until", wish.until)
    known = store.coverage(info.id).spans
    if not known:
        return None
    start = known[0].start if since is None else max(since, known[0].start)
    end = known[-1].end if until is None else min(until, known[-1].end)
    return Span(start, end) if start < end else None


def _write(store: HistoryDatabase, found: Sequence[tuple[SeriesInfo, Span]], wish: Wish) -> list[int]:
    from ...history.answer.adjusting import Adjusted
    from ...history.files.writing import COLUMNS, write_csv, write_feather, write_parquet

    rows = Adjusted(store, wish.adjust)

    def whole(write: Callable[[Adjusted, SeriesInfo, Span, Any], int], out: Any) -> list[int]:
        counts = []
        for info, span in found:
            told = rows.heeded(info.id)
            counts.append(write(rows, info, span, out))
            if rows.heeded(info.id) != told:
                news = f"{name_of(info)}: a split or a dividend was told of while it was written"
                raise HistoryChanged(news, "export it once more")
        return counts

    if wish.form == "csv":
        with replacing(wish.output) if wish.output else nullcontext(sys.stdout) as out:
            csv.writer(out, lineterminator="\n").writerow(COLUMNS)
            return whole(write_csv, out)
    assert wish.output is not None
    try:
        return whole(write_parquet if wish.form == "parquet" else write_feather, wish.output)
    except OSError as error:
        raise ConfigError(
            f"--output {wish.output} cannot be written: {error.strerror or error}", "name another directory"
        ) from None
