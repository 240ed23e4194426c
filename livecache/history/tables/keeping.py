"""What keeps a store sound: damage found and put aside, and what is forgotten."""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence

from ...model.coverage import Coverage, Span
from ..block import span_of
from ..records.past import Arrival, Revision
from ..store import Damage, SeriesInfo
from .arrivals import forget
from .database import Sql
from .reading import KEPT_DAYS, counts_of, info_of, known, owned
from .symbols import read_again
from .writing import Writing

__all__ = ["Keeping"]

_DAY_MS = 86_400_000
_LOG_DAYS = 30
_FAR = 1 << 62
_AT_ONCE = 256  # blocks: commits wait while they are read


class Keeping(Writing):
    """Upkeep."""

    @abstractmethod
    def wrong(
        self, db: Sql, info: SeriesInfo, first: int, last: int
    ) -> Callable[[], Sequence[tuple[int, str]]]:
        """Which blocks, from the first to the last, cannot be believed, and why.

        What is left to be done for that when the transaction is over.
        """

    @abstractmethod
    def take_out(self, db: Sql, info: SeriesInfo, block: int) -> bytes:
        """What is stored as the rows of a block, to be put aside; it is no more."""

    def verify(self, series: int | None = None) -> Iterator[Damage]:
        """Read every block, of one series or of all; what cannot be believed."""
        for number in [each.id for each in self.all_series()] if series is None else [series]:
            yield from self._verify(number)

    def _verify(self, series: int) -> Iterator[Damage]:
        after = -_FAR
        while after < _FAR:
            with self.reading() as db:
                info, step = info_of(db, series)
                found = db.execute(
                    "SELECT block FROM blocks WHERE series = ? AND block > ? ORDER BY block LIMIT ?",
                    (series, after, _AT_ONCE),
                ).fetchall()
                last = found[-1][0] if len(found) == _AT_ONCE else _FAR
                wrong = self.wrong(db, info, after + 1, last)
                lost = _lost(db, info) if last == _FAR else None
            for block, reason in wrong():
                yield Damage(info, block, Span(*span_of(block, step)), reason)
            if lost:
                yield lost
            after = last

    def heal(self, series: int | None = None) -> Sequence[Damage]:
        """Put aside what cannot be believed, and know its stretch no more: so it is fetched again."""
        found = list(self.verify(series))
        return [damage for damage in found if self._set_aside(damage)]

    def _set_aside(self, damage: Damage) -> bool:
        """Whether it is still damaged, and was put aside."""
        series, block = damage.series.id, damage.block
        with self.writing() as db:
            self.lock(db, series)
            info, _ = info_of(db, series)
            had = known(db, series)
            if block is None:
                if not (lost := _lost(db, info)):
                    return False
                span = lost.span
            else:
                if not self.wrong(db, info, block, block)():
                    return False
                db.execute(
                    "INSERT INTO damaged (series, block, at, reason, data) VALUES (?, ?, ?, ?, ?)",
                    (series, block, self.now(), damage.reason, self.take_out(db, info, block)),
                )
                db.execute("DELETE FROM blocks WHERE series = ? AND block = ?", (series, block))
                span = damage.span
            gone = owned(info.grid, Coverage([span]), had)
            _uncover(db, series, had, gone)
            read_again(db, series, self.now(), gone)
            db.execute(
                "UPDATE series SET rev = rev + 1, rows = (SELECT coalesce(sum(rows), 0) FROM blocks"
                " WHERE series = :series) WHERE id = :series",
                {"series": series},
            )
        return True

    def carry(
        self, series: int, rev: int, revisions: Sequence[Revision], arrivals: Sequence[Arrival]
    ) -> None:
        """Know from another store what became known when, and what rows were; of a new series only."""
        with self.writing() as db:
            self.lock(db, series)
            if info_of(db, series)[0].rev:
                return
            db.executemany(
                "INSERT INTO revisions (series, rev, time, at, source, old) VALUES (?, ?, ?, ?, ?, ?)",
                [(series, *each[:4], each.old and json.dumps(each.old)) for each in revisions],
            )
            db.executemany(
                "INSERT INTO arrivals VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [
                    (series, *each[:5], spans[0].start, spans[-1].end, json.dumps(spans))
                    for each in arrivals
                    if (spans := each.coverage.spans)
                ],
            )
            db.execute("UPDATE series SET rev = ? WHERE id = ?", (rev, series))

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


def _lost(db: Sql, info: SeriesInfo) -> Damage | None:
    """Whether blocks are gone. Nobody knows which: all that is known of the series is in doubt."""
    rows, _, _ = counts_of(db, info.id)
    coverage = known(db, info.id)
    if rows == info.rows or not coverage:
        return None
    span = Span(coverage.spans[0].start, coverage.spans[-1].end)
    return Damage(info, None, span, f"{info.rows} rows were stored, and {rows} are there")


def _uncover(db: Sql, series: int, had: Coverage, spans: Coverage) -> None:
    kept = had.without(spans)
    forget(db, series, spans)
    db.execute("DELETE FROM coverage WHERE series = ?", (series,))
    db.executemany("INSERT INTO coverage VALUES (?, ?, ?)", [(series, *each) for each in kept])
