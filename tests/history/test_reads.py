"""What a reader waits for is fetched at once, beside whatever else is being filled."""

from __future__ import annotations

import asyncio
from fractions import Fraction
from pathlib import Path
from typing import cast

import pytest

from livecache.engine.limiter import Limiter, Urgency
from livecache.engine.venue_time import VenueTime
from livecache.history.ordering import series_of, to_hear_of_splits, wants_of
from livecache.history.sqlite.store import SqliteHistory
from livecache.history.store import PRIORITY_READ, JobState, Want
from livecache.history.thread import Healing
from livecache.history.worker import Worker
from livecache.history.working.reads import Reads
from livecache.history.working.watch import Watch
from livecache.model.budget import Spacing
from livecache.model.coverage import Span
from livecache.model.series import SeriesId
from livecache.venues.venue import HistoryVenue

from ..simulation.virtual import run_virtually
from .exchange import DAY as SESSION_DAY
from .exchange import FIRST, SESSIONS, Desk, session
from .support import minute
from .test_splits import EVENING, agrees
from .test_worker import BEGIN, D1, M1, MINUTE, Bench, MadeVenue


@pytest.mark.parametrize(("urgent", "got"), [(True, [2]), (False, [1, 3]), (None, [2, 1, 3])])
def test_a_worker_takes_what_is_urgent_or_the_rest_or_all(
    store: SqliteHistory, series: int, urgent: bool | None, got: list[int]
) -> None:
    priorities = (50, PRIORITY_READ, 100)
    store.submit([Want(series, minute(n), minute(n + 1), False, p) for n, p in enumerate(priorities)])
    claimed = iter(lambda: store.claim("worker", urgent=urgent), None)
    assert [job.id for job in claimed if job] == got


class Beside(Bench):
    """Years are filled, and a reader asks for something of long ago."""

    def __init__(self, path: Path, *, days: int = 40) -> None:
        super().__init__(path / "history.db", MadeVenue(page=300), days=days)
        self.wanted = Span(BEGIN + 600 * MINUTE, BEGIN + 900 * MINUTE)
        self.reads = Reads()

    def order(self, start: int, end: int) -> int:
        """The job that is ordered."""
        key = SeriesId("made", "BTC-USD", M1)
        series = series_of(self.store, key, self.venue.traits)
        (job,) = self.store.submit([Want(series.id, start, end, False, PRIORITY_READ)]).jobs
        self.reads.asked.set()
        return job

    def workers(self) -> tuple[Worker, Worker]:
        """The two that a session has."""
        limiter = Limiter((Spacing("pace", 20.0),), VenueTime(self.clock), lambda: 0.0)

        def worker(urgency: Urgency, watch: Watch, asked: asyncio.Event | None = None) -> Worker:
            return Worker(
                self.store, Healing(self.thread, self.store), cast("HistoryVenue", self.venue), limiter,
                self.clock,
                name="w", watch=watch, concurrency=4, urgency=urgency, urgent=asked is not None, asked=asked,
            )  # fmt: skip

        return worker(Urgency.HISTORY, self.seen), worker(Urgency.READ, self.reads, self.reads.asked)

    async def run(self) -> float:
        """How long the reader waits, in seconds of the made-up time."""
        self.store = SqliteHistory.open(self.path, lambda: int(self.clock.wall() * 1000))
        self.store.submit(wants_of(self.store, "made", self.venue.traits, ["BTC-USD"], [M1, D1], self.span))
        tasks = [asyncio.create_task(worker.run()) for worker in self.workers()]
        await asyncio.sleep(3)
        began_s = self.clock.monotonic()
        job = self.order(*self.wanted)
        while (found := self.store.job(job)) and found.state is not JobState.SUCCEEDED:
            await self.reads.news.wait()
        waited_s = self.clock.monotonic() - began_s
        assert any(each.state is JobState.RUNNING for each in self.store.jobs()), "years go on"
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return waited_s


def test_a_reader_does_not_wait_for_years_under_way(tmp_path: Path) -> None:
    beside = Beside(tmp_path)
    waited_s = run_virtually(beside.run())
    assert waited_s < 0.3, "the next slot of the venue's, and its answer"
    series = beside.store.series(SeriesId("made", "BTC-USD", M1))
    assert series
    held = beside.store.read(series.id, *beside.wanted)
    assert held.coverage.covers(*beside.wanted)
    assert len(held.rows) == len(beside.venue.rows(M1, *beside.wanted)) == beside.reads.candles


def test_a_reader_does_not_wait_for_the_days_of_its_symbol(tmp_path: Path) -> None:
    """Days that fail for long hold up the minutes of years, and no reader."""
    beside = Beside(tmp_path)
    failing = {D1: True}
    original = beside.venue.fetch

    async def fetch(request):  # type: ignore[no-untyped-def]
        if failing.get(request.timeframe):
            await asyncio.sleep(600)
        return await original(request)

    beside.venue.fetch = fetch  # type: ignore[method-assign]
    assert run_virtually(beside.run()) < 0.3
    assert [one.timeframe for one in beside.venue.asked] == [M1], "years wait for their days"


def test_a_reader_of_shares_waits_for_nobody_but_another_reader(tmp_path: Path) -> None:
    """Years that are to hear first of a split may take hours to have their turn."""
    desk = Desk(tmp_path / "history.db")
    series = series_of(desk.store, SeriesId("bourse", "AAPL", D1), desk.exchange.traits).id
    early, late = (Want(series, FIRST + n * SESSION_DAY, FIRST + (n + 9) * SESSION_DAY) for n in (0, 20))
    _, urgent = desk.store.submit([late, early._replace(priority=PRIORITY_READ)]).jobs
    assert not desk.store.later(urgent)
    (hears,) = desk.store.submit([late._replace(force=True, priority=PRIORITY_READ)]).jobs
    assert desk.store.later(urgent) and not desk.store.later(hears)


def test_what_a_reader_has_asked_for_keeps_nobody_from_ordering_years(
    store: SqliteHistory, series: int
) -> None:
    store.submit([Want(series, minute(0), minute(9), False, PRIORITY_READ)])
    assert not store.busy(series)
    store.submit([Want(series, minute(0), minute(99))])
    assert store.busy(series)


def test_a_reader_of_shares_hears_of_a_split_before_older_candles_come(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "history.db", page=40)
    desk.at(session(150) + EVENING)
    run_virtually(desk.fill(session(100)))
    desk.exchange.splits[session(151)] = Fraction(4)
    desk.at(session(152) + EVENING)
    traits, key = desk.exchange.traits, desk.series().key
    settled = traits.final_by(desk.exchange.now, traits.settle_delay_ms)
    hears = to_hear_of_splits(desk.store, key, traits, settled, PRIORITY_READ)
    cell = Want(desk.series().id, session(10), SESSIONS.end(session(40)), False, PRIORITY_READ)
    before = len(desk.exchange.asked)
    desk.store.submit([cell, *hears])
    run_virtually(desk.fill(desk.exchange.now))
    first, *rest = desk.exchange.asked[before:]
    assert first.end > session(151) and any(request.end <= session(60) for request in rest)
    assert agrees(desk, session(10), session(150)), "all is in today's shares"
    assert to_hear_of_splits(desk.store, key, traits, settled, PRIORITY_READ) == []
    desk.store.close()
