"""A reader pages back where an exchange tells of no listing: soon it comes to an end, the right one."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import redis

from livecache.errors import Incomplete
from livecache.http.past.window import Ask, Past, Window
from livecache.http.source import Source
from livecache.http.watch.instance import Instance
from livecache.model.candle import ExactCandle
from livecache.model.timeframe import Timeframe
from livecache.reader.links import RedisLink
from livecache.simulator import SeededMarket

from .test_history import DAY, START
from .test_reads import Readers, reading
from .virtual import BlockingRedis

TODAY = START // DAY * DAY
LISTED = TODAY - 20 * DAY + 14 * 3_600_000


class InlinePast(Past):
    """Reads without threads, which virtual time knows nothing of."""

    def __init__(self, instance: Instance, client: redis.Redis) -> None:
        super().__init__(Source(instance, instance.clock), instance)
        self._blocking = RedisLink(None, client)

    async def _look(self, this: Any, *, encode: bool) -> Any:
        return self._read(this, self._way()[1], self._blocking.drive, encode=encode)


class Paused(SeededMarket):
    """Nothing was traded for two years and a half."""

    pause = range(TODAY - 925 * DAY, TODAY - 20 * DAY)

    def candles(
        self, product: str, timeframe: Timeframe, start_ms: int, end_ms: int, now_ms: int
    ) -> list[ExactCandle]:
        found = super().candles(product, timeframe, start_ms, end_ms, now_ms)
        return [each for each in found if each.time not in self.pause]


async def paged(past: Past, timeframe: str, before: int, limit: int) -> list[Window]:
    """All pages back to the end, each of them once it is whole."""
    pages: list[Window] = []
    jobs: list[int | None] = []
    while True:
        try:
            page = await past.window(Ask("BTC-USD", timeframe, before=before, limit=limit))
        except Incomplete as error:
            jobs.append(error.job)
            await asyncio.sleep(max(10, error.again_s))
            continue
        pages.append(page)
        if page.next_before is None:
            assert None not in jobs, "who waits is told for what"
            return pages
        before = page.next_before


def test_pages_end_where_nothing_was_traded_before(clean_valkey: str, tmp_path: Path) -> None:
    async def what(place: Readers) -> None:
        place.venue.listed = LISTED
        async with place.reading() as (running, filler):
            past = past_of(filler, running)
            asked, began_s = len(place.venue.requests), place.clock.monotonic()
            pages = await paged(past, "15m", TODAY, 1_500)
            took_s = place.clock.monotonic() - began_s
            assert pages[-1].ends == "silence" and took_s < 300, took_s
            found = [time for page in reversed(pages) for time in page.history.time.tolist()]
            truth = place.venue.market.candles("BTC-USD", Timeframe.M15, LISTED, TODAY, START)
            assert found == [each.time for each in truth]
            spent = len(place.venue.requests) - asked
            assert spent <= 60, f"{spent} requests"
            again = len(place.venue.requests)
            assert (await paged(past, "1h", LISTED - 5 * DAY, 100))[-1].ends == "silence"
            assert not [r for _, r in place.venue.requests[again:] if r.end < LISTED], "it is known"
            await past.close()

    reading(clean_valkey, tmp_path, what)


def test_a_long_pause_is_no_end(clean_valkey: str, tmp_path: Path) -> None:
    async def what(place: Readers) -> None:
        place.venue.market, place.venue.listed = Paused(3), TODAY - 950 * DAY
        async with place.reading() as (running, filler):
            past = past_of(filler, running)
            pages = await paged(past, "6h", TODAY, 1_000)
            assert pages[-1].ends == "silence"
            assert min(time for page in pages for time in page.history.time.tolist()) == place.venue.listed
            await past.close()

    reading(clean_valkey, tmp_path, what)


def past_of(filler: Any, running: Any) -> Past:
    store: BlockingRedis = running.engine.store
    past = InlinePast(filler._instance, store.client)
    past._filler = filler
    return past
