"""Deep history as a part of the service. Whatever becomes of the store, the live service goes on.

What needs numpy is loaded in the store's thread, once the cache is warm: nobody waits for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from ...clock import Clock
from ...engine.engine import Engine
from ...engine.limiter import Urgency
from ...errors import LivecacheError, only
from ...model.timeframe import Timeframe
from ...pacing.backoff import delays
from ...quiet import logger
from ..opening import Place, open_history
from ..thread import Blocking, StoreThread
from .standing import Standing

if TYPE_CHECKING:
    from ..store import HistoryDatabase
    from .session import Session

__all__ = ["STOP_S", "HistoryService", "Wishes", "error_of"]

_AGAIN_FIRST_S, _AGAIN_MOST_S = 1.0, 300.0
_BUSY_S = 2.0
"""So long another connection is waited for: a stop has to be over in three seconds."""

STOP_S = 2.0
"""So long an engine that stops waits for what is being stored: a server may not answer for ever, and readers
are not to wait for the lease of the cache because of it."""


class Wishes(NamedTuple):
    """What is wanted of a venue. `since` tells Unix ms of a timeframe; an age is as much below 0."""

    symbols: Sequence[str]
    timeframes: Sequence[Timeframe]
    since: Callable[[Timeframe], int]


class HistoryService:
    """The history of all venues of a process, at that `place`.

    Of each venue its symbols are filled in these `timeframes`, none for those of its engine, `since` a time
    (Unix ms; an age is as much below 0). It takes that `share` of a venue's budgets at most.
    """

    def __init__(
        self,
        place: Place,
        clock: Clock,
        *,
        timeframes: Sequence[Timeframe],
        since: Callable[[Timeframe], int],
        share: float,
        jitter: Callable[[], float],
        threads: Callable[[], AbstractAsyncContextManager[Blocking]] = StoreThread,
    ) -> None:
        self.standings: dict[str, Standing] = {}
        """By venue, of those whose engine has started."""
        self.place, self._clock, self._jitter = place, clock, jitter
        self._timeframes, self._since, self._share = tuple(timeframes), since, share
        self._threads = threads
        self._left: set[asyncio.Task[None]] = set()  # sessions whose engine has not waited for their end

    async def beside(self, engine: Engine) -> None:
        """Keep the history of the engine's venue until cancelled. It never raises for the store's sake."""
        standing = self.standings.setdefault(engine.venue.name, Standing())
        engine.limiter.shares[Urgency.HISTORY] = self._share
        await engine.backfiller.listing.filled.wait()
        try:
            await self._keep(engine, standing)
        finally:
            standing.left(engine.keys.shard)

    async def ended(self) -> None:
        """Wait for what no engine has waited for: its thread would outlive the loop. Whoever is to end the
        process meanwhile has to end it whole."""
        while self._left:
            with suppress(asyncio.CancelledError):
                await asyncio.wait(self._left)

    async def _keep(self, engine: Engine, standing: Standing) -> None:
        waits = self._waits()
        while True:
            began_s = self._clock.monotonic()
            error = await error_of(self._session(engine, standing), "history session", self._left)
            if self._clock.monotonic() - began_s > _AGAIN_MOST_S:
                waits = self._waits()
            wait_s = next(waits)
            told = isinstance(error, LivecacheError)
            trouble = error.message if isinstance(error, LivecacheError) else type(error).__name__
            standing.troubles[engine.keys.shard] = trouble
            log = logger.bind(event="history_unusable", hint=getattr(error, "hint", ""), wait_s=round(wait_s))
            log.opt(exception=None if told else error).error(
                "the history of {} is not kept now: {}; trying again in {:.0f} s",
                *(engine.venue.name, error, wait_s),
            )
            await self._clock.sleep(wait_s)

    async def _session(self, engine: Engine, standing: Standing) -> None:
        async with AsyncExitStack() as stack:
            thread = await stack.enter_async_context(self._threads())
            session, store = await thread(self._opened)
            stack.push_async_callback(thread, store.close)
            await session(engine, store, thread, self._wishes, standing).run()

    def _opened(self) -> tuple[type[Session], HistoryDatabase]:
        from .session import Session

        wall = self._clock.wall
        return Session, open_history(self.place, lambda: int(wall() * 1000), busy_s=_BUSY_S)

    def _wishes(self, engine: Engine) -> Wishes:
        settings = engine.settings
        return Wishes(settings.symbols, self._timeframes or settings.timeframes, self._since)

    def _waits(self) -> Iterator[float]:
        return delays(self._jitter, first_s=_AGAIN_FIRST_S, most_s=_AGAIN_MOST_S)


async def error_of(
    work: Coroutine[Any, Any, None], name: str, left: set[asyncio.Task[None]] | None = None
) -> BaseException:
    """The error that ends it, if it is not cancelled: then its end is waited for, or it is among `left`.

    It is a task of its own: on Python 3.11 a TaskGroup that ends by an error leaves behind that its task is
    being cancelled, and drops a cancellation that comes meanwhile.
    """
    task = asyncio.create_task(work, name=name)
    try:
        await asyncio.wait([task])
    except asyncio.CancelledError:
        task.cancel()
        await asyncio.wait([task], timeout=None if left is None else STOP_S)
        if left is not None and not task.done():
            logger.bind(event="history_left").warning("the store of history is waited for no longer")
            left.add(task)
            task.add_done_callback(left.discard)
        raise
    error = task.exception() or RuntimeError(f"the {name} has ended")
    return only(error) if isinstance(error, (Exception, BaseExceptionGroup)) else error
