"""The store of the history, for who orders work and asks what became of it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeVar

from ...errors import LivecacheError, StoreUnusable
from ...history.thread import StoreThread
from ...keys.history_place import Place
from ..answers import NotServed
from ..watch.instance import Instance

if TYPE_CHECKING:
    from ...history.store import HistoryDatabase

__all__ = ["Desk"]

_BUSY_S = 2.0  # so long another connection is waited for

_T = TypeVar("_T")


class Desk:
    """A connection of its own, in a thread of its own; it is opened by who asks first."""

    def __init__(self, instance: Instance) -> None:
        self._instance = instance
        self._thread = StoreThread()
        self._store: HistoryDatabase | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._thread(self._close)
        await self._thread.__aexit__(kind, error, trace)

    async def __call__(self, work: Callable[[HistoryDatabase], _T]) -> _T:
        """What `work` returns. Raises `NotServed` where no history is kept, and `StoreUnusable`."""
        place = self.place
        return await self._thread(lambda: self._do(place, work))

    @property
    def place(self) -> Place:
        """Where it is. Raises `NotServed` where no history is kept."""
        place = self._instance.history_place
        if place is None:
            hint = 'set history.url to "embedded", and start again'
            raise NotServed("no_history", 409, "no history is kept here", hint, again_s=None)
        return place

    def _do(self, place: Place, work: Callable[[HistoryDatabase], _T]) -> _T:
        try:
            if self._store is not None and self._store.moved:
                self._close()
            if self._store is None:
                self._store = self._open(place)
            return work(self._store)
        except StoreUnusable:
            self._close()  # What is there by then is opened anew.
            raise

    def _open(self, place: Place) -> HistoryDatabase:
        from ...history.opening import open_history

        wall = self._instance.clock.wall
        return open_history(place, lambda: int(wall() * 1000), busy_s=_BUSY_S)

    def _close(self) -> None:
        store, self._store = self._store, None
        if store is not None:
            with suppress(LivecacheError):
                store.close()
