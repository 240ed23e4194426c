"""A series that nobody fills any more says so, instead of being served as fresh for as long as it may."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest
import redis
import redis.asyncio

from livecache import Reader, UnknownSeries
from livecache.clock import SystemClock
from livecache.keys.keyspace import RETIRED, AliveRecord, encode_alive, encode_state
from livecache.write.lease import Fenced, Lease
from livecache.write.presence import Presence

from .support import BTC, ETH, ORIGIN, STEP, T0, state
from .writing import KEYS

ALIVE = encode_alive(AliveRecord("one", T0 + 10 * STEP, "up"))


def written() -> dict[str, str]:
    """A state as a writer leaves it."""
    flat = encode_state(state(0, 10, 10), origin=ORIGIN, fence=5, revision=3, updated_at=0)
    return {str(k): str(v) for k, v in zip(flat[::2], flat[1::2], strict=True)} | {"count": "0"}


def announce(url: str, *series: object) -> None:
    async def main() -> None:
        async with redis.asyncio.Redis.from_url(url) as client:
            lease = Lease(client, KEYS, "one", [], clock=SystemClock())
            await lease.acquire()
            presence = Presence(client, KEYS, series, "one", announced=series)  # type: ignore[arg-type]
            await presence.announce(lease.record, lease.token)

    asyncio.run(main())


def test_a_series_that_is_not_announced_any_more_says_so_and_keeps_what_is_settled(clean_valkey: str) -> None:
    gone, stays = KEYS.state(*ETH[1:]), KEYS.state(*BTC[1:])
    announce(clean_valkey, BTC, ETH)
    with redis.Redis.from_url(clean_valkey, decode_responses=True) as client:
        for series in (BTC, ETH):
            client.hset(KEYS.state(*series[1:]), mapping=written())
            client.set(KEYS.alive(series.symbol), ALIVE)
        announce(clean_valkey, BTC)
        told = client.hgetall(gone)
        marks = ("contiguous_from", "settled_through", "known_through", "forming")
        assert {told[mark] for mark in marks} == {"0"}
        assert (told["ready"], told["reason"]) == ("0", RETIRED)
        assert told["coverage"] == written()["coverage"], "for whoever fills it again"
        assert client.hgetall(stays) == written()
        with Reader(clean_valkey) as reader:
            read = partial(reader.candles, "ETH-USD", "5m", 1)
            for alive in (True, False):
                for one in (read, partial(read, settled=True), partial(read, forming=True)):
                    with pytest.raises(UnknownSeries, match="taken out of the configuration"):
                        one()
                if alive:
                    client.delete(KEYS.alive("ETH-USD"))


def test_whoever_has_lost_the_lease_retires_nothing(clean_valkey: str) -> None:
    async def main() -> None:
        async with redis.asyncio.Redis.from_url(clean_valkey, decode_responses=True) as client:
            presence = Presence(client, KEYS, [BTC], "one", announced=[BTC])
            for name, value in written().items():
                await client.hset(KEYS.state(*ETH[1:]), name, value)
            await client.set(KEYS.lease, "another")
            with pytest.raises(Fenced):
                await presence._retire(["ETH-USD:5m"], "ours", 4)
            assert await client.hgetall(KEYS.state(*ETH[1:])) == written()

    asyncio.run(main())
