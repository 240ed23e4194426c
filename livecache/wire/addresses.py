"""The readers' client: how patient it is, and where the embedded server went after a restart."""

from __future__ import annotations

import inspect
import time
from typing import Any

import redis
import redis.asyncio
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import ExponentialBackoff
from redis.retry import Retry

from ..errors import ConfigError, RedisUnavailable
from ..redis_url import parse_cluster
from .connecting import client_for, resolve_url
from .routing import NODE_S

__all__ = [
    "AGAIN_WITHIN_S",
    "ANSWER_S",
    "CONNECTIONS_MAX",
    "CONNECT_S",
    "as_address",
    "check_client",
    "connect",
    "moved_to",
]

CONNECT_S, ANSWER_S = 2.0, 2.5
"""For a connection, and for each answer: more than a second, for which the stream of closes is waited for."""

AGAIN_WITHIN_S = 1.0
"""Nothing is tried again after so long."""

CONNECTIONS_MAX = 1_000
"""Connections of one reader: one for each read that is under way, two for all series that are followed."""


def moved_to(asked: str | None, connected: str) -> str:
    """Where the server is to be found now, if that is elsewhere; else ""."""
    try:
        found = resolve_url(asked)
    except RedisUnavailable:
        return ""
    return found if found != connected else ""


class _Brief(Retry):
    """Tries again what fails at once, and never what has hung: a server that is stopped would hang again."""

    def call_with_retry(
        self, do: Any, fail: Any, is_retryable: Any = None, with_failure_count: bool = False
    ) -> Any:
        began_s = time.monotonic()

        def failed(error: Exception, *count: int) -> None:
            fail(error, *count)
            if time.monotonic() - began_s > AGAIN_WITHIN_S:
                raise error

        return super().call_with_retry(do, failed, is_retryable, with_failure_count)


class _AsyncBrief(AsyncRetry):
    """As `_Brief`."""

    async def call_with_retry(
        self, do: Any, fail: Any, is_retryable: Any = None, with_failure_count: bool = False
    ) -> Any:
        began_s = time.monotonic()

        async def failed(error: Exception, *count: int) -> None:
            await fail(error, *count)
            if time.monotonic() - began_s > AGAIN_WITHIN_S:
                raise error

        return await super().call_with_retry(do, failed, is_retryable, with_failure_count)


def connect(library: Any, url: str) -> Any:
    """A client that gives up after a moment, for whoever reads would rather know.

    A server that refuses is tried for a second; one that is stopped is waited for once, for `ANSWER_S`. With
    the Sentinels' share no read takes more than four seconds. `library` is `redis` or `redis.asyncio`.
    """
    brief = _AsyncBrief if library is redis.asyncio else _Brief
    cluster = parse_cluster(url) is not None
    return client_for(
        library,
        url,
        retry=brief(ExponentialBackoff(cap=0.3, base=0.05), 3),
        socket_connect_timeout=NODE_S if cluster else CONNECT_S,
        socket_timeout=NODE_S if cluster else ANSWER_S,
        max_connections=CONNECTIONS_MAX,
    )


def check_client(client: Any, url: str | None, *, asynchronous: bool) -> None:
    """`ConfigError` for what a reader cannot use as its `client`: else the data would be blamed for it."""
    if url is not None:
        raise ConfigError("url and client are both given", "the client knows its server: leave the url out")
    wanted = "redis.asyncio.Redis" if asynchronous else "redis.Redis"
    command = getattr(client, "execute_command", None)
    if command is None:
        what = "a URL" if isinstance(client, str) else f"a {type(client).__name__}"
        raise ConfigError(f"client is {what}, not a {wanted}", "a URL is given as url=, or first")
    if inspect.iscoroutinefunction(command) is not asynchronous:
        other = "Reader" if asynchronous else "AsyncReader"
        raise ConfigError(
            f"client is a {type(client).__module__}.{type(client).__name__}, not a {wanted}",
            f"give it to {other}, or make a {wanted}",
        )
    encoder = getattr(client, "get_encoder", None)
    if encoder is not None and getattr(encoder(), "decode_responses", False):
        raise ConfigError("the client turns replies into text", "make it with decode_responses=False")


def as_address(reader: Any, url: str | None, owns: bool, **options: Any) -> tuple[Any, ...]:
    """How a reader is pickled: as what it was made with. `TypeError` if that is a client of the user's."""
    if not owns:
        raise TypeError("a reader with a client of its own cannot be pickled: give it a URL")
    return _made, (type(reader), url, options)


def _made(kind: Any, url: str | None, options: dict[str, Any]) -> Any:
    return kind(url, **options)
