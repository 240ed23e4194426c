"""The venue bans our address: nothing is asked until its end, by no later run either, and all are told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
import redis

from livecache import ReadError
from livecache.keys.keyspace import Keyspace
from livecache.model.timeframe import Timeframe
from livecache.read.standing import row_of
from livecache.simulator import SeededMarket
from livecache.venues.venue import FailureKind, FetchFailure, PageRequest
from tests.simulation.model import ModelVenue
from tests.simulation.service import service
from tests.simulation.test_trouble import venue_at
from tests.simulation.virtual import run_virtually

M5 = Timeframe.M5
KEYS = Keyspace("sim")
BAN, STATE = KEYS.ban, KEYS.state("BTC-USD", Timeframe.M5)
LASTS_S = 3600.0


def banned(retry_after_s: float | None) -> Callable[[PageRequest], FetchFailure]:
    failure = FetchFailure(FailureKind.BANNED, "HTTP 418", 418, retry_after_s)
    return lambda request: failure


def asked(venue: ModelVenue) -> int:
    """How often it was asked for anything."""
    return len(venue.requests) + len(venue.lists) + len(venue.times)


def test_in_a_ban_nothing_is_asked_and_who_reads_is_told_until_when(clean_valkey: str) -> None:
    async def main() -> None:
        venue = venue_at()
        with redis.Redis.from_url(clean_valkey) as client:
            async with service(venue, clean_valkey, SeededMarket(7).products()[:4], (M5,)) as running:
                await running.warm()
                assert client.get(BAN) is None and running.reader.status().banned_until == 0
                venue.fault = banned(LASTS_S)
                await running.until(lambda: running.engine.limiter.banned_until > 0)
                ends_s = venue.clock.monotonic() + LASTS_S
                before, venue.fault = asked(venue), None
                await asyncio.sleep(1)
                until = running.engine.limiter.banned_until
                assert until == pytest.approx((venue.clock.wall() + LASTS_S - 1) * 1000, abs=100)
                assert client.get(BAN) == str(until).encode()
                assert running.reader.status().banned_until == until
                assert 3500_000 < client.pttl(BAN) <= 3600_000
                # The feed goes on: what it vouches for is read as ever. A feed that breaks is not made good.
                assert running.reader.candles("BTC-USD", M5, 60)
                venue.feed_dead = True
                venue.cut.set()
                await asyncio.sleep(LASTS_S - 60)
                assert asked(venue) == before
                # Who vouches for it ends in real time, which passes slowly here: before, the state says why.
                with pytest.raises(ReadError, match=r"venue banned until 20|nobody vouches"):
                    running.reader.candles("BTC-USD", M5, 60, max_lag=None)
                assert b"venue banned until 20" in (client.hget(STATE, "reason") or b"")
                venue.feed_dead = False
                await running.until(lambda: asked(venue) > before, within_s=120)
                assert venue.clock.monotonic() == pytest.approx(ends_s, abs=1.0)
                await running.until(lambda: row_of(running.reader.state("BTC-USD", M5)).state == "ready", 120)
                assert running.reader.candles("BTC-USD", M5, 60)

    run_virtually(main())


def test_a_country_that_is_not_served_is_no_ban_of_a_later_run_which_may_ask_elsewhere(
    clean_valkey: str,
) -> None:
    async def main() -> None:
        venue = venue_at()
        with redis.Redis.from_url(clean_valkey) as client:
            async with service(venue, clean_valkey, ["BTC-USD"], (M5,)) as running:
                await running.warm()
                failure = FetchFailure(FailureKind.BANNED, "HTTP 451", 451, LASTS_S)
                venue.fault = lambda request: failure
                await running.until(lambda: running.engine.limiter.banned_until > 0)
                await asyncio.sleep(10)
                assert running.engine.limiter.banned_until and client.get(BAN) is None

    run_virtually(main())


def test_a_later_run_asks_nothing_until_the_ban_is_over(clean_valkey: str) -> None:
    async def main() -> None:
        venue = venue_at()
        until = int((venue.clock.wall() + LASTS_S) * 1000)
        with redis.Redis.from_url(clean_valkey) as client:
            client.set(BAN, until, px=3_600_000)
            async with service(venue, clean_valkey, ["BTC-USD"], (M5,)) as running:
                wall_s = venue.clock.wall() - venue.clock.monotonic()
                assert min(venue.times) + wall_s >= until / 1000 - 0.001
                await running.warm()

    run_virtually(main())


@pytest.mark.parametrize("held", ["0", "soon", "-5", "9" * 40, "\u0663", "1e9", b"\xff"])
def test_what_is_no_time_there_bans_nobody(clean_valkey: str, held: str | bytes) -> None:
    async def main() -> None:
        venue = venue_at()
        with redis.Redis.from_url(clean_valkey) as client:
            client.set(BAN, held)
            async with service(venue, clean_valkey, ["BTC-USD"], (M5,)) as running:
                await running.warm()
                assert running.live.warm_s is not None and running.live.warm_s < 10

    run_virtually(main())


def test_a_key_of_another_type_there_is_left_alone(clean_valkey: str) -> None:
    async def main() -> None:
        venue = venue_at()
        with redis.Redis.from_url(clean_valkey) as client:
            client.rpush(BAN, "somebody's")
            async with service(venue, clean_valkey, ["BTC-USD"], (M5,)) as running:
                await running.warm()
                venue.fault = banned(None)
                await running.until(lambda: running.engine.limiter.banned_until > 0)
                await asyncio.sleep(1)
                assert client.lrange(BAN, 0, -1) == [b"somebody's"]
                venue.fault = None
                before = asked(venue)
                await asyncio.sleep(110)
                assert asked(venue) == before
                await running.until(lambda: asked(venue) > before, within_s=15)

    run_virtually(main())
