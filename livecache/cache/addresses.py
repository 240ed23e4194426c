"""The readers' client: how patient it is, and where the embedded server went after a restart."""

from __future__ import annotations

import inspect
from typing import Any

import redis
import redis.asyncio
from redis.backoff import ExponentialBackoff

from ..errors import ConfigError, RedisUnavailable
from .connecting import client_for, resolve_url

__all__ = ["CONNECTIONS_MAX", "as_address", "check_client", "connect", "moved_to"]

CONNECTIONS_MAX = 1_000
"""Connections of one reader: one for each read that is under way, two for all series that are followed."""


def moved_to(asked: str | None, connected: str) -> str:
    """Where the server is to be found now, if that is elsewhere; else ""."""
    try:
        found = resolve_url(asked)
    except RedisUnavailable:
        return ""
    return found if found != connected else ""


def connect(library: Any, url: str) -> Any:
    """A client that gives up after a moment: redis-py by itself tries a dead server for four seconds.

    `library` is `redis` or `redis.asyncio`.
    """
    retry = (redis.asyncio.retry if library is redis.asyncio else redis.retry).Retry
    return client_for(
        library,
        url,
        retry=retry(ExponentialBackoff(cap=0.3, base=0.05), 3),
        socket_connect_timeout=2.0,
        socket_timeout=5.0,
        max_connections=CONNECTIONS_MAX,
    )


def check_client(client: Any, *, asynchronous: bool) -> None:
    """`ConfigError` for what a reader cannot use as its `client`: else the data would be blamed for it."""
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
