"""Rows in blocks: as few bytes as can be, and a checksum over each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from ...equities.scale import Scale
from ...errors import DamagedBlock
from ...model.coverage import Coverage
from ...model.timeframe import iso
from ..block import BUCKETS, Packed, block_of, decode, encode, span_of, unpack
from ..columns import NO_ROWS, Columns
from ..store import SeriesInfo
from ..tables.database import Sql
from ..tables.keeping import Keeping
from ..tables.writing import Change, change_of

__all__ = ["Blocks"]

_FAR = 1 << 62


class Blocks(Keeping):
    """Rows, in the table `blocks` itself."""

    def fetch(self, db: Sql, info: SeriesInfo, start: int, end: int) -> Callable[[], Columns]:
        """The rows of `[start, end)`. They are decoded when the transaction is over: commits wait for it."""
        step = info.key.timeframe.ms
        found = db.execute(
            "SELECT block, data FROM blocks WHERE series = ? AND block BETWEEN ? AND ? ORDER BY block",
            (info.id, block_of(start, step), block_of(end - 1, step)),
        ).fetchall()
        return lambda: _rows_of(info, found).clip(start, end)

    def size(self, db: Sql, info: SeriesInfo) -> int:
        """How many bytes its blocks are."""
        (size,) = db.execute(
            "SELECT ifnull(sum(length(data)), 0) FROM blocks WHERE series = ?", (info.id,)
        ).fetchone()
        return int(size)

    def lay(
        self, db: Sql, info: SeriesInfo, rows: Columns, decided: Coverage, scales: Sequence[Scale], rev: int
    ) -> Iterator[Change]:
        """Block by block."""
        for block, page in _pages(db, info, rows, decided):
            change = change_of(_block(db, info, block), page, decided, scales)
            if change:
                yield change
                _store(db, info, block, change.rows, rev)

    def cut(self, db: Sql, info: SeriesInfo, before: int, rev: int) -> int:
        """Rows before that time go. Returns how many."""
        edge = block_of(before, info.key.timeframe.ms)
        (gone,) = db.execute(
            "SELECT ifnull(sum(rows), 0) FROM blocks WHERE series = ? AND block < ?", (info.id, edge)
        ).fetchone()
        db.execute("DELETE FROM blocks WHERE series = ? AND block < ?", (info.id, edge))
        old = _block(db, info, edge)
        kept = old.clip(before, _FAR)
        if len(kept) < len(old):
            _store(db, info, edge, kept, rev)
        return int(gone) + len(old) - len(kept)

    def wrong(
        self, db: Sql, info: SeriesInfo, first: int, last: int
    ) -> Callable[[], Sequence[tuple[int, str]]]:
        """Which blocks do not unpack, or hold other rows than is told beside them."""
        found = db.execute(
            "SELECT block, rows, first, last, rev, data FROM blocks"
            " WHERE series = ? AND block BETWEEN ? AND ? ORDER BY block",
            (info.id, first, last),
        ).fetchall()
        return lambda: [(block, reason) for block, *held in found if (reason := _wrong(info, block, *held))]

    def take_out(self, db: Sql, info: SeriesInfo, block: int) -> bytes:
        """Its bytes, which go with it."""
        held = (info.id, block)
        data: bytes = db.execute("SELECT data FROM blocks WHERE series = ? AND block = ?", held).fetchone()[0]
        return data


def _wrong(info: SeriesInfo, block: int, count: int, first: int, last: int, rev: int, data: bytes) -> str:
    """What is wrong with a block, or ""."""
    try:
        rows = _rows_of(info, [(block, data)])
    except DamagedBlock as error:
        return error.message
    if (len(rows), int(rows.time[0]), int(rows.time[-1])) != (count, first, last):
        return "it holds other rows than are told beside it"
    if (np.diff(rows.time) <= 0).any():
        return "its rows are not in order"
    if rev > info.rev:
        return "it is of a revision that its series has not come to"
    return ""


def _rows_of(info: SeriesInfo, blocks: Sequence[tuple[int, bytes]]) -> Columns:
    """The rows of blocks, which are in order. Raises `DamagedBlock`."""
    return decode((_unpacked(info, block, data) for block, data in blocks), info.key.timeframe.ms)


def _unpacked(info: SeriesInfo, block: int, data: bytes) -> Packed:
    try:
        return unpack(data, info.id, block)
    except ValueError as error:
        start, end = span_of(block, info.key.timeframe.ms)
        raise DamagedBlock(
            f"the history of {info.key} from {iso(start)} to {iso(end)} is damaged: {error}",
            "livecache history verify --heal puts it aside, and livecache history fill asks for it again",
        ) from None


def _pages(db: Sql, info: SeriesInfo, rows: Columns, decided: Coverage) -> Iterator[tuple[int, Columns]]:
    """The blocks that a page may change, and its rows in each."""
    step = info.key.timeframe.ms
    blocks = set(np.unique(rows.time // (step * BUCKETS)).tolist())
    for start, end in decided:
        found = db.execute(
            "SELECT block FROM blocks WHERE series = ? AND block BETWEEN ? AND ? AND last >= ? AND first < ?",
            (info.id, block_of(start, step), block_of(end - 1, step), start, end),
        )
        blocks.update(block for (block,) in found.fetchall())
    for block in sorted(blocks):
        yield block, rows.clip(*span_of(block, step))


def _block(db: Sql, info: SeriesInfo, block: int) -> Columns:
    found = db.execute("SELECT data FROM blocks WHERE series = ? AND block = ?", (info.id, block)).fetchone()
    return _rows_of(info, [(block, found[0])]) if found else NO_ROWS


def _store(db: Sql, info: SeriesInfo, block: int, rows: Columns, rev: int) -> None:
    if not len(rows):
        db.execute("DELETE FROM blocks WHERE series = ? AND block = ?", (info.id, block))
        return
    first, last = int(rows.time[0]), int(rows.time[-1])
    data = encode(rows, info.id, block, info.key.timeframe.ms)
    db.execute(
        "INSERT INTO blocks VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET rows = excluded.rows,"
        " first = excluded.first, last = excluded.last, rev = excluded.rev, data = excluded.data",
        (info.id, block, len(rows), first, last, rev, data),
    )
