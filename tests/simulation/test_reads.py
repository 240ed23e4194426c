"""Readers have what they lack fetched, beside a service that lives and fills years: under virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from livecache.config.schema import Config, HistoryConfig
from livecache.engine.fleet import Place as VenuePlace
from livecache.engine.limiter import Urgency
from livecache.history.sqlite.store import SqliteHistory
from livecache.history.store import PRIORITY_READ, Job, JobState, Want
from livecache.http.past.filling import NOTHING, Filled, Filler
from livecache.http.watch.instance import Instance
from livecache.model.coverage import Coverage
from livecache.model.series import SeriesId
from livecache.model.timeframe import Timeframe
from livecache.venues.venue import FailureKind, FetchFailure, PageRequest

from .service import Running
from .test_history import DAY, START, Place, at, inline

M5, M15 = Timeframe.M5, Timeframe.M15
SERIES = SeriesId("coinbase", "BTC-USD", M5)
OLD = START // DAY * DAY - 300 * DAY
"""Long before what is filled by itself."""


class Readers(Place):
    """Readers beside a service."""

    pages = 5

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[tuple[Running, Filler]]:
        async with self.run() as running:
            await running.warm()
            await asyncio.sleep(30)
            instance = Instance(Config(history=HistoryConfig(fill_pages=self.pages)), self.clock)
            instance.places = {"coinbase": VenuePlace(running.engine)}
            instance.history, instance.history_place = self.history.standings, self.history.place
            filler = Filler(instance, inline)
            try:
                yield running, filler
            finally:
                await filler.close()

    def urgent(self) -> list[Job]:
        """The jobs that readers wait for, or did."""
        store = SqliteHistory.open(self.path, read_only=True)
        try:
            return [job for job in store.jobs() if job.want.priority <= PRIORITY_READ]
        finally:
            store.close()

    def asked(self, since: int = 0) -> list[PageRequest]:
        """Requests for what is old."""
        return [r for _, r in self.venue.requests[since:] if r.end < START - 200 * DAY]


def buckets(start: int, end: int, at_ms: int = OLD) -> Coverage:
    return Coverage([(at_ms + start * M5.ms, at_ms + end * M5.ms)])


def test_fifty_readers_of_one_gap_cause_one_set_of_requests(clean_valkey: str, tmp_path: Path) -> None:
    async def what(place: Readers) -> None:
        async with place.reading() as (running, filler):
            gone = asyncio.create_task(filler.fill(SERIES, buckets(10, 400), 8))
            await asyncio.sleep(0)
            asks = [filler.fill(SERIES, buckets(10 + n, 400 + n), 8) for n in range(50)]
            readers = asyncio.gather(*asks)
            await asyncio.sleep(0.05)
            gone.cancel()
            told = await readers
            assert set(told) == {Filled(over=True)}
            rows, known = place.stored(SERIES, OLD, OLD + 500 * M5.ms)
            assert known.covers(OLD + 10 * M5.ms, OLD + 449 * M5.ms)
            truth = place.venue.market.candles("BTC-USD", M5, OLD, OLD + 500 * M5.ms, START)
            assert [r for r in rows if r.time in known] == [r for r in truth if r.time in known]
            page = running.venue.traits.deep_page(M5)
            assert len(place.asked()) <= 450 // page + 2
            before = len(place.venue.requests)
            assert await filler.fill(SERIES, buckets(10, 400), 8) == Filled(over=True)
            assert place.asked(before) == [], "it is there"

    reading(clean_valkey, tmp_path, what)


def test_nothing_is_fetched_beyond_the_cap_nor_before_it_is_settled(
    clean_valkey: str, tmp_path: Path
) -> None:
    async def what(place: Readers) -> None:
        async with place.reading() as (running, filler):
            page, before = running.venue.traits.deep_page(M5), len(place.venue.requests)
            told = await filler.fill(SERIES, buckets(0, 6 * page), 8)
            assert told.too_many and told.job is None and "history.fill_pages" in told.error
            track = running.live.timeline.symbols["BTC-USD"].tracks[M5]
            hot, now = track.proven().spans[0].start, running.live.now()
            told = await filler.fill(SERIES, Coverage([(hot, now + 3_600_000)]), 8)
            assert told == NOTHING, "the live service looks after that"
            assert place.asked(before) == [] and place.urgent() == []
            m15 = SERIES._replace(timeframe=Timeframe.M15)  # which it does not keep
            for _ in range(2):
                settled = (running.live.now() - 10_000) // M15.ms * M15.ms
                await filler.fill(m15, Coverage([(settled - 30 * M15.ms, settled + 30 * M15.ms)]), 8)
                _, known = place.stored(m15, 0, 1 << 60)
                assert known.spans[-1].end == settled
                await asyncio.sleep(1_000)
            h12 = SERIES._replace(timeframe=Timeframe("12h"))  # which is not served
            assert (await filler.fill(h12, Coverage([(OLD, OLD + DAY)]), 8)).over
            assert {r.timeframe for r in place.asked(before)} == {Timeframe.H6}
            assert place.stored(SERIES._replace(timeframe=Timeframe.H6), OLD, OLD + DAY)[1].covers(
                OLD, OLD + DAY
            )

    reading(clean_valkey, tmp_path, what)


def test_a_reader_is_told_what_is_wrong_and_the_job_goes_on_by_itself(
    clean_valkey: str, tmp_path: Path
) -> None:
    async def what(place: Readers) -> None:
        async with place.reading() as (_, filler):
            failure = FetchFailure(FailureKind.SERVER, "HTTP 503: down for maintenance")
            place.venue.fault = lambda r: failure if r.end < START - 200 * DAY else None
            told = await filler.fill(SERIES, buckets(0, 300), 2)
            assert told.job is not None and not told.over and "maintenance" in told.error
            while told.again_s <= 2:
                told = await filler.fill(SERIES, buckets(0, 300), 8)
            assert "maintenance" in told.error and 3 <= told.again_s <= 6, "it waits until its next attempt"
            began_s = place.clock.monotonic()
            assert (await filler.fill(SERIES, buckets(0, 300), 8)).job == told.job
            assert place.clock.monotonic() - began_s < 1, "nobody waits with it"
            for n in range(1, 80):  # whoever waits no more takes no place from others
                more = await filler.fill(SERIES, buckets(n * 330 + 50, n * 330 + 300), 0.01)
                assert more.job or more.error == "64 others wait to be fetched", more
            assert more.job is None and len(place.urgent()) == 64
            place.venue.fault = None
            await asyncio.sleep(told.again_s + 60)
            assert place.stored(SERIES, OLD, OLD + 300 * M5.ms)[1].covers(OLD, OLD + 300 * M5.ms)

            other = SERIES._replace(symbol="ETH-USD")
            failure = FetchFailure(FailureKind.UNKNOWN_SYMBOL, "no such product")
            place.venue.fault = lambda r: failure if r.end < START - 200 * DAY else None
            before = len(place.venue.requests)
            for _ in range(200):
                told = await filler.fill(other, buckets(50, 300), 2)
                assert told.over and "no such product" in told.error and 1 <= told.again_s <= 60
            assert len(place.asked(before)) == 1, "it is left alone for a minute"
            await asyncio.sleep(told.again_s + 1)
            assert "no such product" in (await filler.fill(other, buckets(50, 300), 2)).error
            assert len(place.asked(before)) == 2

            ban = FetchFailure(FailureKind.BANNED, "418", retry_after_s=90)
            place.venue.fault = lambda r: ban if r.end < START - 200 * DAY else None
            told = await filler.fill(SERIES, buckets(-5_000, -4_700), 8)
            assert "refuses everything from this address until" in told.error and told.again_s > 60
            place.venue.fault = None

    reading(clean_valkey, tmp_path, what)


def test_readers_go_before_years_and_the_live_service_before_both(clean_valkey: str, tmp_path: Path) -> None:
    """Years are asked for by a half of what the venue allows."""

    async def what(place: Readers) -> None:
        async with place.reading() as (running, filler):
            store = SqliteHistory.open(place.path, lambda: int(place.clock.wall() * 1000))
            info = store.series(SERIES)
            assert info
            store.submit([Want(info.id, OLD - 200 * DAY, OLD - 20 * DAY)])
            await asyncio.sleep(3)
            gaps = [buckets(n * 2_000, n * 2_000 + 1_000) for n in range(9)]
            fills = [asyncio.create_task(filler.fill(SERIES, gap, 8)) for gap in gaps]
            await asyncio.sleep(0.3)
            for _ in range(5):
                began_s = place.clock.monotonic()
                ticket = await running.engine.limiter.acquire(Urgency.LIVE)
                assert place.clock.monotonic() - began_s < 2 / 9, "the next slot but one at the latest"
                running.engine.limiter.heard(ticket, None)
            told = await asyncio.gather(*fills)
            assert told[:8] == [Filled(over=True)] * 8
            assert "8 other stretches" in told[8].error and told[8].again_s == 1
            assert any(job.state is JobState.RUNNING for job in store.jobs()), "years go on"
            store.close()

    reading(clean_valkey, tmp_path, what)


def test_what_is_ordered_as_the_service_stops_is_fetched_by_the_next_one(
    clean_valkey: str, tmp_path: Path
) -> None:
    async def what(place: Readers) -> None:
        async with place.reading() as (_, filler):
            told = await filler.fill(SERIES, buckets(0, 1_000), 0)
            assert told.job is not None and not told.over, "it is ordered, and not waited for"
        async with place.reading():
            await asyncio.sleep(5)
        assert place.stored(SERIES, OLD, OLD + 1_000 * M5.ms)[1].covers(OLD, OLD + 1_000 * M5.ms)

    reading(clean_valkey, tmp_path, what)


def reading(url: str, path: Path, what: Callable[[Readers], object]) -> None:
    at(url, path / "history.db", lambda place: what(Readers(place.url, place.path)))
