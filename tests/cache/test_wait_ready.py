"""Waiting until series can be read, and what is told of the service."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
import redis

from livecache import NotReady, ReadError, RedisUnavailable, Stale
from livecache.keys.keyspace import LeaseRecord, encode_lease

from ..e2e.store import store_in
from .either import either
from .support import BTC, ETH, STEP, T0, state
from .test_follow import later, reads
from .test_reader import ALIVE, KEYS, put

WANTED = [("BTC-USD", "5m", 5), ("ETH-USD", "5m", 5)]


def put_both(client: Any) -> None:
    put(client, state(0, 10, 10), range(10), series=BTC)
    put(client, state(0, 10, 10), range(10), series=ETH)


def test_what_is_there_is_given_at_once(kind: str, clean_valkey: str, store: Any) -> None:
    put_both(store)
    with either(kind, clean_valkey) as reader:
        warm = reader.wait_ready(WANTED, timeout=0, max_lag=0)
    assert {series: len(candles) for series, candles in warm.items()} == {BTC: 5, ETH: 5}


def test_a_cache_that_is_still_empty_is_waited_for(kind: str, clean_valkey: str, store: Any) -> None:
    store.config_resetstat()

    def looked() -> bool:
        stats = store.info("commandstats")
        return "cmdstat_evalsha_ro" in stats and reads(store) > 4

    with either(kind, clean_valkey) as reader, later(lambda: put_both(store), looked):
        assert set(reader.wait_ready(WANTED)) == {BTC, ETH}


def test_what_was_ready_first_must_be_so_still_at_the_end(kind: str, clean_valkey: str, store: Any) -> None:
    put(store, state(0, 10, 10), range(10), series=BTC)

    def change() -> None:
        store.delete(ALIVE)
        put(store, state(0, 10, 10), range(10), series=ETH)

    before = store.info("commandstats").get("cmdstat_evalsha_ro", {}).get("calls", 0)
    with (
        either(kind, clean_valkey) as reader,
        later(change, lambda: reads(store) > before + 3),
        pytest.raises(NotReady, match="1 of 2 series") as caught,
    ):
        reader.wait_ready(WANTED, timeout=1.5)
    assert isinstance(caught.value.__cause__, Stale)


def test_what_is_missing_in_the_end_is_told(kind: str, clean_valkey: str, store: Any) -> None:
    put(store, state(0, 3, 3), range(3), series=BTC)
    began = time.monotonic()
    with (
        either(kind, clean_valkey) as reader,
        pytest.raises(NotReady, match=r"2 of 2 series cannot be read yet.*3 of 5") as caught,
    ):
        reader.wait_ready(WANTED, timeout=0.4)
    assert (caught.value.have, caught.value.want) == (0, 2)
    assert time.monotonic() - began > 0.35


def test_a_server_that_starts_later_is_waited_for(kind: str, tmp_path: Path) -> None:
    with store_in(tmp_path / "store") as server, either(kind, server.url) as reader:
        with redis.Redis.from_url(server.url) as client:
            client.config_set("appendfsync", "always")
            put_both(client)
            client.persist(ALIVE)
            client.persist(KEYS.alive("ETH-USD"))
        server.kill()
        with pytest.raises(RedisUnavailable):
            reader.wait_ready(WANTED, timeout=0.2)
        began = time.monotonic()
        with later(server.start, lambda: time.monotonic() > began + 0.3):
            assert len(reader.wait_ready(WANTED)) == 2


# --- the status


def test_the_status_of_a_service_that_lives(kind: str, clean_valkey: str, store: Any) -> None:
    put_both(store)
    store.set(KEYS.lease, encode_lease(LeaseRecord("one", 7)))
    told = {"instance": "one", "origin": "https://x", "connected": "1", "connections": "1/1"}
    numbers = {"last_message": T0, "sequence_gaps": 2, "reconnects": 3, "rejections": 4, "to_come": "x"}
    numbers |= {"requests_this_hour": 5, "requests_per_hour": 1_800, "budget_members": 2}
    store.hset(KEYS.feed, mapping={**told, **numbers})
    store.sadd(KEYS.series, "SOL-USD:5m")
    with either(kind, clean_valkey) as reader:
        status = reader.status()
    assert (status.writer, status.instance, status.origin) == ("one", "one", "https://x")
    assert (status.alive, status.connected, status.connections) == (True, True, "1/1")
    assert status.time == T0 + 10 * STEP + 1000
    assert status.symbols == {"BTC-USD": "up", "ETH-USD": "up", "SOL-USD": ""}
    assert (status.last_message, status.sequence_gaps) == (T0, 2)
    assert (status.reconnects, status.rejections) == (3, 4)
    assert (status.requests_this_hour, status.requests_per_hour) == (5, 1_800)
    assert status.budget_members == 2


def test_of_shards_a_process_is_counted_once(kind: str, clean_valkey: str, store: Any) -> None:
    put_both(store)
    store.set(KEYS.lease, encode_lease(LeaseRecord("a service in 3 shards", 0, 3)))
    for shard, (name, made) in enumerate((("one", 40), ("one", 41), ("two", 5))):
        store.set(KEYS.lease_of(shard), encode_lease(LeaseRecord(name, 7)))
        told = {"instance": name, "requests_this_hour": made, "budget_members": 2}
        store.hset(KEYS.feed_of(shard), mapping=told)
    with either(kind, clean_valkey) as reader:
        status = reader.status()
    assert (status.writer, status.requests_this_hour, status.budget_members) == ("one, two", 46, 2)


def test_a_feed_is_not_connected_because_a_dead_service_once_said_so(
    kind: str, clean_valkey: str, store: Any
) -> None:
    store.sadd(KEYS.series, "BTC-USD:5m")
    store.hset(KEYS.feed, mapping={"instance": "one", "connected": "1"})
    with either(kind, clean_valkey) as reader:
        status = reader.status()
    assert (status.writer, status.alive, status.connected, status.time) == (None, False, False, 0)
    assert (status.instance, status.symbols) == ("one", {"BTC-USD": ""})


def test_of_an_empty_server_the_status_says_that_nobody_writes(kind: str, clean_valkey: str) -> None:
    with either(kind, clean_valkey) as reader:
        status = reader.status()
    assert (status.writer, status.alive, status.instance, status.symbols) == (None, False, "", {})


def test_a_status_that_makes_no_sense_names_its_key(kind: str, clean_valkey: str, store: Any) -> None:
    store.hset(KEYS.feed, mapping={"reconnects": "many"})
    with either(kind, clean_valkey) as reader:
        with pytest.raises(ReadError, match=r"\{coinbase\}:feed cannot be understood"):
            reader.status()
        store.set(KEYS.feed, "mine")
        with pytest.raises(ReadError, match=r"\{coinbase\}:feed holds"):
            reader.status()
