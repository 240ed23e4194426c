"""Rights that are taken from the writer while it works, one command at a time."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import redis
import redis.asyncio

import livecache
from livecache import AsyncReader, Candles, LivecacheError
from livecache.wire.scripts import Script
from livecache.writer.writer import Writer

from .support import BTC, ETH, STEP, T0, Source, candle, state, until, whole
from .writing import KEYS, SET, STATE, running, said, writer_of

CALLED = sorted(
    {
        word.lower()
        for path in Path(livecache.__file__).parent.rglob("*")
        if path.suffix in (".py", ".lua")
        for word in re.findall(r"(?:p?call|in_pieces)\('([A-Z]+)'", path.read_text(encoding="utf-8"))
    }
    | {"evalsha", "get", "time"}
)
UPSERT = Script.load("wire/common.lua", "write/upsert.lua")


def without(store: Any, *commands: str) -> None:
    """Give the writer all rights but these."""
    names = [f"-{name}" for name in commands]
    store.execute_command("ACL", "SETUSER", "writer", "reset", "on", ">writer", "~*", "&*", "+@all", *names)


@contextlib.asynccontextmanager
async def at_work(url: str, store: Any) -> AsyncIterator[tuple[Writer, Source]]:
    """A writer of two series of ten candles, logged in as a user whose rights a test takes away."""
    without(store)
    source = Source()
    for series in (BTC, ETH):
        source.fill(whole(series, range(10), state(0, 10, 10)))
    async with asyncio.timeout(40), redis.asyncio.Redis.from_url(
        url, username="writer", password="writer"
    ) as client:  # fmt: skip
        writer = writer_of(client, source)
        async with running(writer):
            await until(lambda: writer.stats.upserts >= 2)
            yield writer, source


async def read(reader: AsyncReader) -> Candles | None:
    """All candles, which are those that there are if they are given at all."""
    try:
        found = await reader.candles("BTC-USD", "5m", 100, at_least=1)
    except LivecacheError:
        return None
    assert [c.time for c in found] == list(range(T0, found.known_through, STEP))
    return found


@pytest.mark.parametrize("command", CALLED)
def test_each_right_may_go_and_come_back(command: str, clean_valkey: str, store: Any) -> None:
    """Readers get the candles of a moment or an error, the log says it once, all is written afterwards."""

    async def test() -> None:
        async with at_work(clean_valkey, store) as (writer, source), AsyncReader(
            clean_valkey, max_lag=1e8
        ) as reader:  # fmt: skip
            with said() as events:
                without(store, command)
                for n in range(10, 30):
                    source.change(BTC, {T0 + n * STEP: candle(n)}, state(0, n + 1, n + 1))
                    await read(reader)
                    await asyncio.sleep(0.01)
            assert events.count("redis_trouble") <= 1
            assert "redis_recovered" not in events, "it is not over"
            without(store)

            async def whole_again() -> bool:
                return len(await read(reader) or ()) == 30

            while not await whole_again():
                await asyncio.sleep(0.01)
            assert writer.writing

    asyncio.run(test())


@pytest.mark.parametrize("command", ["get", "pexpire", "pttl", "zadd", "set"])
def test_what_was_taken_is_named_with_the_remedy(command: str, clean_valkey: str, store: Any) -> None:
    """No other cause is named, such as a lease that somebody else may hold."""

    async def test() -> None:
        async with at_work(clean_valkey, store) as (writer, source):
            with said() as events:
                without(store, command)
                before = writer.stats.errors
                source.change(BTC, {T0 + 10 * STEP: candle(10)}, state(0, 11, 11))
                await until(lambda: writer.stats.errors > before)
                assert {"lease_gone", "lease_wait", "fenced"}.isdisjoint(events)
            without(store)

    asyncio.run(test())


@pytest.mark.parametrize("command", ["del", "zadd", "zremrangebyscore", "zcard"])
@pytest.mark.parametrize("replaces", [False, True], ids=["a change", "whole"])
def test_a_write_that_is_refused_half_way_cannot_be_read(
    command: str, replaces: bool, clean_valkey: str, store: Any
) -> None:
    """Its state is there already and not all of its members: the count says so."""

    def upsert(client: Any, members: Sequence[Any], revision: int, *, replaces: bool) -> None:
        state_of = ("fence", 5, "revision", revision)
        args = (
            5,
            int(replaces),
            revision - 1,
            revision,
            0,
            len(members) // 2,
            *members,
            2,
            *state_of,
            "c",
            0,
            "ours",
        )
        client.eval(UPSERT.text, 3, SET, STATE, KEYS.lease, *args)

    store.set(KEYS.lease, "ours")
    upsert(store, (1, "a", 2, "b"), 1, replaces=True)
    without(store, command)
    denied = contextlib.suppress(redis.ResponseError)
    with redis.Redis.from_url(clean_valkey, username="writer", password="writer") as client, denied:
        upsert(client, (2, "c", 3, "d"), 2, replaces=replaces)
    fields = store.hgetall(STATE)
    if fields[b"revision"] == b"2" and store.zrange(SET, 0, -1) != [b"a", b"c", b"d"][int(replaces) :]:
        assert int(fields[b"count"]) != store.zcard(SET)


def test_readers_are_told_that_the_feed_does_not_reach_them(clean_valkey: str, store: Any) -> None:
    """What vouches can be written, and the candles cannot: then the bucket in progress stands still."""
    alive = KEYS.alive("BTC-USD")

    async def says(word: bytes) -> None:
        while word not in (store.get(alive) or b""):
            await asyncio.sleep(0.05)

    async def test() -> None:
        async with at_work(clean_valkey, store) as (_, source):
            await says(b'"feed":"up"')
            without(store, "zadd")
            source.change(BTC, {T0 + 10 * STEP: candle(10)}, state(0, 11, 11))
            await says(b'"feed":"down"')
            without(store)
            await says(b'"feed":"up"')

    asyncio.run(test())
