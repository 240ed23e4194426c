"""The script of the members, and what each shard's writer does to what all of them share."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterator
from typing import Any

import pytest
import redis
from redis.crc import key_slot

from livecache.clock import SystemClock
from livecache.errors import ForeignKey
from livecache.keys.keyspace import Keyspace, LeaseRecord, encode_lease
from livecache.model.series import SeriesId
from livecache.model.timeframe import Timeframe
from livecache.quiet import logger
from livecache.reader.reader import Reader
from livecache.sharing.hold import Membership
from livecache.sharing.plan import Word
from livecache.write.lease import Lease
from livecache.write.presence import Presence
from tests.cache.support import SyncAdapter

KEYS = Keyspace()
SYMBOLS = ("BTC-USD", "ETH-USD", "SOL-USD", "ADA-USD", "XRP-USD", "LINK-USD")
SHARDS = 3


@pytest.fixture
def store(clean_valkey: str) -> Iterator[Any]:
    with redis.Redis.from_url(clean_valkey) as client:
        yield client


def test_a_lease_that_has_not_lapsed_is_claimed_by_nobody(store: Any) -> None:
    theirs = encode_lease(LeaseRecord("other", 5))
    store.set(KEYS.lease_of(1), theirs, px=60_000)
    view = asyncio.run(Membership(SyncAdapter(store), KEYS, SHARDS, "one").hold(Word(), [0, 1], 2))
    assert view.holders == ["one", "other", ""]
    assert store.get(KEYS.lease_of(1)) == theirs.encode()


def test_a_claimed_lease_is_its_engines_to_take(store: Any) -> None:
    async def main() -> None:
        await Membership(SyncAdapter(store), KEYS, SHARDS, "one").hold(Word(), [2], 1)
        lease = Lease(SyncAdapter(store), KEYS.of_shard(2, SHARDS), "one", [], clock=SystemClock())
        assert await lease.acquire(gives_way=True) > 1_700_000_000_000
        assert store.get(KEYS.lease_of(2)) == lease.record.encode()

    asyncio.run(main())


def test_the_last_that_leaves_leaves_nothing(store: Any) -> None:
    async def main() -> None:
        one, two = (Membership(SyncAdapter(store), KEYS, SHARDS, name) for name in ("one", "two"))
        await one.hold(Word())
        assert set((await two.hold(Word())).members) == {"one", "two"}
        await one.leave()
        assert set((await two.hold(Word())).members) == {"two"}
        await two.leave()
        assert store.keys() == []

    asyncio.run(main())


@pytest.mark.parametrize("key", [KEYS.lease, KEYS.members])
def test_a_key_of_all_that_is_of_another_type_is_named_and_left_alone(store: Any, key: str) -> None:
    store.rpush(key, "precious")
    with pytest.raises(ForeignKey) as caught:
        asyncio.run(Membership(SyncAdapter(store), KEYS, SHARDS, "one").hold(Word(), [0], 1))
    assert caught.value.key == key
    assert store.keys() == [key.encode()]


def test_a_shards_lease_of_another_type_is_named_and_claimed_by_nobody(store: Any) -> None:
    lease = KEYS.lease_of(1)
    store.rpush(lease, "precious")
    one = Membership(SyncAdapter(store), KEYS, SHARDS, "one")
    view = asyncio.run(one.hold(Word(), [0, 1, 2], 3))
    assert (view.holders[0], view.holders[2]) == ("one", "one") and view.holders[1] not in ("", "one")
    assert one.foreign == {lease: "list"}
    assert one.lapses_ms == math.inf, "it is not waited for"
    assert store.lrange(lease, 0, -1) == [b"precious"]


def test_who_leaves_gives_back_what_nobody_has_taken_yet(store: Any) -> None:
    async def main() -> None:
        one = Membership(SyncAdapter(store), KEYS, SHARDS, "one")
        await one.hold(Word(), [0, 1], 2)
        lease = Lease(SyncAdapter(store), KEYS.of_shard(1, SHARDS), "one", [], clock=SystemClock())
        await lease.acquire(gives_way=True)
        await one.leave()
        assert store.get(KEYS.lease_of(0)) is None
        assert store.get(KEYS.lease_of(1)) == lease.record.encode(), "its engine gives that up"

    asyncio.run(main())


async def announce(store: Any, shard: int, symbols: tuple[str, ...]) -> None:
    keys = KEYS.of_shard(shard, SHARDS)
    lease = Lease(SyncAdapter(store), keys, f"writer {shard}", [], clock=SystemClock())
    await lease.acquire()
    series = [SeriesId("coinbase", symbol, Timeframe.M5) for symbol in symbols if keys.owns(symbol)]
    presence = Presence(SyncAdapter(store), keys, series, "one", announced=series, order=symbols)
    assert await presence.announce(lease.record, lease.token) == {}
    await lease.release()


def test_each_shard_announces_its_own_series_and_removes_no_others(store: Any, clean_valkey: str) -> None:
    async def main() -> None:
        for shard in range(SHARDS):
            await announce(store, shard, SYMBOLS)
        assert {shard_of(symbol) for symbol in SYMBOLS} == {0, 1, 2}, "each has something to remove"
        with Reader(clean_valkey) as reader:
            assert [series.symbol for series in reader.series()] == list(SYMBOLS), "in the order of all"
            for shard in range(SHARDS):
                await announce(store, shard, SYMBOLS[1:])
                still = SYMBOLS[0] in {series.symbol for series in reader.series()}
                assert still == (shard < shard_of(SYMBOLS[0])), "only who fills it takes it out"
            assert [series.symbol for series in reader.series()] == list(SYMBOLS[1:])

    asyncio.run(main())


def shard_of(symbol: str) -> int:
    return KEYS.of_shard(0, SHARDS).shard_of(symbol)


def test_a_symbols_shard_is_that_of_its_slot() -> None:
    """A contract: others may compute it, and it must not change with a version."""
    for symbol in SYMBOLS:
        slot = key_slot(KEYS.alive(symbol).encode())
        assert KEYS.of_shard(0, 12).shard_of(symbol) == slot * 12 // 16_384


def test_who_would_fill_a_split_venue_unsplit_is_told_what_to_set(store: Any) -> None:
    told: list[str] = []

    async def main() -> None:
        await Membership(SyncAdapter(store), KEYS, SHARDS, "one").hold(Word())
        unsplit = asyncio.create_task(
            Lease(SyncAdapter(store), KEYS, "two", [], clock=SystemClock()).acquire()
        )
        async with asyncio.timeout(30):
            while not told:
                await asyncio.sleep(0.01)
        unsplit.cancel()

    sink = logger.add(lambda message: told.append(str(message)), filter="livecache.write", format="{message}")
    try:
        asyncio.run(main())
    finally:
        logger.remove(sink)
    assert f"a service in {SHARDS} shards holds it" in told[0] and "Set `shards` as there" in told[0]
