"""Where the server to read is, and a client for it: what both readers need before their first read."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import redis
import redis.asyncio
from redis.backoff import ExponentialBackoff

from ..errors import ConfigError, RedisUnavailable

__all__ = ["CONNECTIONS_MAX", "connect", "moved_to", "resolve_url", "unavailable"]

CONNECTIONS_MAX = 1_000
"""Connections of one reader: one for each read that is under way, one for each series that is followed."""

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
    try:
        return library.Redis.from_url(
            url,
            retry=retry(ExponentialBackoff(cap=0.3, base=0.05), 3),
            socket_connect_timeout=2.0,
            socket_timeout=5.0,
            max_connections=CONNECTIONS_MAX,
        )
    except ValueError:
        # Without its cause: the message may quote a part of the URL, and that may be the password.
        raise ConfigError(
            "the Redis URL cannot be read", "redis://[user:password@]host:port/number"
        ) from None


def unavailable(error: Exception) -> RedisUnavailable:
    """What a reader raises for an error of the client's."""
    return RedisUnavailable(
        f"Redis cannot be read: {str(error)[:200] or type(error).__name__}",
        "is it running, and is this its address? LIVECACHE_REDIS_URL or the reader's url",
    )
