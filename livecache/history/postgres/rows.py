"""Rows as rows: what psql, Grafana and pandas read. They go in and out by COPY."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta

import numpy as np

from ...equities.scale import Scale
from ...errors import DamagedBlock
from ...model.coverage import Coverage
from ...model.timeframe import iso
from ..block import BUCKETS, block_of, span_of
from ..columns import NO_ROWS, Columns, Decimals
from ..store import SeriesInfo
from ..tables.database import Sql
from ..tables.keeping import Keeping
from ..tables.reading import counts_of
from ..tables.writing import Change, change_of
from .binary import SINCE_MS, packed
from .database import Database

__all__ = ["Rows"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST, _LAST = (each.replace(tzinfo=UTC) for each in (datetime.min, datetime.max))
_MS = "CAST(extract(epoch FROM {}) * 1000 AS bigint)"
_WITHIN = "series = ? AND time >= ? AND time < ?"
_NUMBERS = "open, high, low, close, volume"


class Rows(Keeping, Database):
    """Rows, in the table `candles`."""

    layout = "rows"

    def fetch(self, db: Sql, info: SeriesInfo, start: int, end: int) -> Callable[[], Columns]:
        """The rows of `[start, end)`. They come as one, a text a column: each row would cost by itself."""
        found = self.raw.execute(_FETCH, (info.id, _at(start), _at(end)), binary=True).pgresult
        assert found
        time, *numbers = (found.get_value(0, column) for column in range(6))
        return lambda: _columns(info, time, numbers)

    def size(self, db: Sql, info: SeriesInfo) -> int:
        """Its share of what the table and its index take."""
        (size,) = db.execute(
            "SELECT CAST(pg_total_relation_size('candles') * CAST(? AS float8)"
            " / greatest((SELECT sum(rows) FROM series), 1) AS bigint)",
            (info.rows,),
        ).fetchone()
        return int(size)

    def lay(
        self, db: Sql, info: SeriesInfo, rows: Columns, decided: Coverage, scales: Sequence[Scale], rev: int
    ) -> Iterator[Change]:
        """At once. Where nothing lies yet nothing is compared: the page goes straight into the table."""
        touched = Coverage([*decided, *([(int(rows.time[0]), int(rows.time[-1]) + 1)] if len(rows) else ())])
        if not touched:
            return
        old = self.fetch(db, info, touched.spans[0].start, touched.spans[-1].end)()
        change = change_of(old, rows, decided, scales)
        if not change:
            return
        yield change
        gone = change.removed.time
        if len(change.laid) > len(change.inserted):
            gone = np.concatenate((gone, np.setdiff1d(change.laid, change.inserted)))
        if len(gone):
            db.execute(
                f"DELETE FROM candles WHERE {_WITHIN} AND {_MS.format('time')} = ANY(?)",
                (info.id, _at(int(gone.min())), _at(int(gone.max()) + 1), gone.tolist()),
            )
        fresh = rows if len(change.laid) == len(rows) else rows.take(np.isin(rows.time, change.laid))
        if len(fresh):
            self._copy(info, fresh)
        self._count(db, info, change, rev)

    def _copy(self, info: SeriesInfo, rows: Columns) -> None:
        data, form = packed(info.id, rows), "binary"
        if data is None:
            texts = zip(*(each.texts() for each in rows.numbers), strict=True)
            at = np.datetime_as_string(rows.time.astype("M8[ms]"), timezone="UTC").tolist()
            lines = ("\t".join((str(info.id), time, *each)) for time, each in zip(at, texts, strict=True))
            data, form = "\n".join((*lines, "")).encode(), "text"
        into = f"COPY candles (series, time, {_NUMBERS}) FROM STDIN (FORMAT {form})"
        with self.raw.cursor() as cursor, cursor.copy(into) as copy:
            copy.write(data)

    def _count(self, db: Sql, info: SeriesInfo, change: Change, rev: int) -> None:
        """Tell what was changed of each block."""
        length = info.key.timeframe.ms * BUCKETS
        more, less, laid = (each // length for each in (change.inserted, change.removed.time, change.laid))
        first = int(min(each.min() for each in (less, laid) if len(each)))
        touched = np.flatnonzero(np.bincount(np.concatenate((less, laid)) - first))
        grown = (np.bincount(each - first, minlength=touched[-1] + 1)[touched] for each in (more, less))
        db.execute(
            _COUNT,
            {
                "series": info.id,
                "blocks": (touched + first).tolist(),
                "counts": np.subtract(*grown).tolist(),
                "seconds": length / 1000,
                "rev": rev,
            },
        )
        if len(less):
            db.execute("DELETE FROM blocks WHERE series = ? AND rows = 0", (info.id,))

    def cut(self, db: Sql, info: SeriesInfo, before: int, rev: int) -> int:
        """Rows before that time go. Returns how many."""
        edge, (had, _, _) = block_of(before, info.key.timeframe.ms), counts_of(db, info.id)
        db.execute("DELETE FROM candles WHERE series = ? AND time < ?", (info.id, _at(before)))
        db.execute("DELETE FROM blocks WHERE series = ? AND block < ?", (info.id, edge))
        _, end = span_of(edge, info.key.timeframe.ms)
        rows, first = db.execute(
            f"SELECT count(*), {_MS.format('min(time)')} FROM candles WHERE {_WITHIN}",
            (info.id, _at(before), _at(end)),
        ).fetchone()
        if rows:
            db.execute(
                "UPDATE blocks SET rows = ?, first = ?, rev = ? WHERE series = ? AND block = ? AND first < ?",
                (rows, first, rev, info.id, edge, before),
            )
        else:
            db.execute("DELETE FROM blocks WHERE series = ? AND block = ?", (info.id, edge))
        return had - counts_of(db, info.id)[0]

    def wrong(
        self, db: Sql, info: SeriesInfo, first: int, last: int
    ) -> Callable[[], Sequence[tuple[int, str]]]:
        """Which blocks have other rows than pages brought: somebody has written into the table by hand."""
        step = info.key.timeframe.ms
        found = db.execute(
            _WRONG,
            {
                "series": info.id,
                "first": first,
                "last": last,
                "start": _at(first * step * BUCKETS),
                "end": _at((last + 1) * step * BUCKETS),
                "seconds": step * BUCKETS / 1000,
                "rev": info.rev,
            },
        ).fetchall()
        return lambda: [
            (block, f"{there or 0} candles are there, and pages brought {told or 0}")
            if there != told
            else (block, "it has candles that no page brought")
            for block, there, told in found
        ]

    def take_out(self, db: Sql, info: SeriesInfo, block: int) -> bytes:
        """Its rows as lines of text."""
        start, end = span_of(block, info.key.timeframe.ms)
        with self.raw.cursor() as cursor, cursor.copy(_TAKE, (info.id, _at(start), _at(end))) as copy:
            raw = b"".join(copy)
        db.execute(f"DELETE FROM candles WHERE {_WITHIN}", (info.id, _at(start), _at(end)))
        return raw


def _at(time: int) -> datetime:
    """As PostgreSQL takes it; what is beyond all years is their end."""
    try:
        return _EPOCH + timedelta(milliseconds=time)
    except OverflowError:
        return _LAST if time > 0 else _FIRST


def _columns(info: SeriesInfo, time: bytes | None, numbers: Sequence[bytes | None]) -> Columns:
    """An array of times and texts of numbers as columns. Raises `DamagedBlock`."""
    if time is None:
        return NO_ROWS
    opens = np.frombuffer(time, _TIMES, offset=_ARRAY)["time"] // 1000 + SINCE_MS
    try:
        return Columns(opens, *(_decimals(each or b"") for each in numbers))
    except (ValueError, ArithmeticError):
        raise DamagedBlock(
            f"the history of {info.key} from {iso(int(opens[0]))} on has what is no number",
            "livecache history verify --heal puts it aside, and livecache history fill asks for it again",
        ) from None


def _decimals(texts: bytes) -> Decimals:
    plain = Decimals.plain(texts + b",", 1)
    return plain[0] if plain else Decimals.of(texts.decode().split(","))


_ARRAY = 20  # bytes before the first of an array
_TIMES = np.dtype([("size", ">i4"), ("time", ">i8")])
_FETCH = f"""SELECT array_agg(time), {", ".join(f"string_agg({n}::text, ',')" for n in _NUMBERS.split(", "))}
    FROM (SELECT time, {_NUMBERS} FROM candles
        WHERE series = %s AND time >= %s AND time < %s ORDER BY time) AS its"""
_TAKE = (
    f"COPY (SELECT time, {_NUMBERS} FROM candles WHERE {_WITHIN.replace('?', '%s')} ORDER BY time) TO STDOUT"
)

_COUNT = f"""INSERT INTO blocks AS held (series, block, rows, first, last, rev)
    SELECT :series, its.block, its.rows,
        coalesce({_MS.format("since")}, 0), coalesce({_MS.format("till")}, 0), :rev
    FROM unnest(CAST(:blocks AS bigint[]), CAST(:counts AS int[])) AS its (block, rows),
        LATERAL (SELECT min(time) AS since, max(time) AS till FROM candles WHERE series = :series
            AND time >= to_timestamp(its.block * :seconds)
            AND time < to_timestamp((its.block + 1) * :seconds)) AS lie
    ON CONFLICT (series, block) DO UPDATE SET rows = held.rows + excluded.rows, first = excluded.first,
        last = excluded.last, rev = excluded.rev"""

_ODD = (  # no number, which here is more than all, or one of more digits than are read
    "greatest(abs(open), abs(high), abs(low), abs(close), abs(volume)) >= 1e1000"
    " OR scale(open + high + low + close + volume) > 1000"
)

_WRONG = f"""SELECT block, there.rows, told.rows FROM
        (SELECT block, rows, first, last, rev FROM blocks
            WHERE series = :series AND block BETWEEN :first AND :last) AS told
    FULL JOIN
        (SELECT CAST(floor(date_part('epoch', time) / :seconds) AS bigint) AS block, count(*) AS rows,
            {_MS.format("min(time)")} AS first, {_MS.format("max(time)")} AS last,
            bool_or({_ODD}) AS odd
            FROM candles WHERE series = :series AND time >= :start AND time < :end GROUP BY 1) AS there
    USING (block)
    WHERE (told.rows, told.first, told.last) IS DISTINCT FROM (there.rows, there.first, there.last)
        OR told.rev > :rev OR there.odd ORDER BY block"""
