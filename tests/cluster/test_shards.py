"""Two processes share a venue's symbols over a cluster; one dies, and the other holds all."""

from __future__ import annotations

import signal
import time
from collections import Counter
from contextlib import ExitStack

import pytest
import redis

from livecache.keys.keyspace import decode_lease
from livecache.wire.connecting import client_for

from ..e2e.support import Busy, exchange, livecache, market_of, until
from ..e2e.truth import KEYS, Truth, everything_is_right, series_of, watching
from .nodes import Nodes

SYMBOLS = ("BTC-USD", "ETH-USD", "SOL-USD", "XRP-USD")
TIMEFRAMES = ("5m", "15m")
SERIES = series_of(SYMBOLS, TIMEFRAMES)
SHARDS = 6


@pytest.mark.takes(15)
def test_of_two_that_share_a_venue_over_a_cluster_one_dies_and_the_other_holds_all(
    clean_nodes: Nodes,
) -> None:
    url, truth = clean_nodes.url, Truth(market_of(*SYMBOLS))
    with (
        exchange(market_of(*SYMBOLS), speed=60.0, update_ms=5_000) as venue,
        client_for(redis, url) as client,
        ExitStack() as stack,
        Busy() as busy,
    ):
        env = venue.settings(url, CACHE_TIMEFRAMES=",".join(TIMEFRAMES), VENUES_COINBASE_SHARDS=SHARDS)
        one, two = (stack.enter_context(livecache("run", env=env)) for _ in range(2))

        def held() -> dict[int, int]:
            """By the ids of the processes, how many leases each holds under a token."""
            leases = [client.get(KEYS.lease_of(shard)) for shard in range(SHARDS)]
            records = [decode_lease(lease) for lease in leases if lease]
            return Counter(int(record.instance.split("-")[-2]) for record in records if record.token)

        until("each holds a half", lambda: held() == {one.pid: 3, two.pid: 3})
        watcher = stack.enter_context(watching(url, SERIES, truth))
        until("everything can be read", watcher.sees_all)
        began, waited_s = time.monotonic(), busy.s
        one.send(signal.SIGKILL)
        until("the other holds all", lambda: held() == {two.pid: SHARDS})
        took_s = time.monotonic() - began
        until("everything can be read", lambda: watcher.all_read_since(began + took_s))
        print(f"killed: all held after {took_s:.1f} s, blind for {watcher.blind_s(began):.1f} s")
        assert took_s < 9.0 + busy.s - waited_s
        two.stop()
        assert watcher.wrong == []
        assert watcher.went_back == []
        assert everything_is_right(client, SERIES, truth) > 400
        assert not any(client.get(KEYS.lease_of(shard)) for shard in range(SHARDS)), "they are given up"
