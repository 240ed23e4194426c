"""The embedded store: candles, coverage, jobs and log in one SQLite file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ...clock import SystemClock
from .database import BUSY_S
from .jobs import Jobs
from .keeping import Keeping
from .log import Log
from .symbols import Symbols

__all__ = ["SqliteHistory"]


class SqliteHistory(Keeping, Jobs, Log, Symbols):
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


def _wall_ms() -> int:
    return int(SystemClock().wall() * 1000)
