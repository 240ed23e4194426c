"""What the writer's tests share: a writer at work on a real server, a connection that fails on command."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from typing import Any

import redis.asyncio
from loguru import logger

from livecache.clock import SystemClock
from livecache.keys.keyspace import Keyspace
from livecache.model.series import SeriesId
from livecache.model.timeframe import Timeframe
from livecache.redis_url import parse_cluster
from livecache.wire.scripts import RedisLike
from livecache.writer.writer import Writer

from ..cluster.over import over
from .support import BTC, ETH, ORIGIN, Source, state, whole

__all__ = [
    "KEYS",
    "SET",
    "STATE",
    "Flaky",
    "Impatient",
    "eventually",
    "on_valkey",
    "running",
    "said",
    "stored",
    "told",
    "writer_of",
]

KEYS = Keyspace()
SET, STATE = KEYS.candles("BTC-USD", Timeframe.M5), KEYS.state("BTC-USD", Timeframe.M5)


class Impatient(SystemClock):
    """Real time, but no wait is longer than a few milliseconds."""

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(min(seconds, 0.01))


class Flaky:
    """A connection that fails as it is told, before or after the server has done its work."""

    def __init__(self, inner: RedisLike) -> None:
        self.inner = inner
        self.error: Exception | None = None
        self.after = False
        self.failures = 0

    async def execute_command(self, *args: Any) -> Any:
        if self.error and not self.after:
            self.failures += 1
            raise self.error
        reply = await self.inner.execute_command(*args)
        if self.error:
            self.failures += 1
            raise self.error
        return reply


def writer_of(
    client: RedisLike,
    source: Source,
    series: Sequence[SeriesId] = (BTC, ETH),
    *,
    keys: Keyspace = KEYS,
    **other: Any,
) -> Writer:
    options: dict[str, Any] = {"instance": "one", "clock": Impatient(), "jitter": lambda: 0.0, **other}
    return Writer(client, keys, series, source, origin=ORIGIN, wake=source.wake, **options)


@contextlib.asynccontextmanager
async def running(writer: Writer) -> AsyncIterator[None]:
    """The writer at work, from `open` to `close`."""
    await writer.open()
    task = asyncio.create_task(writer.run(), name="writer under test")
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        await writer.close()


def on_valkey(
    url: str, test: Callable[[Any, Source], Coroutine[Any, Any, None]], seconds: float = 60
) -> None:
    """Run an asynchronous test over a client and a source that holds two series of ten candles each."""

    async def body() -> None:
        opened: Any = over(url) if parse_cluster(url) else redis.asyncio.Redis.from_url(url)
        async with asyncio.timeout(seconds), opened as client:
            source = Source()
            for series in (BTC, ETH):
                source.fill(whole(series, range(10), state(0, 10, 10)))
            await test(client, source)

    asyncio.run(body())


async def stored(client: Any, key: str = SET) -> list[str]:
    return [member.decode() for member in await client.zrange(key, 0, -1)]


async def eventually(condition: Callable[[], Coroutine[Any, Any, bool]]) -> None:
    async with asyncio.timeout(30):
        while not await condition():
            await asyncio.sleep(0.01)


@contextlib.contextmanager
def said() -> Iterator[list[str]]:
    """The events logged meanwhile, in order."""
    events: list[str] = []
    with _heard(lambda message: events.append(message.record["extra"].get("event", ""))):
        yield events


@contextlib.contextmanager
def told() -> Iterator[list[str]]:
    """What people were told meanwhile, in order: the messages."""
    messages: list[str] = []
    with _heard(lambda message: messages.append(message.record["message"])):
        yield messages


@contextlib.contextmanager
def _heard(by: Callable[[Any], None]) -> Iterator[None]:
    number = logger.add(by, level=0)
    try:
        yield
    finally:
        logger.remove(number)
