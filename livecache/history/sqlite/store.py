"""The embedded store: candles, coverage, jobs and log in one SQLite file."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from ...clock import SystemClock
from ...errors import StoreUnusable
from ..tables.jobs import Jobs
from ..tables.symbols import Symbols
from .blocks import Blocks
from .database import BUSY_S
from .log import Log

__all__ = ["SqliteHistory"]


class SqliteHistory(Blocks, Jobs, Symbols, Log):
    """A `HistoryStore`, `JobStore`, `LogStore` and `SymbolStore` in one file."""

    @classmethod
    def open(
        cls,
        path: Path,
        now: Callable[[], int] | None = None,
        *,
        read_only: bool = False,
        busy_s: float = BUSY_S,
    ) -> SqliteHistory:
        """Open the file, or make it; `now` tells Unix ms. Raises `StoreUnusable`.

        `read_only` is for readers: the file has to be there, and nothing in it can be changed. Where others
        write it waits for them, up to `busy_s`.
        """
        return cls(path, now or _wall_ms, writes=not read_only, busy_s=busy_s)

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

    def total_bytes(self) -> int:
        """Bytes of the file."""
        return self.path.stat().st_size


def _wall_ms() -> int:
    return int(SystemClock().wall() * 1000)
