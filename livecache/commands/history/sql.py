"""`livecache history sql`: questions in SQL, answered by DuckDB over what is stored."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ...errors import ConfigError
from ...read.candles import package
from .asking import time_of
from .chosen import chosen, print_table
from .opened import Place, open_history

if TYPE_CHECKING:
    from ...history.store import HistoryDatabase, SeriesInfo

__all__ = ["query"]

_SERIES = "CREATE TABLE series (venue VARCHAR, symbol VARCHAR, timeframe VARCHAR, listed TIMESTAMPTZ)"
_COVERAGE = (
    "CREATE TABLE coverage (venue VARCHAR, symbol VARCHAR, timeframe VARCHAR,"
    ' "start" TIMESTAMPTZ, "end" TIMESTAMPTZ)'
)
_ACTIONS = (
    "CREATE TABLE actions (venue VARCHAR, symbol VARCHAR, time TIMESTAMPTZ, kind VARCHAR, value VARCHAR)"
)
_GAPS = (
    'CREATE VIEW gaps AS SELECT * FROM (SELECT venue, symbol, timeframe, "end" AS gap_start,'
    ' lead("start") OVER (PARTITION BY venue, symbol, timeframe ORDER BY "start") AS gap_end FROM coverage)'
    " WHERE gap_end IS NOT NULL"
)
_ROWS = (
    "SELECT make_timestamp_ms(time) AT TIME ZONE 'UTC' AS time, {venue} AS venue, {symbol} AS symbol,"
    " {timeframe} AS timeframe, open, high, low, close, volume FROM {table}"
)
_NUMBERS = ("open", "high", "low", "close", "volume")
_NONE = (
    "SELECT NULL::TIMESTAMPTZ AS time, '' AS venue, '' AS symbol, '' AS timeframe, 0.0::DOUBLE AS open,"
    " 0.0::DOUBLE AS high, 0.0::DOUBLE AS low, 0.0::DOUBLE AS close, 0.0::DOUBLE AS volume WHERE false"
)


def query(
    place: Place,
    statement: str,
    symbols: str | None,
    timeframes: str | None,
    *,
    since: str | None,
    until: str | None,
    as_csv: bool,
    as_json: bool,
) -> None:
    """Print what the statement gives: as a table, as CSV, or as JSON. Raises ConfigError for what is no SQL.

    The candles of these series between these times are read into memory; the store is not changed.
    """
    try:
        duckdb = package("duckdb", "livecache history sql")
    except ModuleNotFoundError:
        raise ConfigError("duckdb is not installed", "pip install 'livecache[sql]'") from None
    start, end = (time_of(flag, text) for flag, text in (("--since", since), ("--until", until)))
    with duckdb.connect(":memory:") as db:
        db.execute("SET TimeZone = 'UTC'")
        with open_history(place) as store:
            _fill(db, store, chosen(store, symbols, timeframes), start or 0, end or 1 << 62)
        # Questions are about the store, and no way to anything else.
        db.execute("SET enable_external_access = false")
        try:
            found = db.execute(statement)
            names, rows = [column[0] for column in found.description or ()], found.fetchall()
        except duckdb.Error as error:
            raise ConfigError(
                str(error).partition("\n")[0], "tables: ohlcv, provisional, series, coverage, gaps, actions"
            ) from None
    _print(names, [[_plain(value) for value in row] for row in rows], as_csv=as_csv, as_json=as_json)


def _fill(db: Any, store: HistoryDatabase, series: Sequence[SeriesInfo], start: int, end: int) -> None:
    """Views on the arrays of each series: nothing is copied."""
    from ...history.columns import within
    from ...model.timeframe import moment

    views, later = [_NONE], [_NONE]
    db.execute(_SERIES)
    db.execute(_COVERAGE)
    db.execute(_ACTIONS)
    for venue, symbol in sorted({info.key[:2] for info in series}):
        for time, what, value in store.actions(venue, symbol):
            db.execute(
                "INSERT INTO actions VALUES (?, ?, ?, ?, ?)", (venue, symbol, moment(time), what, value)
            )
    for info in series:
        venue, symbol, timeframe = named = (*info.key[:2], info.key.timeframe.value)
        listed = None if info.listed is None else moment(info.listed)
        db.execute("INSERT INTO series VALUES (?, ?, ?, ?)", (*named, listed))
        answer = store.read(info.id, start, end, provisional=True)
        for span in answer.coverage.without(answer.provisional):
            db.execute("INSERT INTO coverage VALUES (?, ?, ?, ?, ?)", (*named, *map(moment, span)))
        quoted = {"venue": _quoted(venue), "symbol": _quoted(symbol), "timeframe": _quoted(timeframe)}
        shown = within(answer.rows.time, answer.provisional)
        for into, rows, kind in (
            (views, answer.rows.take(~shown) if shown.any() else answer.rows, "candles"),
            (later, answer.rows.take(shown), "provisional"),
        ):
            table = f"{kind}_{info.id}"
            numbers = (each.floats() for each in rows.numbers)
            db.register(table, {"time": rows.time, **dict(zip(_NUMBERS, numbers, strict=True))})
            into.append(_ROWS.format(**quoted, table=table))
    db.execute("CREATE VIEW ohlcv AS " + " UNION ALL ".join(views))
    db.execute("CREATE VIEW provisional AS " + " UNION ALL ".join(later))
    db.execute(_GAPS)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _plain(value: Any) -> Any:
    """Times as everywhere: ISO 8601, UTC."""
    return value.isoformat().replace("+00:00", "Z") if hasattr(value, "isoformat") else value


def _print(names: Sequence[str], rows: Sequence[Sequence[Any]], *, as_csv: bool, as_json: bool) -> None:
    if as_json:
        told = [dict(zip(names, row, strict=True)) for row in rows]
        print(json.dumps({"columns": list(names), "rows": told}, default=str))
    elif as_csv:
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(names)
        writer.writerows(rows)
    else:
        print_table(names, [["" if value is None else str(value) for value in row] for row in rows])
        print(f"{len(rows):,} row{'s' * (len(rows) != 1)}")
