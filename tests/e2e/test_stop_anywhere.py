"""SIGTERM at any moment of a start: it ends cleanly, and leaves nothing behind that the next one minds."""

from __future__ import annotations

import random
import signal
import time

import redis

from livecache.keys.keyspace import decode_alive

from .support import exchange, livecache, market_of, reach
from .truth import KEYS, Truth, everything_is_right, series_of

SYMBOLS = ("BTC-USD", "ETH-USD", "SOL-USD", "XRP-USD")
SERIES = series_of(SYMBOLS, ("5m", "15m", "1h", "4h", "1d"))
ROUNDS = 10
WITHIN_S = 10.0
"""Five are promised, and test_shutdown.py holds it to them; here other tests may hold up the machine."""


def test_sigterm_at_ten_moments_of_a_start_ends_it_cleanly_and_the_next_one_goes_on(
    clean_valkey: str,
) -> None:
    """Five times within the second in which it starts, and five times within the first second of the fill."""
    chance = random.Random(6)
    with exchange(market_of(*SYMBOLS), latency_s=0.1) as venue, redis.Redis.from_url(clean_valkey) as store:
        env = venue.settings(clean_valkey, VENUES_COINBASE_REQUESTS_PER_SECOND=9)
        for number in range(ROUNDS):
            with livecache("run", env=env) as service:
                if number % 2:
                    service.event("lease_acquired")
                moment = time.monotonic() + chance.uniform(0.0, 1.0)
                reach(moment)
                service.send(signal.SIGTERM)
                code = service.ended(WITHIN_S)
                asked = len(venue.candle_requests)
                at, took = moment - service.began_s, time.monotonic() - moment
                print(f"SIGTERM after {at:.2f} s: {code} after {took:.2f} s, {asked} pages asked for")
                # Until it can take a signal it has touched nothing, and the system ends it.
                assert code == 0 if service.events("stopping") else code == -signal.SIGTERM, service.story()
                assert service.events("stopping") or not service.events("lease_acquired")
                assert service.errors == [], "no traceback, and no complaint"
                assert not service.events("goodbye_failed")
            assert store.exists(KEYS.lease) == 0, "the next one need not wait"
            words = [store.get(KEYS.alive(symbol)) for symbol in SYMBOLS]
            assert all(decode_alive(word).leaving for word in words if word), "nobody vouches for longer"
        asked = len(venue.candle_requests)
        with livecache("run", env=env) as service:
            service.event("backfill_complete")
            assert not service.events("lease_wait"), "the lease was free"
            assert not service.events("adoption_refused"), "and what lay there was sound"
            assert service.stop() < 5.0
        print(f"{len(venue.candle_requests)} candle requests in all, {asked} of them before the last start")
        # Three a symbol and one to deepen. What was under way when a signal came is asked for again.
        assert len(venue.candle_requests) <= 4 * len(SYMBOLS) + 2 * ROUNDS
        assert everything_is_right(store, SERIES, Truth(market_of(*SYMBOLS))) >= 20 * 100
