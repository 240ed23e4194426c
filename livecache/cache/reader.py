"""The readers: what an indicator imports. Two thin shells over `reading.Core`, with and without asyncio.

Neither waits, or falls back to anything: an answer is right and vouched for, or it is an error.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import redis
import redis.asyncio
from redis.backoff import ExponentialBackoff
from redis.exceptions import RedisError, ResponseError

from ..core.candle import Candle
from ..core.series import SeriesId
from ..core.timeframe import Timeframe
from ..errors import ConfigError, ReadError, RedisUnavailable
from .answer import Empty
from .candles import Candles
from .keyspace import Keyspace
from .reading import Core, SeriesView, Steps
from .scripts import cancellable

__all__ = ["AsyncReader", "Reader", "resolve_url"]

MAX_LAG_S = 600.0
"""Venue seconds that a closed bucket may stay unknown before a read is `Stale`."""

_T = TypeVar("_T")
_SCHEMES = ("redis://", "rediss://", "unix://")


def resolve_url(url: str | None) -> str:
    """The server to read: `url`, else LIVECACHE_REDIS_URL, else the embedded server that runs here.

    The latter is looked for in LIVECACHE_REDIS_DATA_DIR, else in the user's data directory.

    Raises `RedisUnavailable` if none is found, `ConfigError` for a URL of another kind.
    """
    chosen = url or os.environ.get("LIVECACHE_REDIS_URL") or "embedded"
    if chosen == "embedded":
        # Only here: whoever names a server needs nothing of the embedded one.
        from .embedded import find_url

        directory = os.environ.get("LIVECACHE_REDIS_DATA_DIR")
        chosen = find_url(Path(directory).expanduser() if directory else None)
    # redis-py does not know Valkey's own schemes, which mean the same.
    if chosen.startswith(("valkey://", "valkeys://")):
        chosen = "redis" + chosen.removeprefix("valkey")
    if not chosen.startswith(_SCHEMES):
        # The URL itself may hold a password.
        raise ConfigError("the Redis URL is of an unknown kind", f"it starts with {' or '.join(_SCHEMES)}")
    return chosen


class Reader:
    """Reads candles from Redis. Threads may share one, as they may redis-py's client.

    Args:
        url: `redis://`, `rediss://`, `unix://`. Without it LIVECACHE_REDIS_URL, else the embedded server.
        prefix: the writer's `redis.prefix`.
        venue: the venue in the keys.
        max_lag: seconds of the venue's clock that a closed bucket may be missing before it is `Stale`.
        client: a `redis.Redis` of your own instead of a URL (a cluster's, a sentinel's). It returns bytes.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        prefix: str = "livecache",
        venue: str = "coinbase",
        max_lag: float = MAX_LAG_S,
        client: Any = None,
    ) -> None:
        self._core = Core(Keyspace(prefix, venue), max_lag)
        self._owns = client is None
        self._asked_url = url
        self._url = "" if client is not None else resolve_url(url)
        self._redis = client if client is not None else _connect(redis, self._url)

    def candles(
        self,
        symbol: str,
        timeframe: str | Timeframe,
        count: int,
        *,
        settled: bool = False,
        forming: bool = False,
        empty: Empty = "skip",
        max_lag: float | None = None,
        at_least: int | None = None,
    ) -> Candles:
        """The newest `count` closed candles, oldest first, without a gap.

        Args:
            settled: only those that the venue's REST API has confirmed.
            forming: and after them the bucket in progress, as one more.
            empty: what stands for a bucket without a trade. "skip": nothing, and `count` counts candles.
                "carry": the previous close with volume 0. "null": NaN. With these two it counts buckets.
            max_lag: another bound than the reader's, in seconds of the venue's clock.
            at_least: be content with so many, where the venue has no more.

        Raises:
            NotReady: fewer are there; the message says why.
            Stale: nobody vouches, or the newest bucket is overdue.
            OutOfSync: `forming` was asked for, and the feed does not vouch for it.
            UnknownSeries: nobody fills this series.
            RedisUnavailable: Redis cannot be reached.
        """
        request = self._core.request(
            symbol,
            timeframe,
            count,
            settled=settled,
            forming=forming,
            empty=empty,
            max_lag=max_lag,
            at_least=at_least,
        )
        return self._drive(self._core.read(request))

    def latest(
        self, symbol: str, timeframe: str | Timeframe, *, settled: bool = False, max_lag: float | None = None
    ) -> Candle:
        """The newest closed candle. Raises as `candles` does."""
        return self.candles(symbol, timeframe, 1, settled=settled, max_lag=max_lag)[-1]

    def range(
        self,
        symbol: str,
        timeframe: str | Timeframe,
        start: int,
        end: int,
        *,
        settled: bool = False,
        empty: Empty = "skip",
        max_lag: float | None = None,
    ) -> Candles:
        """All closed candles that open within [start, end), Unix ms. `NotReady` unless all of it is known."""
        request = self._core.range_request(
            symbol, timeframe, start, end, settled=settled, empty=empty, max_lag=max_lag
        )
        return self._drive(self._core.read(request))

    def many(
        self, wanted: Iterable[tuple[str, str | Timeframe, int]], **options: Any
    ) -> dict[SeriesId, Candles | ReadError]:
        """Many series in few round trips: each `(symbol, timeframe, count)` gives candles or its own error.

        `options` are those of `candles`, the same for all.
        """
        requests = [self._core.request(*one, **options) for one in wanted]
        outcomes = self._drive(self._core.read_many(requests))
        return {r.series: outcome for r, outcome in zip(requests, outcomes, strict=True)}

    def state(self, symbol: str, timeframe: str | Timeframe) -> SeriesView:
        """How one series stands, whatever it is worth."""
        return self._drive(self._core.views([self._core.series_id(symbol, timeframe)]))[0]

    def states(self, series: Sequence[SeriesId] | None = None) -> list[SeriesView]:
        """How these series stand; without an argument, all that are configured."""
        return self._drive(self._core.views(self.series() if series is None else series))

    def series(self) -> list[SeriesId]:
        """The configured series, by symbol and then from the shortest timeframe to the longest."""
        return self._drive(self._core.all_series())

    def close(self) -> None:
        """Close the connections, unless the client is your own."""
        if self._owns:
            self._redis.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _drive(self, steps: Steps[_T]) -> _T:
        try:
            commands = next(steps)
            while True:
                try:
                    replies = self._send(commands)
                except RedisUnavailable:
                    if not self._moved():
                        raise
                    replies = self._send(commands)
                commands = steps.send(replies)
        except StopIteration as done:
            result: _T = done.value
            return result

    def _moved(self) -> bool:
        """Whether the server is another one now: the embedded one has another port after each start."""
        url = _moved_to(self._owns, self._asked_url, self._url)
        if url:
            self._redis.close()
            self._url, self._redis = url, _connect(redis, url)
        return bool(url)

    def _send(self, commands: Sequence[tuple[Any, ...]]) -> list[Any]:
        try:
            if len(commands) == 1:
                return [self._redis.execute_command(*commands[0])]
            with self._redis.pipeline(transaction=False) as pipeline:
                for command in commands:
                    pipeline.execute_command(*command)
                return list(pipeline.execute(raise_on_error=False))
        except ResponseError as error:
            return [error]
        except (RedisError, OSError) as error:
            raise _unavailable(error) from error


class AsyncReader:
    """`Reader` over `redis.asyncio`: the same reads, awaited. `client` is a `redis.asyncio.Redis`."""

    def __init__(
        self,
        url: str | None = None,
        *,
        prefix: str = "livecache",
        venue: str = "coinbase",
        max_lag: float = MAX_LAG_S,
        client: Any = None,
    ) -> None:
        self._core = Core(Keyspace(prefix, venue), max_lag)
        self._owns = client is None
        self._asked_url = url
        self._url = "" if client is not None else resolve_url(url)
        self._redis = client if client is not None else _connect(redis.asyncio, self._url)

    async def candles(
        self,
        symbol: str,
        timeframe: str | Timeframe,
        count: int,
        *,
        settled: bool = False,
        forming: bool = False,
        empty: Empty = "skip",
        max_lag: float | None = None,
        at_least: int | None = None,
    ) -> Candles:
        """See `Reader.candles`."""
        request = self._core.request(
            symbol,
            timeframe,
            count,
            settled=settled,
            forming=forming,
            empty=empty,
            max_lag=max_lag,
            at_least=at_least,
        )
        return await self._drive(self._core.read(request))

    async def latest(
        self, symbol: str, timeframe: str | Timeframe, *, settled: bool = False, max_lag: float | None = None
    ) -> Candle:
        """See `Reader.latest`."""
        return (await self.candles(symbol, timeframe, 1, settled=settled, max_lag=max_lag))[-1]

    async def range(
        self,
        symbol: str,
        timeframe: str | Timeframe,
        start: int,
        end: int,
        *,
        settled: bool = False,
        empty: Empty = "skip",
        max_lag: float | None = None,
    ) -> Candles:
        """See `Reader.range`."""
        request = self._core.range_request(
            symbol, timeframe, start, end, settled=settled, empty=empty, max_lag=max_lag
        )
        return await self._drive(self._core.read(request))

    async def many(
        self, wanted: Iterable[tuple[str, str | Timeframe, int]], **options: Any
    ) -> dict[SeriesId, Candles | ReadError]:
        """See `Reader.many`."""
        requests = [self._core.request(*one, **options) for one in wanted]
        outcomes = await self._drive(self._core.read_many(requests))
        return {r.series: outcome for r, outcome in zip(requests, outcomes, strict=True)}

    async def state(self, symbol: str, timeframe: str | Timeframe) -> SeriesView:
        """See `Reader.state`."""
        return (await self._drive(self._core.views([self._core.series_id(symbol, timeframe)])))[0]

    async def states(self, series: Sequence[SeriesId] | None = None) -> list[SeriesView]:
        """See `Reader.states`."""
        return await self._drive(self._core.views(await self.series() if series is None else series))

    async def series(self) -> list[SeriesId]:
        """See `Reader.series`."""
        return await self._drive(self._core.all_series())

    async def aclose(self) -> None:
        """Close the connections, unless the client is your own."""
        if self._owns:
            await self._redis.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def _drive(self, steps: Steps[_T]) -> _T:
        try:
            commands = next(steps)
            while True:
                try:
                    replies = await self._send(commands)
                except RedisUnavailable:
                    if not await self._moved():
                        raise
                    replies = await self._send(commands)
                commands = steps.send(replies)
        except StopIteration as done:
            result: _T = done.value
            return result

    async def _moved(self) -> bool:
        """Whether the server is another one now."""
        url = _moved_to(self._owns, self._asked_url, self._url)
        if url:
            await self._redis.aclose()
            self._url, self._redis = url, _connect(redis.asyncio, url)
        return bool(url)

    async def _send(self, commands: Sequence[tuple[Any, ...]]) -> list[Any]:
        try:
            if len(commands) == 1:
                return [await cancellable(self._redis.execute_command(*commands[0]))]
            async with self._redis.pipeline(transaction=False) as pipeline:
                for command in commands:
                    pipeline.execute_command(*command)
                return list(await cancellable(pipeline.execute(raise_on_error=False)))
        except ResponseError as error:
            return [error]
        except (RedisError, OSError) as error:
            raise _unavailable(error) from error


def _moved_to(owns: bool, asked: str | None, connected: str) -> str:
    """Where the server is to be found now, if that is elsewhere; else ""."""
    if not owns:
        return ""
    try:
        found = resolve_url(asked)
    except RedisUnavailable:
        return ""
    return found if found != connected else ""


def _connect(library: Any, url: str) -> Any:
    """A client that gives up after a moment: redis-py by itself tries a dead server for four seconds."""
    retry = (redis.asyncio.retry if library is redis.asyncio else redis.retry).Retry
    try:
        return library.Redis.from_url(
            url,
            retry=retry(ExponentialBackoff(cap=0.3, base=0.05), 3),
            socket_connect_timeout=2.0,
            socket_timeout=5.0,
        )
    except ValueError:
        # Without its cause: the message may quote a part of the URL, and that may be the password.
        raise ConfigError(
            "the Redis URL cannot be read", "redis://[user:password@]host:port/number"
        ) from None


def _unavailable(error: Exception) -> RedisUnavailable:
    return RedisUnavailable(
        f"Redis cannot be read: {str(error)[:200] or type(error).__name__}",
        "is it running, and is this its address? LIVECACHE_REDIS_URL or the reader's url",
    )
