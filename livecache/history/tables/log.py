"""The store's own log."""

from __future__ import annotations

from collections.abc import Sequence

from ..records.log import LogEntry
from .database import Tables

__all__ = ["ENTRIES_MOST", "Log"]

ENTRIES_MOST = 100_000
"""The oldest go."""


class Log(Tables):
    """The log."""

    def log(self, entries: Sequence[LogEntry]) -> None:
        """Append."""
        with self.writing() as db:
            db.executemany(
                "INSERT INTO log (at, level, event, message, job, series, detail)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                [(e.at, e.level, e.event, e.message, e.job, e.series, e.detail) for e in entries],
            )
            db.execute("DELETE FROM log WHERE id <= (SELECT max(id) FROM log) - ?", (ENTRIES_MOST,))

    def logged(
        self, *, after: int = 0, job: int | None = None, series: int | None = None, limit: int = 1_000
    ) -> Sequence[LogEntry]:
        """The newest entries with an id beyond `after`, oldest first."""
        named = {"job": job, "series": series}
        of = {name: number for name, number in named.items() if number is not None}
        with self.reading() as db:
            found = db.execute(
                "SELECT at, level, event, message, job, series, detail, id FROM log WHERE id > ?"
                f"{''.join(f' AND {name} = ?' for name in of)} ORDER BY id DESC LIMIT ?",
                (after, *of.values(), limit),
            ).fetchall()
        return [LogEntry(*row) for row in reversed(found)]
