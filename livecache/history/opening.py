"""Opens the store that is at a place, of whichever kind: nobody else knows which there are."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ..clock import SystemClock
from ..errors import ConfigError, StoreUnusable
from ..keys.history_place import Place
from .records.log import LogStore
from .store import HistoryDatabase

__all__ = ["Place", "open_history", "open_log"]

_BUSY_S = 30.0


def open_history(
    place: Place,
    now: Callable[[], int] | None = None,
    *,
    read_only: bool = False,
    busy_s: float = _BUSY_S,
) -> HistoryDatabase:
    """The store at that place; it is made, unless `read_only`. `now` tells Unix ms.

    Where others write it waits for them, up to `busy_s`. Raises `StoreUnusable`, and `ConfigError` where what
    it takes is not installed.
    """
    with _installed():
        if place.path is None:
            from .postgres.store import open_postgres

            return open_postgres(place, now or _wall_ms, read_only=read_only, busy_s=busy_s)
        from .sqlite.store import SqliteHistory
    if not read_only:
        _make_directory(place)
    return SqliteHistory.open(place.path, now or _wall_ms, read_only=read_only, busy_s=busy_s)


def open_log(place: Place, now: Callable[[], int], *, busy_s: float) -> LogStore:
    """The log of the store at that place, without what takes numpy. Raises as `open_history` does."""
    if place.path is None:
        with _installed():
            from .postgres import log
        return log.Log(place, now, writes=True, busy_s=busy_s)
    from .sqlite.log import Log

    _make_directory(place)
    return Log(place.path, now, writes=True, busy_s=busy_s)


@contextmanager
def _installed() -> Iterator[None]:
    try:
        yield
    except ModuleNotFoundError as error:
        extra = {"numpy": "history", "psycopg": "postgres"}.get(error.name or "")
        if extra is None:
            raise
        raise ConfigError(f"{error.name} is not installed", f"pip install 'livecache[{extra}]'") from None


def _make_directory(place: Place) -> None:
    assert place.path is not None
    directory = place.path.parent
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        hint = "it takes a directory that is there, or may be made"
        raise StoreUnusable(f"{directory}: {error.strerror}", hint) from None


def _wall_ms() -> int:
    return int(SystemClock().wall() * 1000)
