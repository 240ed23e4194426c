"""A made-up exchange that keeps New York's sessions, and fills of its days under virtual time."""

from __future__ import annotations

import asyncio
import io
import json
import zlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar, cast

from livecache.commands.history.fill import Wanted
from livecache.engine.limiter import Limiter, Urgency
from livecache.engine.venue_time import VenueTime
from livecache.equities.calendar import calendar_named
from livecache.history.ordering import wants_of
from livecache.history.records.log import LogEntry
from livecache.history.service.log_keeper import LogKeeper
from livecache.history.sqlite.store import SqliteHistory
from livecache.history.store import Job, JobState
from livecache.history.tally import Line, Tally
from livecache.history.thread import Healing
from livecache.history.worker import Worker
from livecache.keys.history_place import Place
from livecache.model.budget import Rolling, Spacing
from livecache.model.candle import ExactCandle
from livecache.model.coverage import Coverage, Span
from livecache.model.series import SeriesId
from livecache.model.timeframe import Timeframe
from livecache.model.traits import Served, Traits
from livecache.process.logs import setup
from livecache.venues.stats import RequestStats
from livecache.venues.venue import FetchFailure, HistoryVenue, Page, PageRequest

from ..simulation.virtual import VirtualClock, run_virtually

__all__ = ["DAY", "NAME", "NOW", "SESSIONS", "Bourse", "Filling"]

T = TypeVar("T")
NAME = "bourse"
DAY, D1 = 86_400_000, Timeframe.D1
NOW = int(datetime.fromisoformat("2026-11-30T12:00Z").timestamp() * 1000)
"""A Monday before the open; Thursday was Thanksgiving, and Friday is not final."""

_XNYS = calendar_named("XNYS")
assert _XNYS
SESSIONS = _XNYS.sessions

Answer = Callable[[PageRequest, int], FetchFailure | Page | None]
"""What is answered to a request of a symbol, of which so many came before; None: what was traded."""


async def _inline(work: Callable[[], T]) -> T:
    """The store's work takes no virtual time."""
    return work()


def _threads() -> AbstractAsyncContextManager[Any]:
    return nullcontext(_inline)


class Bourse:
    """Its market is a function of symbol and session."""

    name = NAME
    origin = "http://bourse"

    def __init__(self, answer: Answer = lambda request, before: None, latency_s: float = 0.2) -> None:
        self.traits = Traits(
            served={D1: Served(400)},
            prepends=True,
            clock=False,
            calendar="XNYS",
            finals=SESSIONS,
            settle_delay_ms=960_000,
            sums_below=D1,
            grids={D1: SESSIONS},
            budgets=(Spacing("requests", 1.0), Rolling("requests_per_hour", 1_800, 3_600.0)),
        )
        self.stats = RequestStats()
        self.asked: list[PageRequest] = []
        self.answer, self._latency_s = answer, latency_s

    def rows(self, symbol: str, start: int, end: int) -> list[ExactCandle]:
        """What was traded in the sessions that open in `[start, end)`."""
        rows = []
        for open_ in SESSIONS.opens(start, end):
            chance = hash((zlib.crc32(symbol.encode()), open_))
            low, up, last, high = 9_000 + chance % 997, chance % 53, chance % 31, 53 + chance % 17
            open_at, top, bottom, close = (
                f"{price / 100:.2f}" for price in (low + up, low + high, low, low + last)
            )
            rows.append(ExactCandle(open_, open_at, top, bottom, close, str(1 + chance % 10**9)))
        return rows

    async def fetch(self, request: PageRequest) -> Page | FetchFailure:
        before = sum(one.symbol == request.symbol for one in self.asked)
        self.asked.append(request)
        await asyncio.sleep(self._latency_s)
        told = self.answer(request, before)
        return told or Page(request, tuple(self.rows(request.symbol, request.start, request.end)))


class Filling:
    """Fills of one file, one after the other."""

    def __init__(self, folder: Path, bourse: Bourse, symbols: Sequence[str], *, days: int = 60) -> None:
        self.path, self.bourse, self.symbols = folder / "history.db", bourse, symbols
        self.now, self.days = NOW, days
        self.console: list[dict[str, Any]] = []
        """What went to stderr."""
        self.seconds = 0.0
        """That the last one took."""

    @property
    def span(self) -> Span:
        """What is wanted: so many days back from now."""
        return Wanted({NAME: self.symbols}, [D1], -self.days * DAY).span(self.now)

    @property
    def sure(self) -> Span:
        """The part of it that is final."""
        return self.span._replace(end=self.final)

    @property
    def final(self) -> int:
        """What ended before is final."""
        return self.bourse.traits.final_by(self.now, self.bourse.traits.settle_delay_ms)

    def run(
        self,
        *,
        force: bool = False,
        until_s: float | None = None,
        look: Callable[[int, Sequence[Job]], None] | None = None,
    ) -> Mapping[str, Line]:
        """Fill it, or be killed after so long. A line a symbol.

        `look` is shown all jobs at each moment that matters, with the time.
        """
        clock = VirtualClock(self.now / 1000)
        console = io.StringIO()

        async def main() -> dict[int, Line]:
            store = SqliteHistory.open(self.path, lambda: int(clock.wall() * 1000))
            tally = Tally(clock.monotonic, lambda series: 400)
            async with LogKeeper(Place(self.path), clock, NAME, _threads) as log:
                setup("INFO", "json", console, also=log.take)
                traits = self.bourse.traits
                wants = wants_of(
                    *(store, NAME, traits, self.symbols, [D1], self.span),
                    final=self.final,
                    now=self.now,
                    force=force,
                )
                store.submit(wants)
                for want in wants:
                    span = Span(want.start, want.end)
                    tally.wanted(store.info(want.series), span, store.lacks(want))
                limiter = Limiter(traits.budgets, VenueTime(clock), lambda: 0.5)
                worker = Worker(
                    store, Healing(_inline, store), cast("HistoryVenue", self.bourse), limiter, clock,
                    name="worker", watch=tally, urgency=Urgency.WARM, known=self.symbols,
                )  # fmt: skip

                async def looking() -> None:
                    while look:
                        look(int(clock.wall() * 1000), store.jobs(limit=1_000))
                        await clock.sleep(0.25)

                began_s = clock.monotonic()
                looker = asyncio.create_task(looking(), name="looker")
                try:
                    async with asyncio.timeout(until_s):
                        await worker.run(once=True)
                except TimeoutError:
                    pass
                self.seconds = clock.monotonic() - began_s
                looker.cancel()
            self.now = int(clock.wall() * 1000) + 60_000
            store.close()
            return tally.lines

        lines = run_virtually(main())
        self.console = [json.loads(line) for line in console.getvalue().splitlines()]
        return {line.symbol: line for line in lines.values()}

    def store(self) -> SqliteHistory:
        """The file, to look into."""
        return SqliteHistory.open(self.path, read_only=True)

    def held(self, symbol: str) -> tuple[list[ExactCandle], Coverage]:
        """What is stored of a symbol."""
        store = self.store()
        try:
            series = store.series(SeriesId(NAME, symbol, D1))
            assert series
            answer = store.read(series.id, 0, self.now)
            return list(answer.rows.candles()), answer.coverage
        finally:
            store.close()

    def is_whole(self, symbol: str, span: Span) -> bool:
        """Whether just that is stored which was traded in the sessions of that span."""
        rows, coverage = self.held(symbol)
        truth = self.bourse.rows(symbol, *span)
        same = len(rows) == len(truth) and all(a.equals(b) for a, b in zip(rows, truth, strict=True))
        return same and coverage.covers(SESSIONS.ceil(span.start), SESSIONS.closed(span.end))

    def pages(self, symbol: str) -> int:
        """How many of a symbol were stored."""
        if not self.path.exists():
            return 0
        store = self.store()
        series = store.series(SeriesId(NAME, symbol, D1))
        count = sum(job.pages for job in store.jobs(limit=10_000) if series and job.want.series == series.id)
        store.close()
        return count

    def jobs(self) -> list[Job]:
        """All of them, the oldest first."""
        store = self.store()
        found = list(reversed(store.jobs(limit=100_000)))
        store.close()
        return found

    def states(self) -> Mapping[str, JobState]:
        """Of each symbol's newest job."""
        store = self.store()
        states = {store.info(job.want.series).key.symbol: job.state for job in reversed(store.jobs())}
        store.close()
        return states

    def logged(self) -> list[LogEntry]:
        """The file's own log."""
        store = self.store()
        entries = list(store.logged(limit=100_000))
        store.close()
        return entries
