"""A server whose settings cost memory or lose candles is named, with the command that mends it."""

from __future__ import annotations

import asyncio
import shlex
from typing import Any

import pytest
import redis
import redis.asyncio

from livecache.quiet import logger
from livecache.wire.advice import ServerWatch, advise


def ask(url: str) -> list[str]:
    async def main() -> list[str]:
        client = redis.asyncio.Redis.from_url(url)
        try:
            return await advise(client)
        finally:
            await client.aclose()

    return asyncio.run(main())


@pytest.mark.parametrize("policy", ["allkeys-lru", "volatile-ttl"])
def test_the_commands_that_are_named_mend_what_they_are_named_for(clean_valkey: str, policy: str) -> None:
    with redis.Redis.from_url(clean_valkey) as client:
        client.config_set("zset-max-listpack-value", "64")
        client.config_set("maxmemory", "100mb")
        client.config_set("maxmemory-policy", policy)
        limits = client.config_get("client-output-buffer-limit")["client-output-buffer-limit"]
        client.config_set("client-output-buffer-limit", "pubsub 0 0 0")
        try:
            remedies = ask(clean_valkey)
            assert len(remedies) == 3
            for remedy in remedies:
                client.execute_command(*shlex.split(remedy))
            assert ask(clean_valkey) == []
        finally:
            client.config_set("zset-max-listpack-value", "64")
            client.config_set("maxmemory", "0")
            client.config_set("maxmemory-policy", "noeviction")
            client.config_set("client-output-buffer-limit", limits)


def test_a_server_that_does_not_tell_its_settings_is_left_in_peace() -> None:
    class Managed:
        async def execute_command(self, *args: Any) -> Any:
            raise redis.exceptions.ResponseError("unknown command 'CONFIG'")

    assert asyncio.run(advise(Managed())) == []


def test_another_server_under_the_same_address_is_advised_on_once() -> None:
    """As after a fail-over: what was mended on the first is not on the second."""

    class Servers:
        run_id = "first"
        asked = 0

        async def execute_command(self, *args: Any) -> Any:
            if args[0] == "INFO":
                return {"run_id": self.run_id}
            self.asked += 1
            return {"maxmemory-policy": "allkeys-lru"} if args[2] == "maxmemory-policy" else {args[2]: "1"}

    async def main() -> None:
        servers = Servers()
        watch = ServerWatch(servers)
        for run_id, advised in (("first", False), ("first", False), ("second", True), ("second", False)):
            servers.run_id, servers.asked = run_id, 0
            await watch.look()
            assert bool(servers.asked) is advised

    asyncio.run(main())


def test_the_shards_of_a_process_tell_it_once_between_them() -> None:
    """Each asks as it begins, and at a fail-over all of them do."""

    class Server:
        async def execute_command(self, *args: Any) -> Any:
            return {args[2]: "64" if args[2] == "zset-max-listpack-value" else "0"}

    said: list[str] = []

    async def main() -> None:
        servers = Server(), Server()
        for _ in range(12):
            for server in servers:
                assert len(await advise(server)) == 1

    sink = logger.add(lambda message: said.append(str(message)), filter="livecache.wire", format="{message}")
    try:
        asyncio.run(main())
    finally:
        logger.remove(sink)
    assert len(said) == 2, "of each server"
