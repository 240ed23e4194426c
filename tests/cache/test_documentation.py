"""docs/keyspace.md: its commands work on a real server, and it names every field that is written."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import redis

from livecache.cache.keyspace import encode_state

from .support import ORIGIN, state
from .test_reader import STATE, put

PAGE = (Path(__file__).parents[2] / "docs" / "keyspace.md").read_text(encoding="utf-8")


def test_every_command_on_the_page_works(clean_valkey: str) -> None:
    lines = re.findall(r"^redis-cli (.+)$", PAGE, re.MULTILINE)
    assert len(lines) >= 7
    with redis.Redis.from_url(clean_valkey) as client:
        put(client, state(0, 10, 10), range(10))
        replies: list[Any] = [client.execute_command(*shlex.split(line)) for line in lines]
        assert replies[:2] == [{b"BTC-USD:5m"}, client.hgetall(STATE)]
        assert len(replies[3]) == 5


def test_the_transaction_on_the_page_reads_a_series(clean_valkey: str) -> None:
    found = re.search(r"^MULTI\n(.+?)\nEXEC$", PAGE, re.MULTILINE | re.DOTALL)
    assert found
    with redis.Redis.from_url(clean_valkey) as client, client.pipeline(transaction=True) as pipeline:
        put(client, state(0, 10, 10), range(10))
        for line in found[1].splitlines():
            pipeline.execute_command(*line.split())
        fields, alive, size, members = pipeline.execute()
    assert int(fields[b"count"]) == size == len(members) == 10 and alive


def test_every_field_of_the_state_is_on_the_page() -> None:
    fields = encode_state(state(0, 1, 1), origin=ORIGIN, fence=1, revision=1, updated_at=1)[::2]
    for field in [*fields, "count"]:
        assert f"`{field}`" in PAGE
