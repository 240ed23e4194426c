"""A long time without the feed: closed candles go on being served, from REST, and one can tell."""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import urlsplit

import pytest
import redis

from livecache import OutOfSync, Reader, Timeframe

from .gate import gate
from .support import Exchange, candle_requests, exchange, livecache, market_of, until
from .truth import KEYS, Truth, Watcher, everything_is_right, series_of, watching

SYMBOLS = ("BTC-USD", "ETH-USD")
TIMEFRAMES = ("5m", "15m", "1h", "4h", "1d")
SERIES = series_of(SYMBOLS, TIMEFRAMES)
M5 = Timeframe.M5

SPEED = 60.0
MAX_LAG_S = 1_800  # half a minute of this market, for a busy machine


def forms(reader: Reader, symbol: str) -> bool:
    """Whether the bucket in progress can be read."""
    try:
        return len(reader.candles(symbol, "5m", 60, forming=True)) == 61
    except OutOfSync:
        return False


def buckets(start: int, end: int) -> range:
    """The 5m buckets that closed between these times."""
    return range(M5.floor(start), M5.floor(end), M5.ms)


@pytest.mark.takes(40)
@pytest.mark.parametrize("minutes", [16, pytest.param(60, marks=pytest.mark.long)])
def test_without_the_feed_readers_lose_nothing_but_the_bucket_in_progress(
    clean_valkey: str, minutes: int
) -> None:
    truth = Truth(market_of(*SYMBOLS))
    with exchange(market_of(*SYMBOLS), speed=SPEED, update_ms=5_000) as venue, gate(
        urlsplit(venue.ws_url).port or 0
    ) as feed, redis.Redis.from_url(clean_valkey) as store, Reader(
        clean_valkey, max_lag=MAX_LAG_S
    ) as reader:  # fmt: skip
        env = venue.settings(clean_valkey, VENUES_COINBASE_WS_URL=f"ws://127.0.0.1:{feed.port}")
        with livecache("run", env=env) as service, watching(
            clean_valkey, SERIES, truth, max_lag_s=MAX_LAG_S
        ) as watcher:  # fmt: skip
            service.event("backfill_complete")
            until("the feed vouches", lambda: all(forms(reader, symbol) for symbol in SYMBOLS))
            until("all is well", lambda: watcher.sees_all() and watcher.feeds() == {"up"})

            feed.cut()
            knocks = feed.knocks
            until("readers are told", lambda: watcher.feeds() == {"down"})
            died, asked = venue.simulator.now(), len(venue.requests)
            watch(venue, reader, watcher, died, died + minutes * Timeframe.M1.ms)
            returned = venue.simulator.now()
            check_requests(venue, asked, len(buckets(died, returned)))
            assert feed.knocks - knocks < 20, "the feed is sought with back-off"

            feed.open()
            until("the feed is back", lambda: all(forms(reader, symbol) for symbol in SYMBOLS), 60.0)
            two_later = M5.floor(venue.simulator.now()) + 2 * M5.ms
            until("live has resumed", lambda: settled_to(reader, two_later))
            for symbol in SYMBOLS:
                times = [c.time for c in reader.range(symbol, "5m", died, two_later, settled=True)]
                assert times == list(buckets(died + M5.ms, two_later)), "no hole"
            check_announced(store, buckets(died, returned - M5.ms))
            assert everything_is_right(store, SERIES, truth) > 1000
            assert watcher.wrong == []
            assert watcher.went_back == []
            service.stop()


def watch(venue: Exchange, reader: Reader, watcher: Watcher, died: int, end: int) -> None:
    """All closed candles are served, in time, with the word "down"; the bucket in progress is not."""
    began = time.monotonic()

    def over() -> bool:
        assert not any(forms(reader, symbol) for symbol in SYMBOLS)
        return venue.simulator.now() >= end

    until("the time has passed", over, 120.0, every_s=0.2)
    looks = watcher.since(began)
    assert watcher.errors(began) == set()
    assert watcher.feeds(began) == {"down"}
    late_ms = max(look.late for look in looks)
    print(f"{len(looks)} looks, the newest bucket at most {late_ms / 1000:.0f} s of the market late")
    assert all(watcher.settled[one] > died for one in SERIES if one.timeframe is M5), "it goes on settling"


def check_requests(venue: Exchange, since: int, closes: int) -> None:
    """One page a symbol and close, as on any other day; and the time, every three seconds of silence.

    Twice each, since in this market the clock leaps by minutes, which a second answer has to confirm.
    """
    requests = venue.requests[since:]
    candles, real_s = candle_requests(requests), requests[-1].at - requests[0].at
    others = len(requests) - len(candles)
    print(f"{closes} closes: {len(candles)} pages, {others} other requests, {real_s:.0f} real seconds")
    assert len(candles) <= len(SYMBOLS) * (closes + 1)
    assert others <= 2 * (real_s / 3 + 1)


def settled_to(reader: Reader, through: int) -> bool:
    """Whether the 5m series are settled to there, and the feed is up."""
    newest = [reader.candles(symbol, "5m", 60) for symbol in SYMBOLS]
    return all(candles.settled_through >= through and candles.feed == "up" for candles in newest)


def check_announced(store: redis.Redis, times: range) -> None:
    """Each of these 5m buckets was announced as settled, once."""
    entries: Any = store.xrange(KEYS.closes)
    for symbol in SYMBOLS:
        settled = [
            int(entry[b"time"])
            for _, entry in entries
            if entry[b"series"] == f"{symbol}:5m".encode() and entry[b"kind"] == b"settled"
        ]
        assert [time for time in settled if time in times] == list(times)
