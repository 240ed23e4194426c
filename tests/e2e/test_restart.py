"""Starts over a Redis that already holds something: our own candles, half of them, or another origin's."""

from __future__ import annotations

import signal
from itertools import product

import redis

from livecache import Reader
from livecache.keys.keyspace import Keyspace
from livecache.model.timeframe import Timeframe

from .support import Busy, Exchange, exchange, livecache, market_of, until

FOUR = ("BTC-USD", "ETH-USD", "SOL-USD", "XRP-USD")
KEYS = Keyspace()
TIMEFRAMES = ("5m", "15m", "1h", "4h", "1d")
GRANULARITIES = {
    "FIVE_MINUTE": "5m",
    "FIFTEEN_MINUTE": "15m",
    "ONE_HOUR": "1h",
    "FOUR_HOUR": "4h",
    "ONE_DAY": "1d",
}


def asked(venue: Exchange, since: int = 0) -> list[tuple[str, str]]:
    """Which pages were asked for, as (symbol, timeframe), from request number `since` on."""
    return [(r.product, GRANULARITIES[r.granularity]) for r in venue.candle_requests[since:]]


def ready_in(url: str, *, candles: int) -> set[tuple[str, str]]:
    """The series that are ready in Redis and hold so many candles."""
    ready = set()
    with redis.Redis.from_url(url, decode_responses=True) as client:
        for symbol, name in product(FOUR, TIMEFRAMES):
            state = client.hgetall(KEYS.state(symbol, Timeframe(name)))
            if state and state["ready"] == "1" and int(state["count"]) >= candles:
                ready.add((symbol, name))
    return ready


def test_a_restart_over_a_warm_store_asks_for_no_candle_and_is_ready_within_a_second(
    clean_valkey: str,
) -> None:
    with exchange(market_of(*FOUR)) as venue:
        env = venue.settings(clean_valkey)
        with livecache("run", env=env) as service:
            service.event("backfill_complete")
            service.stop()
        assert len(ready_in(clean_valkey, candles=100)) == 20
        before = len(venue.candle_requests)
        with livecache("run", env=env) as service:
            # A second is promised, and benchmarks hold it to that; here the machine may be busy.
            assert service.event("warm")["elapsed"] < 15.0
            assert service.event("adopted")["series"] == 20
            service.event("feed_up")
            with Reader(clean_valkey) as reader:
                until("readers are served", lambda: all(v.alive for v in reader.states()))
                assert len(reader.candles("XRP-USD", "4h", 60)) == 60
            service.stop()
        assert asked(venue, before) == []


def test_a_restart_reads_only_what_has_closed_meanwhile(clean_valkey: str) -> None:
    """One request a symbol at most, though 5m and 15m buckets and an hour have closed."""
    market = market_of(*FOUR)
    with exchange(market) as venue:
        port = venue.simulator.port
        env = venue.settings(clean_valkey)
        with livecache("run", env=env) as service:
            service.event("backfill_complete")
            service.stop()
    with exchange(market, port=port, start_ms=venue.simulator.clock.start_ms + 3_600_000) as venue:
        with livecache("run", env=env) as service:
            assert service.event("adopted")["series"] == 20
            service.event("warm")
            until("all is settled", lambda: settled_through(clean_valkey, venue))
            service.stop()
        assert sorted(asked(venue)) == [(symbol, "5m") for symbol in FOUR]


def settled_through(url: str, venue: Exchange) -> bool:
    """Whether every series is settled to its last closed bucket."""
    with Reader(url) as reader:
        views = reader.states()
    return bool(views) and all(
        view.record is not None
        and view.record.state.settled_through == view.series.timeframe.floor(venue.simulator.now())
        for view in views
    )


def test_after_kill_9_in_mid_warm_up_only_the_rest_is_fetched(clean_valkey: str) -> None:
    with exchange(market_of(*FOUR)) as venue, Busy() as busy:
        env = venue.settings(clean_valkey, VENUES_COINBASE_REQUESTS_PER_SECOND=6)
        with livecache("run", env=env) as service:
            until("half of it is there", lambda: len(ready_in(clean_valkey, candles=60)) >= 10)
            service.send(signal.SIGKILL)
            service.ended()
        stored = ready_in(clean_valkey, candles=60)
        before = len(venue.candle_requests)
        with livecache("run", env=env) as service:
            service.event("warm")
            warmed = len(venue.candle_requests)
            service.event("backfill_complete")
            service.stop()
        again = set(asked(venue, before)[: warmed - before])
        # The 4h of a symbol may be read a second time on purpose: from 60 to 100 candles.
        assert {(s, t) for s, t in again & stored if t != "4h"} == set()
        lost = [(s, t) for s, t in asked(venue)[:before] if (s, t) not in stored]  # that were in flight
        if busy.longest_s < 0.2:  # A host that stands still breaks a feed, and what it missed is asked for.
            assert len(asked(venue)) <= 16 + len(lost), "three requests a symbol and one to deepen"
        assert len(ready_in(clean_valkey, candles=100)) == 20


def test_another_origins_candles_are_refused_and_all_is_fetched_anew(clean_valkey: str) -> None:
    """A simulated market at another port is another exchange: its candles must not pass for this one's."""
    with exchange(market_of(*FOUR, seed=1)) as first:
        env = first.settings(clean_valkey)
        with livecache("run", env=env) as service:
            service.event("backfill_complete")
            service.stop()
    with exchange(market_of(*FOUR, seed=2)) as second:
        with livecache("run", env=second.settings(clean_valkey)) as service:
            service.event("backfill_complete")
            service.stop()
        assert service.events("adopted") == []
        refused = service.events("adoption_refused")
        assert len(refused) == 20
        assert all(first.rest_url in r["reason"] and second.rest_url in r["reason"] for r in refused)
        assert {symbol for symbol, _ in asked(second)} == set(FOUR)
        now = second.simulator.now()
        truth = second.simulator.market.candles("BTC-USD", Timeframe.M5, now - 24 * 3_600_000, now, now)
        with redis.Redis.from_url(clean_valkey, decode_responses=True) as client:
            members = client.zrange(KEYS.candles("BTC-USD", Timeframe.M5), 0, -1)
        closed = [candle.member() for candle in truth if candle.time + Timeframe.M5.ms <= now]
        assert members[:100] == closed[-100:]
