"""The stream of closes, followed from its beginning."""

from __future__ import annotations

from typing import Any

import redis

from livecache.keys.keyspace import Keyspace
from livecache.model.series import SeriesId

__all__ = ["Announcements"]

_PAGE = 1_000


class Announcements:
    """What was announced so far, also of entries that are gone by now."""

    def __init__(self, client: redis.Redis, keys: Keyspace) -> None:
        self._client = client
        self._keys = keys
        self._last = "-"
        self._told: set[tuple[str, int, str]] = set()

    def has(self, series: SeriesId, time: int, kind: str) -> bool:
        """Whether that was announced of the bucket."""
        return (self._keys.series_member(series), time, kind) in self._told

    def read(self) -> None:
        """Take what is new."""
        while True:
            entries: Any = self._client.xrange(self._keys.closes, self._last, "+", count=_PAGE)
            for identity, entry in entries:
                self._last = f"({identity.decode()}"
                series, time, kind = entry[b"series"], entry[b"time"], entry[b"kind"]
                self._told.add((series.decode(), int(time), kind.decode()))
            if len(entries) < _PAGE:
                return

    def restart(self) -> None:
        """The stream was lost or put back: what comes is read from its beginning."""
        self._last = "-"
