"""One venue's history while its engine runs and the store can be used. Needs numpy."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import cast

from ...engine.engine import Engine
from ...engine.limiter import Urgency
from ...errors import LivecacheError
from ...quiet import logger
from ...venues.venue import HistoryVenue
from ..store import HistoryDatabase, SeriesInfo
from ..tally import Tally
from ..thread import Blocking, Healing
from ..worker import Worker
from .copying import Copier
from .orders import wanted
from .service import Wishes
from .standing import Standing

__all__ = ["Session"]

_COPY_S = 30.0
_LAST_COPY_S = 1.0  # of what is copied when it is to stop
_STOP_S = 1.5  # what is in flight then may take so long: the engine says its goodbyes after it
_ORDER_S = 3_600.0
_TIDY_S = 86_400.0
_HEAL_S = 1.0  # between two series, all of which are read once a day
_CONCURRENCY = 8
_READS = 4  # the same of what readers wait for, beside it


class Session:
    """Copies, orders, fills and keeps sound. `run` it once; it ends by an error, or cancelled."""

    def __init__(
        self,
        engine: Engine,
        store: HistoryDatabase,
        thread: Blocking,
        wishes: Callable[[Engine], Wishes],
        standing: Standing,
    ) -> None:
        self._engine, self._store, self._wishes, self._standing = engine, store, wishes, standing
        self._clock = engine.clock
        self._thread = Healing(thread, store, self._look_again)
        self._again = asyncio.Event()  # to be looked at what is missing
        self._copier = Copier(engine.live, store, self._thread, self._look_again)
        tally = Tally(engine.clock.monotonic, self._page)
        standing.opened(engine.keys.shard, tally)
        worker = partial(
            Worker,
            store,
            self._thread,
            cast("HistoryVenue", engine.venue),  # as every one is that is configured
            engine.limiter,
            engine.clock,
            name=engine.name,
            stop_s=_STOP_S,
            known=engine.settings.order or tuple(engine.live.timeline.symbols),
        )
        self._deep = worker(watch=tally, concurrency=_CONCURRENCY, urgency=Urgency.HISTORY, urgent=False)
        self._reads = worker(
            watch=standing.reads,
            concurrency=_READS,
            urgency=Urgency.READ,
            urgent=True,
            asked=standing.reads.asked,
        )

    async def run(self) -> None:
        """First what is there is copied, so that it is not asked for."""
        await self._copy()
        self._standing.recovered(self._engine.keys.shard)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._copy_forever(), name="history copy")
            tasks.create_task(self._order_forever(), name="history orders")
            tasks.create_task(self._keep_sound(), name="history upkeep")
            tasks.create_task(self._deep.run(), name="history worker")
            tasks.create_task(self._reads.run(), name="history of readers")

    async def _copy(self) -> None:
        before = self._copier.copied
        await self._copier.copy()
        self._standing.copied += self._copier.copied - before

    async def _copy_forever(self) -> None:
        series = self._engine.series
        try:
            while True:
                await self._clock.sleep(_COPY_S)
                await self._copy_on()
                if self._engine.series is not series:
                    series = self._engine.series
                    self._again.set()
        except asyncio.CancelledError:
            with suppress(LivecacheError, TimeoutError):  # What is not copied now is copied by the next run.
                async with asyncio.timeout(_LAST_COPY_S):
                    await self._copy_on()
            raise

    async def _copy_on(self, *, anew: bool = False) -> None:
        """Unless another may write by now, as after a pause: what has settled here is older than its own."""
        if self._engine.writer.writing:
            if anew:
                self._copier.forget()
            await self._copy()

    async def _order_forever(self) -> None:
        """What is missing becomes jobs: at the start, each hour, and whenever something may have changed."""
        while True:
            self._again.clear()
            await self._order()
            with suppress(TimeoutError):
                async with asyncio.timeout(_ORDER_S):
                    await self._again.wait()
            # Others may have put damage aside, or dropped something: what is copied is looked at, too.
            await self._copy_on(anew=True)

    async def _order(self) -> None:
        live, store = self._engine.live, self._store
        now = live.now()
        wishes, oldest = self._wishes(self._engine), self._copier.oldest
        host_now = int(self._clock.wall() * 1000)
        unheard = frozenset(self._copier.unheard)

        def order() -> int:
            wants = wanted(
                store,
                self._engine.venue.name,
                live.timeline.traits,
                wishes,
                now=now,
                settled=live.timeline.traits.final_by(now, live.timeline.policy.settle_delay_ms),
                oldest=oldest,
                host_now=host_now,
                unheard=unheard,
            )
            return len(store.submit(wants).jobs) if wants else 0

        if jobs := await self._thread(order):
            logger.bind(event="history_ordered", jobs=jobs).info(
                "history: {} series have candles missing, and are filled", jobs
            )

    async def _keep_sound(self) -> None:
        """Forget what is old, and read all that is stored: what is damaged is put aside, and missing."""
        while True:
            await self._thread(self._store.tidy)
            for each in await self._thread(self._store.all_series):
                if each.key.venue == self._engine.venue.name and self._engine.keys.owns(each.key.symbol):
                    await self._heal(each)
                    await self._clock.sleep(_HEAL_S)
            await self._clock.sleep(_TIDY_S)

    async def _heal(self, series: SeriesInfo) -> None:
        for damage in await self._thread(lambda: self._store.heal(series.id)):
            symbol, timeframe = series.key.symbol, series.key.timeframe.value
            logger.bind(event="history_damaged", symbol=symbol, timeframe=timeframe).warning(
                "{}; it is put aside, and asked for again", damage.reason
            )
            self._look_again()

    def _look_again(self) -> None:
        self._again.set()

    def _page(self, series: SeriesInfo) -> int:
        return self._engine.venue.traits.deep_page(series.key.timeframe)
