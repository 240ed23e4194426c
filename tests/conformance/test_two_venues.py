"""Two venues of different kinds in one process, over loopback, through the real engines.

What becomes of one's readers in another's trouble: `tests/simulation/test_three_venues.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from random import Random

import pytest
import redis

from livecache.engine.engine import Engine, Settings
from livecache.engine.fleet import Fleet
from livecache.engine.venue_time import VenueTime
from livecache.errors import ReadError, UnknownSeries
from livecache.keys.keyspace import Keyspace
from livecache.model.budget import Spacing
from livecache.model.policy import Policy
from livecache.model.timeframe import Timeframe
from livecache.reader.reader import Reader
from tests.simulation.virtual import BlockingRedis, VirtualClock, run_virtually

from .bench import OPEN
from .coinbase import CoinbaseFace
from .face import Face
from .toy import ToyFace

SPEED = 60.0
WANTED = {
    "coinbase": (Timeframe.M5, Timeframe.H1),
    "toy": (Timeframe.M5, Timeframe.H1, Timeframe.D1, Timeframe.W1),
}


class Process:
    """A fleet of both, and a reader of each."""

    def __init__(self, url: str) -> None:
        self.clock = VirtualClock(OPEN / 1000)
        self.faces: dict[str, Face] = {
            "coinbase": CoinbaseFace(OPEN, SPEED, self.clock),
            "toy": ToyFace(OPEN, SPEED, self.clock),
        }
        self.urls: dict[str, tuple[str, str]] = {}
        self.readers = {name: Reader(url, prefix="two", venue=name) for name in self.faces}
        self.fleet = Fleet(self.faces, self.clock, Random(1).random)
        self.begun: list[str] = []
        self._client = redis.Redis.from_url(url)
        self._store = BlockingRedis(self._client)

    @asynccontextmanager
    async def begin(self, name: str, has_written: bool) -> AsyncIterator[Engine]:
        self.begun.append(name)
        face, time = self.faces[name], VenueTime(self.clock)
        venue = face.venue(name, self.urls[name], time.if_known, self.clock)
        policy = Policy(candles=12, min_candles=8, confirm_after_ms=240_000)
        budgets = (Spacing("requests", 50, yields=True),)
        settings = Settings((face.symbol,), WANTED[name], policy, budgets)
        engine = Engine(
            venue, self._store, Keyspace("two", name), settings,
            time=time, name=f"{name}-{len(self.begun)}", jitter=Random(2).random, gives_way=True,
            used_before=has_written,
        )  # fmt: skip
        try:
            yield engine
        finally:
            await engine.close(for_good=False)

    async def warm(self, name: str) -> None:
        """Until a reader gets all of it."""
        async with asyncio.timeout(60):
            while True:
                try:
                    for timeframe in WANTED[name]:
                        self.readers[name].candles(self.faces[name].symbol, timeframe, 8)
                    return
                except ReadError:
                    await self.clock.sleep(0.05)

    def close(self) -> None:
        for reader in self.readers.values():
            reader.close()
        self._client.close()


def test_each_serves_its_readers_what_its_market_traded(clean_valkey: str) -> None:
    async def main() -> None:
        process = Process(clean_valkey)
        async with AsyncExitStack() as stack:
            stack.callback(process.close)
            for name, face in process.faces.items():
                process.urls[name] = await stack.enter_async_context(face.listening())
            async with asyncio.TaskGroup() as tasks:
                running = tasks.create_task(process.fleet.run(process.begin), name="fleet")
                for name in process.faces:
                    await process.warm(name)
                look(process)
                running.cancel()

    run_virtually(main())


def look(process: Process) -> None:
    for name, face in process.faces.items():
        for timeframe in WANTED[name]:
            candles = process.readers[name].candles(face.symbol, timeframe, 8)
            rows = face.rows(face.symbol, timeframe, candles[0].time, candles[-1].time + 1)
            truth = [[r.time, *map(float, r.numbers)] for r in rows if not r.flat]
            assert [list(candle) for candle in candles] == truth, (name, timeframe)
    days = process.readers["toy"].candles("AAA", "1d", 8)
    assert {candle.time % Timeframe.D1.ms for candle in days} == {8 * Timeframe.H1.ms}
    # What is not kept is added up within each day, and days of an exchange are not joined.
    hours = process.readers["toy"].candles("AAA", "3h", 3)
    assert {c.time % Timeframe.D1.ms // Timeframe.H1.ms for c in hours} <= {8, 11, 14}
    with pytest.raises(UnknownSeries, match="do not add up to it"):
        process.readers["toy"].candles("AAA", "2d", 1)
