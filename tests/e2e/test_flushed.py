"""Redis emptied under a running service: everything is written again, from memory and at once."""

from __future__ import annotations

import statistics
import time

import redis

from livecache.write.lease import LEASE_MS, RENEW_S

from .support import exchange, livecache, market_of, until
from .truth import KEYS, Truth, Watcher, everything_is_right, series_of, watching

SYMBOLS = ("BTC-USD", "ETH-USD", "SOL-USD", "XRP-USD", "ADA-USD")
TIMEFRAMES = ("5m", "15m", "1h", "4h", "1d")
SERIES = series_of(SYMBOLS, TIMEFRAMES)

PHASES = (0.05, 0.3, 0.5, 0.7, 0.9)  # parts of the time between two renewals of the lease
PROMISED_S = 2.0
EACH_S = 6.0  # where other tests hold the machine up


def test_after_flushall_every_series_is_back_within_two_seconds_and_nothing_is_asked_for(
    clean_valkey: str,
) -> None:
    """At five moments of the writer's rhythm: candles, states, lease, alive keys and the set are all gone."""
    truth = Truth(market_of(*SYMBOLS))
    with exchange(market_of(*SYMBOLS)) as venue, redis.Redis.from_url(clean_valkey) as store, livecache(
        "run", env=venue.settings(clean_valkey)
    ) as service, watching(clean_valkey, SERIES, truth) as watcher:  # fmt: skip
        service.event("backfill_complete")
        until("all can be read", watcher.sees_all)
        asked = len(venue.candle_requests)
        took = [empty(store, watcher, phase * RENEW_S * 1000) for phase in PHASES]
        print("seconds until all 25 series could be read again:", *(f"{s:.2f}" for s in took))
        assert statistics.median(took) < PROMISED_S, took
        assert max(took) < EACH_S, took
        assert len(venue.candle_requests) == asked, "it was all in memory"
        assert store.scard(KEYS.series) == len(SERIES)
        assert everything_is_right(store, SERIES, truth) >= 25 * 100
        assert watcher.wrong == []
        assert watcher.went_back == []
        service.stop()


def empty(store: redis.Redis, watcher: Watcher, phase_ms: float) -> float:
    """Empty the store that long after a renewal of the lease; seconds until all can be read again."""

    def renewed_then() -> bool:
        return phase_ms <= LEASE_MS - int(str(store.pttl(KEYS.lease))) < phase_ms + 80

    until(f"{phase_ms:.0f} ms after a renewal", renewed_then, every_s=0.005)
    began = time.monotonic()
    store.flushall()
    return until("all can be read again", lambda: watcher.all_read_since(began)) - began
