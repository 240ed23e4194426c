"""A cluster as the tests of one server use theirs: what writes go by, and a client to look with."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import redis.asyncio

from livecache.wire.connecting import client_for
from livecache.wire.spread import NODE_S, Spread

__all__ = ["Both", "over", "spread_over"]


class Both(Spread):
    """What it does not know itself is asked of the client."""

    def __init__(self, client: Any, looking: Any) -> None:
        super().__init__(client)
        self._looking = looking

    def __getattr__(self, name: str) -> Any:
        return getattr(self._looking, name)


@asynccontextmanager
async def over(url: str) -> AsyncIterator[Both]:
    """Both of them."""
    async with client_for(redis.asyncio, url) as looking:
        both = Both(_client(url), looking)
        try:
            yield both
        finally:
            await both.aclose()


@asynccontextmanager
async def spread_over(url: str) -> AsyncIterator[Spread]:
    """What writes go by, as the service has it."""
    spread = Spread(_client(url))
    try:
        yield spread
    finally:
        await spread.aclose()


def _client(url: str) -> Any:
    return client_for(redis.asyncio, url, socket_timeout=NODE_S, socket_connect_timeout=NODE_S)
