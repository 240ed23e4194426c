"""The tenure of a symbol in a cluster, where the lease is out of its script's sight."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from livecache.clock import SystemClock
from livecache.model.series import SeriesId
from livecache.model.timeframe import Timeframe
from livecache.wire.refusals import ERRORS
from livecache.wire.scripts import Script
from livecache.wire.spread import Call, run_all
from livecache.write.lease import Fenced, Lease
from livecache.write.presence import Alive
from livecache.write.upserts import Upserts

from ..cache.support import BTC, ORIGIN, STEP, T0, Source, candle, state, until, whole
from ..cache.writing import KEYS, SET, STATE, eventually, running, stored, told, writer_of
from .nodes import Nodes
from .over import over

FENCE = KEYS.fence("BTC-USD")

_GET = Script("return redis.call('GET', KEYS[1])")


def over_nodes(nodes: Nodes, test: Callable[[Any], Awaitable[None]]) -> None:
    async def main() -> None:
        async with asyncio.timeout(120), over(nodes.url) as client:
            await test(client)

    asyncio.run(main())


async def holding(client: Any) -> tuple[Lease, Upserts]:
    lease = Lease(client, KEYS, "one", [STATE], clock=SystemClock())
    await lease.acquire()
    return lease, Upserts(client, KEYS, lease, origin=ORIGIN, clock=SystemClock())


@pytest.mark.parametrize("fence", ["larger", "gone"])
def test_a_symbol_is_written_by_whoever_its_fence_names_and_by_nobody_else(
    clean_nodes: Nodes, fence: str
) -> None:
    """Also one of which nothing is stored yet: there is no state to bear a stamp."""

    async def test(client: Any) -> None:
        lease, upserts = await holding(client)
        assert await client.get(FENCE) == str(lease.token).encode()
        if fence == "larger":
            await client.set(FENCE, lease.token + 1)
        else:
            await client.delete(FENCE)
        assert await upserts.send([whole(BTC, range(3), state(0, 3, 3))]) == {BTC: "UNTOLD"}
        assert not await client.exists(SET, STATE)
        assert not lease.holds("BTC-USD")
        if fence == "larger":
            with pytest.raises(Fenced):
                await lease.enter_rest()
            assert await client.get(FENCE) == str(lease.token + 1).encode()
        else:
            assert await lease.enter_rest() == {"BTC-USD"}
            assert await upserts.send([whole(BTC, range(3), state(0, 3, 3))]) == {BTC: 3}

    over_nodes(clean_nodes, test)


def test_a_later_tenure_has_a_token_beyond_every_fence_though_no_state_tells_of_it(
    clean_nodes: Nodes,
) -> None:
    async def test(client: Any) -> None:
        await client.set(FENCE, 1 << 45)
        lease, _ = await holding(client)
        assert lease.token == (1 << 45) + 1

    over_nodes(clean_nodes, test)


def test_an_older_version_that_came_in_through_a_lost_stamp_is_written_over(clean_nodes: Nodes) -> None:
    """A master was lost with the newest stamp, and a packet of the writer before was still on its way."""
    source = Source()
    source.fill(whole(BTC, range(10), state(0, 10, 10)))

    async def test(client: Any) -> None:
        writer = writer_of(client, source, [BTC], instance="two")
        async with running(writer):
            await until(lambda: writer.stats.upserts == 1)
            older = Lease(client, KEYS, "one", [STATE], clock=SystemClock())
            older.token = writer.token - 1
            await client.set(FENCE, older.token)
            await client.hset(STATE, "fence", older.token)
            sent = Upserts(client, KEYS, older, origin=ORIGIN, clock=SystemClock())
            assert await sent.send([whole(BTC, range(5), state(0, 5, 5))]) == {BTC: 5}

            async def right() -> bool:
                return await stored(client) == [candle(n).member() for n in range(10)]

            await eventually(right)
            assert await client.get(FENCE) == str(writer.token).encode()

    over_nodes(clean_nodes, test)


def test_a_dead_masters_series_are_owed_and_all_others_are_written(clean_nodes: Nodes) -> None:
    source, named = Source(), [f"{letter}-USD" for letter in "ABCDEFGH"]
    ours = [SeriesId("coinbase", symbol, Timeframe.M5) for symbol in named]
    for series in ours:
        source.fill(whole(series, range(10), state(0, 10, 10)))
    source.vouch = Alive(T0 + 100 * STEP, dict.fromkeys(named, "up"))
    master = clean_nodes.master_of(KEYS.lease)
    dead = next(
        node for each in ours if (node := clean_nodes.master_of(KEYS.fence(each.symbol))) is not master
    )
    hit = [each for each in ours if clean_nodes.master_of(KEYS.fence(each.symbol)) is dead]
    fine = [each for each in ours if each not in hit]
    assert hit and fine

    async def test(client: Any) -> None:
        writer = writer_of(client, source, ours, clock=SystemClock())

        async def there(series: list[SeriesId], n: int) -> bool:
            sets = [KEYS.candles(*each[1:]) for each in series]
            try:
                return all([candle(n).member() in await stored(client, key) for key in sets])
            except ERRORS:
                return False  # the client that looks asks a node that is dead

        async with running(writer):
            await eventually(lambda: there(ours, 9))
            dead.kill()
            found = await run_all(client, [Call(_GET, [KEYS.fence(each.symbol)], []) for each in ours])
            assert [isinstance(one, BaseException) for one in found] == [each in hit for each in ours]
            for each in ours:
                source.change(each, {T0 + 10 * STEP: candle(10)}, state(0, 10, 11))
            async with asyncio.timeout(2.5):
                await eventually(lambda: there(fine, 10))
            await eventually(lambda: there(hit, 10))
            assert writer.stats.fenced == 0

    with told() as messages:
        over_nodes(clean_nodes, test)
    assert any(message.startswith("A master of the cluster cannot be used now") for message in messages)
