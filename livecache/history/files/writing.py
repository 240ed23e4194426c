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

__all__ = ["COLUMNS", "Rows", "write_csv", "write_feather", "write_parquet"]

COLUMNS = ("venue", "symbol", "timeframe", "time", "utc", "open", "high", "low", "close", "volume")
_NUMBERS = COLUMNS[-5:]


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
    parquet = _arrow("pyarrow.parquet")
    venue, symbol, timeframe = info.key
    names = (f"venue={venue}", f"timeframe={timeframe.value}", f"symbol={quote(symbol, safe='')}")
    count = 0
    for year, within in _years(span):
        rows = store.read(info.id, *within).rows
        if len(rows):
            place = directory.joinpath(*names, f"year={year}")
            place.mkdir(parents=True, exist_ok=True)
            options = {"compression": "zstd", "use_dictionary": False}
            split = {"use_byte_stream_split": list(_NUMBERS)}
            with _Replacing(place / "candles.parquet") as aside:
                parquet.write_table(_table(rows, "time"), aside, **options, **split)
            count += len(rows)
    return count


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


def _years(span: Span) -> Iterator[tuple[int, Span]]:
    year = datetime.fromtimestamp(span.start / 1000, UTC).year
    while (start := _first_of(year)) < span.end:
        yield year, Span(max(span.start, start), min(span.end, _first_of(year + 1)))
        year += 1


def _first_of(year: int) -> int:
    return int(datetime(year, 1, 1, tzinfo=UTC).timestamp() * 1000)
