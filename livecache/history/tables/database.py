"""A database as the tables see it: what a transaction is. How it is opened is the engine's."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from typing import Any, Protocol

__all__ = ["Sql", "Tables"]


class Sql(Protocol):
    """A connection. Values are `?` or `:name` in every engine."""

    def execute(self, sql: str, values: Any = ..., /) -> Any:
        """A cursor: `fetchone`, `fetchall`, rows one by one, and `rowcount`."""

    def executemany(self, sql: str, values: Iterable[Any], /) -> Any:
        """The same for each of these values; nothing is answered."""


class Tables(ABC):
    """An open database. `now` tells Unix ms by the host's clock."""

    now: Callable[[], int]
    first_free = ""
    """What the SELECT of a job ends with, so that it passes over those that others are just taking."""

    @abstractmethod
    def writing(self) -> AbstractContextManager[Sql]:
        """A transaction of which all is stored, or nothing. Within one it is part of that."""

    @abstractmethod
    def reading(self) -> AbstractContextManager[Sql]:
        """A transaction in which all is as it was at its first statement."""

    @abstractmethod
    def lock(self, db: Sql, series: int, *, symbol: bool = False) -> None:
        """Whoever else would change that series, or any of its symbol, waits for this transaction's end."""

    @abstractmethod
    def alone(self, db: Sql) -> None:
        """Whoever else would submit jobs waits for this transaction's end."""

    def one(self, sql: str, *values: Any) -> Any:
        """The first row of an answer, or None."""
        with self.reading() as db:
            return db.execute(sql, values).fetchone()

    def number_of(self, venue: str, symbol: str, timeframe: str) -> int | None:
        """The number of a series; None where there is none."""
        found = self.one(
            "SELECT id FROM series WHERE venue = ? AND symbol = ? AND timeframe = ?", venue, symbol, timeframe
        )
        return found[0] if found else None
