"""The first write after a start sends only what differs from what lies in Redis, and is as if it sent all."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from livecache.clock import SystemClock
from livecache.keys.keyspace import LeaseRecord, decode_state, encode_lease
from livecache.model.candle import ExactCandle
from livecache.model.series import Change, Stored
from livecache.write.lease import Lease
from livecache.write.upserts import Upserts
from livecache.writer.adoption import load
from livecache.writer.writer import Writer
from tests.sizes import examples

from .support import BTC, ETH, ORIGIN, STEP, T0, Source, candle, state, until, whole
from .writing import KEYS, SET, STATE, on_valkey, running, said, stored, writer_of

NOW = T0 + 100 * STEP


class Recorded:
    """A connection that remembers how many arguments each call had."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner
        self.longest = 0

    async def execute_command(self, *args: Any) -> Any:
        self.longest = max(self.longest, len(args))
        return await self.inner.execute_command(*args)


async def as_after_a_restart(
    client: Any,
    source: Source,
    between: Callable[[Writer], Awaitable[None]],
    buckets: range = range(10),
    *,
    upserts: int = 2,
) -> tuple[int, list[str]]:
    """Two writers, one after the other, of the same candles, and what is done between the second's reading
    and its first write. The second ends after so many upserts. Returns the most arguments of any of its
    calls, and what it logged."""
    async with running(first := writer_of(client, source)):
        await until(lambda: first.stats.upserts == 2)
    again = Source()
    recorded = Recorded(client)
    with said() as events:
        second = writer_of(recorded, again, instance="two")
        await second.open()
        adopted = await load(client, KEYS, (BTC, ETH), origin=ORIGIN, now=NOW)
        assert len(adopted.stored) == 2
        second.found(second.token, adopted.stored)
        await between(second)
        for series in (BTC, ETH):
            again.fill(whole(series, buckets, state(buckets[0], buckets[-1] + 1, buckets[-1] + 1)))
        task = asyncio.create_task(second.run())
        try:
            await until(lambda: second.stats.upserts >= upserts)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        await second.close()
    return recorded.longest, events


async def nothing(_: Writer) -> None:
    pass


def test_what_lies_there_already_is_not_sent_again(clean_valkey: str) -> None:
    async def test(client: Any, source: Source) -> None:
        arguments, events = await as_after_a_restart(client, source, nothing, range(1, 11))
        assert await stored(client) == [candle(n).member() for n in range(1, 11)]
        assert (
            decode_state({k.decode(): v.decode() for k, v in (await client.hgetall(STATE)).items()}).count
            == 10
        )
        assert "cache_lost" not in events
        assert arguments < 110, "two buckets of each of two series, and their states"

    on_valkey(clean_valkey, test)


@pytest.mark.parametrize("loss", ["member", "set", "state", "all"])
def test_what_was_lost_since_it_was_read_is_written_whole(clean_valkey: str, loss: str) -> None:
    async def test(client: Any, source: Source) -> None:
        async def lose(_: Writer) -> None:
            if loss == "member":
                await client.zremrangebyrank(SET, 0, 0)
            else:
                await client.delete(*{"set": [SET], "state": [STATE], "all": [SET, STATE]}[loss])

        _, events = await as_after_a_restart(client, source, lose)
        assert await stored(client) == [candle(n).member() for n in range(10)]
        assert "cache_lost" in events

    on_valkey(clean_valkey, test)


def test_a_candle_that_was_changed_by_hand_since_it_was_read_is_put_right(clean_valkey: str) -> None:
    """As many members as were read, so that only the audit can tell: it has the series written again."""

    async def test(client: Any, source: Source) -> None:
        async def change(_: Writer) -> None:
            await client.zremrangebyrank(SET, 0, 0)
            await client.zadd(SET, {candle(0, close="91").member(): T0})

        _, events = await as_after_a_restart(client, source, change, upserts=3)
        assert await stored(client) == [candle(n).member() for n in range(10)]
        assert "cache_damaged" in events

    on_valkey(clean_valkey, test)


def test_what_was_read_while_the_lease_was_not_held_counts_for_nothing(clean_valkey: str) -> None:
    async def test(client: Any, source: Source) -> None:
        writer = writer_of(client, source)
        tokens = [writer.token]
        async with running(writer):
            await until(lambda: writer.stats.upserts == 2)
            assert writer.token > 0
            await client.set(KEYS.lease, encode_lease(LeaseRecord("two", writer.token)))
            await until(lambda: not writer.writing)
            await until(lambda: writer.pulse.waits_for == "two")
            tokens.append(writer.token)
            await client.delete(KEYS.lease)
            await until(lambda: writer.writing)
        assert tokens == [0, 0]

    on_valkey(clean_valkey, test)


def test_what_was_read_in_another_tenure_counts_for_nothing(clean_valkey: str) -> None:
    """A writer in between may have left as many candles, and others."""

    async def test(client: Any, source: Source) -> None:
        async def another(writer: Writer) -> None:
            await writer.close()
            other = Source()
            for series in (BTC, ETH):
                sent = whole(series, range(10), state(0, 10, 10))
                other.fill(replace(sent, members={**sent.members, T0: candle(0, close="91")}))
            async with running(between := writer_of(client, other, instance="three")):
                await until(lambda: between.stats.upserts == 2)

        await as_after_a_restart(client, source, another)
        assert await stored(client) == [candle(n).member() for n in range(10)]

    on_valkey(clean_valkey, test)


candles = st.dictionaries(
    st.integers(0, 12), st.sampled_from(["101.5", "101.50", "99"]).map(str), max_size=13
).map(lambda chosen: {T0 + n * STEP: candle(n, close=close) for n, close in chosen.items()})


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=examples(60))
@given(there=candles, wanted=candles, keep=st.integers(0, 5))
def test_whatever_was_found_it_is_as_if_all_had_been_written(
    clean_valkey: str, there: dict[int, ExactCandle], wanted: dict[int, ExactCandle], keep: int
) -> None:
    keep_from = T0 + keep * STEP
    expected = {time: each for time, each in wanted.items() if time >= keep_from}

    def change(members: dict[int, ExactCandle]) -> Change:
        return Change(BTC, True, dict(members), 0, state(0, 10, 10))

    async def test(client: Any, _: Source) -> None:
        await client.flushall()

        async def a_run() -> tuple[Lease, Upserts]:
            lease = Lease(client, KEYS, "one", [STATE], clock=SystemClock(), sole_owner=True)
            await lease.acquire()
            return lease, Upserts(client, KEYS, lease, origin=ORIGIN, clock=SystemClock())

        before, upserts = await a_run()
        assert await upserts.send([change(there)]) == {BTC: len(there)}
        lease, upserts = await a_run()
        assert lease.token > before.token
        upserts.found(lease.token, [Stored(BTC, tuple(there.values()), state(0, 10, 10).coverage, 0)])
        sent = Change(BTC, True, dict(wanted), keep_from, state(0, 10, 10))
        assert await upserts.send([sent]) == {BTC: len(expected)}
        assert await stored(client) == [each.member() for _, each in sorted(expected.items())]

    on_valkey(clean_valkey, test)
