"""A client of a cluster by its URL: where redis-py's own would fail, and a URL of the other kind."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from livecache.errors import RedisUnavailable
from livecache.wire.connecting import client_for
from livecache.wire.refusals import ERRORS, hint_on
from livecache.wire.routing import Routes, exchange, exchange_async
from livecache.wire.scripts import Script
from livecache.wire.spread import Spread

from .nodes import Node, Nodes, cluster, wait

_SCRIPT = Script("return redis.call('GET', KEYS[1])")


def _asked(node: Node) -> int:
    """How often it was asked where the keys of a command are."""
    return int(str(node.ask("INFO", "commandstats").get("cmdstat_command|getkeys", {}).get("calls", 0)))


@pytest.fixture
def client(clean_nodes: Nodes) -> Iterator[Any]:
    with client_for(redis, clean_nodes.url, socket_timeout=5) as made:
        yield made


def test_a_script_that_only_reads_goes_straight_to_its_keys_node(clean_nodes: Nodes, client: Any) -> None:
    """redis-py would ask one node where the keys are, before each read: with that node dead nobody reads."""
    client.execute_command("SET", "{a}:1", "one")
    before = sum(map(_asked, clean_nodes.nodes))

    async def read() -> Any:
        reader = client_for(redis.asyncio, clean_nodes.url, socket_timeout=5)
        try:
            return await reader.execute_command("EVAL_RO", _SCRIPT.text, 1, "{a}:1")
        finally:
            await reader.aclose()

    assert client.execute_command("EVAL_RO", _SCRIPT.text, 1, "{a}:1") == b"one"
    assert asyncio.run(read()) == b"one"
    assert sum(map(_asked, clean_nodes.nodes)) == before


def test_replicas_are_read_from_if_the_url_says_so(clean_nodes: Nodes, client: Any) -> None:
    client.execute_command("SET", "{a}:1", "one")
    replica = clean_nodes.replica_of(clean_nodes.master_of("{a}:1"))
    client.execute_command("WAIT", 1, 1000, target_nodes=client.get_node_from_key("{a}:1"))
    url = f"{clean_nodes.url}?read_from=replica"

    async def read() -> None:
        reader = client_for(redis.asyncio, url, socket_timeout=5)
        for _ in range(3):  # redis-py sends the first one anywhere
            assert await reader.execute_command("EVAL_RO", _SCRIPT.text, 1, "{a}:1") == b"one"
        await reader.aclose()

    def read_there() -> int:
        return int(replica.info("commandstats").get("cmdstat_eval_ro", {}).get("calls", 0))

    asyncio.run(read())
    assert read_there() >= 2
    with client_for(redis, url, socket_timeout=5) as reader:
        before = read_there()
        assert reader.execute_command("EVAL_RO", _SCRIPT.text, 1, "{a}:1") == b"one"
        assert read_there() == before + 1


def test_nothing_connects_before_it_is_used_and_what_fails_then_is_an_error_that_is_known() -> None:
    nowhere = client_for(redis, "redis+cluster://127.0.0.1:1", socket_connect_timeout=1)
    with nowhere as client, pytest.raises(ERRORS) as failed:
        client.execute_command("GET", "a")
    assert "are they running" in hint_on(failed.value), "no command could tell more"

    async def ask() -> None:
        client = client_for(redis.asyncio, "redis+cluster://127.0.0.1:1", socket_connect_timeout=1)
        with pytest.raises(ERRORS):
            await client.execute_command("GET", "a")
        await client.aclose()

    asyncio.run(ask())


def test_a_url_of_the_other_kind_names_the_right_one(clean_nodes: Nodes, clean_valkey: str) -> None:
    told = set()
    for node in clean_nodes.nodes[:3]:
        with client_for(redis, f"redis://127.0.0.1:{node.port}") as client:
            try:
                client.execute_command("SET", "a", "1")
            except ERRORS as error:
                told.add(hint_on(error))
    assert told == {
        "it is a node of a Redis Cluster: redis+cluster://host:port names that, rediss+cluster:// with TLS"
    }
    single = clean_valkey.replace("redis://", "redis+cluster://")
    with client_for(redis, single) as client, pytest.raises(ERRORS) as failed:
        client.execute_command("GET", "a")
    assert "redis:// instead" in hint_on(failed.value)


Get = Callable[[str], Awaitable[Any]]


def over_each_way(url: str, test: Callable[[Get], Awaitable[None]]) -> None:
    """By what reads with threads, and with asyncio, and by what writes."""

    async def main() -> None:
        with client_for(redis, url, socket_timeout=5) as threaded:
            routes = Routes(threaded)
            await test(lambda key: asyncio.to_thread(exchange, routes, [("GET", key)]))
        client = client_for(redis.asyncio, url, socket_timeout=5)
        reads = Routes(client)
        await test(lambda key: exchange_async(reads, [("GET", key)]))
        await client.aclose()
        spread = Spread(client_for(redis.asyncio, url, socket_timeout=5))
        await test(lambda key: as_list(spread.execute_command("GET", key)))
        await spread.aclose()

    async def as_list(reply: Awaitable[Any]) -> list[Any]:
        return [await reply]

    asyncio.run(main())


def test_those_who_ask_at_once_before_any_node_is_known_all_wait_for_it(clean_nodes: Nodes) -> None:
    async def test(get: Get) -> None:
        assert await asyncio.gather(*(get(f"k{number}") for number in range(10))) == [[None]] * 10

    over_each_way(clean_nodes.url, test)


def test_a_cluster_that_has_no_slots_is_waited_for_and_what_the_url_names_is_never_forgotten(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Its nodes came back empty, or all were replaced: whoever knew the old ones finds those of the URL."""
    with (
        cluster(tmp_path / "one", masters=1, replicas=0) as one,
        cluster(tmp_path / "two", masters=1, replicas=0) as two,
    ):
        (first,), (second,) = one.nodes, two.nodes

        async def test(get: Get) -> None:
            first.ask("CLUSTER", "RESET", "HARD")
            second.kill()
            for _ in range(3):
                with pytest.raises((*ERRORS, RedisUnavailable), match=r"slot|connected|read"):
                    await get("a")
            first.ask("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
            assert await until_told(get) == [None]
            first.kill()
            second.start()
            wait("the other node", lambda: second.ask("SET", "a", "2"))
            assert await until_told(get) == [b"2"]
            first.start()
            wait("the node", lambda: first.ask("DEL", "a") == 0)

        over_each_way(f"{one.url},127.0.0.1:{second.port}", test)
    assert "Unclosed" not in caplog.text


async def until_told(get: Get) -> Any:
    """What it says, once it does."""
    async with asyncio.timeout(30):
        while True:
            try:
                (found,) = await get("a")
                if not isinstance(found, Exception):
                    return [found]
            except (*ERRORS, RedisUnavailable):
                pass
            await asyncio.sleep(0.1)
