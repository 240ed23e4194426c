"""Reading other people's files: what kind one is its content tells, and what it is of its name may."""

from __future__ import annotations

import csv
import hashlib
import io
import re
import sqlite3
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from ...errors import ConfigError
from ...model.coverage import Span
from ...model.grid import MonthGrid
from ...model.timeframe import Timeframe, time_in
from ...read.candles import package
from ..columns import Decimals
from .candles import Candles, decimals_of, times_of, whole_ms

__all__ = ["Source", "digest_of", "source_of"]

_ROWS_AT_ONCE = 100_000
_CHARACTERS = 1_000_000
_MEMBER_BYTES = 4_000_000_000
_LINES_BEFORE = 5  # notes above the head
_ARCHIVE = re.compile(
    r"(?P<symbol>[A-Z0-9_]+)-(?P<timeframe>\d+(?:mo|[mhdw]))-(?P<period>\d{4}-\d\d(?:-\d\d)?)\.zip", re.ASCII
)
_FRAME = re.compile(r"-(?P<timeframe>\d+(?:Mo|[mhdw]))(?:-\w+)?\.\w+", re.ASCII)
_NAMES = {
    "time": ("time", "timestamp", "open_time", "opentime", "open time", "date", "datetime", "unix"),
    **{name: (name,) for name in ("open", "high", "low", "close", "volume")},
}
_ORDER = tuple(_NAMES)


@dataclass(slots=True)
class Source:
    """One file: what it is of, and its rows."""

    path: Path
    kind: str
    """`archive`, `csv`, `parquet`, `feather` or `table`."""
    symbol: str | None
    timeframe: Timeframe | None
    parts: Callable[[], Iterator[Candles]]
    whole: Span | None = None
    """The span of which it is known to hold all: of an archive with its checksum, the period in its name."""
    notes: list[str] = field(default_factory=list)
    """What was guessed."""


def source_of(
    path: Path, symbol: str | None = None, timeframe: Timeframe | None = None, digits: int | None = None
) -> Source:
    """What the file is: of this symbol and timeframe, else of those in its name. Raises ConfigError.

    `digits`: see `decimals_of`.
    """
    try:
        with path.open("rb") as file:
            head = file.read(16)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}", "name a file of candles") from None
    named = _FRAME.search(path.name)
    timeframe = timeframe or (_timeframe(named["timeframe"]) if named else None)
    found = Source(path, "csv", symbol, timeframe, lambda: iter(()))
    if head[:2] == b"PK":
        return _archive(found)
    if head[:4] == b"PAR1":
        found.kind, found.parts = "parquet", lambda: _parquet(found, digits)
    elif head[:6] == b"ARROW1" or head[:4] == b"FEA1":
        found.kind, found.parts = "feather", lambda: _feather(found, digits)
    elif head == b"SQLite format 3\0":
        found.kind, found.parts = "table", lambda: _table(found, digits)
    else:
        found.parts = lambda: _opened_text(found)
    return found


def _timeframe(text: str) -> Timeframe:
    return Timeframe.parse(re.sub("[mM]o$", "M", text))


# --- archives of an exchange


def _archive(found: Source) -> Source:
    """A zip with one CSV file; its name says what of, and a checksum beside it that it is whole."""
    found.kind = "archive"
    found.parts = lambda: _unpacked(found)
    if named := _ARCHIVE.fullmatch(found.path.name):
        found.symbol = found.symbol or named["symbol"]
        found.timeframe = found.timeframe or _timeframe(named["timeframe"])
        if _is_verified(found.path):
            found.whole = _period(named["period"])
    return found


def _is_verified(path: Path) -> bool:
    """Whether its checksum lies beside it. Raises ConfigError where that is another one."""
    beside = path.with_name(f"{path.name}.CHECKSUM")
    if not beside.exists():
        return False
    told = beside.read_text(errors="replace").split()
    if not told or told[0].lower() != digest_of(path):
        raise ConfigError(f"{path} is not what {beside.name} says", "get both anew")
    return True


def digest_of(path: Path) -> str:
    """Its SHA-256."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _period(text: str) -> Span:
    start = time_in(text if len(text) > 7 else f"{text}-01")
    assert start is not None
    return Span(start, start + 86_400_000 if len(text) > 7 else MonthGrid().end(start))


def _unpacked(found: Source) -> Iterator[Candles]:
    try:
        with zipfile.ZipFile(found.path) as packed:
            names = [each for each in packed.infolist() if each.filename.lower().endswith(".csv")]
            if len(names) != 1:
                raise ConfigError(f"{found.path} holds {len(names)} CSV files", "one is expected")
            if names[0].file_size > _MEMBER_BYTES:
                raise ConfigError(f"{found.path} unpacks to {names[0].file_size:,} bytes", "split it")
            with packed.open(names[0]) as raw, io.TextIOWrapper(raw, "utf-8-sig", newline="") as text:
                yield from _text(found, text)
    except (zipfile.BadZipFile, EOFError) as error:
        raise ConfigError(f"{found.path}: {error}", "get it anew") from None


# --- CSV


def _opened_text(found: Source) -> Iterator[Candles]:
    with found.path.open(encoding="utf-8-sig", newline="") as text:
        yield from _text(found, text)


def _text(found: Source, text: TextIO) -> Iterator[Candles]:
    try:
        block = _block(text)
        first = csv.reader(block.split("\n", _LINES_BEFORE + 1)[: _LINES_BEFORE + 1])
        places, skipped = _places(found, list(first))
        block = block.split("\n", skipped)[-1]
        while block:
            yield _cells(block, places) or _of_rows(list(csv.reader(block.splitlines())), places)
            block = _block(text)
    except (csv.Error, UnicodeDecodeError) as error:
        raise ConfigError(f"{found.path} is no CSV file: {error}", "see docs/history.md") from None


def _block(text: TextIO) -> str:
    """The next lines."""
    return (text.read(_CHARACTERS) + text.readline()).replace("\r\n", "\n")


def _places(found: Source, first: Sequence[Sequence[str]]) -> tuple[Sequence[int], int]:
    """Where each column is, and how many lines are none of candles."""
    for number, row in enumerate(first):
        named = {cell.strip().lower(): place for place, cell in enumerate(row)}
        if all(any(name in named for name in _NAMES[column]) for column in _ORDER[1:5]):
            return _by_name(found, named), number + 1
    if not first:
        return range(6), 0
    if len(first[0]) < 6 or times_of(first[0][:1])[0] < 0:
        raise ConfigError(
            f"{found.path} has no head with open, high, low and close, and does not begin with a time",
            "columns are time, open, high, low, close, volume, or named so in a first line",
        )
    if found.kind != "archive":
        found.notes.append("no head: its columns are taken as time, open, high, low, close, volume")
    return range(6), 0


def _by_name(found: Source, named: dict[str, Any]) -> list[Any]:
    places = []
    for column in _ORDER:
        names = [name for name in _NAMES[column] if name in named]
        if not names:
            raise ConfigError(
                f"{found.path} has no column {column!r}: {', '.join(named)}", "name it so in the first line"
            )
        places.append(named[names[0]])
        if names[0] != column:
            found.notes.append(f"{column} is taken from its column {names[0]!r}")
    return places


def _cells(block: str, places: Sequence[int]) -> Candles | None:
    """All lines at once, which takes a tenth of the time; None where they are not all alike."""
    block = block.rstrip("\n") + "\n"
    width = block.partition("\n")[0].count(",") + 1
    letters = np.frombuffer(block.encode(), np.uint8)
    lines = letters == ord("\n")
    ends = np.flatnonzero(lines | (letters == ord(",")))
    alike = len(ends) == width * lines.sum() and lines[ends[width - 1 :: width]].all()
    if not alike or width <= max(places) or '"' in block:
        return None
    kept = np.tile([place in places for place in range(width)], len(ends) // width)
    cells = letters[np.repeat(kept, np.diff(ends, prepend=-1))].tobytes().replace(b"\n", b",")
    if (columns := Decimals.plain(cells, len(places))) is not None:
        time, *numbers = (columns[sorted(places).index(place)] for place in places)
        if time.scale == 0:
            return Candles(whole_ms(time.scaled), numbers)
    texts = block.replace("\n", ",").split(",")
    when, *rest = (texts[place:-1:width] for place in places)
    return Candles(times_of(when), rest)


def _of_rows(rows: list[list[str]], places: Sequence[int]) -> Candles:
    width = max(places) + 1
    rows = [row if len(row) >= width else [*row, *[""] * (width - len(row))] for row in rows if row]
    columns = list(zip(*rows, strict=False)) or [()] * width
    time, *numbers = (columns[place] for place in places)
    return Candles(times_of(time), numbers)


# --- tables of numbers


def _parquet(found: Source, digits: int | None) -> Iterator[Candles]:
    parquet = _arrow("pyarrow.parquet", found)
    with _readable(found), parquet.ParquetFile(found.path) as file:
        names = _by_name(found, {name.lower(): name for name in file.schema_arrow.names})
        for batch in file.iter_batches(_ROWS_AT_ONCE, columns=names):
            yield _of_arrays([batch.column(name) for name in names], digits)


def _feather(found: Source, digits: int | None) -> Iterator[Candles]:
    feather = _arrow("pyarrow.feather", found)
    with _readable(found):
        table = feather.read_table(found.path)
        names = _by_name(found, {name.lower(): name for name in table.column_names})
        for first in range(0, len(table), _ROWS_AT_ONCE):
            part = table.slice(first, _ROWS_AT_ONCE).combine_chunks()
            yield _of_arrays([part.column(name) for name in names], digits)


@contextmanager
def _readable(found: Source) -> Iterator[None]:
    """Arrow's errors are ValueErrors and OSErrors."""
    try:
        yield
    except (ValueError, OSError) as error:
        raise ConfigError(f"{found.path} is no {found.kind} file: {error}", "make it anew") from None


def _arrow(module: str, found: Source) -> Any:
    package("pyarrow", f"livecache import {found.path.name}")
    from importlib import import_module

    return import_module(module)


def _of_arrays(columns: Sequence[Any], digits: int | None) -> Candles:
    """Of Arrow's arrays: a time, and five columns of numbers."""
    pa = package("pyarrow", "import")
    types = pa.types
    time, *numbers = columns
    if types.is_timestamp(time.type):
        ms = time.cast(pa.timestamp("ms", time.type.tz), safe=False).cast("int64")
        when = np.asarray(ms.fill_null(-1), np.int64)
    elif types.is_integer(time.type):
        when = whole_ms(np.asarray(time.fill_null(-1), np.int64))
    else:
        when = times_of([str(each) for each in time.to_pylist()])
    if all(types.is_floating(each.type) for each in numbers):
        return _of_floats(when, [np.asarray(each.fill_null(np.nan), np.float64) for each in numbers], digits)
    return Candles(when, [["" if n is None else str(n) for n in each.to_pylist()] for each in numbers])


def _of_floats(time: Any, numbers: Sequence[Any], digits: int | None) -> Candles:
    """What is no number is a text, and so its row is rejected."""
    finite = np.isfinite(np.stack(numbers))
    exact = [
        decimals_of(np.where(fine, each, 0.0), digits) for fine, each in zip(finite, numbers, strict=True)
    ]
    if finite.all():
        return Candles(time, exact)
    texts = [
        [text if good else "nan" for good, text in zip(fine.tolist(), each.texts(), strict=True)]
        for fine, each in zip(finite, exact, strict=True)
    ]
    return Candles(time, texts)


def _table(found: Source, digits: int | None) -> Iterator[Candles]:
    """The table `candle` of a SQLite file, as jesse has it: all timeframes and symbols in one."""
    if found.symbol is None or found.timeframe is None:
        raise ConfigError(f"{found.path} holds many series", "say --symbol and --timeframe")
    with closing(sqlite3.connect(f"file:{found.path}?mode=ro", uri=True)) as db:
        try:
            there = db.execute("SELECT DISTINCT symbol FROM candle WHERE timeframe = ?", (found.timeframe,))
            names = [name for (name,) in there if _bare(name) == _bare(found.symbol)]
            if len(names) != 1:
                raise ConfigError(
                    f"{found.path} has no candles of {found.symbol} {found.timeframe}", "as it writes them"
                )
            rows = db.execute(
                "SELECT timestamp, open, high, low, close, volume FROM candle"
                " WHERE symbol = ? AND timeframe = ? ORDER BY timestamp",
                (names[0], found.timeframe),
            )
            while part := rows.fetchmany(_ROWS_AT_ONCE):
                time, *numbers = np.array(part, np.float64).T
                whole = np.nan_to_num(time, nan=-1.0).astype(np.int64)
                yield _of_floats(whole_ms(whole), numbers, digits)
        except (sqlite3.Error, ValueError, TypeError) as error:
            raise ConfigError(
                f"{found.path} has no table `candle` of candles: {error}", "as jesse has it"
            ) from None


def _bare(symbol: str) -> str:
    return re.sub(r"[^A-Z0-9]", "", symbol.upper())
