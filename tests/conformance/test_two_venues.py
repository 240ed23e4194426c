"""Two venues of different kinds in one process, over loopback, through the real engines."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from random import Random

import pytest
import redis
from aiohttp import web

from livecache.engine.engine import Engine, Settings
from livecache.engine.fleet import Fleet
from livecache.engine.venue_time import VenueTime
from livecache.errors import ReadError, UnknownSeries
from livecache.keys.keyspace import Keyspace
from livecache.model.budget import Spacing
from livecache.model.policy import Policy
from livecache.model.timeframe import Timeframe
from livecache.reader.reader import Reader
from livecache.venues.venue import Page, PageRequest
from tests.simulation.virtual import BlockingRedis, VirtualClock, run_virtually

from .bench import OPEN
from .coinbase import CoinbaseFace
from .face import Face
from .front import Front, passing
from .toy import ToyFace, ToyVenue

SPEED = 60.0
WANTED = {
    "coinbase": (Timeframe.M5, Timeframe.H1),
    "toy": (Timeframe.M5, Timeframe.H1, Timeframe.D1, Timeframe.W1),
}


class Process:
    """A fleet of both, each behind its front, and a reader of each."""

    def __init__(self, url: str) -> None:
        self.clock = VirtualClock(OPEN / 1000)
        self.faces: dict[str, Face] = {
            "coinbase": CoinbaseFace(OPEN, SPEED, self.clock),
            "toy": ToyFace(OPEN, SPEED, self.clock),
        }
        self.fronts: dict[str, Front] = {}
        self.venues: dict[str, object] = {}
        self.readers = {name: Reader(url, prefix="two", venue=name) for name in self.faces}
        self.fleet = Fleet(self.faces, self.clock, Random(1).random)
        self.begun: list[str] = []
        self._client = redis.Redis.from_url(url)
        self._store = BlockingRedis(self._client)

    @asynccontextmanager
    async def begin(self, name: str, has_written: bool) -> AsyncIterator[Engine]:
        self.begun.append(name)
        face, front, time = self.faces[name], self.fronts[name], VenueTime(self.clock)
        venue = face.venue(name, (front.url, front.ws_url), time.if_known, self.clock)
        self.venues[name] = venue
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

    async def read(self, name: str, rounds: int = 1) -> list[str]:
        """Read everything of a venue so many times, 50 ms apart; what went wrong."""
        wrong: list[str] = []
        for _ in range(rounds):
            for timeframe in WANTED[name]:
                try:
                    self.readers[name].candles(self.faces[name].symbol, timeframe, 8)
                except ReadError as error:
                    wrong.append(f"{timeframe}: {error}")
            await self.clock.sleep(0.05)
        return wrong

    async def warm(self, name: str) -> None:
        """Until a reader gets all of it."""
        async with asyncio.timeout(60):
            while await self.read(name):
                pass

    def close(self) -> None:
        for reader in self.readers.values():
            reader.close()
        self._client.close()


def together(url: str, happens: Callable[[Process], Awaitable[None]]) -> None:
    """Have both warm, and something happen."""

    async def main() -> None:
        process = Process(url)
        async with AsyncExitStack() as stack, asyncio.timeout(120):
            stack.callback(process.close)
            for name, face in process.faces.items():
                urls = await stack.enter_async_context(face.listening())
                process.fronts[name] = await stack.enter_async_context(passing(*urls))
            async with asyncio.TaskGroup() as tasks:
                running = tasks.create_task(process.fleet.run(process.begin), name="fleet")
                for name in process.faces:
                    await process.warm(name)
                await happens(process)
                running.cancel()

    run_virtually(main())


def test_each_serves_its_readers_what_its_market_traded(clean_valkey: str) -> None:
    async def happens(process: Process) -> None:
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

    together(clean_valkey, happens)


def killed(process: Process) -> None:
    venue = process.venues["toy"]
    assert isinstance(venue, ToyVenue)

    async def fetch(request: PageRequest) -> Page:
        raise ZeroDivisionError("a bug of that venue's")

    venue.fetch = fetch  # type: ignore[method-assign]


def banned(process: Process) -> None:
    process.fronts["toy"].answer = lambda request, answer: web.Response(
        status=418, headers={"Retry-After": "3600"}
    )


def slow(process: Process) -> None:
    async def answer(request: web.Request, answer: web.Response) -> web.StreamResponse:
        await process.clock.sleep(0.9)
        return answer

    process.fronts["toy"].answer = answer
    process.fronts["toy"].frame = lambda text: ()


@pytest.mark.parametrize("trouble", [killed, banned, slow])
def test_the_readers_of_one_notice_nothing_of_the_others_trouble(
    clean_valkey: str, trouble: Callable[[Process], None]
) -> None:
    async def happens(process: Process) -> None:
        trouble(process)
        assert await process.read("coinbase", rounds=120) == []
        assert process.begun.count("coinbase") == 1
        if trouble is killed:
            assert process.begun.count("toy") > 1, "it has begun anew"

    together(clean_valkey, happens)
