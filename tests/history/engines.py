"""Both engines of a store, as tests open and empty them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from livecache.history.postgres.store import PackedHistory, PostgresHistory, open_postgres
from livecache.history.sqlite.store import SqliteHistory
from livecache.history.store import HistoryDatabase

from .pg import Postgres

__all__ = ["Engine", "InFile", "OnServer"]


class Engine(Protocol):
    """Where a store is kept."""

    def empty(self) -> None:
        """Nothing is stored any more."""

    def open(self, now: Callable[[], int], *, read_only: bool = False) -> HistoryDatabase:
        """Open what is there, or make it."""


@dataclass(frozen=True)
class InFile:
    """A file in a folder."""

    folder: Path

    def empty(self) -> None:
        for path in self.folder.glob("history.db*"):
            path.unlink()

    def open(self, now: Callable[[], int], *, read_only: bool = False) -> SqliteHistory:
        return SqliteHistory.open(self.folder / "history.db", now, read_only=read_only)


@dataclass(frozen=True)
class OnServer:
    """A database of a PostgreSQL."""

    server: Postgres
    layout: str = "rows"

    def empty(self) -> None:
        self.server.emptied(self._name)

    @property
    def _name(self) -> str:
        return "history" if self.layout == "rows" else self.layout

    def open(self, now: Callable[[], int], *, read_only: bool = False) -> PostgresHistory | PackedHistory:
        return open_postgres(
            replace(self.server.place(self._name), layout=self.layout), now, read_only=read_only
        )
