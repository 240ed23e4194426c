"""What the log of a store promises."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

__all__ = ["LogEntry", "LogStore"]


@dataclass(frozen=True, slots=True)
class LogEntry:
    """A record of the store's own log."""

    at: int
    level: str
    event: str
    message: str
    job: int | None = None
    series: int | None = None
    detail: str = ""
    """JSON, or a stack trace."""
    id: int = 0
    """Given by the store."""


class LogStore(Protocol):
    """The log of a store: thirty days of it, and a hundred thousand records at most."""

    def log(self, entries: Sequence[LogEntry]) -> None:
        """Append."""

    def logged(
        self, *, after: int = 0, job: int | None = None, series: int | None = None, limit: int = 1_000
    ) -> Sequence[LogEntry]:
        """The newest entries with an id beyond `after`, oldest first."""

    def number_of(self, venue: str, symbol: str, timeframe: str) -> int | None:
        """The number of a series; None where there is none."""

    def close(self) -> None:
        """Let go of the database."""
