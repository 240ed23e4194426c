"""Rows in arrays, a block a row: a tenth of the room, and still SQL.

An open is told by what it moved since the last close, a close by what it moved since its open, a high and a
low by how far they lie beyond the two. All in multiples of the tick that the prices of a block have in
common: so PostgreSQL packs them well, and a sum over them gives the prices back. Where a number is too large
for that the block has its rows as `numeric` instead.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from decimal import Decimal
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import psycopg
from psycopg.adapt import Dumper
from psycopg.pq import Format

from ...errors import DamagedBlock
from ...model.timeframe import iso
from ..block import span_of
from ..columns import Array, Columns, Decimals, concat
from ..store import SeriesInfo
from ..tables import blocks
from ..tables.database import Sql
from .database import Database

__all__ = ["Packed"]

_MOST = 1 << 31
_WIDE = "opens, highs, lows, closes, amounts"
_COLUMNS = f"unit, lot, times, gaps, bodies, ups, downs, volumes, {_WIDE}"
_ARRAY = struct.Struct(">iiiii")  # what stands before the first of an array
_INT, _LONG = 23, 20  # PostgreSQL's numbers of these types
_INTS = np.dtype([("size", ">i4"), ("value", ">i4")])
_LONGS = np.dtype([("size", ">i4"), ("value", ">i8")])


class _Ints(bytes):
    """An array as the server takes it."""


class _Longs(bytes):
    """The same of `bigint`."""


class _IntsAreThere(Dumper):
    format, oid = Format.BINARY, 1007

    def dump(self, obj: bytes) -> bytes:
        return bytes(obj)


class _LongsAreThere(_IntsAreThere):
    oid = 1016


class _Stored(NamedTuple):
    """A block, as the server sends it."""

    unit: bytes
    lot: bytes
    times: bytes
    moves: Sequence[bytes | None]
    wide: Sequence[bytes | None]


class Packed(blocks.Blocks, Database):
    """Rows, in the table `blocks` itself."""

    layout = "packed"

    def _connected(self) -> psycopg.Connection:
        raw = super()._connected()
        raw.adapters.register_dumper(_Ints, _IntsAreThere)
        raw.adapters.register_dumper(_Longs, _LongsAreThere)
        return raw

    def held(self, db: Sql, info: SeriesInfo, first: int, last: int) -> Sequence[tuple[int, _Stored]]:
        """The arrays of these blocks, as bytes."""
        found = self.raw.execute(_HELD, (info.id, first, last), binary=True).pgresult
        assert found
        rows = [[found.get_value(row, column) for column in range(14)] for row in range(found.ntuples)]
        return [
            (int(number), _Stored(unit or b"", lot or b"", times or b"", moves[:5], moves[5:]))
            for number, unit, lot, times, *moves in rows
            if number is not None
        ]

    def unpacked(self, info: SeriesInfo, blocks: Sequence[tuple[int, _Stored]]) -> Columns:
        """Their rows. Raises `DamagedBlock`."""
        return concat(_rows(info, block, stored) for block, stored in blocks)

    def keep(self, db: Sql, info: SeriesInfo, block: int, rows: Columns, rev: int) -> None:
        """Store a block."""
        first, last = int(rows.time[0]), int(rows.time[-1])
        times = _longs(np.diff(rows.time, prepend=0))
        moved = _moved(rows)
        wide = [[*map(Decimal, each.texts())] for each in rows.numbers] if moved is None else [None] * 5
        unit, lot, *moves = moved or [None] * 7
        db.execute(_KEEP, (info.id, block, len(rows), first, last, rev, unit, lot, times, *moves, *wide))

    def size(self, db: Sql, info: SeriesInfo) -> int:
        """How many bytes its blocks are."""
        columns = " + ".join(f"coalesce(pg_column_size({each}), 0)" for each in _COLUMNS.split(", "))
        (size,) = db.execute(
            f"SELECT CAST(coalesce(sum({columns}), 0) AS bigint) FROM blocks WHERE series = ?", (info.id,)
        ).fetchone()
        return int(size)

    def take_out(self, db: Sql, info: SeriesInfo, block: int) -> bytes:
        """Its line as text."""
        (text,) = db.execute(
            "SELECT CAST(blocks AS text) FROM blocks WHERE series = ? AND block = ?", (info.id, block)
        ).fetchone()
        return str(text).encode()


def _moved(rows: Columns) -> tuple[object, ...] | None:
    """Tick and lot, and what prices and volumes are in them; None where that is too large."""
    prices, volume = [each.least() for each in rows.numbers[:4]], rows.volume.least()
    scale = max(each.scale for each in prices)
    prices = [each.at(scale) for each in prices]
    if any(each.wide for each in (*prices, volume)):
        return None
    tick = int(np.gcd.reduce(np.concatenate([each.scaled for each in prices]))) or 1
    lot = int(np.gcd.reduce(volume.scaled)) or 1
    opens, highs, lows, closes = (each.scaled // tick for each in prices)
    moves = [
        opens - np.append(0, closes[:-1]),
        closes - opens,
        highs - np.maximum(opens, closes),
        np.minimum(opens, closes) - lows,
    ]
    if max(int(np.abs(each).max()) for each in moves) >= _MOST:
        return None
    units = (Decimal(tick).scaleb(-scale), Decimal(lot).scaleb(-volume.scale))
    return *units, *map(_ints, moves), _longs(volume.scaled // lot)


def _rows(info: SeriesInfo, block: int, stored: _Stored) -> Columns:
    try:
        time = np.cumsum(_array(stored.times, _LONGS))
        if stored.wide[0] is not None:
            wide = ((each or b"").decode().strip("{}").split(",") for each in stored.wide)
            columns = Columns(time, *map(Decimals.of, wide))
        else:
            *four, last = (each or b"" for each in stored.moves)
            gaps, bodies, ups, downs = (_array(each, _INTS) for each in four)
            volumes = _array(last, _LONGS)
            closes = np.cumsum(gaps + bodies)
            opens = closes - bodies
            highs, lows = np.maximum(opens, closes) + ups, np.minimum(opens, closes) - downs
            unit, lot = (Decimals.of([each.decode()]) for each in (stored.unit, stored.lot))
            of_unit = [(each, unit) for each in (opens, highs, lows, closes)]
            columns = Columns(time, *(_times(*each) for each in (*of_unit, (volumes, lot))))
        if len({len(time), *(len(each.scaled) for each in columns.numbers)}) > 1:
            raise ValueError("its columns are of different lengths")
    except (ValueError, ArithmeticError) as error:
        start, end = span_of(block, info.key.timeframe.ms)
        raise DamagedBlock(
            f"the history of {info.key} from {iso(start)} to {iso(end)} is damaged: {error}",
            "livecache history verify --heal puts it aside, and livecache history fill asks for it again",
        ) from None
    return columns


def _times(numbers: Array, unit: Decimals) -> Decimals:
    return Decimals(numbers * int(unit.scaled[0]), unit.scale)


def _ints(numbers: Array) -> _Ints:
    return _Ints(_head(_INT, len(numbers)) + _body(numbers, 4, _INTS))


def _longs(numbers: Array) -> _Longs:
    return _Longs(_head(_LONG, len(numbers)) + _body(numbers, 8, _LONGS))


def _head(kind: int, count: int) -> bytes:
    return _ARRAY.pack(1, 0, kind, count, 1)


def _body(numbers: Array, size: int, kind: np.dtype[np.void]) -> bytes:
    table = np.empty(len(numbers), kind)
    table["size"], table["value"] = size, numbers
    return table.tobytes()


def _array(raw: bytes, kind: np.dtype[np.void]) -> npt.NDArray[np.int64]:
    return np.frombuffer(raw, kind, offset=_ARRAY.size)["value"].astype(np.int64)


_HELD = """SELECT block::text, unit::text, lot::text, times, gaps, bodies, ups, downs, volumes,
        opens::text, highs::text, lows::text, closes::text, amounts::text
    FROM blocks WHERE series = %s AND block BETWEEN %s AND %s ORDER BY block"""

_KEEP = f"""INSERT INTO blocks (series, block, rows, first, last, rev, {_COLUMNS})
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, CAST(? AS bigint[]), CAST(? AS int[]), CAST(? AS int[]), CAST(? AS int[]),
        CAST(? AS int[]), CAST(? AS bigint[]), CAST(? AS numeric[]), CAST(? AS numeric[]),
        CAST(? AS numeric[]), CAST(? AS numeric[]), CAST(? AS numeric[]))
    ON CONFLICT (series, block) DO UPDATE SET rows = excluded.rows, first = excluded.first,
        last = excluded.last, rev = excluded.rev,
        {", ".join(f"{each} = excluded.{each}" for each in _COLUMNS.split(", "))}"""
