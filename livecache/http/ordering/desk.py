"""The file of the history, for who orders work and asks what became of it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeVar

from ...errors import LivecacheError, StoreUnusable
from ...history.thread import StoreThread
from ..answers import NotServed
from ..watch.instance import Instance

if TYPE_CHECKING:
    from ...history.sqlite.store import SqliteHistory

__all__ = ["Desk"]

_BUSY_S = 2.0  # so long another connection is waited for

_T = TypeVar("_T")


class Desk:
    """A connection of its own, in a thread of its own; it is opened by who asks first."""

    def __init__(self, instance: Instance) -> None:
        self._instance = instance
        self._thread = StoreThread()
        self._store: SqliteHistory | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._thread(self._close)
        await self._thread.__aexit__(kind, error, trace)

    async def __call__(self, work: Callable[[SqliteHistory], _T]) -> _T:
        """What `work` returns. Raises `NotServed` where no history is kept, and `StoreUnusable`."""
        path = self.path
        return await self._thread(lambda: self._do(path, work))

    @property
    def path(self) -> Path:
        """Where the file is. Raises `NotServed` where no history is kept."""
        path = self._instance.history_path
        if path is None:
            hint = 'set history.url to "embedded", and start again'
            raise NotServed("no_history", 409, "no history is kept here", hint, again_s=None)
        return path

    def _do(self, path: Path, work: Callable[[SqliteHistory], _T]) -> _T:
        try:
            if self._store is not None and self._store.moved:
                self._close()
            if self._store is None:
                self._store = self._open(path)
            return work(self._store)
        except StoreUnusable:
            self._close()  # What is there by then is opened anew.
            raise

    def _open(self, path: Path) -> SqliteHistory:
        from ...history.sqlite.store import SqliteHistory

        with suppress(OSError):  # Opening says why.
            path.parent.mkdir(parents=True, exist_ok=True)
        wall = self._instance.clock.wall
        return SqliteHistory.open(path, lambda: int(wall() * 1000), busy_s=_BUSY_S)

    def _close(self) -> None:
        store, self._store = self._store, None
        if store is not None:
            with suppress(LivecacheError):
                store.close()
