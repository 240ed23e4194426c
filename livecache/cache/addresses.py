"""The readers' client: how patient it is, and where the embedded server went after a restart."""

from __future__ import annotations

from typing import Any

import redis
import redis.asyncio
from redis.backoff import ExponentialBackoff

from ..errors import RedisUnavailable
from .connecting import client_for, resolve_url

__all__ = ["CONNECTIONS_MAX", "connect", "moved_to"]

CONNECTIONS_MAX = 1_000
"""Connections of one reader: one for each read that is under way, one for each series that is followed."""


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
