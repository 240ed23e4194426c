"""What keeps the file sound: damage found and put aside, copies, and what is forgotten."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from ...errors import DamagedBlock, StoreUnusable
from ...model.coverage import Coverage, Span
from ..block import span_of
from ..store import Damage, SeriesInfo
from .arrivals import forget
from .reading import KEPT_DAYS, info_of, known, owned, rows_of
from .symbols import read_again
from .writing import Writing

__all__ = ["Keeping"]

_DAY_MS = 86_400_000
_LOG_DAYS = 30
_AT_ONCE = 256  # blocks: commits wait while they are read


class Keeping(Writing):
    """Upkeep."""

    def verify(self, series: int | None = None) -> Iterator[Damage]:
        """Read every block, of one series or of all; what cannot be believed."""
        for number in [each.id for each in self.all_series()] if series is None else [series]:
            yield from self._verify(number)

    def _verify(self, series: int) -> Iterator[Damage]:
        after: int | None = None
        while True:
            with self.reading() as db:
                info, step = info_of(db, series)
                found = db.execute(
                    "SELECT block, rows, first, last, rev, data FROM blocks WHERE series = ?"
                    " AND (? IS NULL OR block > ?) ORDER BY block LIMIT ?",
                    (series, after, after, _AT_ONCE),
                ).fetchall()
                if not found and (lost := _lost(db, info)):
                    yield lost
            if not found:
                return
            for block, *beside, data in found:
                if reason := _wrong(info, step, block, beside, data):
                    yield Damage(info, block, Span(*span_of(block, step)), reason)
            after = found[-1][0]

    def heal(self, series: int | None = None) -> Sequence[Damage]:
        """Put aside what cannot be believed, and know its stretch no more: so it is fetched again."""
        found = list(self.verify(series))
        return [damage for damage in found if self._set_aside(damage)]

    def _set_aside(self, damage: Damage) -> bool:
        """Whether it is still damaged, and was put aside."""
        series, block = damage.series.id, damage.block
        with self.writing() as db:
            info, step = info_of(db, series)
            had = known(db, series)
            if block is None:
                if not (lost := _lost(db, info)):
                    return False
                span = lost.span
            else:
                found = db.execute(
                    "SELECT rows, first, last, rev, data FROM blocks WHERE series = ? AND block = ?",
                    (series, block),
                ).fetchone()
                if not found or not _wrong(info, step, block, found[:4], found[4]):
                    return False
                db.execute(
                    "INSERT INTO damaged (series, block, at, reason, data) VALUES (?, ?, ?, ?, ?)",
                    (series, block, self.now(), damage.reason, found[4]),
                )
                db.execute("DELETE FROM blocks WHERE series = ? AND block = ?", (series, block))
                span = damage.span
            gone = owned(info.grid, Coverage([span]), had)
            _uncover(db, series, had, gone)
            read_again(db, series, self.now(), gone)
            db.execute(
                "UPDATE series SET rev = rev + 1, rows = (SELECT ifnull(sum(rows), 0) FROM blocks"
                " WHERE series = :series) WHERE id = :series",
                {"series": series},
            )
        return True

    def backup(self, path: Path) -> None:
        """Write a copy, whole and consistent, while others write. Raises `StoreUnusable`."""
        if path.exists():
            raise StoreUnusable(f"{path} is there already", "give the copy another name")
        unfinished = path.with_name(f"{path.name}.unfinished")
        unfinished.unlink(missing_ok=True)
        try:
            with self._told():
                self.db.execute("VACUUM INTO ?", (str(unfinished),))
            with unfinished.open("rb") as file:
                os.fsync(file.fileno())
            unfinished.rename(path)
        finally:
            unfinished.unlink(missing_ok=True)

    def vacuum(self) -> None:
        """Give unused room back to the file system."""
        with self._told():
            self.db.execute("VACUUM")

    def tidy(self) -> None:
        """Forget what is kept for a time only: revisions, jobs that are over, and the log."""
        now = self.now()
        old, older = now - _LOG_DAYS * _DAY_MS, now - KEPT_DAYS * _DAY_MS
        with self.writing() as db:
            db.execute("DELETE FROM revisions WHERE at < ?", (older,))
            db.execute("DELETE FROM arrivals WHERE at < ?", (older,))
            db.execute("DELETE FROM damaged WHERE at < ?", (older,))
            db.execute("DELETE FROM jobs WHERE finished < ?", (older,))
            db.execute("DELETE FROM orders WHERE created < ?", (older,))
            db.execute("DELETE FROM log WHERE at < ?", (old,))


def _wrong(info: SeriesInfo, step: int, block: int, beside: Sequence[int], data: bytes) -> str:
    """What is wrong with a block, or ""."""
    try:
        rows = rows_of(info, step, [(block, data)])
    except DamagedBlock as error:
        return error.message
    if [len(rows), int(rows.time[0]), int(rows.time[-1])] != list(beside[:3]):
        return "it holds other rows than are told beside it"
    if (np.diff(rows.time) <= 0).any():
        return "its rows are not in order"
    if beside[3] > info.rev:
        return "it is of a revision that its series has not come to"
    return ""


def _lost(db: sqlite3.Connection, info: SeriesInfo) -> Damage | None:
    """Whether blocks are gone. Nobody knows which: all that is known of the series is in doubt."""
    (rows,) = db.execute("SELECT ifnull(sum(rows), 0) FROM blocks WHERE series = ?", (info.id,)).fetchone()
    coverage = known(db, info.id)
    if rows == info.rows or not coverage:
        return None
    span = Span(coverage.spans[0].start, coverage.spans[-1].end)
    return Damage(info, None, span, f"{info.rows} rows were stored, and {rows} are there")


def _uncover(db: sqlite3.Connection, series: int, had: Coverage, spans: Coverage) -> None:
    kept = had.without(spans)
    forget(db, series, spans)
    db.execute("DELETE FROM coverage WHERE series = ?", (series,))
    db.executemany("INSERT INTO coverage VALUES (?, ?, ?)", [(series, *each) for each in kept])
