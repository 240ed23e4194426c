"""The store on a server: candles, coverage, jobs and log in one PostgreSQL database."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path

from ...errors import StoreUnusable
from ...keys.history_place import Place
from ..records.jobs import Job
from ..tables.jobs import Jobs
from ..tables.symbols import Symbols
from .log import Log
from .packed import Packed
from .rows import Rows
from .stalled import end_stalled

__all__ = ["PackedHistory", "PostgresHistory", "open_postgres"]

BUSY_S = 30.0
"""So long one waits for another's transaction."""


_LOOK_S = 10.0  # where there is no job


class _Server(Jobs, Symbols, Log):
    """What a store on a server has in either layout."""

    _looked_s = float("-inf")

    def claim(self, worker: str, venue: str = "", *, urgent: bool | None = None) -> Job | None:
        """The most urgent job that may begin; one that a worker was stopped at in a COPY is set free."""
        job = super().claim(worker, venue, urgent=urgent)
        if job is None and time.monotonic() - self._looked_s > _LOOK_S:
            self._looked_s = time.monotonic()
            with self._told():
                end_stalled(self.raw)
        return job

    def backup(self, path: Path) -> None:
        """Refused: PostgreSQL has means of its own. Raises `StoreUnusable`."""
        raise StoreUnusable(
            f"{self.place} is no file to be copied", f"pg_dump --format=custom --file={path} {self.place}"
        )

    def vacuum(self) -> None:
        """Give room that is not used any more to others who write; PostgreSQL does so by itself, too."""
        with self._told():
            self.raw.execute("VACUUM (ANALYZE) candles, blocks")

    def total_bytes(self) -> int:
        """Bytes of its tables, with their indexes."""
        found: tuple[int] = self.one(
            "SELECT CAST(coalesce(sum(pg_total_relation_size(oid)), 0) AS bigint) FROM pg_class"
            " WHERE relkind = 'r' AND relnamespace ="
            " (SELECT relnamespace FROM pg_class WHERE oid = to_regclass('meta'))"
        )
        return found[0]


class PostgresHistory(Rows, _Server):
    """A `HistoryDatabase` of plain rows."""


class PackedHistory(Packed, _Server):
    """A `HistoryDatabase` of packed arrays."""


_LAYOUTS: Mapping[str, type[PostgresHistory | PackedHistory]] = {
    each.layout: each for each in (PostgresHistory, PackedHistory)
}


def open_postgres(
    place: Place, now: Callable[[], int], *, read_only: bool = False, busy_s: float = BUSY_S
) -> PostgresHistory | PackedHistory:
    """Connect, and make the tables if need be; `now` tells Unix ms. Raises `StoreUnusable`.

    `read_only` is for readers: the tables have to be there, and nothing in them can be changed. Whoever
    writes waits up to `busy_s` for others who do.
    """
    store = _LAYOUTS[place.layout](place, now, writes=not read_only, busy_s=busy_s)
    if store.stored_as == store.layout:
        return store
    store.close()
    return _LAYOUTS[store.stored_as](place, now, writes=not read_only, busy_s=busy_s)
