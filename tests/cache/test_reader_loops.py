"""One `AsyncReader` for many event loops, as tests, notebooks and threads have them; and after a fork."""

from __future__ import annotations

import asyncio
import gc
import multiprocessing
import pickle
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import redis
import redis.asyncio

from livecache import AsyncReader, ConfigError, Reader, RedisUnavailable
from livecache.embedded.server import EmbeddedServer

from ..e2e.support import until
from .either import either
from .support import STEP, T0, state
from .test_reader import put

FORK = multiprocessing.get_context("fork")


@pytest.fixture(autouse=True)
def filled(store: Any) -> None:
    put(store, state(0, 10, 10), range(10))


def clients(store: Any) -> list[str]:
    """Who is connected, but for the test itself."""
    mine = str(store.client_id())
    return [one["id"] for one in store.client_list() if one["id"] != mine]


async def by_reading(reader: AsyncReader) -> int:
    return len(await reader.candles("BTC-USD", "5m", 4))


async def by_many(reader: AsyncReader) -> int:
    return len((await reader.many([("BTC-USD", "5m", 4), ("BTC-USD", "5m", 3)])).ok["BTC-USD"])


async def by_following(reader: AsyncReader) -> int:
    async for candles in reader.follow("BTC-USD", "5m", 4):
        return len(candles)
    return 0


@pytest.mark.parametrize("read", [by_reading, by_many, by_following])
def test_loops_one_after_the_other_read_with_one_reader(
    read: Callable[[AsyncReader], Awaitable[int]], clean_valkey: str, store: Any
) -> None:
    before = clients(store)
    reader = AsyncReader(clean_valkey)

    async def once() -> int:
        return await read(reader)

    for _ in range(3):
        assert asyncio.run(once()) in (3, 4)
    until("each loop has closed its connections as it ended", lambda: clients(store) == before)


def test_a_loop_that_was_closed_without_ado_is_in_nobodys_way(clean_valkey: str) -> None:
    reader = AsyncReader(clean_valkey)
    loops = [asyncio.new_event_loop() for _ in range(3)]
    for loop in loops:
        assert loop.run_until_complete(by_reading(reader)) == 4
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()
    assert asyncio.run(by_reading(reader)) == 4


def test_loops_side_by_side_in_threads_share_a_reader(clean_valkey: str) -> None:
    reader = AsyncReader(clean_valkey)
    together = threading.Barrier(5, timeout=60)
    read: list[int] = []

    async def many_times() -> None:
        for _ in range(20):
            together.wait()
            read.append(await by_reading(reader) + await by_many(reader))

    threads = [threading.Thread(target=asyncio.run, args=(many_times(),)) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert read == [7] * 100


def test_a_reader_that_is_forgotten_leaves_no_connection_behind(clean_valkey: str, store: Any) -> None:
    before = clients(store)

    async def main() -> None:
        reader = AsyncReader(clean_valkey)
        await by_reading(reader)
        del reader
        gc.collect()
        async with asyncio.timeout(30):
            while clients(store) != before:
                await asyncio.sleep(0.01)

    asyncio.run(main())


AT_THE_END = """
import asyncio, sys
from livecache import AsyncReader

async def main():
    asyncio.get_running_loop().slow_callback_duration = 60  # how fast the machine is is not asked
    reader = AsyncReader(sys.argv[1])
    {first}
    async for _ in reader.follow_many(["BTC-USD"], "5m", 5):
        break

asyncio.run(main())
"""


@pytest.mark.parametrize("first", ["pass", "await reader.candles('BTC-USD', '5m', 5)"])
def test_a_program_that_ends_while_it_follows_ends_without_a_word(clean_valkey: str, first: str) -> None:
    program = [sys.executable, "-X", "dev", "-c", AT_THE_END.format(first=first), clean_valkey]
    ended = subprocess.run(program, capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stderr) == (0, ""), "no task is left, nor a connection"


def test_a_client_of_ones_own_belongs_to_a_loop_and_that_is_told(clean_valkey: str) -> None:
    client = redis.asyncio.Redis.from_url(clean_valkey)
    reader = AsyncReader(client=client)
    with asyncio.Runner() as one, asyncio.Runner() as other:
        assert one.run(by_reading(reader)) == 4
        with pytest.raises(ConfigError, match="belongs to another event loop"):
            other.run(by_reading(reader))
        assert one.run(by_reading(reader)) == 4
        one.run(client.aclose())

    async def once_more() -> int:
        try:
            return await by_reading(reader)
        finally:
            await client.aclose()

    assert asyncio.run(once_more()) == 4, "it was closed in the loop before, and may begin anew"


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # what the client leaves open
@pytest.mark.parametrize("read", [by_reading, by_following])
def test_a_client_of_ones_own_serves_loops_that_come_after_each_other(
    read: Callable[[AsyncReader], Awaitable[int]], clean_valkey: str
) -> None:
    client = redis.asyncio.Redis.from_url(clean_valkey)
    reader = AsyncReader(client=client)

    async def once(last: bool) -> int:
        read_now = await read(reader)
        if last:
            await client.aclose()
        return read_now

    assert [asyncio.run(once(last)) for last in (False, False, False, True)] == [4] * 4
    gc.collect()


def in_a_fork(reader: Any, answers: Any) -> None:
    if isinstance(reader, Reader):
        answers.put(len(reader.candles("BTC-USD", "5m", 4)))
    else:
        answers.put(asyncio.run(by_reading(reader)))


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_after_a_fork_both_sides_read(clean_valkey: str) -> None:
    plain, awaited = Reader(clean_valkey), AsyncReader(clean_valkey)
    answers = FORK.Queue()
    with asyncio.Runner() as runner:
        for _ in range(2):
            assert len(plain.candles("BTC-USD", "5m", 4)) == runner.run(by_reading(awaited)) == 4
            for reader in (plain, awaited):
                child = FORK.Process(target=in_a_fork, args=(reader, answers))
                child.start()
                assert answers.get(timeout=60) == 4
                child.join(60)


def test_a_reader_goes_to_another_process_as_its_address(clean_valkey: str, store: Any) -> None:
    there = pickle.loads(pickle.dumps(Reader(clean_valkey, max_lag=5)))
    assert len(there.candles("BTC-USD", "5m", 4)) == 4
    assert asyncio.run(by_reading(pickle.loads(pickle.dumps(AsyncReader(clean_valkey))))) == 4
    with pytest.raises(TypeError, match="a client of its own"):
        pickle.dumps(Reader(client=store))


# --- made before there is a server


def test_a_reader_is_made_before_its_server_runs(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LIVECACHE_REDIS_URL", raising=False)
    monkeypatch.setenv("LIVECACHE_REDIS_DATA_DIR", str(tmp_path / "of the server"))
    with either(kind, None) as reader:
        with pytest.raises(RedisUnavailable, match="no embedded server runs in"):
            reader.candles("BTC-USD", "5m", 4)
        with pytest.raises(RedisUnavailable):
            reader.wait_ready(["BTC-USD"], "5m", 4, timeout=0.2)
        with pytest.raises(RedisUnavailable):
            next(reader.follow("BTC-USD", "5m", 4, patience=0.2))
        with EmbeddedServer(tmp_path / "of the server") as server:
            with redis.Redis.from_url(server.url) as client:
                put(client, state(0, 10, 10), range(10))
            assert len(reader.wait_ready(["BTC-USD"], "5m", 4)["BTC-USD"]) == 4
            assert reader.latest("BTC-USD", "5m").time == T0 + 9 * STEP
