"""docs/keyspace.md: its commands and programs read what the reader reads, and it names every field."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import redis

from livecache import LivecacheError, Reader
from livecache.keys.keyspace import encode_state

from .support import BTC, ORIGIN, STEP, T0, state
from .test_reader import ALIVE, KEYS, SET, STATE, put

PAGE = (Path(__file__).parents[2] / "docs" / "keyspace.md").read_text(encoding="utf-8")
COUNT = 60


def block(language: str, holding: str) -> str:
    """The one fenced block of that language which holds this text."""
    found = re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    (only,) = [text for text in found if holding in text]
    return str(only)


def test_every_single_look_works(store: Any) -> None:
    lines = [line.removeprefix("redis-cli ") for line in block("sh", "XREVRANGE").splitlines()]
    assert len(lines) == 7
    put(store, state(0, 10, 10), range(10))
    replies: list[Any] = [store.execute_command(*shlex.split(line)) for line in lines]
    assert replies[:2] == [{b"BTC-USD:5m"}, store.hgetall(STATE)]
    assert len(replies[3]) == 5


def test_the_transaction_on_the_page_shows_all_that_decides(store: Any) -> None:
    found = re.search(r"^MULTI\n(.+?)\nEXEC$", PAGE, re.MULTILINE | re.DOTALL)
    assert found
    # After an hour without the venue's REST API and a broken feed: twelve that are not known come last.
    put(store, state(0, 60, 60, closed_through=T0 + 61 * STEP), [*range(COUNT), *range(60, 72)])
    with store.pipeline(transaction=True) as pipeline:
        for line in found[1].splitlines():
            pipeline.execute_command(*line.split())
        fields, alive, size, members = pipeline.execute()
    assert int(fields[b"count"]) == size == 72 and alive
    known = [m for m in members if json.loads(m)[0] < int(fields[b"known_through"])]
    assert len(known) == COUNT


def test_every_field_of_the_state_is_on_the_page() -> None:
    fields = encode_state(state(0, 1, 1), origin=ORIGIN, fence=1, revision=1, updated_at=1)[::2]
    for field in [*fields, "count"]:
        assert f"`{field}`" in PAGE


# --- the programs, beside the reader

Outcome = list[int] | None
"""The open times that were read, oldest first; None: it said why there are none."""


def by_reader(url: str) -> Outcome:
    try:
        with Reader(url) as reader:
            return [candle.time for candle in reader.candles("BTC-USD", "5m", COUNT)]
    except LivecacheError:
        return None


def by_script(url: str) -> Outcome:
    """The script on the page, without redis-cli."""
    found = re.search(r"EVAL_RO \"\$\(cat <<'END'\n(.+?)\nEND\n\)\" (.+)$", PAGE, re.MULTILINE | re.DOTALL)
    assert found
    with redis.Redis.from_url(url) as client:
        try:
            members: Any = client.execute_command("EVAL_RO", found[1], *found[2].split())
        except redis.ResponseError as error:
            if not re.match("(UNKNOWN|SCHEMA|STALE|NOTREADY) ", str(error)):
                raise
            return None
    return [json.loads(member)[0] for member in reversed(members)]


def by_redis_cli(url: str) -> Outcome:
    """The same as it stands on the page, in a shell."""
    if shutil.which("redis-cli") is None:
        pytest.skip("there is no redis-cli")
    command = block("sh", "EVAL_RO").replace("redis-cli", f"redis-cli -u {url}")
    done = run(["sh", "-c", command], {})
    return [json.loads(line)[0] for line in reversed(done.splitlines())] if done else None


def by_ioredis(url: str) -> Outcome:
    """The program on the page."""
    if shutil.which("node") is None or run(["node", "-e", 'require("ioredis"); console.log(1)'], {}) is None:
        pytest.skip("there is no Node with ioredis: npm install ioredis, and tell where by NODE_PATH")
    done = run(["node", "-e", block("js", "ioredis")], {"REDIS_URL": url})
    return [json.loads(line)[0] for line in done.splitlines()] if done else None


def run(command: list[str], env: dict[str, str]) -> str | None:
    """What it printed; None if it failed, and said why."""
    done = subprocess.run(
        command, env={**os.environ, **env}, capture_output=True, text=True, timeout=60, check=False
    )
    if done.returncode:
        assert done.stderr or done.stdout
        return None
    return done.stdout


NOTHING = state(0, 0, 0, contiguous_from=0, settled_through=0, known_through=0)


def settle(client: Any, **other: Any) -> Any:
    """Write seventy settled candles; the client, for what is done to them."""
    put(client, state(0, 70, 70, **other), range(70))
    return client


SITUATIONS: dict[str, Callable[[Any], object]] = {
    "all is well": settle,
    "one is in progress": lambda c: put(c, state(0, 70, 70, forming=70), range(71)),
    "the newest are not known": lambda c: put(
        c, state(0, 60, 60, closed_through=T0 + 61 * STEP), range(72)
    ),
    "there was a hole once": lambda c: put(c, state(20, 90, 90), [*range(10), *range(20, 90)]),
    "too few since a hole": lambda c: put(c, state(20, 70, 70), [*range(10), *range(20, 70)]),
    "too few": lambda c: put(c, state(0, 40, 40), range(40)),
    "nothing is known": lambda c: put(c, NOTHING, []),
    "nobody vouches": lambda c: settle(c).delete(ALIVE),
    "a day old": lambda c: put(c, state(0, 70, 70), range(70), now=T0 + 400 * STEP),
    "overdue by the state": lambda c: settle(c, closed_through=T0 + 90 * STEP),
    "just not overdue": lambda c: put(c, state(0, 70, 70), range(70), now=T0 + 71 * STEP + 600_000),
    "just overdue": lambda c: put(c, state(0, 70, 70), range(70), now=T0 + 71 * STEP + 600_001),
    "some were evicted": lambda c: settle(c).zremrangebyrank(SET, 0, 0),
    "the set was evicted": lambda c: settle(c).delete(SET),
    "another schema": lambda c: settle(c).hset(STATE, "schema", 2),
    "nobody fills it": lambda c: c.sadd(KEYS.series, "ETH-USD:5m"),
}  # fmt: skip


@pytest.mark.parametrize("program", [by_script, by_redis_cli, by_ioredis])
def test_a_program_on_the_page_reads_what_the_reader_reads(
    program: Callable[[str], Outcome], store: Any, clean_valkey: str
) -> None:
    answers = 0
    for situation, arrange in SITUATIONS.items():
        store.flushall()
        arrange(store)
        expected = by_reader(clean_valkey)
        assert program(clean_valkey) == expected, situation
        answers += expected is not None
    assert BTC.symbol in PAGE and answers == 5
