"""A shard goes from one engine to another, and no reader notices: the feed is heard by both meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random

import pytest
import redis

from livecache.engine.engine import Engine, Settings
from livecache.engine.venue_time import VenueTime
from livecache.keys.keyspace import Keyspace
from livecache.model.budget import Spacing
from livecache.model.policy import Policy
from livecache.model.timeframe import Timeframe
from livecache.reader.reader import Reader
from livecache.simulator import SeededMarket
from tests.simulation.model import ModelVenue
from tests.simulation.test_handover import CLOSE, Polling
from tests.simulation.virtual import BlockingRedis, VirtualClock, run_virtually
from tests.simulation.watch import Watcher

SYMBOLS = ("BTC-USD", "GRT-USD")  # a liquid one and a thin one
FRAMES = (Timeframe.M1, Timeframe.M5)


@asynccontextmanager
async def serving(venue: ModelVenue, client: redis.Redis, name: str) -> AsyncIterator[Engine]:
    """An engine of the only shard."""
    engine = Engine(
        *(venue, BlockingRedis(client), Keyspace("sim").of_shard(0, 1)),
        Settings(SYMBOLS, FRAMES, Policy(), (Spacing("requests", 9, yields=True),)),
        time=VenueTime(venue.clock), name=name, jitter=Random(name).random, gives_way=True, audit_every=60,
    )  # fmt: skip
    try:
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(engine.run(), name=name)
            yield engine
            running.cancel()
    finally:
        await engine.close(for_good=False)


@pytest.mark.takes(5)
@pytest.mark.parametrize("went_ms", [-300, 300])
def test_a_shard_that_moves_takes_nothing_back_refuses_nothing_and_knows_the_next_minute_at_once(
    clean_valkey: str, went_ms: int
) -> None:
    async def main(client: redis.Redis) -> None:
        start = CLOSE - 95_000
        clock = VirtualClock(start / 1000)
        venue = ModelVenue(SeededMarket(3), clock, start, clock.monotonic(), latency_s=0.2, tick_ms=500)
        giving = serving(venue, client, "giver")
        giver = await giving.__aenter__()
        while giver.live.warm_s is None:
            await asyncio.sleep(0.1)
        series = list(giver.series)
        watcher = Watcher(clean_valkey, venue.market, series)
        with Reader(clean_valkey, prefix="sim") as reader:
            polling = Polling(reader, series)
            known: dict[int, int] = {}  # when (venue's ms) a minute of the liquid one was known

            async def poll(until_ms: int) -> None:
                while venue.now() < until_ms:
                    polling.look()
                    record = reader.state("BTC-USD", "1m").record
                    if record is not None:
                        known.setdefault(record.state.known_through, venue.now())
                    await asyncio.sleep(0.25)

            await poll(CLOSE + went_ms - 5_000)
            async with serving(venue, client, "taker") as taker:
                while not taker.in_line:
                    await poll(venue.now() + 100)
                await poll(CLOSE + went_ms)
                await giving.__aexit__(None, None, None)
                while not taker.started.is_set():
                    await poll(venue.now() + 100)
                assert venue.now() - CLOSE - went_ms < 2_500
                await poll(CLOSE + 65_000)
        watcher.look()
        assert polling.errors == []
        assert polling.back == []
        assert known[CLOSE] - CLOSE < 12_000, "by its page, where neither has heard all of it"
        assert known[CLOSE + 60_000] - CLOSE - 60_000 < 4_000, "by the feed, which was heard before"

    with redis.Redis.from_url(clean_valkey) as client:
        run_virtually(main(client))
