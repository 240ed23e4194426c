"""The script that writes: what it does to the keys, and that fakeredis and a real server agree on it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import fakeredis
import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.exceptions import OutOfMemoryError

from livecache.wire.scripts import Script
from tests.sizes import examples

UPSERT = Script.load("wire/common.lua", "write/upsert.lua")
SETS = ("p:{a}:5m", "p:{a}:1h")
CHANNEL = "p:{a}:5m:updates"
LEASE = "lease"


@pytest.fixture(params=["fakeredis", "valkey"])
def client(request: pytest.FixtureRequest) -> Iterator[Any]:
    """The double and the real thing: every test runs on both."""
    if request.param == "fakeredis":
        with fakeredis.FakeRedis() as fake:
            fake.set(LEASE, "ours")
            yield fake
    else:
        with redis.Redis.from_url(request.getfixturevalue("clean_valkey")) as real:
            real.set(LEASE, "ours")
            yield real


def one(
    members: dict[int, str],
    *,
    whole: bool = False,
    expected: int = 0,
    revision: int = 1,
    keep_from: int = 0,
    fence: int = 5,
    updates: tuple[str, ...] = (),
) -> list[str | int]:
    """The arguments of one series."""
    args: list[str | int] = [int(whole), expected, revision, keep_from, len(members)]
    for time, member in members.items():
        args += [time, member]
    args += [3, "fence", fence, "revision", revision, "reason", ""]
    return [*args, CHANNEL, len(updates), *updates]


def upsert(client: Any, *series: list[str | int], token: int = 5) -> Any:
    keys = [key for name in SETS[: len(series)] for key in (name, f"{name}:state")]
    args = [token, *(arg for one in series for arg in one), "ours"]
    return client.eval(UPSERT.text, len(keys) + 1, *keys, LEASE, *args)


def members(client: Any, key: str = SETS[0]) -> list[tuple[bytes, float]]:
    return list(client.zrange(key, 0, -1, withscores=True))


def test_a_whole_write_replaces_whatever_was_there(client: Any) -> None:
    client.zadd(SETS[0], {"old": 1, "older": 2})
    assert upsert(client, one({10: "a", 20: "b"}, whole=True)) == [2]
    assert members(client) == [(b"a", 10.0), (b"b", 20.0)]
    assert client.hget(f"{SETS[0]}:state", "count") == b"2"


def test_a_bucket_has_one_member_whatever_it_was_before(client: Any) -> None:
    upsert(client, one({10: "a", 20: "b"}, whole=True))
    assert upsert(client, one({20: "b2", 30: "c"}, expected=1, revision=2)) == [3]
    assert members(client) == [(b"a", 10.0), (b"b2", 20.0), (b"c", 30.0)]


def test_a_bucket_without_a_candle_is_removed(client: Any) -> None:
    upsert(client, one({10: "a", 20: "b"}, whole=True))
    assert upsert(client, one({20: ""}, expected=1, revision=2)) == [1]


def test_what_lies_before_keep_from_is_trimmed(client: Any) -> None:
    upsert(client, one({10: "a", 20: "b"}, whole=True))
    assert upsert(client, one({30: "c"}, expected=1, revision=2, keep_from=20)) == [2]
    assert members(client) == [(b"b", 20.0), (b"c", 30.0)]
    assert client.hget(f"{SETS[0]}:state", "count") == b"2"


def test_the_same_write_twice_is_as_once(client: Any) -> None:
    upsert(client, one({10: "a"}, whole=True))
    again = one({20: "b"}, expected=1, revision=2)
    assert [upsert(client, again), upsert(client, again)] == [[2], [2]]


def test_a_thousand_members_fit_in_one_write(client: Any) -> None:
    assert upsert(client, one({t: f"m{t}" for t in range(1, 3502)}, whole=True)) == [3501]


def test_a_newer_writer_fences_off_an_older_one_before_anything_is_written(client: Any) -> None:
    upsert(client, one({10: "a"}, whole=True), one({10: "x"}, whole=True, fence=9), token=9)
    client.hset(f"{SETS[0]}:state", "fence", 1)
    assert upsert(client, one({10: "b"}, whole=True), one({10: "y"}, whole=True)) == b"FENCED"
    assert members(client) == [(b"a", 10.0)]


def test_a_change_upon_nothing_is_lost(client: Any) -> None:
    assert upsert(client, one({10: "a"})) == [b"LOST"]
    assert not client.exists(*SETS)


@pytest.mark.parametrize("loss", ["set", "state", "member", "fence", "older snapshot", "older tenure"])
def test_a_change_upon_anything_but_the_last_write_is_lost(client: Any, loss: str) -> None:
    upsert(client, one({10: "a", 20: "b"}, whole=True, revision=7))
    state = f"{SETS[0]}:state"
    if loss == "set":
        client.delete(SETS[0])
    elif loss == "state":
        client.delete(state)
    elif loss == "member":
        client.zrem(SETS[0], "a")
    elif loss == "fence":
        client.hdel(state, "fence")
    elif loss == "older snapshot":
        client.hset(state, "revision", 5)
    else:
        client.hset(state, "fence", 4)
    before = members(client)
    assert upsert(client, one({30: "c"}, expected=7, revision=8)) == [b"LOST"]
    assert members(client) == before


def test_a_key_of_another_type_is_left_alone_and_the_others_are_written(client: Any) -> None:
    client.set(SETS[0], "precious")
    reply = upsert(client, one({10: "a"}, whole=True), one({10: "x"}, whole=True))
    assert reply == [f"WRONGTYPE string {SETS[0]}".encode(), 1]
    assert client.get(SETS[0]) == b"precious"
    client.delete(f"{SETS[1]}:state")
    client.set(f"{SETS[1]}:state", "precious")
    reply = upsert(client, one({10: "a"}, whole=True), one({10: "x"}, whole=True))
    assert reply[1] == f"WRONGTYPE string {SETS[1]}:state".encode()


def test_updates_are_published_after_the_write(client: Any) -> None:
    with client.pubsub(ignore_subscribe_messages=True) as pubsub:
        pubsub.subscribe(CHANNEL)
        pubsub.get_message(timeout=10)
        upsert(client, one({10: "a"}, whole=True, updates=("one", "two")))
        heard = [pubsub.get_message(timeout=10) for _ in range(2)]
    assert [message["data"] for message in heard] == [b"one", b"two"]


def test_a_server_without_memory_refuses_the_whole_write(clean_valkey: str) -> None:
    """It refuses commands that add, and lets pass those that remove: a bucket must not fall between them."""
    with redis.Redis.from_url(clean_valkey) as client:
        client.set(LEASE, "ours")
        upsert(client, one({10: "a", 20: "b"}, whole=True))
        client.config_set("maxmemory", "1")
        with pytest.raises(OutOfMemoryError):
            upsert(client, one({20: "b2"}, expected=1, revision=2))
        with pytest.raises(OutOfMemoryError):
            upsert(client, one({30: "c"}, whole=True, revision=2))
        assert members(client) == [(b"a", 10.0), (b"b", 20.0)]
        assert client.hget(f"{SETS[0]}:state", "revision") == b"1"


MEMBERS = st.dictionaries(
    st.integers(1, 6).map(lambda n: n * 10), st.sampled_from(["", "a", "b", "c", "d"]), max_size=5
)
# Members differ by bucket, as candles do: they begin with their time.
CHANGE = st.builds(
    lambda held, whole, expected, revision, keep_from: one(
        {t: m and f"{t}{m}" for t, m in held.items()},
        whole=whole,
        expected=expected,
        revision=revision,
        keep_from=keep_from,
    ),
    MEMBERS,
    st.booleans(),
    st.integers(0, 3),
    st.integers(1, 3),
    st.sampled_from([0, 20, 50]),
)
STEP = st.one_of(
    st.tuples(st.just("upsert"), st.integers(4, 6), st.lists(CHANGE, min_size=1, max_size=2)),
    st.tuples(st.just("del"), st.sampled_from([*SETS, *(f"{s}:state" for s in SETS)]), st.none()),
    st.tuples(st.just("set"), st.sampled_from([*SETS, *(f"{s}:state" for s in SETS)]), st.none()),
)


@settings(
    max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(STEP, max_size=8))
def test_the_double_and_the_server_agree(clean_valkey: str, steps: list[tuple[str, Any, Any]]) -> None:
    """Any sequence of writes, deletions and foreign keys: the same replies, and the same keys after each."""
    with redis.Redis.from_url(clean_valkey) as real, fakeredis.FakeRedis() as fake:
        for client in (real, fake):
            client.flushall()
            client.set(LEASE, "ours")
        for kind, what, series in steps:
            replies = []
            for client in (real, fake):
                if kind == "upsert":
                    replies.append(upsert(client, *series, token=what))
                elif kind == "del":
                    replies.append(client.delete(what))
                else:
                    replies.append(client.set(what, "foreign"))
            assert replies[0] == replies[1]
            assert _dump(real) == _dump(fake)


def _dump(client: Any) -> dict[bytes, Any]:
    commands = {b"zset": ("ZRANGE", 0, -1, "WITHSCORES"), b"hash": ("HGETALL",), b"string": ("GET",)}
    found: dict[bytes, Any] = {}
    for key in sorted(client.keys("p:*")):
        command, *rest = commands[client.type(key)]
        found[key] = client.execute_command(command, key, *rest)
    return found
