"""The service keeps years beside what it serves: under virtual time, with a store that fails, and kills."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, closing, nullcontext
from pathlib import Path
from random import Random
from typing import TypeVar

import redis

from livecache.history.service.service import HistoryService
from livecache.history.sqlite.store import SqliteHistory
from livecache.keys.history_place import Place as HistoryPlace
from livecache.keys.keyspace import LeaseRecord, encode_lease
from livecache.model.candle import ExactCandle
from livecache.model.coverage import Coverage, Span
from livecache.model.series import SeriesId
from livecache.model.timeframe import Timeframe
from livecache.simulator import SeededMarket

from .model import ModelVenue
from .service import Running, service
from .virtual import VirtualClock, run_virtually

T = TypeVar("T")
DAY = 86_400_000
START = 1_770_001_200_000 - 90_000
SYMBOLS = ("BTC-USD", "ETH-USD")
FRAMES = (Timeframe.M5, Timeframe.H1)
SINCE_DAYS = {Timeframe.M5: 3, Timeframe.H1: 40}


async def inline(work: Callable[[], T]) -> T:
    """The store's work takes no virtual time."""
    return work()


def threads() -> AbstractAsyncContextManager[Callable[[Callable[[], T]], object]]:
    return nullcontext(inline)


class Place:
    """A venue, a file, and runs of a service with both."""

    def __init__(self, url: str, path: Path) -> None:
        self.clock = VirtualClock(START / 1000)
        self.venue = ModelVenue(SeededMarket(3), self.clock, START, self.clock.monotonic(), tick_ms=10_000)
        self.url, self.path, self.threads = url, path, threads

    def run(self) -> AbstractAsyncContextManager[Running]:
        self.history = HistoryService(
            HistoryPlace(self.path),
            self.clock,
            timeframes=(),
            since=lambda timeframe: -SINCE_DAYS[timeframe] * DAY,
            share=0.5,
            jitter=Random(5).random,
            threads=self.threads,  # type: ignore[arg-type]
        )
        return service(self.venue, self.url, SYMBOLS, FRAMES, beside=self.history.beside)

    def stored(self, series: SeriesId, start: int, end: int) -> tuple[list[ExactCandle], Coverage]:
        store = SqliteHistory.open(self.path, read_only=True)
        try:
            info = store.series(series)
            answer = store.read(info.id, start, end) if info else None
        finally:
            store.close()
        return (answer.rows.candles(), answer.coverage) if answer else ([], Coverage())

    def missing(self, running: Running) -> Coverage:
        """What neither tier knows of what is wanted, of all series together. What they know is the market."""
        found: list[Span] = []
        for track in running.live.configured():
            timeframe = track.series.timeframe
            start = (START - SINCE_DAYS[timeframe] * DAY) // DAY * DAY + DAY
            hot = track.proven()  # Redis first
            end = hot.spans[-1].end if hot else self.venue.now()
            rows, known = self.stored(track.series, start, end)
            both = {row.time: row for row in rows} | {t: track.settled[t] for t in track.settled if t in hot}
            known |= hot
            found += known.missing(start, end)
            truth = self.venue.market.candles(
                track.series.symbol, timeframe, start, end, self.venue.now() + timeframe.ms
            )
            expected = [row for row in truth if row.time in known]
            got = [both[time] for time in sorted(both) if time >= start]
            assert len(got) == len(expected), track.series
            assert all(map(ExactCandle.equals, got, expected)), track.series
        return Coverage(found)

    async def filled(self, running: Running, within_s: float = 3_000.0) -> None:
        async with asyncio.timeout(within_s):
            while not self.path.exists() or self.missing(running):
                await asyncio.sleep(15)


def at(url: str, path: Path, what: Callable[[Place], object]) -> None:
    async def main() -> None:
        await what(Place(url, path))  # type: ignore[misc]

    run_virtually(main())


def test_what_is_wanted_is_filled_and_what_is_settled_is_copied_without_a_request(
    clean_valkey: str, tmp_path: Path
) -> None:
    async def what(place: Place) -> None:
        async with place.run() as running:
            await place.filled(running)
            asked = len(place.venue.requests)
            live = [track.coverage.spans[0].start for track in running.live.configured()]
            await asyncio.sleep(3_600)
            for _ in range(8):
                assert not place.missing(running), "a hole at the seam"
                await asyncio.sleep(77)
            assert all(
                track.coverage.spans[0].start > before
                for track, before in zip(running.live.configured(), live, strict=True)
            )
            older = [
                r for _, r in place.venue.requests[asked:] if r.start < place.venue.now() - 400 * 300_000
            ]
            assert older == [], "what left Redis was copied before, and is not asked for"
        series = SeriesId("coinbase", "BTC-USD", Timeframe.M5)
        _, known = place.stored(series, START, place.venue.now() - 400_000)
        assert known.covers(START, place.venue.now() - 400_000), "a stop copies what is settled"

    at(clean_valkey, tmp_path / "history.db", what)


def test_kills_and_long_absences_leave_no_hole(clean_valkey: str, tmp_path: Path) -> None:
    """A kill is the file as it was at that instant, with all that came later gone."""

    async def what(place: Place) -> None:
        chance = Random(8)
        for _ in range(3):
            async with place.run() as running:
                await asyncio.sleep(chance.uniform(5, 90))
                killed = place.path.with_name("killed.db")
                if place.path.exists():
                    shutil.copy(place.path, killed)
            if killed.exists():
                shutil.copy(killed, place.path)
            await asyncio.sleep(chance.choice([2, 3_600, 12 * 3_600]))
        async with place.run() as running:
            await place.filled(running)

    at(clean_valkey, tmp_path / "history.db", what)


def test_what_settles_where_another_writes_is_not_copied_from_here(clean_valkey: str, tmp_path: Path) -> None:
    """As after a pause: it may be another candle by now, which the other one has copied."""

    async def what(place: Place) -> None:
        async with place.run() as running:
            await place.filled(running)
            series = SeriesId("coinbase", "BTC-USD", Timeframe.M5)
            lease = running.engine.keys.lease
            with redis.Redis.from_url(clean_valkey) as client:
                client.set(lease, encode_lease(LeaseRecord("another", running.writer.token + 1)))
                await running.until(lambda: not running.writer.writing)
                lost = place.venue.now()
                await asyncio.sleep(1_800)
                _, known = place.stored(series, START - DAY, place.venue.now())
                assert known.spans[-1].end <= lost
                client.delete(lease)
            whole = Coverage([(START, place.venue.now() - 400_000)])
            await running.until(lambda: not whole.without(place.stored(series, START, place.venue.now())[1]))

    at(clean_valkey, tmp_path / "history.db", what)


def test_a_store_that_cannot_be_used_is_told_and_takes_nobody_down(clean_valkey: str, tmp_path: Path) -> None:
    in_the_way = tmp_path / "data"
    in_the_way.write_text("a file, where a directory has to be")

    async def what(place: Place) -> None:
        async with place.run() as running:
            await running.warm()
            await running.until(lambda: place.history.standings["coinbase"].trouble != "")
            await asyncio.sleep(1_000)
            assert "data" in place.history.standings["coinbase"].trouble
            assert len(running.reader.candles("BTC-USD", "5m", 60)) == 60
            in_the_way.unlink()
            await place.filled(running)
            assert place.history.standings["coinbase"].trouble == ""

    at(clean_valkey, in_the_way / "history.db", what)


def test_a_store_that_fails_while_it_is_open_is_kept_again_by_itself(
    clean_valkey: str, tmp_path: Path
) -> None:
    async def what(place: Place) -> None:
        async with place.run() as running:
            await place.filled(running)
            told = place.history.standings["coinbase"]
            with closing(sqlite3.connect(place.path)) as other:
                for _ in range(2):
                    other.execute("ALTER TABLE jobs RENAME TO hidden")
                    await running.until(lambda: "jobs" in told.trouble)
                    other.execute("ALTER TABLE hidden RENAME TO jobs")
                    await running.until(lambda: not told.trouble)
            await asyncio.sleep(3_600)
            await place.filled(running, 600)

    at(clean_valkey, tmp_path / "history.db", what)


def test_damage_is_found_put_aside_and_filled_again(clean_valkey: str, tmp_path: Path) -> None:
    async def what(place: Place) -> None:
        async with place.run() as running:
            await place.filled(running)
        store = SqliteHistory.open(place.path)
        with store.writing() as db:
            db.execute("UPDATE blocks SET data = substr(data, 1, length(data) - 3)")
        assert list(store.verify())
        async with place.run() as running:
            await running.until(lambda: not list(store.verify()))
            await place.filled(running)
        store.close()

    at(clean_valkey, tmp_path / "history.db", what)


def test_a_stop_gives_up_the_lease_though_the_store_does_not_answer(
    clean_valkey: str, tmp_path: Path
) -> None:
    """As of a server that is cut off: readers of the cache wait for whoever comes next, and not for that."""

    async def what(place: Place) -> None:
        answers = asyncio.Event()
        answers.set()

        async def thread(work: Callable[[], T]) -> T:
            waits = asyncio.ensure_future(answers.wait())
            try:
                await asyncio.shield(waits)
            except asyncio.CancelledError:
                await asyncio.wait([waits])  # as what has begun in a thread is waited for
                raise
            return work()

        place.threads = lambda: nullcontext(thread)
        async with place.run() as running:
            await place.filled(running)
            answers.clear()
            await asyncio.sleep(120)
            began_s, lease = place.clock.monotonic(), running.engine.keys.lease
        assert place.clock.monotonic() - began_s < 3
        with redis.Redis.from_url(clean_valkey) as client:
            assert not client.exists(lease)
        ended = asyncio.create_task(place.history.ended())
        await asyncio.sleep(1)
        ended.cancel()
        await asyncio.sleep(1)
        assert not ended.done(), "a thread of it is left, which would outlive the loop"
        answers.set()
        await ended

    at(clean_valkey, tmp_path / "history.db", what)
