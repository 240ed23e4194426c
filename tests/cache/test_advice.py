"""A server whose settings cost memory or lose candles is named, with the command that mends it."""

from __future__ import annotations

import asyncio
from typing import Any

import redis
import redis.asyncio

from livecache.cache.advice import advise


def ask(url: str) -> list[str]:
    async def main() -> list[str]:
        client = redis.asyncio.Redis.from_url(url)
        try:
            return await advise(client)
        finally:
            await client.aclose()

    return asyncio.run(main())


def test_the_commands_that_are_named_mend_what_they_are_named_for(clean_valkey: str) -> None:
    with redis.Redis.from_url(clean_valkey) as client:
        client.config_set("zset-max-listpack-value", "64")
        client.config_set("maxmemory", "100mb")
        client.config_set("maxmemory-policy", "allkeys-lru")
        try:
            remedies = ask(clean_valkey)
            assert len(remedies) == 2
            for remedy in remedies:
                client.execute_command(*remedy.split())
            assert ask(clean_valkey) == []
        finally:
            client.config_set("zset-max-listpack-value", "64")
            client.config_set("maxmemory", "0")
            client.config_set("maxmemory-policy", "noeviction")


def test_a_server_that_does_not_tell_its_settings_is_left_in_peace() -> None:
    class Managed:
        async def execute_command(self, *args: Any) -> Any:
            raise redis.exceptions.ResponseError("unknown command 'CONFIG'")

    assert asyncio.run(advise(Managed())) == []
