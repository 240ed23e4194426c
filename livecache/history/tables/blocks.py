"""Rows in blocks of 1,440 bucket lengths: a page changes those that it touches, each as a whole."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from ...equities.scale import Scale
from ...errors import DamagedBlock
from ...model.coverage import Coverage
from ..block import BUCKETS, block_of, span_of
from ..columns import Columns
from ..store import SeriesInfo
from .database import Sql
from .keeping import Keeping
from .writing import Change, change_of

__all__ = ["Blocks"]

_FAR = 1 << 62


class Blocks(Keeping):
    """Rows, in the table `blocks` itself."""

    @abstractmethod
    def held(self, db: Sql, info: SeriesInfo, first: int, last: int) -> Sequence[tuple[int, Any]]:
        """What is stored of the blocks from the first to the last, each with its number, in order."""

    @abstractmethod
    def unpacked(self, info: SeriesInfo, blocks: Sequence[tuple[int, Any]]) -> Columns:
        """The rows of these. Raises `DamagedBlock`."""

    @abstractmethod
    def keep(self, db: Sql, info: SeriesInfo, block: int, rows: Columns, rev: int) -> None:
        """Store a block; it has rows."""

    def fetch(self, db: Sql, info: SeriesInfo, start: int, end: int) -> Callable[[], Columns]:
        """The rows of `[start, end)`. They are decoded when the transaction is over: commits wait for it."""
        step = info.key.timeframe.ms
        found = self.held(db, info, block_of(start, step), block_of(end - 1, step))
        return lambda: self.unpacked(info, found).clip(start, end)

    def lay(
        self, db: Sql, info: SeriesInfo, rows: Columns, decided: Coverage, scales: Sequence[Scale], rev: int
    ) -> Iterator[Change]:
        """Block by block."""
        for block, page in _pages(db, info, rows, decided):
            change = change_of(self._block(db, info, block), page, decided, scales)
            if change:
                yield change
                self._store(db, info, block, change.rows, rev)

    def cut(self, db: Sql, info: SeriesInfo, before: int, rev: int) -> int:
        """Rows before that time go. Returns how many."""
        edge = block_of(before, info.key.timeframe.ms)
        (gone,) = db.execute(
            "SELECT CAST(coalesce(sum(rows), 0) AS bigint) FROM blocks WHERE series = ? AND block < ?",
            (info.id, edge),
        ).fetchone()
        db.execute("DELETE FROM blocks WHERE series = ? AND block < ?", (info.id, edge))
        old = self._block(db, info, edge)
        kept = old.clip(before, _FAR)
        if len(kept) < len(old):
            self._store(db, info, edge, kept, rev)
        return int(gone) + len(old) - len(kept)

    def wrong(
        self, db: Sql, info: SeriesInfo, first: int, last: int
    ) -> Callable[[], Sequence[tuple[int, str]]]:
        """Which blocks do not unpack, or hold other rows than is told beside them."""
        beside = db.execute(
            "SELECT block, rows, first, last, rev FROM blocks"
            " WHERE series = ? AND block BETWEEN ? AND ? ORDER BY block",
            (info.id, first, last),
        ).fetchall()
        found = dict(self.held(db, info, first, last))
        return lambda: [
            (block, reason)
            for block, *told in beside
            if (reason := self._wrong(info, block, found.get(block), *told))
        ]

    def _wrong(
        self, info: SeriesInfo, block: int, data: Any, count: int, first: int, last: int, rev: int
    ) -> str:
        """What is wrong with a block, or ""."""
        try:
            rows = self.unpacked(info, [(block, data)])
        except DamagedBlock as error:
            return error.message
        if [len(rows), *rows.time[[0, -1]].tolist()] != [count, first, last]:
            return "it holds other rows than are told beside it"
        if (np.diff(rows.time) <= 0).any():
            return "its rows are not in order"
        if rev > info.rev:
            return "it is of a revision that its series has not come to"
        return ""

    def _block(self, db: Sql, info: SeriesInfo, block: int) -> Columns:
        return self.unpacked(info, self.held(db, info, block, block))

    def _store(self, db: Sql, info: SeriesInfo, block: int, rows: Columns, rev: int) -> None:
        if len(rows):
            self.keep(db, info, block, rows, rev)
        else:
            db.execute("DELETE FROM blocks WHERE series = ? AND block = ?", (info.id, block))


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
