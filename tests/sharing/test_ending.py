"""A shard that fails fails alone; a process that can serve none of its own ends by the error."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import fakeredis
import pytest

from livecache.engine.engine import Engine, Settings
from livecache.engine.fleet import Fleet
from livecache.engine.venue_time import VenueTime
from livecache.errors import ConfigError, ForeignKey, only
from livecache.keys.keyspace import Keyspace, holder_of
from livecache.model.budget import Spacing
from livecache.model.policy import Policy
from livecache.model.timeframe import Timeframe
from livecache.sharing.hold import Membership
from livecache.sharing.sharer import Sharer
from livecache.simulator import SeededMarket
from tests.simulation.model import ModelVenue
from tests.simulation.virtual import BlockingRedis, VirtualClock, run_virtually

START = 1_770_001_110_000
VENUE = "coinbase"
SHARDS = 3
SYMBOLS = ("BTC-USD", "ETH-USD", "SOL-USD", "ADA-USD", "XRP-USD", "LINK-USD")  # some in each
KEYS = Keyspace("sim", VENUE)


class Process:
    """One process of those that share the venue."""

    def __init__(self, fake: Any, clock: VirtualClock, name: str, beside: str = "") -> None:
        self.name = name
        self.clock = clock
        self.key_file_is_wrong = False
        self.begun: list[int] = []
        self.fleet = Fleet(filter(None, [VENUE, beside]), clock, Random(name).random)
        self._store = BlockingRedis(fake)
        self.task = asyncio.create_task(self.fleet.run(self._begin, self._join), name=name)

    def _join(self, venue: str, ready: Any, shun: Any) -> Sharer | None:
        if venue != VENUE:
            return None
        membership = Membership(self._store, KEYS, SHARDS, self.name)
        return Sharer(membership, self.clock, Random(self.name).random, ready, shun)

    @asynccontextmanager
    async def _begin(self, venue: str, has_written: bool, shard: int | None = None) -> AsyncIterator[Engine]:
        keys = Keyspace("sim", venue)
        if shard is not None:
            self.begun.append(shard)
            if self.key_file_is_wrong:
                raise ConfigError("the key cannot be read", "make another one")
            keys = keys.of_shard(shard, SHARDS)
        model = ModelVenue(
            SeededMarket(3), self.clock, START, self.clock.monotonic(), tick_ms=5_000, name=venue
        )
        symbols, budgets = tuple(filter(keys.owns, SYMBOLS)), (Spacing("requests", 9),)
        engine = Engine(
            model, self._store, keys,
            Settings(symbols, (Timeframe.M5,), Policy(), budgets, order=SYMBOLS),
            time=VenueTime(self.clock), name=self.name, jitter=Random(2).random, gives_way=True,
            used_before=has_written, audit_every=60,
        )  # fmt: skip
        try:
            yield engine
        finally:
            await engine.close(for_good=False)

    @property
    def serves(self) -> set[int]:
        """The shards that it writes."""
        place = self.fleet.places[VENUE]
        return {s for s, its in place.shards.items() if its.engine is not None and its.engine.writer.writing}

    async def ended(self, within_s: float = 60.0) -> BaseException:
        """What it has ended by."""
        async with asyncio.timeout(within_s):
            await asyncio.wait({self.task})
        error = self.task.exception()
        assert isinstance(error, BaseExceptionGroup)
        return only(error)

    async def stop(self) -> None:
        self.task.cancel()
        await asyncio.wait({self.task})


Story = Callable[[Any, Callable[..., Process]], Awaitable[None]]


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Callable[[Story], None]:
    """Tells a story in virtual time, by which the server's keys expire as well."""

    def tell(story: Story) -> None:
        async def main() -> None:
            loop = asyncio.get_running_loop()
            clock = VirtualClock(START / 1000)
            processes: list[Process] = []
            with fakeredis.FakeRedis() as fake:
                monkeypatch.setattr(time, "time", lambda: START / 1000 + loop.time())

                def join(name: str, beside: str = "") -> Process:
                    processes.append(Process(fake, clock, name, beside))
                    return processes[-1]

                await story(fake, join)
                for process in processes:
                    await process.stop()
            monkeypatch.undo()

        run_virtually(main())

    return tell


async def until(happened: Callable[[], bool], within_s: float = 60.0) -> None:
    async with asyncio.timeout(within_s):
        while not happened():
            await asyncio.sleep(0.1)


def leases(fake: Any) -> list[str | None]:
    """Whose each is."""
    return [holder_of(fake.get(KEYS.lease_of(shard))) for shard in range(SHARDS)]


def occupy(fake: Any, shard: int) -> str:
    """Something else lies where a candle of that shard is to be written. Returns the key."""
    keys = KEYS.of_shard(shard, SHARDS)
    key = keys.candles(next(filter(keys.owns, SYMBOLS)), Timeframe.M5)
    fake.rpush(key, "precious")
    return key


def test_a_configuration_that_cannot_work_ends_it_by_that_and_its_leases_are_free(
    told: Callable[[Story], None],
) -> None:
    async def story(fake: Any, join: Callable[..., Process]) -> None:
        process = join("one")
        process.key_file_is_wrong = True
        error = await process.ended(5)
        assert isinstance(error, ConfigError) and error.message == "the key cannot be read"
        assert fake.keys() == []

    told(story)


def test_where_every_shard_fails_the_process_ends_by_the_error_and_its_leases_are_free(
    told: Callable[[Story], None],
) -> None:
    async def story(fake: Any, join: Callable[..., Process]) -> None:
        foreign = {occupy(fake, shard) for shard in range(SHARDS)}
        process = join("one")
        error = await process.ended(10)
        assert isinstance(error, ForeignKey) and error.key in foreign
        assert sorted(process.begun) == [0, 1, 2]
        assert leases(fake) == [None] * SHARDS and not fake.exists(KEYS.members)

    told(story)


def test_a_shard_that_fails_is_begun_anew_and_the_others_are_served_meanwhile(
    told: Callable[[Story], None],
) -> None:
    async def story(fake: Any, join: Callable[..., Process]) -> None:
        key = occupy(fake, 1)
        process = join("one")
        place = process.fleet.places[VENUE]
        await until(lambda: process.serves == {0, 2})
        await asyncio.sleep(150)
        assert process.serves == {0, 2} and not process.task.done()
        assert process.begun.count(0) == process.begun.count(2) == 1
        assert 3 <= process.begun.count(1) <= 12
        fake.delete(key)
        await until(lambda: process.serves == {0, 1, 2}, 90)
        assert place.trouble == ""

    told(story)


def test_one_that_cannot_work_leaves_those_alone_that_can(told: Callable[[Story], None]) -> None:
    async def story(fake: Any, join: Callable[..., Process]) -> None:
        good = join("one")
        await until(lambda: good.serves == {0, 1, 2})
        bad = join("two")
        bad.key_file_is_wrong = True
        assert isinstance(await bad.ended(), ConfigError)
        await asyncio.sleep(5)
        assert good.serves == {0, 1, 2} and leases(fake) == ["one"] * SHARDS
        assert sorted(good.begun) == [0, 1, 2]

    told(story)


def test_of_two_that_start_together_the_one_that_can_work_serves_all(told: Callable[[Story], None]) -> None:
    async def story(fake: Any, join: Callable[..., Process]) -> None:
        good, bad = join("one"), join("two")
        bad.key_file_is_wrong = True
        assert isinstance(await bad.ended(), ConfigError)
        await until(lambda: good.serves == {0, 1, 2}, 5)

    told(story)


def test_a_venue_of_which_no_shard_can_be_served_is_begun_anew_as_long_as_another_venue_runs(
    told: Callable[[Story], None],
) -> None:
    async def story(fake: Any, join: Callable[..., Process]) -> None:
        process = join("one", beside="other")
        process.key_file_is_wrong = True
        place, other = process.fleet.places[VENUE], process.fleet.places["other"]
        await until(lambda: place.trouble == "the key cannot be read" and other.role == "writing")
        assert not fake.exists(KEYS.members) and leases(fake) == [None] * SHARDS
        begun, engine = len(process.begun), other.engine
        await asyncio.sleep(150)
        assert 3 <= (len(process.begun) - begun) / SHARDS <= 10
        assert place.engine is None and other.engine is engine and not process.task.done()
        process.key_file_is_wrong = False
        await until(lambda: process.serves == {0, 1, 2}, 90)
        assert place.trouble == "" and other.engine is engine

    told(story)
