"""Blocks as bytes: as few as can be, and a checksum over each."""

from __future__ import annotations

from collections.abc import Sequence

from ...errors import DamagedBlock
from ...model.timeframe import iso
from ..block import Packed, decode, encode, span_of, unpack
from ..columns import Columns
from ..store import SeriesInfo
from ..tables import blocks
from ..tables.database import Sql

__all__ = ["Blocks"]


class Blocks(blocks.Blocks):
    """Rows, in the table `blocks` itself."""

    def held(self, db: Sql, info: SeriesInfo, first: int, last: int) -> Sequence[tuple[int, bytes]]:
        """The bytes of these blocks."""
        found: list[tuple[int, bytes]] = db.execute(
            "SELECT block, data FROM blocks WHERE series = ? AND block BETWEEN ? AND ? ORDER BY block",
            (info.id, first, last),
        ).fetchall()
        return found

    def unpacked(self, info: SeriesInfo, blocks: Sequence[tuple[int, bytes]]) -> Columns:
        """Their rows. Raises `DamagedBlock`."""
        return decode((_unpacked(info, block, data) for block, data in blocks), info.key.timeframe.ms)

    def keep(self, db: Sql, info: SeriesInfo, block: int, rows: Columns, rev: int) -> None:
        """Store a block."""
        first, last = int(rows.time[0]), int(rows.time[-1])
        data = encode(rows, info.id, block, info.key.timeframe.ms)
        db.execute(
            "INSERT INTO blocks VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET rows = excluded.rows,"
            " first = excluded.first, last = excluded.last, rev = excluded.rev, data = excluded.data",
            (info.id, block, len(rows), first, last, rev, data),
        )

    def size(self, db: Sql, info: SeriesInfo) -> int:
        """How many bytes its blocks are."""
        (size,) = db.execute(
            "SELECT ifnull(sum(length(data)), 0) FROM blocks WHERE series = ?", (info.id,)
        ).fetchone()
        return int(size)

    def take_out(self, db: Sql, info: SeriesInfo, block: int) -> bytes:
        """Its bytes, which go with it."""
        return self.held(db, info, block, block)[0][1]


def _unpacked(info: SeriesInfo, block: int, data: bytes) -> Packed:
    try:
        return unpack(data, info.id, block)
    except ValueError as error:
        start, end = span_of(block, info.key.timeframe.ms)
        raise DamagedBlock(
            f"the history of {info.key} from {iso(start)} to {iso(end)} is damaged: {error}",
            "livecache history verify --heal puts it aside, and livecache history fill asks for it again",
        ) from None
