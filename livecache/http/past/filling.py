"""What a reader lacks is fetched while it waits: once for all who ask, and within bounds.

A fill is some jobs in the file of the history, as those of years are: whoever has a worker there takes them,
this process or another one, and they go on though nobody waits any more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from ...errors import LivecacheError, OutsideCalendar
from ...history.ordering import page_of, series_of, to_hear_of_splits
from ...history.store import ACTIVE, PRIORITY_READ, Job, JobState, Want
from ...history.thread import Blocking, StoreThread
from ...history.working.reads import Reads
from ...model.coverage import Coverage, Span
from ...model.naming import find_symbol
from ...model.series import SeriesId
from ...model.timeframe import Timeframe, iso
from ...model.traits import Traits
from ...quiet import logger
from ..watch.instance import Instance
from .cells import cells_of, filled_by

if TYPE_CHECKING:
    from ...engine.engine import Engine
    from ...history.store import HistoryDatabase

__all__ = ["NOTHING", "Filled", "Filler"]

_T = TypeVar("_T")

_AT_ONCE = 8
_LOOK_S = 0.25  # at jobs that may be another process's
_QUEUE_MOST = 64  # jobs of one venue that wait because of readers
_NEWEST = 1_000  # of those that are not over it is counted among so many
_AGAIN_MS = 60_000  # what has failed is left alone so long
_BUSY_S, _SOON_S = 1.0, 2.0
_UNSURE_MS = 86_400_000  # nothing so new is asked for while nobody knows the venue's time
_FILE_S = 2.0  # so long another connection is waited for


class Filled(NamedTuple):
    """What came of it, as far as it has come."""

    job: int | None = None
    """One that fetches the rest, or the one that has failed."""
    over: bool = False
    """Nothing more is to come: it is there, or cannot be had now."""
    too_many: bool = False
    """It takes more pages than one read may cause: nothing is fetched."""
    error: str = ""
    again_s: float = _SOON_S
    """After which it may be asked for again."""
    tried: bool = True
    """Whether anything may have come."""


NOTHING = Filled(over=True, tried=False)
"""Where there is nothing to fetch."""


class _Plan(NamedTuple):
    """What is to be fetched of a series: cells, for the sake of what is missing in them."""

    series: SeriesId
    cells: tuple[Span, ...]
    missing: Coverage
    traits: Traits
    settled: int


@dataclass(slots=True)
class _Fill:
    """One that is under way, for all that those who wait for it miss."""

    missing: Coverage
    told: Filled = NOTHING
    ordered: asyncio.Event = field(default_factory=asyncio.Event)
    waiting: int = 0
    """How many wait for it; with the last of them it ends."""


class Filler:
    """Fills for all readers of this process; `close` it at the end."""

    def __init__(self, instance: Instance, thread: Blocking | None = None) -> None:
        self._instance, self._own = instance, StoreThread() if thread is None else None
        self._thread: Blocking = thread or self._own  # type: ignore[assignment]
        self._traits: dict[str, Traits] = {}  # of venues whose engine has run
        self._under: dict[tuple[SeriesId, tuple[Span, ...]], tuple[_Fill, asyncio.Task[None]]] = {}
        self._store: HistoryDatabase | None = None

    async def fill(self, series: SeriesId, missing: Coverage, timeout_s: float) -> Filled:
        """Have that fetched, and wait for it so long. One that is cancelled leaves it to the others.

        What is not settled yet, or what the live service looks after, is not asked for.
        """
        plan = self._plan(series, missing)
        if isinstance(plan, Filled):
            return plan
        key = plan.series, plan.cells
        if key not in self._under:
            if len(self._under) >= _AT_ONCE:
                return Filled(error=f"{_AT_ONCE} other stretches are being fetched", again_s=_BUSY_S)
            fill = _Fill(plan.missing)
            task = asyncio.create_task(self._fill(fill, plan), name=f"fill of {plan.series}")
            self._under[key] = fill, task
        fill, task = self._under[key]
        fill.missing |= plan.missing
        fill.waiting += 1
        try:
            await fill.ordered.wait()
            await asyncio.wait([task], timeout=timeout_s)
        finally:
            fill.waiting -= 1
            if not fill.waiting:  # the jobs go on
                del self._under[key]
                task.cancel()
        if task.done() and not task.cancelled():
            task.result()  # a bug, if there is one
        return fill.told

    async def begin(self, symbol: str, timeframe: Timeframe) -> bool:
        """Keep a timeframe that nobody has kept yet of a symbol that is served; whether it can be filled."""
        instance = self._instance
        if not instance.config.history.fill_pages or instance.history_place is None:
            return False
        known = {
            venue: [symbol for engine in place.engines for symbol in engine.live.timeline.symbols]
            for venue, place in instance.places.items()
            if place.engine is not None
        }
        if (found := find_symbol(symbol, known)) is None:
            return False
        traits, now = instance.engines[found[0]].venue.traits, self._wall()
        if (served := filled_by(timeframe, now, traits, now)) is None:
            return False
        await self._at(lambda store: series_of(store, SeriesId(*found, served), traits))
        return True

    async def heal(self, symbol: str) -> None:
        """Put aside what is damaged of the years of a symbol: so it is missing, and can be fetched again."""

        def heal(store: HistoryDatabase) -> None:
            for each in store.all_series([symbol, symbol.partition(":")[2]]):
                for damage in store.heal(each.id):
                    log = logger.bind(event="history_damaged", symbol=each.key.symbol)
                    log.warning("{}; it is put aside, and asked for again", damage.reason)

        await self._at(heal)

    async def close(self) -> None:
        """Look at no job any more; they go on."""
        tasks = [task for _, task in self._under.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._let_go()
        if self._own is not None:
            self._own.close()

    # --- what

    def _plan(self, series: SeriesId, missing: Coverage) -> _Plan | Filled:
        instance, most = self._instance, self._instance.config.history.fill_pages
        engine = instance.engines.get(series.venue)
        if engine is not None:
            self._traits[series.venue] = engine.venue.traits
        if not missing or not most or instance.history_place is None:
            return NOTHING
        if (traits := self._traits.get(series.venue)) is None:
            return Filled(error=f"{series.venue} is not served by this process now")
        now = int(instance.clock.wall() * 1000) - _UNSURE_MS
        delay_ms, hot = traits.settle_delay_ms, now
        if engine is not None:
            now = engine.live.now() or now
            delay_ms, hot = engine.live.timeline.policy.settle_delay_ms, now
        timeframe = filled_by(series.timeframe, missing.spans[0].start, traits, now)
        if timeframe is None:
            return NOTHING
        base, grid = series._replace(timeframe=timeframe), traits.grid(timeframe)
        if engine is not None:
            hot = _looked_after(instance.engine_of(series.venue, series.symbol) or engine, base, now)
        settled, page = traits.final_by(now, delay_ms), page_of(traits, timeframe)
        try:
            within = Span(max(grid.ceil(0), traits.oldest(timeframe, now)), grid.closed(min(settled, hot)))
            cells = cells_of(missing, grid, page, within, most) if within.start < within.end else ()
        except OutsideCalendar:
            return NOTHING
        if cells is None:
            error = f"it takes more than {most} pages (history.fill_pages)"
            return Filled(over=True, too_many=True, error=error, tried=False)
        return _Plan(base, tuple(cells), missing.clip(*within), traits, settled) if cells else NOTHING

    # --- how

    async def _fill(self, fill: _Fill, plan: _Plan) -> None:
        try:
            series, jobs = await self._at(partial(_order, plan, self._wall()))
            if jobs is None:
                fill.told = Filled(error=f"{_QUEUE_MOST} others wait to be fetched")
                return
            standing = self._instance.history.get(plan.series.venue)
            reads = standing.reads if standing else Reads()  # of another process nobody tells: it is looked
            reads.asked.set()
            while True:
                news, missing = reads.news, fill.missing
                lacking, found = await self._at(partial(_stands, series, missing, jobs))
                if missing != fill.missing:
                    continue
                fill.told = self._told(plan, found, reads) if lacking else Filled(over=True)
                if fill.told.over or fill.told.again_s > _SOON_S:
                    return
                fill.ordered.set()
                with suppress(TimeoutError):
                    async with asyncio.timeout(_LOOK_S):
                        await news.wait()
        except LivecacheError as error:
            await self._let_go()
            fill.told = Filled(error=error.message)
        finally:
            fill.ordered.set()

    def _told(self, plan: _Plan, jobs: Sequence[Job], reads: Reads) -> Filled:
        """How it stands, as long as something is lacking."""
        venue, now = plan.series.venue, self._wall()
        under = [job for job in jobs if job.state in ACTIVE]
        if not under:
            ended = [job for job in jobs if job.state is not JobState.SUCCEEDED]
            return _failed(ended[0], now) if ended else Filled(over=True)
        job = under[0].id
        engine, standing = self._instance.engines.get(venue), self._instance.history.get(venue)
        if engine is not None and (until := engine.limiter.banned_until):
            error = f"{venue} refuses everything from this address until {iso(until)}"
            return Filled(job, error=error, again_s=_seconds(now, until))
        if all(each.state is JobState.WAITING and each.error for each in under):
            again_s = max(_SOON_S + 1, _seconds(now, min(each.not_before for each in under)))
            return Filled(job, error=under[0].error, again_s=again_s)
        if standing is not None and standing.trouble:
            return Filled(job, error=f"the history of {venue} is not kept now: {standing.trouble}")
        return Filled(job, error=next((reads.troubles[j.id] for j in under if j.id in reads.troubles), ""))

    async def _at(self, work: Callable[[HistoryDatabase], _T]) -> _T:
        """The store is opened by whoever needs it first."""
        place, wall = self._instance.history_place, self._wall

        def done() -> _T:
            from ...history.opening import open_history

            assert place is not None
            if self._store is not None and self._store.moved:
                self._store.close()
                self._store = None
            if self._store is None:
                self._store = open_history(place, wall, busy_s=_FILE_S)
            return work(self._store)

        return await self._thread(done)

    async def _let_go(self) -> None:
        store, self._store = self._store, None
        if store is not None:
            await self._thread(store.close)

    def _wall(self) -> int:
        return int(self._instance.clock.wall() * 1000)


def _looked_after(engine: Engine, series: SeriesId, now: int) -> int:
    """From when on the live service looks after a series."""
    symbol = engine.live.timeline.symbols.get(series.symbol)
    track = symbol.tracks.get(series.timeframe) if symbol else None
    proven = track.proven() if track else None
    return proven.spans[0].start if proven else now


def _order(plan: _Plan, now: int, store: HistoryDatabase) -> tuple[int, Sequence[int] | None]:
    """The series, and the jobs for it; what has failed just now is not ordered again, and among them.

    None where so many wait already that no more are taken.
    """
    series = series_of(store, plan.series, plan.traits).id
    wants = [Want(series, *cell, False, PRIORITY_READ) for cell in plan.cells]
    last = {want: job for want in wants if (job := store.last(want))}
    failed = {
        want: job.id
        for want, job in last.items()
        if job.state in (JobState.FAILED, JobState.CANCELLED)
        if job.finished and abs(now - job.finished) < _AGAIN_MS
    }
    if any(want not in last or last[want].state not in ACTIVE for want in wants):
        active = store.jobs(states=tuple(ACTIVE), venue=plan.series.venue, limit=_NEWEST)
        if sum(job.want.priority <= PRIORITY_READ for job in active) >= _QUEUE_MOST:
            return series, None
    wants = [want for want in wants if want not in failed]
    hears = to_hear_of_splits(store, plan.series, plan.traits, plan.settled, PRIORITY_READ) if wants else []
    return series, [*failed.values(), *store.submit([*hears, *wants]).jobs]


def _stands(
    series: int, missing: Coverage, jobs: Sequence[int], store: HistoryDatabase
) -> tuple[bool, Sequence[Job]]:
    """Whether any of it is lacking still, and the jobs."""
    spans = missing.spans
    lacks = store.lacks(Want(series, spans[0].start, spans[-1].end))
    lacking = any(lacks.clip(*span) for span in spans)
    return lacking, [found for job in jobs if (found := store.job(job))]


def _failed(job: Job, now: int) -> Filled:
    again_s = _seconds(now, (job.finished or now) + _AGAIN_MS)
    return Filled(job.id, True, error=job.error or "it was cancelled", again_s=again_s)


def _seconds(now: int, until: int) -> float:
    return max(1.0, (until - now) / 1000)
