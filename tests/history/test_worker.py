"""The worker over a real store: what it fills equals the market, whatever the venue and its own end do."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar, cast

import pytest

from livecache.engine.limiter import Limiter, Urgency
from livecache.engine.venue_time import VenueTime
from livecache.history.ordering import wants_of
from livecache.history.sqlite.store import SqliteHistory
from livecache.history.store import Commit, Job, JobState, SeriesInfo
from livecache.history.thread import Blocking, Healing
from livecache.history.worker import Worker
from livecache.model.budget import Spacing
from livecache.model.candle import ExactCandle
from livecache.model.coverage import Coverage, Span
from livecache.model.series import SeriesId
from livecache.model.timeframe import Timeframe, iso
from livecache.model.traits import Served, Traits
from livecache.venues.stats import RequestStats
from livecache.venues.venue import FailureKind, FetchFailure, HistoryVenue, Page, PageRequest

from ..simulation.virtual import VirtualClock, run_virtually

T = TypeVar("T")
DAY = 86_400_000
MINUTE = 60_000
BEGIN = 18_000 * DAY
M1, D1 = Timeframe.M1, Timeframe.D1


async def inline(work: Callable[[], T]) -> T:
    """The store's work takes no virtual time."""
    return work()


async def threaded(work: Callable[[], T]) -> T:
    """As in a thread: who waits for it may be stopped before and after it is done, but it is done."""
    await asyncio.sleep(0)
    done = work()
    await asyncio.sleep(0)
    return done


class MadeVenue:
    """A market that is a function of time, listed on some day, quiet at times; and what goes wrong."""

    name = "made"
    origin = "http://made"

    def __init__(
        self,
        *,
        listed: int = BEGIN,
        quiet: Callable[[int], bool] = lambda minute: minute % 11 == 3,
        page: int = 300,
        fails: float = 0.0,
        answer: Callable[[PageRequest, int], FetchFailure | list[ExactCandle] | None] = lambda *_: None,
        latency_s: float = 0.05,
        begins: int = 0,
    ) -> None:
        self.traits = Traits(served={M1: Served(page), D1: Served(page)}, begins=begins > 0)
        self._begins = begins
        self.stats = RequestStats()
        self.asked: list[PageRequest] = []
        self._listed, self._quiet, self._fails = listed, quiet, fails
        self._answer, self._latency_s = answer, latency_s
        self._chance = random.Random(4)

    def minute(self, time: int) -> ExactCandle | None:
        if time < self._listed or self._quiet(time // MINUTE):
            return None
        price = 100 + time // MINUTE % 97
        return ExactCandle(time, f"{price}", f"{price}.5", f"{price}", f"{price}.25", f"0.{price}1")

    def rows(self, timeframe: Timeframe, start: int, end: int) -> list[ExactCandle]:
        if timeframe is M1:
            return [row for t in range(start, end, MINUTE) if (row := self.minute(t))]
        days = []
        for day in range(start, end, DAY):
            minutes = self.rows(M1, day, day + DAY)
            if minutes:
                volume = sum(int(float(row.volume) * 10_000 + 0.5) for row in minutes)
                low, high = min(r.low for r in minutes), max(r.high for r in minutes)
                text = f"{volume // 10_000}.{volume % 10_000:04}"
                days.append(ExactCandle(day, minutes[0].open, high, low, minutes[-1].close, text))
        return days

    async def begins(self, symbol: str) -> int | FetchFailure:
        """When it says that its history begins."""
        return self._begins

    async def fetch(self, request: PageRequest) -> Page | FetchFailure:
        self.asked.append(request)
        await asyncio.sleep(self._latency_s * self._chance.uniform(0.5, 1.5))
        if self._chance.random() < self._fails:
            return FetchFailure(FailureKind.SERVER, "500")
        told = self._answer(request, len(self.asked))
        if isinstance(told, FetchFailure):
            return told
        rows = self.rows(request.timeframe, request.start, request.end) if told is None else told
        return Page(request, tuple(rows))


class Onlooker:
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.ends: list[tuple[str, JobState, str]] = []

    def began(self, job: Job, series: SeriesInfo, missing: Coverage, left: Coverage) -> None:
        self.begun.append(str(series.key))

    def committed(self, job: Job, series: SeriesInfo, asked: Span, commit: Commit, left: Coverage) -> None:
        pass

    def failed(self, job: Job, series: SeriesInfo, asked: Span, error: str) -> None:
        pass

    def ended(self, job: Job, series: SeriesInfo, state: JobState, error: str, missing: Coverage) -> None:
        self.ends.append((series.key.timeframe.value, state, error))


class Bench:
    """A store in a file, a venue, and what is wanted of it."""

    def __init__(
        self, path: Path, venue: MadeVenue, *, days: int = 3, timeframes: tuple[Timeframe, ...] = (M1,)
    ) -> None:
        self.path, self.venue, self.timeframes = path, venue, timeframes
        self.span = Span(BEGIN, BEGIN + days * DAY)
        self.clock = VirtualClock(self.span.end / 1000 + 3600)
        self.thread: Blocking = inline
        self.steps = 0  # of the event loop before it is stopped, where that is at once
        self.seen = Onlooker()
        self.oldest_first = False
        self.store: SqliteHistory

    async def fill(self, *, until_s: float | None = None, workers: int = 1) -> None:
        """Fill it, or be stopped after so long."""
        self.store = SqliteHistory.open(self.path, lambda: int(self.clock.wall() * 1000))
        wants = wants_of(self.store, "made", self.venue.traits, ["BTC-USD"], self.timeframes, self.span)
        self.store.submit(wants)
        try:
            async with asyncio.timeout(until_s or None):
                async with asyncio.TaskGroup() as tasks:
                    if until_s == 0:
                        tasks.create_task(self.stop_after_steps())
                    for number in range(workers):
                        tasks.create_task(self.worker(f"w{number}").run(once=True))
        except* TimeoutError:
            pass

    async def stop_after_steps(self) -> None:
        for _ in range(self.steps):
            await asyncio.sleep(0)
        raise TimeoutError

    def worker(self, name: str) -> Worker:
        limiter = Limiter((Spacing("pace", 20.0),), VenueTime(self.clock), lambda: 0.0)
        return Worker(
            self.store, Healing(self.thread, self.store), cast("HistoryVenue", self.venue), limiter,
            self.clock,
            name=name, watch=self.seen, concurrency=4, urgency=Urgency.WARM, oldest_first=self.oldest_first,
        )  # fmt: skip

    def held(self, timeframe: Timeframe = M1) -> tuple[list[ExactCandle], Coverage]:
        series = self.store.series(SeriesId("made", "BTC-USD", timeframe))
        assert series
        answer = self.store.read(series.id, *self.span)
        return answer.rows.candles(), answer.coverage

    def equals_the_market(self, timeframe: Timeframe = M1) -> bool:
        rows, coverage = self.held(timeframe)
        truth = self.venue.rows(timeframe, *self.span)
        same = len(rows) == len(truth) and all(a.equals(b) for a, b in zip(rows, truth, strict=True))
        return same and coverage == Coverage([self.span])


def test_days_are_filled_and_equal_the_market(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "history.db", MadeVenue())
    run_virtually(bench.fill())
    assert bench.equals_the_market() and bench.equals_the_market(D1)
    assert bench.seen.ends == [("1d", JobState.SUCCEEDED, ""), ("1m", JobState.SUCCEEDED, "")]
    minutes = [one for one in bench.venue.asked if one.timeframe is M1]
    assert len(minutes) <= 1.4 * 3 * 1440 / 300


def test_what_is_there_is_not_asked_for_again(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "history.db", MadeVenue())
    run_virtually(bench.fill())
    before = len(bench.venue.asked)
    run_virtually(bench.fill())
    assert len(bench.venue.asked) == before and bench.equals_the_market()


def test_what_lies_before_the_listing_costs_a_page_and_not_a_page_each(tmp_path: Path) -> None:
    listed = BEGIN + 200 * DAY + 7 * 3_600_000
    bench = Bench(tmp_path / "history.db", MadeVenue(listed=listed), days=202)
    run_virtually(bench.fill())
    assert bench.equals_the_market()
    assert len(bench.venue.asked) <= 2 + 2 + 2 * (41 * 60 / 300)


def test_a_venue_that_says_when_history_begins_is_not_asked_twice_for_what_lies_before(
    tmp_path: Path,
) -> None:
    listed = BEGIN + 200 * DAY + 7 * 3_600_000 + 34_500
    bench = Bench(tmp_path / "history.db", MadeVenue(listed=listed, begins=listed), days=202)

    async def timed() -> float:
        began_s = bench.clock.monotonic()
        await bench.fill()
        return bench.clock.monotonic() - began_s

    assert run_virtually(timed()) < 10, "no second look is waited for"
    assert bench.equals_the_market()
    assert len(bench.venue.asked) <= 1 + 1 + 2 * (41 * 60 / 300)
    series = bench.store.series(SeriesId("made", "BTC-USD", M1))
    assert series and series.listed == listed // MINUTE * MINUTE


def test_that_the_listing_is_known_makes_no_lie_of_later_a_truth(tmp_path: Path) -> None:
    """Pages of days and minutes that are empty, and should not be."""
    bench = Bench(tmp_path / "history.db", MadeVenue(begins=BEGIN - 5 * DAY))
    bench.venue._answer = lambda request, number: [] if number % 3 == 1 and number < 20 else None
    run_virtually(bench.fill())
    assert bench.equals_the_market() and bench.equals_the_market(D1)


def test_it_goes_on_where_it_was_stopped(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "history.db", MadeVenue())
    for _ in range(40):
        run_virtually(bench.fill(until_s=0.4))
        bench.clock = VirtualClock(bench.clock._ahead_s + 1_000.0 + 31)
        if bench.seen.ends and bench.seen.ends[-1][:2] == ("1m", JobState.SUCCEEDED):
            break
    assert bench.equals_the_market()
    assert {state for _, state, _ in bench.seen.ends} <= {JobState.SUCCEEDED, JobState.PENDING}


def test_a_job_that_is_cancelled_under_way_is_told_as_such(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "history.db", MadeVenue(), timeframes=(D1,), days=400)

    def cancels(request: PageRequest, number: int) -> None:
        if number == 2:
            bench.store.cancel(1)

    bench.venue._answer = cancels
    run_virtually(bench.fill())
    assert bench.seen.ends == [("1d", JobState.CANCELLED, "")]


def test_whenever_it_is_stopped_no_job_is_left_to_wait_for_its_lease(tmp_path: Path) -> None:
    """Before its first look, between a claim and its work, in a page, at the end of a job."""
    for number in range(20):
        path = tmp_path / f"{number}.db"
        bench = Bench(path, MadeVenue(latency_s=0.02), days=1)
        bench.steps, bench.thread = number, threaded
        run_virtually(bench.fill(until_s=0.0 if number < 16 else number / 20))
        states = {job.state for job in bench.store.jobs()}
        assert JobState.RUNNING not in states, number
        bench.store.close()


def test_a_venue_that_fails_by_chance_is_filled_all_the_same(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "history.db", MadeVenue(fails=0.3))
    run_virtually(bench.fill())
    assert bench.equals_the_market()


def test_two_workers_share_the_work(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "history.db", MadeVenue(), timeframes=(M1, D1))
    run_virtually(bench.fill(workers=2))
    assert bench.equals_the_market() and bench.equals_the_market(D1)


def test_an_empty_answer_that_lies_is_not_believed(tmp_path: Path) -> None:
    """For twenty minutes every third page of minutes is empty, and 200."""
    bench = Bench(tmp_path / "history.db", MadeVenue())

    def lie(request: PageRequest, number: int) -> list[ExactCandle] | None:
        return [] if request.timeframe is M1 and number % 3 == 0 and number < 60 else None

    bench.venue._answer = lie
    run_virtually(bench.fill())
    assert bench.equals_the_market()


def test_a_stretch_that_days_deny_is_named_and_not_called_empty(tmp_path: Path) -> None:
    lost = Span(BEGIN + DAY + 300 * MINUTE, BEGIN + DAY + 700 * MINUTE)
    bench = Bench(tmp_path / "history.db", MadeVenue())

    # A page shows rows on one side of it only, as one that was cut short does.
    def hide(request: PageRequest, number: int) -> list[ExactCandle] | None:
        if request.timeframe is D1:
            return None
        rows = bench.venue.rows(M1, request.start, request.end)
        older = [row for row in rows if row.time < lost.start]
        return older or [row for row in rows if row.time >= lost.end]

    bench.venue._answer = hide
    run_virtually(bench.fill())
    missing = bench.held()[1].missing(*bench.span)
    assert missing and not missing.without(Coverage([lost]))
    traded = [row.time for row in bench.venue.rows(M1, *lost)]
    assert all(time in missing for time in traded)
    assert bench.seen.ends[-1][2].startswith("cannot be had: 2019-04-15T")


@pytest.mark.parametrize("oldest_first", [False, True])
def test_nothing_is_asked_for_that_is_not_final_yet(tmp_path: Path, oldest_first: bool) -> None:
    """Also where a thin market has pages share buckets."""
    bench = Bench(tmp_path / "history.db", MadeVenue(quiet=lambda minute: minute % 97 > 1), days=1)
    bench.oldest_first = oldest_first
    run_virtually(bench.fill())
    assert max(one.end for one in bench.venue.asked) == bench.span.end and bench.equals_the_market()
    ends = {bench.store.coverage(each.id).spans[-1].end for each in bench.store.all_series()}
    assert ends == {bench.span.end}


def test_a_bucket_that_always_fails_is_named_in_the_end(tmp_path: Path) -> None:
    lost, broken = BEGIN + DAY, FetchFailure(FailureKind.SERVER, "500: no such page")
    bench = Bench(tmp_path / "history.db", MadeVenue(), timeframes=(D1,))
    bench.venue._answer = lambda request, _: broken if request.start <= lost < request.end else None
    run_virtually(bench.fill())
    assert bench.held(D1)[1].missing(*bench.span) == Coverage([(lost, lost + DAY)])
    assert bench.seen.ends[-1][1:] == (
        JobState.FAILED,
        f"cannot be had: {iso(lost)} to {iso(lost + DAY)}: 500: no such page",
    )


def test_an_unknown_symbol_fails_at_once_and_says_so(tmp_path: Path) -> None:
    unknown = FetchFailure(FailureKind.UNKNOWN_SYMBOL, "BTC-USD is not known", 404)
    bench = Bench(tmp_path / "history.db", MadeVenue(answer=lambda *_: unknown))
    run_virtually(bench.fill())
    assert {(state, error) for _, state, error in bench.seen.ends} == {
        (JobState.FAILED, "BTC-USD is not known")
    }
    assert len(bench.venue.asked) <= 2 * 4


def test_a_venue_that_is_away_is_tried_six_times_and_given_up(tmp_path: Path) -> None:
    away = FetchFailure(FailureKind.NETWORK, "connection refused")
    bench = Bench(tmp_path / "history.db", MadeVenue(answer=lambda *_: away), timeframes=(D1,))
    run_virtually(bench.fill())
    assert [state for _, state, _ in bench.seen.ends] == 5 * [JobState.WAITING] + [JobState.FAILED]


def test_damage_that_is_met_is_put_aside_and_asked_for_again(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "history.db", MadeVenue())
    run_virtually(bench.fill(until_s=0.4))
    with bench.store.writing() as db:
        assert db.execute("UPDATE blocks SET data = substr(data, 1, 60)").rowcount
    bench.clock = VirtualClock(bench.clock._ahead_s + 1_000.0 + 31)
    run_virtually(bench.fill())
    assert bench.equals_the_market()
    assert bench.seen.ends[-1][:2] == ("1m", JobState.SUCCEEDED)
    assert list(bench.store.verify()) == []
