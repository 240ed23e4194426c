"""The thread of a store: it blocks, and nobody else may touch it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, TypeVar

from ..errors import DamagedBlock
from ..quiet import logger
from .store import HistoryStore

__all__ = ["Blocking", "Healing", "StoreThread"]

_T = TypeVar("_T")


class Blocking(Protocol):
    """Where a store's work is done."""

    async def __call__(self, work: Callable[[], _T]) -> _T:
        """What `work` returns."""
        ...


class StoreThread:
    """One thread. What is called in it runs in the order of the calls, to its end: a commit is never half."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="history")

    async def __call__(self, work: Callable[[], _T]) -> _T:
        """What `work` returns. One that is cancelled is waited for first: what it does takes milliseconds."""
        future = asyncio.get_running_loop().run_in_executor(self._pool, work)
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            await asyncio.wait([future])
            if not future.cancelled():
                future.exception()  # it is nobody's any more
            raise

    async def __aenter__(self) -> StoreThread:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Take no more work; what has been given is done first."""
        self._pool.shutdown()


@dataclass(frozen=True, slots=True)
class Healing:
    """A store's thread in which damage that is met is put aside: so it is missing, and asked for again.

    Then `healed` is called.
    """

    thread: Blocking
    store: HistoryStore
    healed: Callable[[], None] = lambda: None

    async def __call__(self, work: Callable[[], _T]) -> _T:
        """What `work` returns, at the second attempt if need be."""
        found = False

        def healing() -> _T:
            nonlocal found
            try:
                return work()
            except DamagedBlock as error:
                logger.bind(event="history_damaged").warning(
                    "{}; it is put aside, and asked for again", error.message
                )
                found = bool(self.store.heal())
                return work()

        try:
            return await self.thread(healing)
        finally:
            if found:
                self.healed()
