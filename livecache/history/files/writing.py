"""Our candles in files that others read: CSV in exact digits, Parquet, Feather."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol, TextIO
from urllib.parse import quote

from ...model.coverage import Span
from ...model.timeframe import Timeframe, iso
from ...read.candles import package
from ..columns import Columns, concat
from ..store import Answer, SeriesInfo

__all__ = [
    "COLUMNS",
    "Rows",
    "folder_of",
    "parquet_of",
    "span_of_year",
    "write_csv",
    "write_feather",
    "write_parquet",
    "year_of",
]

COLUMNS = ("venue", "symbol", "timeframe", "time", "utc", "open", "high", "low", "close", "volume")
_NUMBERS = COLUMNS[-5:]
_GROUP = 100_000  # rows: a reader skips groups by their times, and reads them side by side


class Rows(Protocol):
    """What is written: a store, or what is made of its rows."""

    def read(self, series: int, start: int, end: int) -> Answer:
        """What there is of `[start, end)`."""

    def batches(self, series: int, start: int, end: int) -> Iterator[Answer]:
        """The same, oldest first, in parts."""


def write_csv(store: Rows, info: SeriesInfo, span: Span, out: TextIO) -> int:
    """A line a candle, without a head. Returns how many."""
    writer = csv.writer(out, lineterminator="\n")
    venue, symbol, timeframe = info.key
    count = 0
    for part in store.batches(info.id, *span):
        writer.writerows(
            (venue, symbol, timeframe.value, row.time, iso(row.time), *row.numbers)
            for row in part.rows.candles()
        )
        count += len(part.rows)
    return count


def write_parquet(store: Rows, info: SeriesInfo, span: Span, directory: Path) -> int:
    """`venue=/timeframe=/symbol=/year=/candles.parquet`, a file a year. Returns how many candles."""
    count = 0
    for year in range(year_of(span.start), year_of(span.end - 1) + 1):
        first, last = span_of_year(year)
        rows = store.read(info.id, max(first, span.start), min(last, span.end)).rows
        if len(rows):
            place = directory / folder_of(info, year)
            place.mkdir(parents=True, exist_ok=True)
            with _Replacing(place / "candles.parquet") as aside:
                parquet_of(rows, aside)
            count += len(rows)
    return count


def folder_of(info: SeriesInfo, year: int) -> str:
    """The directory of a year, as Hive names it."""
    venue, symbol, timeframe = info.key
    return f"venue={venue}/timeframe={timeframe.value}/symbol={quote(symbol, safe='')}/year={year}"


def parquet_of(rows: Columns, out: Any) -> None:
    """Write them to a path, or to a file that is open."""
    _arrow("pyarrow.parquet").write_table(
        _table(rows, "time"),
        out,
        compression="zstd",
        use_dictionary=False,
        use_byte_stream_split=list(_NUMBERS),
        row_group_size=_GROUP,
    )


def write_feather(store: Rows, info: SeriesInfo, span: Span, directory: Path) -> int:
    """`BTC_USD-1h.feather` with the columns of freqtrade. Returns how many candles."""
    feather = _arrow("pyarrow.feather")
    _, symbol, timeframe = info.key
    name = "".join(letter if letter.isalnum() else "_" for letter in symbol)
    length = "1Mo" if timeframe is Timeframe.MN1 else timeframe.value
    rows = concat(part.rows for part in store.batches(info.id, *span))
    directory.mkdir(parents=True, exist_ok=True)
    with _Replacing(directory / f"{name}-{length}.feather") as aside:
        feather.write_feather(_table(rows, "date"), aside, compression="lz4")
    return len(rows)


class _Replacing:
    """A file that takes the place of another once it is whole."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._aside = path.with_name(f".{path.name}.{os.getpid()}.part")

    def __enter__(self) -> str:
        return str(self._aside)

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            self._aside.replace(self._path)
        self._aside.unlink(missing_ok=True)


def _arrow(module: str) -> Any:
    package("pyarrow", "livecache export")
    from importlib import import_module

    return import_module(module)


def _table(rows: Columns, time: str) -> Any:
    pa = package("pyarrow", "livecache export")
    columns = {time: pa.array(rows.time).cast(pa.timestamp("ms", "UTC"))}
    floats = zip(_NUMBERS, rows.numbers, strict=True)
    return pa.table(columns | {name: pa.array(numbers.floats()) for name, numbers in floats})


def year_of(time: int) -> int:
    """The year of a time, of UTC."""
    return datetime.fromtimestamp(time / 1000, UTC).year


def span_of_year(year: int) -> Span:
    """From its beginning to its end."""
    first, last = (int(datetime(each, 1, 1, tzinfo=UTC).timestamp() * 1000) for each in (year, year + 1))
    return Span(first, last)
