"""What an inspector sees of a real server: whatever lies under our names; and it changes nothing."""

from __future__ import annotations

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from livecache.errors import RedisUnavailable
from livecache.keys.keyspace import Keyspace
from livecache.model.series import SeriesId
from livecache.model.timeframe import Timeframe
from livecache.quality.findings import Flaw
from livecache.quality.inspection import MEMBERS_SEEN_MAX, Inspector
from livecache.quality.keys import judge_shared

KEYS = Keyspace("in*sp[e]ct")
SERIES = SeriesId("coinbase", "BTC-USD", Timeframe.M5)
SET, STATE, ALIVE = KEYS.candles(*SERIES[1:]), KEYS.state(*SERIES[1:]), KEYS.alive("BTC-USD")


@pytest.fixture
def inspector(store: redis.Redis) -> Inspector:
    return Inspector(store, KEYS)


def test_it_sees_members_with_their_scores_and_the_state_beside_them(
    store: redis.Redis, inspector: Inspector
) -> None:
    store.zadd(SET, {b"[1]": 1, b"\xff": 2.5})
    store.hset(STATE, mapping={"count": 2, "reason": b"\xff"})
    store.set(ALIVE, b"\xfe")
    (found,) = inspector.series([SERIES])
    assert list(found.members) == [(b"[1]", 1.0), (b"\xff", 2.5)]
    assert found.fields == {"count": "2", "reason": "�"}
    assert (found.size, found.alive, found.expires_ms) == (2, b"\xfe", None)
    assert (found.set_type, found.state_type, found.alive_type) == ("zset", "hash", "string")


def test_keys_of_other_types_come_out_as_words(store: redis.Redis, inspector: Inspector) -> None:
    for key in (SET, STATE, ALIVE):
        store.rpush(key, "x")
    store.set(KEYS.series, "x")
    (found,) = inspector.series([SERIES])
    assert (found.set_type, found.state_type, found.alive_type) == ("list", "list", "list")
    assert (found.fields, list(found.members), found.size, found.alive) == (None, [], 0, None)
    shared = inspector.shared()
    assert shared.types[KEYS.series] == "string" and shared.announced == []


@pytest.mark.parametrize(
    ("key", "right"),
    [
        (KEYS.members, "hash"),
        *((KEYS.lease_of(shard), "string") for shard in (0, 63)),
        *((KEYS.feed_of(shard), "hash") for shard in (0, 63)),
    ],
)
def test_a_key_of_shards_that_is_of_another_type_is_a_finding(
    store: redis.Redis, inspector: Inspector, key: str, right: str
) -> None:
    store.rpush(key, "x")
    (finding,) = judge_shared(inspector.shared(), KEYS)[1]
    assert finding.kind is Flaw.FOREIGN and finding.message == f"{key} is a list, which is not livecache's"
    store.delete(key)
    if right == "hash":
        store.hset(key, "x", "x")
    else:
        store.set(key, "x")
    assert judge_shared(inspector.shared(), KEYS)[1] == []


def test_it_tells_the_sooner_end_of_a_series_that_expires(store: redis.Redis, inspector: Inspector) -> None:
    store.zadd(SET, {b"[1]": 1})
    store.hset(STATE, "count", 1)
    store.expire(SET, 1_000)
    store.expire(STATE, 100)
    (found,) = inspector.series([SERIES])
    assert found.expires_ms is not None and 90_000 < found.expires_ms <= 100_000


def test_a_set_of_a_million_is_counted_and_not_read(store: redis.Redis, inspector: Inspector) -> None:
    for first in range(0, MEMBERS_SEEN_MAX + 1_000, 1_000):
        store.zadd(SET, {f"[{n}]": n for n in range(first, first + 1_000)})
    (found,) = inspector.series([SERIES])
    assert (len(found.members), found.size) == (MEMBERS_SEEN_MAX, MEMBERS_SEEN_MAX + 1_000)


def test_the_names_are_those_that_begin_with_the_prefix_word_for_word(
    store: redis.Redis, inspector: Inspector
) -> None:
    for key in (SET, f"{KEYS.prefix}:other", "inXspect:no", "inspect:no", "in*sp[e]ct2:no"):
        store.set(key, "x")
    assert sorted(inspector.names()) == sorted([SET, f"{KEYS.prefix}:other"])
    assert inspector.saw_all_names


def test_nothing_is_changed_by_looking(store: redis.Redis, inspector: Inspector) -> None:
    store.zadd(SET, {b"[1]": 1})
    store.expire(SET, 1_000)
    before = store.info("persistence")["rdb_changes_since_last_save"]
    inspector.series([SERIES])
    inspector.shared()
    list(inspector.names())
    inspector.settings(["maxmemory"])
    assert store.info("persistence")["rdb_changes_since_last_save"] == before
    assert store.ttl(SET) > 0


def test_a_server_that_is_not_there_is_one_error() -> None:
    inspector = Inspector(redis.Redis(port=9, retry=Retry(NoBackoff(), 0)), KEYS)
    with pytest.raises(RedisUnavailable):
        inspector.series([SERIES])
    with pytest.raises(RedisUnavailable):
        list(inspector.names())
    assert inspector.settings(["maxmemory"]) == {"maxmemory": None}
