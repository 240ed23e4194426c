"""A client that subscribes to everything and never reads: Redis lets go of it, and nobody else notices."""

from __future__ import annotations

import socket
from urllib.parse import urlsplit

import redis

from .support import exchange, livecache, market_of, until
from .truth import Truth, everything_is_right, series_of, watching

SYMBOLS = ("BTC-USD", "ETH-USD")
SERIES = series_of(SYMBOLS, ("5m", "15m", "1h", "4h", "1d"))


def nobody_hears(store: redis.Redis) -> bool:
    """Publish a megabyte, in messages that are small like the service's own; whether nobody was there."""
    with store.pipeline(transaction=False) as pipeline:
        for _ in range(100):
            pipeline.publish("more", b"x" * 10_000)
        return not any(pipeline.execute())


def test_a_client_that_subscribes_and_never_reads_hurts_neither_writer_nor_readers(clean_valkey: str) -> None:
    parts = urlsplit(clean_valkey)
    truth = Truth(market_of(*SYMBOLS))
    with exchange(market_of(*SYMBOLS), speed=60, update_ms=2_000) as venue, redis.Redis.from_url(
        clean_valkey
    ) as store, watching(clean_valkey, SERIES, truth) as watcher:  # fmt: skip
        with livecache("run", env=venue.settings(clean_valkey)) as service:
            service.event("backfill_complete")
            until("all can be read", watcher.sees_all)
            began = watcher.looks[-1].at
            with socket.socket() as deaf:
                deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)  # so that Redis has to keep it
                deaf.connect((parts.hostname, parts.port))
                deaf.sendall(b"PSUBSCRIBE *\r\n")
                until("it listens to all", lambda: store.pubsub_numpat() == 1)
                settled = dict(watcher.settled)
                # The server keeps 32 MB for a subscriber, for which the service alone would need hours.
                until("the server lets go of it", lambda: nobody_hears(store))
                until("buckets settle as before", lambda: watcher.settled[SERIES[0]] > settled[SERIES[0]])
            assert watcher.errors(began) == set()
            assert watcher.wrong == []
            assert [r for r in service.records if r["level"] == "ERROR"] == []
            assert service.events("redis_trouble") == []
            service.stop()
        assert everything_is_right(store, SERIES, truth) > 1000
