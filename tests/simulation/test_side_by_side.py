"""Two venues in one process: whatever becomes of one, the other's readers notice nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import pytest
import redis

from livecache.engine.engine import Engine, Settings
from livecache.engine.fleet import Fleet
from livecache.engine.venue_time import VenueTime
from livecache.errors import ConfigError, ForeignKey
from livecache.keys.keyspace import Keyspace, LeaseRecord, encode_lease
from livecache.model.budget import Spacing
from livecache.model.policy import Policy
from livecache.model.timeframe import Timeframe
from livecache.reader.reader import Reader
from livecache.simulator import SeededMarket
from livecache.venues.venue import FailureKind, FetchFailure, Page, PageRequest
from tests.simulation.model import ModelVenue
from tests.simulation.service import AUDIT_EVERY
from tests.simulation.test_handover import Polling
from tests.simulation.virtual import BlockingRedis, VirtualClock, run_virtually
from tests.sizes import some

START = 1_770_001_200_000 - 90_000  # a minute and a half before a bucket of every timeframe up to 1h ends
SYMBOLS = ("BTC-USD", "ETH-USD")
FRAMES = (Timeframe.M5,)
FIRST, OTHER = "coinbase", "other"
PREFIX = "sim"


class Process:
    """One process with two venues, and a reader who reads all of each twice a second."""

    def __init__(self, client: redis.Redis, url: str) -> None:
        clock = VirtualClock(START / 1000)
        self.client = client
        self.venues = {
            name: ModelVenue(SeededMarket(seed), clock, START, clock.monotonic(), tick_ms=500, name=name)
            for name, seed in ((FIRST, 3), (OTHER, 4))
        }
        self.keys = {name: Keyspace(PREFIX, name) for name in self.venues}
        self.fleet = Fleet(self.venues, clock, Random(1).random)
        self.key_file_is_wrong = False
        self.begun: list[str] = []
        self.polling: dict[str, Polling] = {}
        self._store = BlockingRedis(client)
        self._url = url

    @asynccontextmanager
    async def begin(self, name: str, has_written: bool) -> AsyncIterator[Engine]:
        self.begun.append(name)
        if name == OTHER and self.key_file_is_wrong:
            raise ConfigError("the key cannot be read", "make another one")
        venue = self.venues[name]
        engine = Engine(
            venue, self._store, self.keys[name],
            Settings(SYMBOLS, FRAMES, Policy(), (Spacing("requests", 9, yields=True),)),
            time=VenueTime(venue.clock), name=f"engine-{len(self.begun)}", jitter=Random(2).random,
            gives_way=True, used_before=has_written, audit_every=AUDIT_EVERY,
        )  # fmt: skip
        try:
            yield engine
        finally:
            await engine.close(for_good=False)

    def engine(self, name: str) -> Engine:
        engine = self.fleet.places[name].engine
        assert engine is not None
        return engine

    def serves(self, name: str) -> bool:
        engine = self.fleet.places[name].engine
        return engine is not None and engine.live.warm_s is not None

    async def until(self, happened: Callable[[], bool], within_s: float = 300.0) -> None:
        async with asyncio.timeout(within_s):
            while not happened():
                await self.read(0.1)

    async def read(self, seconds: float) -> None:
        """Read all that is polled meanwhile."""
        end_s = asyncio.get_running_loop().time() + seconds
        while asyncio.get_running_loop().time() < end_s:
            for polling in self.polling.values():
                polling.look()
            await asyncio.sleep(0.5)

    def poll(self, name: str) -> Polling:
        reader = Reader(self._url, prefix=PREFIX, venue=name)
        self.polling[name] = Polling(reader, list(self.engine(name).series))
        return self.polling[name]

    def unharmed(self) -> bool:
        """Whether the first venue's reader has noticed nothing, and read a lot."""
        polling = self.polling[FIRST]
        assert polling.errors == polling.back == []
        assert polling.reads > 400 and polling.forming > 50
        assert self.begun.count(FIRST) == 1
        return True


def side_by_side(url: str, what: Callable[[Process], Any]) -> None:
    """Have two venues warm in one process, and something happen to it."""

    async def main(client: redis.Redis) -> None:
        process = Process(client, url)
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(process.fleet.run(process.begin), name="fleet")
            await process.until(lambda: process.serves(FIRST) and process.serves(OTHER))
            process.poll(FIRST)
            await what(process)
            running.cancel()
        for polling in process.polling.values():
            polling.reader.close()

    with redis.Redis.from_url(url) as client:
        run_virtually(main(client))


def test_two_venues_are_each_warm_and_current_and_never_mixed(clean_valkey: str) -> None:
    async def what(process: Process) -> None:
        process.poll(OTHER)
        await process.read(200)
        assert process.polling[OTHER].errors == process.polling[OTHER].back == []
        newest = {n: p.reader.candles("BTC-USD", "5m", 30) for n, p in process.polling.items()}
        for name, venue in process.venues.items():
            truth = venue.market.candles("BTC-USD", Timeframe.M5, START - 10**7, venue.now(), venue.now())
            closes = {candle.time: float(candle.close) for candle in truth}
            assert [c.close for c in newest[name]] == [closes[c.time] for c in newest[name]]
        assert process.unharmed()

    side_by_side(clean_valkey, what)


def crash(process: Process, name: str = OTHER) -> None:
    """A bug: what is never to be raised is."""

    async def fetch(request: PageRequest) -> Page | FetchFailure:
        del process.venues[name].fetch
        raise ZeroDivisionError("a bug of that venue's")

    process.venues[name].fetch = fetch  # type: ignore[method-assign]


def lose_the_lease(process: Process) -> None:
    stranger = LeaseRecord("stranger", process.engine(OTHER).writer.token + 1)
    process.client.set(process.keys[OTHER].lease, encode_lease(stranger))


@pytest.mark.parametrize("ends", [crash, lose_the_lease])
def test_one_that_ends_begins_anew_alone(clean_valkey: str, ends: Callable[[Process], None]) -> None:
    async def what(process: Process) -> None:
        before = process.engine(OTHER)
        ends(process)
        await process.until(lambda: process.fleet.places[OTHER].engine not in (None, before))
        process.client.delete(process.keys[OTHER].lease)
        await process.until(lambda: process.serves(OTHER))
        assert process.fleet.places[OTHER].trouble == ""
        await process.read(120)
        process.poll(OTHER)
        await process.read(30)
        assert process.polling[OTHER].errors == []
        assert process.unharmed()
        assert process.begun.count(OTHER) == 2

    side_by_side(clean_valkey, what)


def foreign(process: Process) -> Callable[[], None]:
    key = process.keys[OTHER].candles("BTC-USD", Timeframe.M5)
    process.client.delete(key)
    process.client.set(key, "somebody else's")

    def mend() -> None:
        process.client.delete(key)

    return mend


def unknown_key(process: Process) -> Callable[[], None]:
    process.key_file_is_wrong = True

    def mend() -> None:
        process.key_file_is_wrong = False

    return mend


@pytest.mark.parametrize("refuses", [foreign, unknown_key])
def test_one_that_refuses_to_start_is_told_and_tried_ever_more_seldom(
    clean_valkey: str, refuses: Callable[[Process], Callable[[], None]]
) -> None:
    async def what(process: Process) -> None:
        mend = refuses(process)
        crash(process)
        place = process.fleet.places[OTHER]
        await process.until(lambda: place.trouble not in ("", "ZeroDivisionError"))
        begun = process.begun.count(OTHER)
        await process.read(150)
        assert 3 <= process.begun.count(OTHER) - begun <= 10
        assert place.engine is None and place.role == "starting"
        assert "not livecache's" in place.trouble or "key cannot be read" in place.trouble
        mend()
        await process.until(lambda: process.serves(OTHER))
        assert place.trouble == ""
        assert process.unharmed()

    side_by_side(clean_valkey, what)


@pytest.mark.parametrize(
    "kind", some([FailureKind.REFUSED, FailureKind.UNAUTHORIZED, FailureKind.TIMEOUT], FailureKind.REFUSED)
)
def test_one_that_its_venue_has_banned_or_that_is_slow_holds_up_nobody(
    clean_valkey: str, kind: FailureKind
) -> None:
    async def what(process: Process) -> None:
        venue = process.venues[OTHER]
        failure = FetchFailure(kind, "no", 418, 3_600.0 if kind is FailureKind.REFUSED else None)
        venue.fault = lambda request: failure
        venue.latency_s, venue.feed_dead = 9.0, True
        asked = len(process.venues[FIRST].requests)
        await process.read(200)
        assert process.unharmed()
        assert process.begun.count(OTHER) == 1
        assert len(process.venues[FIRST].requests) - asked <= 4, "as many as a close costs"

    side_by_side(clean_valkey, what)


def test_one_that_stands_by_after_an_error_keeps_the_process_running(clean_valkey: str) -> None:
    async def what(process: Process) -> None:
        stranger = LeaseRecord("stranger", process.engine(OTHER).writer.token + 1)
        place = process.fleet.places[OTHER]
        process.key_file_is_wrong = True
        crash(process)
        await process.until(lambda: "key cannot be read" in place.trouble)
        process.client.set(process.keys[OTHER].lease, encode_lease(stranger))
        process.key_file_is_wrong = False
        await process.until(lambda: place.role == "waiting")
        assert place.trouble
        process.polling.clear()
        crash(process, FIRST)
        await process.until(lambda: process.begun.count(FIRST) == 2, within_s=600)
        await process.until(lambda: process.serves(FIRST))
        assert place.role == "waiting"
        process.client.delete(process.keys[OTHER].lease)
        await process.until(lambda: process.serves(OTHER))

    side_by_side(clean_valkey, what)


def test_once_none_is_left_the_process_ends_by_the_error(clean_valkey: str) -> None:
    async def main(client: redis.Redis) -> None:
        process = Process(client, clean_valkey)
        for keys in process.keys.values():
            client.set(keys.series, "somebody else's")
        with pytest.raises(BaseExceptionGroup) as caught:
            async with asyncio.timeout(60):
                await process.fleet.run(process.begin)
        assert caught.group_contains(ForeignKey)
        assert sorted(process.begun) == [FIRST, OTHER]

    with redis.Redis.from_url(clean_valkey) as client:
        run_virtually(main(client))
