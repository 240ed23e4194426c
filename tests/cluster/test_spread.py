"""Calls to a cluster while slots move, nodes hang and die: each has an outcome, and no node costs others."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest
import redis

from livecache.wire.refusals import ERRORS
from livecache.wire.scripts import Script
from livecache.wire.spread import Call, Spread

from .nodes import Node, Nodes, wait
from .over import spread_over

_ADD = Script("return redis.call('INCRBY', KEYS[1], ARGV[1])")
_BOTH = Script("return { redis.call('INCR', KEYS[1]), redis.call('INCR', KEYS[2]) }")


def over_spread(url: str, test: Callable[[Spread], Awaitable[None]]) -> None:
    async def main() -> None:
        async with asyncio.timeout(60), spread_over(url) as spread:
            await test(spread)

    asyncio.run(main())


def key_on(nodes: Nodes, node: Node) -> str:
    """A key that this master has."""
    for number in range(1_000):
        if nodes.master_of(f"{{k{number}}}") is node:
            return f"{{k{number}}}"
    raise LookupError(node.port)


def one_of_each(nodes: Nodes) -> dict[str, Node]:
    """A key of each master, with that."""
    masters = [node for node in nodes.nodes if node.info("replication")["role"] == "master"]
    return {key_on(nodes, node): node for node in masters}


async def add(spread: Spread, keys: list[str]) -> list[Any]:
    return await spread.many([Call(_ADD, [key], [1]) for key in keys])


def test_every_call_has_its_outcome_in_the_order_asked(clean_nodes: Nodes) -> None:
    async def test(spread: Spread) -> None:
        keys = [f"{{{n}}}" for n in range(50)]
        calls = [Call(_ADD, [key], [n]) for n, key in enumerate(keys)]
        assert await spread.many(calls) == list(range(50))  # no node knows the script yet
        assert await spread.many(calls, settle=True) == [2 * n for n in range(50)]
        wrong = Call(_ADD, [keys[0]], ["x"])
        first, failed, last = await spread.many([calls[1], wrong, calls[2]])
        assert (first, last) == (3, 6)
        assert isinstance(failed, redis.ResponseError)
        assert spread.trouble is None, "the server's word on one call says nothing of the node"

    over_spread(clean_nodes.url, test)


def test_how_long_each_node_takes_is_counted_for_each(clean_nodes: Nodes) -> None:
    async def test(spread: Spread) -> None:
        keys = one_of_each(clean_nodes)
        await add(spread, [*keys])
        assert spread.seconds.keys() == spread.nodes.keys()
        before = {name: its.total for name, its in spread.seconds.items()}
        key, slow = next(iter(keys.items()))
        assert await spread.execute_command("BLPOP", f"{key}:none", 0.5) is None
        took = {
            name: its.total - before[name] for name, its in spread.seconds.items() if its.total > before[name]
        }
        assert [(name.rpartition(":")[2], seconds >= 0.5) for name, seconds in took.items()] == [
            (str(slow.port), True)
        ]

    over_spread(clean_nodes.url, test)


def test_a_single_command_goes_where_its_key_is(clean_nodes: Nodes) -> None:
    async def test(spread: Spread) -> None:
        for number in range(20):
            await spread.execute_command("SET", f"{{{number}}}", number)
        assert [int(await spread.execute_command("GET", f"{{{n}}}")) for n in range(20)] == list(range(20))
        assert await _ADD.run(spread, ["{3}"], [4]) == 7
        assert len(await spread.execute_command("TIME")) == 2
        with pytest.raises(redis.ResponseError):
            await spread.execute_command("LPUSH", "{3}", "x")

    over_spread(clean_nodes.url, test)


def test_a_slot_on_its_way_is_followed_key_by_key_and_once_it_has_moved(clean_nodes: Nodes) -> None:
    """ASK for what has moved already, TRYAGAIN for a call whose keys are on both sides, MOVED at the end."""
    keys = one_of_each(clean_nodes)
    (key, source), (other, target), _ = keys.items()

    async def test(spread: Spread) -> None:
        two = [f"{key}:a", f"{key}:b"]
        assert await spread.many([Call(_BOTH, two, [])]) == [[1, 1]]
        with clean_nodes.moving(key, target) as move:
            move()
            (torn,) = await spread.many([Call(_BOTH, two, [])])
            assert isinstance(torn, redis.exceptions.TryAgainError)
            move()
            replies = await asyncio.gather(*(spread.many([Call(_BOTH, two, [])]) for _ in range(10)))
            assert sorted(reply[0][0] for reply in replies) == list(range(2, 12))
            assert spread.redirects["ask"] >= 10
            assert await add(spread, [other]) == [1]
        assert await spread.many([Call(_BOTH, two, [])]) == [[12, 12]]
        assert spread.trouble is None

    try:
        over_spread(clean_nodes.url, test)
    finally:
        with clean_nodes.moving(key, source):
            pass


@pytest.mark.parametrize("how", ["hangs", "is dead"])
def test_a_node_that_is_away_holds_up_no_other_and_its_replica_is_found(clean_nodes: Nodes, how: str) -> None:
    keys = one_of_each(clean_nodes)
    (key, gone), *others = keys.items()
    seen: list[float] = []

    async def look(node: Node, other: str) -> None:
        """When the other call has been done."""
        async with redis.asyncio.Redis(port=node.port) as client:
            while await client.get(other) != b"2":
                await asyncio.sleep(0.005)
        seen.append(time.monotonic())

    async def test(spread: Spread) -> None:
        assert await add(spread, list(keys)) == [1, 1, 1]
        if how == "hangs":
            gone.send(signal.SIGSTOP)
        else:
            gone.kill()
        began_s = time.monotonic()
        looking = [asyncio.create_task(look(node, other)) for other, node in others]
        failed, *fine = await add(spread, list(keys))
        assert isinstance(failed, ERRORS)
        assert fine == [2, 2]
        await asyncio.gather(*looking)
        assert max(seen) - began_s < 0.3
        assert spread.away(key)
        assert not spread.away(others[0][0])
        assert spread.nodes[f"127.0.0.1:{gone.port}"] is False
        assert sorted(spread.nodes.values()) == [False, True, True]
        # From now on nobody waits for it, and its calls are tried as often as that costs nothing.
        turns = longest_s = 0.0
        while True:
            turn_s = time.monotonic()
            outcome, *fine = await add(spread, list(keys))
            assert fine == [3 + turns, 3 + turns]
            turns += 1
            if not isinstance(outcome, BaseException):
                break
            longest_s = max(longest_s, time.monotonic() - turn_s)
            await asyncio.sleep(0.05)
        assert longest_s < 1.0
        assert time.monotonic() - began_s < 30
        assert spread.trouble is None

    over_spread(clean_nodes.url, test)


def test_a_master_that_has_become_a_replica_is_asked_no_more(clean_nodes: Nodes) -> None:
    keys = one_of_each(clean_nodes)
    (key, master), *_ = keys.items()

    async def test(spread: Spread) -> None:
        assert await add(spread, list(keys)) == [1, 1, 1]
        replica = clean_nodes.replica_of(master)
        await spread.execute_command("PING")
        replica.ask("CLUSTER", "FAILOVER")
        await asyncio.to_thread(wait, "the failover", lambda: replica.info("replication")["role"] == "master")
        count = 1
        while isinstance((await add(spread, [key]))[0], BaseException):
            await asyncio.sleep(0.05)
        count = int(await spread.execute_command("GET", key))
        assert count == 2
        assert spread.redirects["moved"]

    over_spread(clean_nodes.url, test)


def test_where_no_node_answers_each_call_has_the_error(clean_nodes: Nodes) -> None:
    async def test(spread: Spread) -> None:
        one, two = await add(spread, ["a", "b"])
        assert isinstance(one, ERRORS) and isinstance(two, ERRORS)
        with suppress(redis.RedisError), pytest.raises(ERRORS):
            await spread.execute_command("GET", "a")

    over_spread("redis+cluster://127.0.0.1:1", test)
