"""What venues differ in: private endpoints, timeframes they do not serve, ids that share a feed."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
import redis

from livecache.keys.keyspace import Keyspace
from livecache.model.timeframe import Timeframe
from livecache.simulator import KeyRing, throwaway_key

from .support import exchange, livecache, market_of, until

KEYS = Keyspace()
HOUR, FOUR_HOURS = Timeframe.H1, Timeframe.H4


def candles(client: redis.Redis, symbol: str, timeframe: Timeframe) -> dict[int, tuple[Decimal, ...]]:
    """Open time to open, high, low, close, volume, as the set holds them."""
    members: Any = client.zrange(KEYS.candles(symbol, timeframe), 0, -1)
    rows = [json.loads(member, parse_float=Decimal, parse_int=Decimal) for member in members]
    return {int(row[0]): tuple(row[1:]) for row in rows}


@pytest.mark.parametrize("kind", ["ed25519", "ec"])
def test_with_a_key_candles_come_from_the_private_endpoints(clean_valkey: str, kind: str) -> None:
    key = throwaway_key(kind)
    secret = {"LIVECACHE_COINBASE_KEY_NAME": key.name, "LIVECACHE_COINBASE_KEY_SECRET": key.secret}
    with exchange(keys=KeyRing(key)) as venue:
        with livecache("run", env=venue.settings(clean_valkey, LOG_LEVEL="DEBUG") | secret) as service:
            service.event("backfill_complete")
            service.event("feed_up")
            service.stop()
        assert {r.path.rpartition("/products/")[0] for r in venue.candle_requests} == {"/api/v3/brokerage"}
        assert {r.status for r in venue.requests} == {200}
    assert key.secret not in service.story() and key.secret.replace("\n", "\\n") not in service.story()


def test_a_key_that_the_venue_does_not_know_is_told_and_is_not_hammered(clean_valkey: str) -> None:
    key = throwaway_key()
    secret = {"LIVECACHE_COINBASE_KEY_NAME": key.name, "LIVECACHE_COINBASE_KEY_SECRET": key.secret}
    with exchange() as venue, livecache("run", env=venue.settings(clean_valkey) | secret) as service:
        told = service.event("backfill_task_failed")
        assert "401" in told["message"]
        service.stop()


def test_where_4h_is_not_served_it_is_rolled_up_and_said_once(clean_valkey: str) -> None:
    refusing = frozenset({"FOUR_HOUR"})
    with exchange(market_of("BTC-USD", "ETH-USD", "SOL-USD"), rejected_granularities=refusing) as venue:
        with livecache("run", env=venue.settings(clean_valkey)) as service:
            service.event("warm")
            service.event("backfill_complete")
            service.stop()
        assert len([r for r in venue.candle_requests if r.granularity == "FOUR_HOUR"]) <= 3
    told = service.events("timeframe_unsupported")
    assert len(told) == 1 and told[0]["timeframe"] == "4h"
    with redis.Redis.from_url(clean_valkey, decode_responses=True) as client:
        for symbol in ("BTC-USD", "ETH-USD", "SOL-USD"):
            state = client.hgetall(KEYS.state(symbol, FOUR_HOURS))
            assert state["ready"] == "1" and int(state["count"]) >= 100
            hours, fours = candles(client, symbol, HOUR), candles(client, symbol, FOUR_HOURS)
            checked = 0
            for time, four in fours.items():
                rows = [hours.get(time + i * HOUR.ms) for i in range(4)]
                if all(rows) and time + FOUR_HOURS.ms <= int(state["settled_through"]):
                    o, h, lo, c, v = zip(*(row for row in rows if row), strict=True)
                    assert four == (o[0], max(h), min(lo), c[-1], sum(v))
                    checked += 1
            assert checked >= 20


def test_usdc_ids_follow_the_feed_of_their_usd_product(clean_valkey: str) -> None:
    """Both ids of one book are live at once, though the feed names only one of them."""
    symbols = ["BTC-USDC", "BTC-USD", "ETH-USDC"]
    with exchange(speed=60.0) as venue:
        env = venue.settings(clean_valkey, symbols, CACHE_TIMEFRAMES="5m,15m")
        with livecache("run", env=env) as service, redis.Redis.from_url(clean_valkey) as client:
            service.event("warm")
            assert service.event("feed_up")["products"] == 3

            def live() -> bool:
                """Whether the feed vouches for the bucket in progress of each."""
                states = [client.hgetall(KEYS.state(symbol, Timeframe.M5)) for symbol in symbols]
                alive = [json.loads(client.get(KEYS.alive(symbol)) or b"{}") for symbol in symbols]
                forming = [state and int(state[b"forming"]) > 0 for state in states]
                return all(forming) and all(a.get("feed") == "up" for a in alive)

            until("all three are live", live)
            entries = until("buckets close in the feed", lambda: closed_live(client, symbols), 30.0)
            service.stop()
    for symbol in symbols:
        assert entries[f"{symbol}:5m"], symbol


def closed_live(client: redis.Redis, symbols: list[str]) -> dict[str, str] | None:
    """For each series the first candle announced as closed by the feed; None until all have one."""
    closed: dict[str, str] = {}
    entries: Any = client.xrange(KEYS.closes)
    for _, entry in entries:
        fields = {name.decode(): value.decode() for name, value in entry.items()}
        if fields["kind"] == "closed":
            closed.setdefault(fields["series"], fields["candle"])
    return closed if all(f"{symbol}:5m" in closed for symbol in symbols) else None
