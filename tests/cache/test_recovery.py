"""Redis in trouble, for real: what the writer does about it, and what a reader sees meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import redis
import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import BusyLoadingError, RedisError, ResponseError

from livecache import AsyncReader, NotReady, ReadError, RedisUnavailable
from livecache.embedded.server import EmbeddedServer
from livecache.model.series import Close, Kind
from livecache.model.timeframe import Timeframe

from .support import BTC, ETH, STEP, T0, Source, candle, state, until, whole
from .writing import KEYS, SET, STATE, Flaky, eventually, on_valkey, running, said, stored, writer_of

ALIVE = KEYS.alive("BTC-USD")


@contextlib.asynccontextmanager
async def service(url: str) -> AsyncIterator[tuple[Any, Any, Source]]:
    """A writer at work with a connection as the service makes it: client, writer, source of ten candles."""
    client = redis.asyncio.Redis.from_url(url, retry=Retry(NoBackoff(), 0), socket_timeout=1.0)
    source = Source()
    for series in (BTC, ETH):
        source.fill(whole(series, range(10), state(0, 10, 10)))
    writer = writer_of(client, source)
    async with asyncio.timeout(30), client, running(writer):
        await until(lambda: writer.stats.upserts == 2)
        yield client, writer, source


def reader_of(url: str) -> AsyncReader:
    """A reader to whom the candles of 2025 are not overdue."""
    return AsyncReader(url, max_lag=1e8)


async def comes_back(url: str, members: int) -> None:
    """Until a reader gets so many candles, in order, from a server that may be another one by now."""

    async def read() -> bool:
        try:
            async with reader_of(url) as reader:
                found = await reader.candles("BTC-USD", "5m", members)
        except (ReadError, RedisUnavailable):
            return False
        assert [c.time for c in found] == [T0 + n * STEP for n in range(members)]
        return True

    await eventually(read)


def change(source: Source, n: int = 10) -> None:
    source.change(BTC, {T0 + n * STEP: candle(n)}, state(0, n + 1, n + 1))


@pytest.mark.parametrize("keep", [True, False], ids=["with its data", "as an empty replica"])
def test_a_server_that_comes_back_under_the_same_address_is_made_whole(tmp_path: Path, keep: bool) -> None:
    """As after a restart, and as after a fail-over to a replica that had nothing yet."""
    server = EmbeddedServer(tmp_path) if keep else EmbeddedServer(temporary=True)
    with server, said() as events:
        url = server.url

        async def body() -> None:
            async with service(url) as (_, writer, source):
                await asyncio.to_thread(server.stop)
                change(source)
                async with reader_of(url) as reader:
                    with pytest.raises(RedisUnavailable):
                        await reader.candles("BTC-USD", "5m", 10)
                await until(lambda: writer.stats.errors > 1)
                await asyncio.to_thread(server.start)
                assert server.url == url
                await comes_back(url, 11)
                await until(lambda: "redis_replaced" in events)

        asyncio.run(body())
    assert "redis_trouble" in events and "redis_recovered" in events


def test_a_read_only_replica_is_waited_out(clean_valkey: str) -> None:
    async def body() -> None:
        async with service(clean_valkey) as (client, writer, source):
            await client.execute_command("REPLICAOF", "127.0.0.1", "1")
            try:
                change(source)
                await until(lambda: writer.stats.errors > 1)
                assert len(await stored(client)) == 10, "readers still find what was there"
            finally:
                await client.execute_command("REPLICAOF", "NO", "ONE")
            await comes_back(clean_valkey, 11)

    asyncio.run(body())


def test_a_server_that_wants_more_replicas_is_waited_out(clean_valkey: str) -> None:
    async def body() -> None:
        async with service(clean_valkey) as (client, writer, source):
            await client.config_set("min-replicas-to-write", 1)
            try:
                change(source)
                await until(lambda: writer.stats.errors > 1)
            finally:
                await client.config_set("min-replicas-to-write", 0)
            await comes_back(clean_valkey, 11)

    asyncio.run(body())


def test_a_server_busy_with_a_script_is_waited_out() -> None:
    with EmbeddedServer(temporary=True) as server:

        async def body() -> None:
            async with service(server.url) as (client, writer, source):
                await client.config_set("busy-reply-threshold", 1)
                endless = asyncio.create_task(client.eval("while true do end", 0))
                change(source)
                await until(lambda: writer.stats.errors > 1)
                async with redis.asyncio.Redis.from_url(server.url) as other:
                    await other.script_kill()
                with contextlib.suppress(RedisError):
                    await endless
                await comes_back(server.url, 11)

        asyncio.run(body())


def test_a_password_that_is_wrong_for_a_while_is_waited_out_and_not_told() -> None:
    with EmbeddedServer(temporary=True) as server, said() as events:

        async def body() -> None:
            async with service(server.url) as (_, writer, source):
                async with redis.asyncio.Redis.from_url(server.url) as operator:
                    await operator.config_set("requirepass", "s3cret")
                    await operator.client_kill_filter(_type="normal", skipme=True)
                    change(source)
                    await until(lambda: writer.stats.errors > 3)
                    await operator.config_set("requirepass", "")
                await comes_back(server.url, 11)

        asyncio.run(body())
    assert events.count("redis_trouble") <= 3, "each kind of trouble is told once in a while"


@pytest.mark.parametrize(
    "error",
    [
        ResponseError("MISCONF Redis is configured to save RDB snapshots, but cannot"),
        BusyLoadingError("Redis is loading the dataset in memory"),
        ResponseError("CLUSTERDOWN The cluster is down"),
        OSError(28, "No space left on device"),
    ],
    ids=["MISCONF", "LOADING", "CLUSTERDOWN", "OSError"],
)
def test_errors_that_pass_are_waited_out(clean_valkey: str, error: Exception) -> None:
    async def test(client: Any, source: Source) -> None:
        flaky = Flaky(client)
        writer = writer_of(flaky, source)
        async with running(writer):
            await until(lambda: writer.stats.upserts == 2)
            flaky.error = error
            change(source)
            await until(lambda: flaky.failures > 5)
            flaky.error = None
            await comes_back(clean_valkey, 11)

    on_valkey(clean_valkey, test)


def test_a_server_without_memory_keeps_what_it_has_even_if_all_is_owed(clean_valkey: str) -> None:
    async def body() -> None:
        async with service(clean_valkey) as (client, writer, source):
            await client.config_set("maxmemory", 1)
            for series in (BTC, ETH):
                source.fill(source.content[series])
            change(source)
            await until(lambda: writer.stats.errors > 1)
            assert len(await stored(client)) == 10
            await client.config_set("maxmemory", 0)
            await comes_back(clean_valkey, 11)

    asyncio.run(body())


def test_scripts_that_the_server_forgot_are_sent_again(clean_valkey: str) -> None:
    async def body() -> None:
        async with service(clean_valkey) as (client, writer, source):
            await client.script_flush()
            change(source)
            await comes_back(clean_valkey, 11)
            assert writer.stats.errors == 0

    asyncio.run(body())


def test_connections_that_are_killed_all_the_time_cost_nothing_but_time(clean_valkey: str) -> None:
    async def body() -> None:
        async with service(clean_valkey) as (_, writer, source):
            async with redis.asyncio.Redis.from_url(clean_valkey) as operator:
                for n in range(10, 40):
                    source.closes.append(Close(Kind.CLOSED, BTC, T0 + n * STEP, candle(n), None))
                    change(source, n)
                    await operator.client_kill_filter(_type="normal", skipme=True)
                    await until(lambda: not source.changed)
                await comes_back(clean_valkey, 40)
                found: Any = await operator.xrange(KEYS.closes)
                entries = [int(entry[b"time"]) for _, entry in found]
            assert list(dict.fromkeys(entries)) == [T0 + n * STEP for n in range(10, 40)], "in order"
            assert writer.stats.damage.series == 0

    asyncio.run(body())


@pytest.mark.parametrize("key", [SET, STATE])
def test_something_foreign_in_a_series_place_stops_this_series_alone(clean_valkey: str, key: str) -> None:
    async def test(client: Any, source: Source) -> None:
        writer = writer_of(client, source)
        with said() as events:
            async with running(writer), reader_of(clean_valkey) as reader:
                await until(lambda: writer.stats.upserts == 2)
                await client.delete(key)
                await client.set(key, "precious")
                await until(lambda: BTC in writer.problems)
                with pytest.raises(ReadError, match=key.replace("{", r"\{")):
                    await reader.candles("BTC-USD", "5m", 10)
                assert len(await reader.candles("ETH-USD", "5m", 10)) == 10
                assert await client.get(key) == b"precious", "it is left alone"
                await client.delete(key)
                await comes_back(clean_valkey, 10)
        assert "foreign_key" in events and "foreign_key_gone" in events

    on_valkey(clean_valkey, test)


@pytest.mark.parametrize("key", [KEYS.series, KEYS.feed, KEYS.closes, ALIVE])
def test_something_foreign_in_a_shared_keys_place_is_told_and_left_alone(clean_valkey: str, key: str) -> None:
    async def test(client: Any, source: Source) -> None:
        writer = writer_of(client, source)
        with said() as events:
            async with running(writer):
                await until(lambda: writer.stats.upserts == 2)
                async with client.pipeline(transaction=True) as at_once:  # whoever looks sees it there or not
                    await at_once.delete(key).zadd(key, {"precious": 1}).execute()
                writer._vouching.due()  # what would be three seconds
                for n in range(10, 13):
                    source.closes.append(Close(Kind.CLOSED, BTC, T0 + n * STEP, candle(n), None))
                change(source)
                await until(lambda: "foreign_key" in events and writer.stats.upserts == 3)
                assert await client.zrange(key, 0, -1) == [b"precious"]
                assert len(await stored(client)) == 11, "candles are written all the same"
                await client.delete(key)
                writer._vouching.due()

                async def restored() -> bool:
                    return bool(await client.exists(key))

                await eventually(restored)
                await until(lambda: "foreign_key_gone" in events)
                times = [int(entry[b"time"]) for _, entry in await client.xrange(KEYS.closes)]
                assert times == [T0 + n * STEP for n in range(10, 13)], "and so are the closes, in order"
        assert events.count("foreign_key") == 1

    on_valkey(clean_valkey, test)


LOSSES: dict[str, Callable[[Any], Awaitable[Any]]] = {
    "everything": lambda c: c.flushall(),
    "the set": lambda c: c.delete(SET),
    "the state": lambda c: c.delete(STATE),
    "a member": lambda c: c.zremrangebyrank(SET, 4, 4),
    "the newest members": lambda c: c.zremrangebyrank(SET, 5, -1),
}


@pytest.mark.parametrize("loss", LOSSES)
def test_a_reader_never_gets_too_few_or_other_candles_while_something_is_lost(
    clean_valkey: str, loss: str
) -> None:
    """Lost again and again under a reader's eyes: it gets all ten candles, or a typed error that says why."""

    async def body() -> None:
        truth = [T0 + n * STEP for n in range(10)]
        outcomes: dict[str, int] = {"read": 0}
        async with service(clean_valkey) as (client, writer, _), reader_of(clean_valkey) as reader:
            for _round in range(20):
                await LOSSES[loss](client)
                while True:
                    try:
                        found = await reader.candles("BTC-USD", "5m", 10)
                    except ReadError as error:
                        kind = type(error).__name__
                        outcomes[kind] = outcomes.get(kind, 0) + 1
                        await asyncio.sleep(0.001)
                    else:
                        assert [c.time for c in found] == truth
                        assert [c.close for c in found] == [101.5] * 10
                        outcomes["read"] += 1
                        break
            assert outcomes.pop("read") == 20
            assert set(outcomes) <= {"NotReady", "UnknownSeries", "Stale"} and outcomes
            assert writer.stats.damage.series + writer.stats.fenced > 0

    asyncio.run(body())


def test_a_series_too_many_asked_of_a_lost_set_is_not_ready(clean_valkey: str) -> None:
    async def body() -> None:
        async with redis.asyncio.Redis.from_url(clean_valkey) as client:
            source = Source()
            source.fill(whole(BTC, range(10), state(0, 10, 10)))
            writer = writer_of(client, source, (BTC,))
            async with running(writer):
                await until(lambda: writer.stats.upserts == 1)
            await client.set(ALIVE, f'{{"instance":"one","time":{T0 + 10 * STEP},"feed":"up"}}')
            await client.zremrangebyrank(KEYS.candles("BTC-USD", Timeframe.M5), 0, 0)
            async with reader_of(clean_valkey) as reader:
                with pytest.raises(NotReady, match="9 of its 10"):
                    await reader.candles("BTC-USD", "5m", 5)

    asyncio.run(body())
