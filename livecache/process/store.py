"""The Redis that the service works over, be it configured or its own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from ..config.schema import Config
from ..embedded.server import EmbeddedServer
from ..quiet import logger
from ..redis_url import parse_cluster
from ..wire.connecting import client_for, resolve_url
from ..wire.scripts import RedisLike

__all__ = ["Store", "data_dir", "open_store"]

_REDIS_TIMEOUT_S = 2.5  # as readers wait: the candles API reads by the same client


class Store(NamedTuple):
    """The way to Redis, which all venues share."""

    client: Any  # a redis.asyncio.Redis
    url: str
    embedded: bool
    spread: RedisLike  # what writes go by: of a cluster not the client, which waits for nodes that are away


@asynccontextmanager
async def open_store(config: Config) -> AsyncIterator[Store]:
    """The configured Redis, or an embedded one; at the end it is closed."""
    async with AsyncExitStack() as stack:
        url, embedded = config.redis.url, config.redis.url == "embedded"
        if embedded:
            server = stack.enter_context(EmbeddedServer(data_dir(config)))
            url = server.url
            logger.bind(event="embedded_started", url=url, dir=str(server.data_dir)).info(
                f"embedded Redis at {url}, data in {server.data_dir}"
            )
        else:
            url = resolve_url(url)
        client = client_for(
            redis.asyncio,
            url,
            socket_timeout=_REDIS_TIMEOUT_S,
            socket_connect_timeout=_REDIS_TIMEOUT_S,
            retry=Retry(NoBackoff(), 0),  # The writer retries, and says so.
        )
        stack.push_async_callback(client.aclose)
        yield Store(client, url, embedded, _spread_over(client, url, stack))


def _spread_over(client: Any, url: str, stack: AsyncExitStack) -> RedisLike:
    if parse_cluster(url) is None:
        way: RedisLike = client
        return way
    from ..wire.spread import NODE_S, Spread

    spread = Spread(client_for(redis.asyncio, url, socket_timeout=NODE_S, socket_connect_timeout=NODE_S))
    stack.push_async_callback(spread.aclose)
    return spread


def data_dir(config: Config) -> Path | None:
    """The directory that is configured for what the process keeps itself; None: the user's."""
    return Path(config.redis.data_dir).expanduser() if config.redis.data_dir else None
