"""The worker: claims jobs of one venue, asks for what they miss, and commits page by page.

A page's rows, what it proves, its job's progress and the job's lease are one commit; so a worker may be
killed at any instant, and the next one asks for what is missing. What was in flight is all that is asked for
twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import cast

from ..clock import Clock
from ..engine.limiter import Limiter, Urgency
from ..errors import LeaseLost
from ..model.candle import ExactCandle
from ..model.coverage import Coverage, Span
from ..model.grid import Grid
from ..model.naming import near_symbols
from ..model.series import SeriesId
from ..quiet import logger
from ..venues.venue import FailureKind, FetchFailure, HistoryVenue, Page, PageRequest
from .claims import Claims
from .coarse import Coarse
from .columns import Columns, within
from .ordering import page_of
from .planner import PageLength, Walk, Word
from .records.symbols import AboutSymbol
from .store import ACTIVE, NONE, Commit, HistoryDatabase, Job, JobState, Outcome, SeriesInfo
from .thread import Healing
from .working.aside import tell_aside
from .working.listings import Listings
from .working.outlook import outlook
from .working.watch import Watch

__all__ = ["Worker"]

_SOON_MS = 3_000  # what waits for the days of its symbol waits no longer, and what has failed does
_DAYS_S = 1.0  # the days of the same symbol are looked for again
_LOOK_S = 0.5  # for a job that is due, where there is none
_MISSES_MOST = 12  # in a row, and the attempt has failed
_MISS_S, _MISS_MOST_S = 0.25, 5.0
_STOP_S = 3.0
_REFUSED_MOST = 5  # in a row, and so it has: it may be this symbol alone that is refused

_HOPELESS = (
    FailureKind.UNKNOWN_SYMBOL,
    FailureKind.UNAUTHORIZED,
    FailureKind.UNSUPPORTED_TIMEFRAME,
)
_BY_LENGTH = (FailureKind.SERVER, FailureKind.TIMEOUT, FailureKind.BAD_REQUEST, FailureKind.MALFORMED)


@dataclass(slots=True)
class _Work:
    """One job under way."""

    job: Job
    series: SeriesInfo
    walk: Walk
    coarse: Coarse | None
    misses: int = 0
    refused: int = 0
    refused_s: float = 0.0  # when that was counted last: what was under way then is of that refusal
    error: str = ""
    hopeless: bool = False
    flying: set[asyncio.Task[None]] = field(default_factory=set)
    waiting: set[asyncio.Task[None]] = field(default_factory=set)
    """Those of them that have not asked yet."""


class Worker:
    """Fills one venue's series. `run` it once; it stops when cancelled, with what is in flight committed.

    At most `concurrency` pages are in flight. `urgency` is that of its requests: `HISTORY` beside a live
    service, of whose budgets it takes a share only. It takes those jobs that are `urgent`, or the others, or
    all, and looks for one whenever some are `asked` for. At a stop, those in flight are waited for `stop_s`.
    For a symbol that the venue does not have, near ones of those `known` are told.
    """

    def __init__(
        self,
        database: HistoryDatabase,
        thread: Healing,
        venue: HistoryVenue,
        limiter: Limiter,
        clock: Clock,
        *,
        name: str,
        watch: Watch,
        concurrency: int = 8,
        urgency: Urgency = Urgency.HISTORY,
        urgent: bool | None = None,
        asked: asyncio.Event | None = None,
        oldest_first: bool = False,
        stop_s: float = _STOP_S,
        known: Collection[str] = (),
    ) -> None:
        self._database = database
        self._thread = thread
        self._venue = venue
        self._limiter = limiter
        self._clock = clock
        self._name = name
        self._watch = watch
        self._concurrency = concurrency
        self._slots = asyncio.Semaphore(concurrency)
        self._urgency = urgency
        self._oldest_first = oldest_first
        self._stop_s, self._known = stop_s, known
        self._lengths: dict[SeriesId, PageLength] = {}
        self._listings = Listings(database, thread, venue, limiter, urgency)
        self._claims = Claims(database, thread, clock, worker=name, venue=venue.name, urgent=urgent)
        self._asked = asked or asyncio.Event()

    async def run(self, *, once: bool = False, waits: bool = True) -> None:
        """Work until cancelled; with `once`, until no job of the venue is left that is not over.

        Unless it `waits`, what begins later or is another worker's is left to them, too.
        """
        try:
            async with asyncio.TaskGroup() as tasks:
                await self._run(tasks, once=once, waits=waits)
        finally:
            await self._claims.release()

    async def _run(self, tasks: asyncio.TaskGroup, *, once: bool, waits: bool) -> None:
        working: set[asyncio.Task[None]] = set()
        while True:
            job = await self._claims.claim() if len(working) < self._concurrency else None
            if job is not None:
                task = tasks.create_task(self._work(job), name=f"history job {job.id}")
                working.add(task)
                task.add_done_callback(working.discard)
            elif once and not working and await self._over(waits=waits):
                return
            elif len(working) == self._concurrency:
                await asyncio.wait(working, return_when=asyncio.FIRST_COMPLETED)
            else:
                with suppress(TimeoutError):
                    async with asyncio.timeout(_LOOK_S):
                        await self._asked.wait()
                self._asked.clear()

    async def _over(self, *, waits: bool) -> bool:
        states = tuple(ACTIVE) if waits else (JobState.PENDING, JobState.WAITING)
        soon = int(self._clock.wall() * 1000) + _SOON_MS
        jobs = await self._thread(lambda: self._database.jobs(venue=self._venue.name, states=states))
        return not any(waits or job.not_before <= soon for job in jobs)

    # --- one job

    async def _work(self, job: Job) -> None:
        """Work on it until it is over, or somebody else's."""
        heart = asyncio.create_task(self._claims.keep(job), name=f"history lease {job.id}")
        work: _Work | None = None
        try:
            if (work := await self._begin(job)) is None:
                await self._claims.settle(job.lease, Outcome.RETRY, wait_s=_DAYS_S, counts=False)
                return
            try:
                await self._walk(work)
            except asyncio.CancelledError:
                await self._land(work)
                raise
            finally:
                await _cancelled(work.flying)
            await self._leave(work)
        except LeaseLost:
            self._claims.lost(job)
            now = await self._thread(lambda: self._database.job(job.id))
            state = now.state if now else JobState.CANCELLED
            told = "cancelled" if state is JobState.CANCELLED else "another worker's now"
            logger.bind(event="history_lease_lost", job=job.id).info("job {} is {}", job.id, told)
            if work is not None:
                self._watch.ended(job, work.series, state, "", work.walk.missing)
        finally:
            await _cancelled([heart])

    async def _begin(self, job: Job) -> _Work | None:
        """What there is to do; None while another job will tell where there is anything, or of a split."""
        traits = self._venue.traits
        found = await self._thread(lambda: outlook(self._database, traits, job))
        if found is None:
            return None
        series, missing, coarse, left = found
        page = page_of(traits, series.key.timeframe)
        length = self._lengths.setdefault(series.key, PageLength(page))
        length.limit(page)
        walk = Walk(
            series.grid,
            missing,
            length,
            prepends=traits.prepends,
            filled=traits.empty == "flat",
            oldest_first=self._oldest_first,
            oldest=traits.oldest(series.key.timeframe, int(self._clock.wall() * 1000)),
            covered=missing.without(left),
        )
        self._watch.began(job, series, missing, left)
        return _Work(job, series, walk, coarse)

    async def _walk(self, work: _Work) -> None:
        """Ask for what is left, several pages at a time, until nothing is or the attempt has failed."""
        walk = work.walk
        while not work.hopeless and work.misses < _MISSES_MOST and work.refused < _REFUSED_MOST:
            if work.flying and (work.misses or self._slots.locked()):
                await self._one_ends(work)
                continue
            if work.misses:
                await self._clock.sleep(min(_MISS_S * 2**work.misses, _MISS_MOST_S))
            await self._resolve(work)
            await self._slots.acquire()
            asked = walk.next(self._clock.monotonic())
            if asked is not None:
                name = f"history page of job {work.job.id}"
                task = asyncio.create_task(self._page(work, asked), name=name)
                work.flying.add(task)
                work.waiting.add(task)
                continue
            self._slots.release()
            if work.flying:
                await self._one_ends(work)
                continue
            if (wait_s := walk.wait_s(self._clock.monotonic())) is None:
                return
            await self._clock.sleep(wait_s)

    async def _one_ends(self, work: _Work) -> None:
        done, _ = await asyncio.wait(work.flying, return_when=asyncio.FIRST_COMPLETED)
        work.flying -= done
        for task in done:
            task.result()

    async def _page(self, work: _Work, asked: Span) -> None:
        """Ask for one page, and commit what it proves."""
        symbol, timeframe = work.series.key.symbol, work.series.key.timeframe
        try:
            ticket = await self._limiter.acquire(self._urgency, self._venue.traits.costs(timeframe))
            work.waiting.discard(cast("asyncio.Task[None]", asyncio.current_task()))
            sent = int(self._clock.wall() * 1000)
            end = work.walk.heard_until(asked, sent) if self._venue.traits.finals else asked.end
            outcome = await self._venue.fetch(PageRequest(symbol, timeframe, asked.start, end))
            self._limiter.heard(ticket, outcome)
        except asyncio.CancelledError:
            work.walk.drop(asked)
            raise
        finally:
            self._slots.release()
        if isinstance(outcome, Page):
            await self._take(work, asked, outcome, AboutSymbol(sent, outcome.actions, outcome.about))
        else:
            self._fail(work, asked, outcome, ticket.started)

    async def _take(self, work: _Work, asked: Span, page: Page, told: AboutSymbol) -> None:
        """What is proven is stored first: what a bigger timeframe says of the rest depends on it."""
        walk, now_s = work.walk, self._clock.monotonic()
        told_of = page.rows if page.request.end == asked.end else [r for r in page.rows if r.time < asked.end]
        flat = {row.time for row in told_of if float(row.volume) == 0 and row.flat}
        rows = [row for row in told_of if row.time not in flat] if flat else told_of
        rejected = {each for each in page.rejected if each < asked.end}
        found = walk.answered(asked, [row.time for row in rows], flat, rejected)
        beyond = walk.not_final(asked, work.job.want.final)
        found = found.without(beyond)
        walk.reject([each for each in rejected if each not in beyond], page.reasons, now_s)
        shown = _shown(rows, beyond, walk.grid)
        rows = [row for row in rows if row.time not in shown] if shown else rows
        listed = await self._listings.of(work.series, page.about) if found.silent else 0
        if before := walk.left.clip(0, listed):
            found = found.without(before)._replace(proven=found.proven | before)
        commit = await self._commit(work, rows, found.proven, shown, rejected=page.spoiled, told=told)
        word = await self._word(work, found.silent)
        believed = walk.believe(found, word, now_s)
        if believed:
            await self._commit(work, (), believed)
        walk.landed(asked, found.proven | believed | beyond)
        work.misses = work.refused = 0
        self._watch.committed(work.job, work.series, asked, commit, walk.left)

    async def _commit(
        self,
        work: _Work,
        rows: Sequence[ExactCandle],
        covered: Coverage,
        shown: Mapping[int, ExactCandle | None] | None = None,
        rejected: int = 0,
        told: AboutSymbol | None = None,
    ) -> Commit:
        job = work.job

        def commit() -> Commit:
            columns = Columns.of(rows)
            if rejected:  # rows beside those that cannot be believed prove themselves only
                columns = columns.take(within(columns.time, covered))
            replace = covered if job.want.force else NONE
            return self._database.commit(
                *(job.want.series, columns, covered),
                replace=replace,
                shown=shown,
                lease=job.lease,
                rejected=rejected,
                told=told,
            )

        return await self._thread(commit)

    async def _word(self, work: _Work, silent: Coverage) -> Word:
        if not silent or (coarse := work.coarse) is None:
            return Word.UNKNOWN
        return await self._thread(lambda: coarse.word(silent, work.series.id))

    async def _resolve(self, work: _Work) -> None:
        """What pages were silent about may be proven by now: all around it is known."""
        for span in work.walk.doubted:
            silent = Coverage([span])
            if await self._word(work, silent) is Word.EMPTY:
                await self._commit(work, (), silent)
                work.walk.cover(silent)

    def _fail(self, work: _Work, asked: Span, failure: FetchFailure, started: float) -> None:
        walk = work.walk
        work.error = failure.message
        if failure.kind is FailureKind.UNKNOWN_SYMBOL:
            near = near_symbols(symbol := work.series.key.symbol, [n for n in self._known if n != symbol])
            work.error += f"; did you mean {' or '.join(near)}?" if near else ""
        self._watch.failed(work.job, work.series, asked, failure.message)
        work.hopeless = work.hopeless or failure.kind in _HOPELESS
        if failure.kind.too_fast or failure.kind is FailureKind.PAGE_TOO_LONG:
            walk.length.limit(page_of(self._venue.traits, work.series.key.timeframe))
            walk.drop(asked)  # The limiter waits as long as it must.
            if failure.kind is FailureKind.REFUSED and started >= work.refused_s:
                work.refused, work.refused_s = work.refused + 1, self._clock.monotonic()
            return
        work.misses += 1
        by_length = failure.kind in _BY_LENGTH
        walk.failed(asked, failure.message, self._clock.monotonic(), by_length=by_length)

    # --- its end

    async def _land(self, work: _Work) -> None:
        """It is to stop: what is in flight is let land for a moment, and what is missing is all there is."""
        sent = [task for task in work.flying if task not in work.waiting]
        await _cancelled([task for task in work.flying if task in work.waiting])
        if sent:
            await asyncio.wait(sent, timeout=self._stop_s)
        await self._settle(work, Outcome.RELEASED, "")

    async def _leave(self, work: _Work) -> None:
        error = work.error
        if aside := work.walk.aside:
            error = tell_aside(work.job, work.series, aside)
        if work.hopeless:
            await self._settle(work, Outcome.FAILED, work.error)
        elif work.misses or work.refused >= _REFUSED_MOST:
            told = "rate limited: " if work.refused >= _REFUSED_MOST else ""
            await self._settle(work, Outcome.RETRY, told + error)
        elif aside:
            await self._settle(work, Outcome.FAILED, error)
        else:
            await self._settle(work, Outcome.SUCCEEDED, "")

    async def _settle(self, work: _Work, outcome: Outcome, error: str) -> None:
        state = await self._claims.settle(work.job.lease, outcome, error)
        self._watch.ended(work.job, work.series, state, error, work.walk.missing)


def _shown(rows: Iterable[ExactCandle], beyond: Coverage, grid: Grid) -> Mapping[int, ExactCandle | None]:
    """What a page shows of each bucket that is not final yet."""
    held = {row.time: row for row in rows if row.time in beyond}
    return {time: held.get(time) for span in beyond for time in grid.opens(*span)}


async def _cancelled(tasks: Iterable[asyncio.Task[None]]) -> None:
    tasks = list(tasks)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
