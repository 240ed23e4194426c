"""The thread of a store: it blocks, and nobody else may touch it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, TypeVar

from ..errors import DamagedBlock, StoreUnusable
from ..quiet import logger
from .store import HistoryStore

__all__ = ["Blocking", "Healing", "StoreThread"]

_T = TypeVar("_T")

_AGAIN_S = 1.0


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


@dataclass(slots=True)
class Healing:
    """A store's thread in which damage that is met is put aside: so it is missing, and asked for again.

    Then `healed` is called. Where a server has ended the connection, the work is done again: for `patience_s`
    since it was there last, unless whoever waits is cancelled.
    """

    thread: Blocking
    store: HistoryStore
    healed: Callable[[], None] = lambda: None
    patience_s: float = 0.0
    _away_s: float | None = None

    async def __call__(self, work: Callable[[], _T]) -> _T:
        """What `work` returns, at a later attempt if need be."""
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
            while True:
                try:
                    result = await self.thread(healing)
                except StoreUnusable as error:
                    if not self._waits_for_it(error):
                        raise
                else:
                    self._away_s = None
                    return result
                await asyncio.sleep(_AGAIN_S)
        finally:
            if found:
                self.healed()

    def _waits_for_it(self, error: StoreUnusable) -> bool:
        task, now_s = asyncio.current_task(), asyncio.get_running_loop().time()
        if not (self.patience_s and self.store.moved) or (task is not None and task.cancelling()):
            return False
        if self._away_s is None:
            self._away_s = now_s
            logger.bind(event="history_away", hint=error.hint).warning("{}", error.message)
        return now_s - self._away_s < self.patience_s
