"""A made-up exchange that is closed at night and at weekends, and what its quotes become."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import cast

from livecache.engine.limiter import Limiter, Urgency
from livecache.engine.venue_time import VenueTime
from livecache.equities.action import Action
from livecache.history.ordering import wants_of
from livecache.history.store import JobState, SeriesInfo
from livecache.history.tally import Line, Tally
from livecache.history.thread import Healing
from livecache.history.worker import Worker
from livecache.model.budget import Spacing
from livecache.model.candle import ExactCandle
from livecache.model.coverage import Coverage, Span
from livecache.model.grid import SessionGrid
from livecache.model.series import SeriesId
from livecache.model.timeframe import Timeframe
from livecache.model.traits import Served, Traits
from livecache.venues.stats import RequestStats
from livecache.venues.venue import FetchFailure, HistoryVenue, Instrument, Page, PageRequest

from ..simulation.virtual import VirtualClock
from .engines import Engine, InFile

__all__ = [
    "CLOSE",
    "D1",
    "DAY",
    "FIRST",
    "H1",
    "HOUR",
    "OPEN",
    "SESSIONS",
    "WEEKS",
    "Desk",
    "Exchange",
    "session",
]

D1, H1, W1 = Timeframe.D1, Timeframe.H1, Timeframe.W1
HOUR, DAY = 3_600_000, 86_400_000
OPEN, CLOSE = 14 * HOUR + HOUR // 2, 21 * HOUR
FIRST = 20_000 * DAY  # a Wednesday
_DAYS = [FIRST + n * DAY for n in range(800) if (FIRST // DAY + n + 3) % 7 < 5]
SESSIONS = SessionGrid(tuple(day + OPEN for day in _DAYS), tuple(day + CLOSE for day in _DAYS))
_MONDAYS = [n for n, day in enumerate(_DAYS) if n and day - _DAYS[n - 1] > DAY and n + 5 <= len(_DAYS)]
WEEKS = SessionGrid(tuple(_DAYS[n] + OPEN for n in _MONDAYS), tuple(_DAYS[n + 4] + CLOSE for n in _MONDAYS))


def session(number: int) -> int:
    """The open of the session of that number."""
    return SESSIONS.openings[number]


class Exchange:
    """Quotes are a function of the session, adjusted for the splits up to the time of asking.

    A day's volume is short until the next open.
    """

    name = "bourse"
    origin = "http://bourse"

    def __init__(self, clock: VirtualClock, *, page: int = 100, listed: int = 0) -> None:
        self.traits = Traits(
            served={D1: Served(page), H1: Served(page)},
            calendar="XTOY",
            clock=False,
            grids={D1: SESSIONS, H1: SESSIONS.within(HOUR), W1: WEEKS},
            finals=SESSIONS,
            settle_delay_ms=60_000,
            shown_after_ms={D1: 45 * 60_000, H1: 16 * 60_000},
            sums_below=D1,
        )
        self.stats = RequestStats()
        self.asked: list[PageRequest] = []
        self.splits: dict[int, Fraction] = {}
        self.forgetful = False  # a page lacks its splits and dividends
        """By the open from which they hold; told from then on."""
        self.dividends: dict[int, Fraction] = {}
        """A share, as it was that day."""
        self.halted: set[int] = set()
        """Opens of days without a trade."""
        self.about: dict[str, Instrument] = {}
        self.answer: Callable[[PageRequest], FetchFailure | None] = lambda _: None
        self.latency_s = 0.05
        self.clock, self.then, self.listed = clock, FIRST, listed

    @property
    def now(self) -> int:
        """Unix ms; between two runs when the last one began."""
        try:
            return int(self.clock.wall() * 1000)
        except RuntimeError:  # no loop is running
            return self.then

    def ratio(self, time: int, now: int) -> Fraction:
        """New shares by now for one of then."""
        found = Fraction(1)
        for split, ratio in self.splits.items():
            if time < split <= now:
                found *= ratio
        return found

    def row(self, timeframe: Timeframe, time: int, now: int, *, adjusted: bool = True) -> ExactCandle | None:
        """What is quoted at `now` of a bucket; as it was traded that day where it is not `adjusted`."""
        grid = self.traits.grid(timeframe)
        if time < self.listed or SESSIONS.floor(time) in self.halted or time >= now:
            return None
        number = time // HOUR
        low, span = Fraction(4_000 + number % 97), Fraction(8 + number % 5)
        volume = Fraction((1_000 + number % 313) * 64)
        if grid.end(time) > self.traits.final_by(now, 0):
            volume -= 64 * 7
        ratio = self.ratio(time, now) if adjusted else Fraction(1)
        prices = (low + 2, low + span, low, low + 3)
        texts = [_text(price / ratio) for price in prices] + [str(round(volume * ratio))]
        return ExactCandle(time, *texts)

    def rows(self, timeframe: Timeframe, start: int, end: int, now: int) -> list[ExactCandle]:
        """All of a stretch, as quoted at `now`."""
        opens = self.traits.grid(timeframe).opens(start, end)
        return [row for time in opens if (row := self.row(timeframe, time, now))]

    def actions(self, start: int, end: int, now: int) -> list[Action]:
        """What is told at `now` of a stretch, oldest first."""
        told = [
            Action(time, "split", f"{ratio.numerator}/{ratio.denominator}")
            for time, ratio in self.splits.items()
        ] + [
            Action(time, "dividend", _text(amount / self.ratio(time, now)))
            for time, amount in self.dividends.items()
        ]
        return sorted(each for each in told if start <= each.time < end and each.time <= now)

    async def begins(self, symbol: str) -> int | FetchFailure:
        return 0

    async def fetch(self, request: PageRequest) -> Page | FetchFailure:
        self.asked.append(request)
        now = self.now
        await asyncio.sleep(self.latency_s)
        if (failure := self.answer(request)) is not None:
            return failure
        symbol, timeframe, start, end, _ = request
        rows = self.rows(timeframe, start, end, now)
        return Page(
            request,
            tuple(rows),
            actions=() if self.forgetful else tuple(self.actions(start, end, now)),
            about=self.about.get(symbol),
        )


def _text(number: Fraction) -> str:
    whole, part = divmod(round(number * 10**9), 10**9)
    return f"{whole}.{part:09}".rstrip("0").rstrip(".")


class Desk:
    """An exchange, a store, and fills of it."""

    def __init__(self, path: Path, *, page: int = 100, listed: int = 0, engine: Engine | None = None) -> None:
        self.clock = VirtualClock(FIRST / 1000)
        self.exchange = Exchange(self.clock, page=page, listed=listed)
        self.path = path
        self.store = (engine or InFile(path.parent)).open(lambda: self.exchange.now)
        self.oldest_first = False
        self.lines: list[Line] = []

    def at(self, time: int) -> None:
        """It is that time."""
        self.clock = self.exchange.clock = VirtualClock(time / 1000)
        self.exchange.then = time

    async def fill(
        self,
        start: int,
        *symbols: str,
        timeframes: tuple[Timeframe, ...] = (D1,),
        force: bool = False,
        until_s: float | None = None,
        until: int | None = None,
    ) -> int:
        """Fill from then on; how many pages that took."""
        venue, store, now, before = self.exchange, self.store, self.exchange.now, len(self.exchange.asked)
        wants = wants_of(
            *(store, venue.name, venue.traits, symbols or ("AAPL",), timeframes),
            Span(start, until or now),
            final=venue.traits.final_by(now, venue.traits.settle_delay_ms),
            now=now,
            force=force,
        )
        store.submit(wants)
        tally = Tally(self.clock.monotonic, lambda _: 100, wall_s=self.clock.wall)
        for want in wants:
            tally.wanted(store.info(want.series), Span(want.start, want.end), store.lacks(want))

        async def inline(work: Callable[[], object]) -> object:
            return work()

        limiter = Limiter((Spacing("pace", 20.0),), VenueTime(self.clock), lambda: 0.0)
        worker = Worker(
            *(store, Healing(inline, store), cast("HistoryVenue", venue), limiter, self.clock),  # type: ignore[arg-type]
            name="desk",
            watch=tally,
            concurrency=4,
            urgency=Urgency.WARM,
            oldest_first=self.oldest_first,
        )
        try:
            async with asyncio.timeout(until_s):
                await worker.run(once=True)
        except TimeoutError:
            pass
        self.lines = list(tally.lines.values())
        return len(venue.asked) - before

    def series(self, timeframe: Timeframe = D1, symbol: str = "AAPL") -> SeriesInfo:
        found = self.store.series(SeriesId(self.exchange.name, symbol, timeframe))
        assert found
        return found

    def states(self) -> list[JobState]:
        return [job.state for job in reversed(self.store.jobs())]

    def held(
        self, start: int, end: int, timeframe: Timeframe = D1, *, provisional: bool = True
    ) -> tuple[list[ExactCandle], Coverage, Coverage]:
        """Rows, what is known, and what of it is provisional."""
        answer = self.store.read(self.series(timeframe).id, start, end, provisional=provisional)
        return answer.rows.candles(), answer.coverage, answer.provisional
