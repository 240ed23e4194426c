"""kill -9 again and again, of the service and of the server, with a reader that watches all along.

Whatever it gets is right and without a gap, or it is a typed error; and in the end everything is there.
"""

from __future__ import annotations

import random
import signal
import time
from pathlib import Path

import pytest
import redis

from livecache.model.timeframe import Timeframe

from .store import store_in
from .support import Exchange, exchange, livecache, market_of, reach, until
from .truth import SETTLED_SOON_MS, Truth, Watcher, everything_is_right, series_of, watching

SYMBOLS = ("BTC-USD", "ETH-USD")
TIMEFRAMES = ("5m", "15m", "1h", "4h", "1d")
SERIES = series_of(SYMBOLS, TIMEFRAMES)
SPEED = 60.0  # a 5m bucket closes every five seconds


def closes(venue: Exchange, since: int) -> int:
    """How many 5m buckets have closed since that time of the market."""
    return int(Timeframe.M5.floor(venue.simulator.now()) - Timeframe.M5.floor(since)) // Timeframe.M5.ms


def all_is_settled(venue: Exchange, watcher: Watcher) -> bool:
    """Whether a reader sees every series, each settled up to its last bucket or the one before."""
    now = venue.simulator.now() - SETTLED_SOON_MS
    return watcher.sees_all() and all(
        watcher.settled.get(one, 0) >= one.timeframe.floor(now) for one in SERIES
    )


@pytest.mark.takes(15)
def test_kill_9_of_the_service_again_and_again_never_shows_a_reader_anything_wrong(clean_valkey: str) -> None:
    chance = random.Random(3)
    truth = Truth(market_of(*SYMBOLS))
    with exchange(market_of(*SYMBOLS), speed=SPEED, update_ms=5_000) as venue, redis.Redis.from_url(
        clean_valkey
    ) as client, watching(clean_valkey, SERIES, truth) as watcher:  # fmt: skip
        env = venue.settings(clean_valkey)
        began, filled = venue.simulator.now(), 0
        kills = 3
        for _ in range(kills):
            with livecache("run", env=env) as service:
                service.event("warm")
                until("all can be read", watcher.sees_all)
                filled = filled or len(venue.candle_requests)
                reach(time.monotonic() + chance.uniform(0.0, 2.5))
                service.send(signal.SIGKILL)
                service.ended()
        with livecache("run", env=env) as service:
            service.event("warm")
            until("all is settled", lambda: all_is_settled(venue, watcher))
            asked = len(venue.candle_requests) - filled
            assert asked <= len(SYMBOLS) * (closes(venue, began) + kills + 1), "one a symbol and close"
            service.stop()
        assert everything_is_right(client, SERIES, truth) > 1000
        assert watcher.wrong == []
        assert watcher.went_back == []
        assert watcher.errors() <= {"Stale", "NotReady", "UnknownSeries"}


def test_kill_9_of_the_server_with_and_without_its_data_never_shows_a_reader_anything_wrong(
    tmp_path: Path,
) -> None:
    chance = random.Random(4)
    truth = Truth(market_of(*SYMBOLS))
    with store_in(tmp_path / "data") as server, exchange(
        market_of(*SYMBOLS), speed=SPEED, update_ms=5_000
    ) as venue, watching(server.url, SERIES, truth) as watcher, livecache(
        "run", env=venue.settings(server.url)
    ) as service:  # fmt: skip
        service.event("backfill_complete")
        began, filled = venue.simulator.now(), len(venue.candle_requests)
        for empty in (False, True, True, False):
            until("all can be read", watcher.sees_all)
            reach(time.monotonic() + chance.uniform(0.0, 1.5))
            server.kill()
            gone = time.monotonic()
            until("readers know", lambda: "RedisUnavailable" in watcher.errors(gone))  # noqa: B023
            server.start(empty=empty)
            back = time.monotonic()
            until("all can be read again", lambda: watcher.all_read_since(back))  # noqa: B023
            print(f"empty={empty}: read again {watcher.all_read_since(back) - back:.2f} s after it was back")
        until("all is settled", lambda: all_is_settled(venue, watcher))
        asked = len(venue.candle_requests) - filled
        assert asked <= len(SYMBOLS) * (closes(venue, began) + 1), "one a symbol and close, whatever was lost"
        with redis.Redis.from_url(server.url) as client:
            assert everything_is_right(client, SERIES, truth) > 1000
        assert watcher.wrong == []
        assert watcher.errors() <= {"RedisUnavailable", "Stale", "NotReady", "UnknownSeries"}
        service.stop()


def test_a_service_killed_again_and_again_while_it_starts_is_warm_in_the_end_and_asks_for_little_twice(
    tmp_path: Path,
) -> None:
    """With the embedded server, which dies with it, and of which a crash may cost a second of writes."""
    chance = random.Random(5)
    kills, per_second = 8, 9
    symbols = ("BTC-USD", "ETH-USD", "SOL-USD", "XRP-USD")
    series = series_of(symbols, TIMEFRAMES)
    with exchange(market_of(*symbols), latency_s=0.05) as venue:
        env = venue.settings(
            "embedded", REDIS_DATA_DIR=tmp_path / "data", VENUES_COINBASE_REQUESTS_PER_SECOND=per_second
        )
        for _ in range(kills):
            with livecache("run", env=env) as service:
                reach(service.began_s + chance.uniform(0.2, 2.0))
                service.send(signal.SIGKILL)
                service.ended()
                assert not any("Traceback" in line for line in service.errors)
        stormed = len(venue.candle_requests)
        with livecache("run", env=env) as service:
            url = service.event("embedded_started")["url"]
            service.event("warm")
            service.event("backfill_complete")
            truth = Truth(market_of(*symbols))
            with redis.Redis.from_url(url) as client, watching(url, series, truth) as watcher:
                until("all can be read", watcher.sees_all)
                assert everything_is_right(client, series, truth) >= 20 * 100
                assert watcher.wrong == []
            service.stop()
        asked = len(venue.candle_requests)
        print(f"{asked} candle requests, {stormed} of them in the storm; an undisturbed start makes 16")
        # Three a symbol and one to deepen; and of each crash what a second of writes had brought.
        assert asked <= 4 * len(symbols) + kills * per_second
