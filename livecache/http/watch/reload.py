"""`/api/v1/reload`: have the configuration read again. `livecache reload` asks here.

    POST {}
    200  {"source": …, "applied": […], "restart": […], "symbols": {"added": […], "removed": […]}, …}

A configuration that cannot be used is answered with 400, and the old one goes on. Who may ask is decided
before.
"""

from __future__ import annotations

import msgspec
from aiohttp import web

from ...config.changes import Difference
from ...errors import ReloadRefused
from ..answers import answer, decode
from .instance import Instance

__all__ = ["PATH", "Named", "Reload", "ReloadAnswer", "ReloadRequest"]

PATH = "/api/v1/reload"


class ReloadRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Nothing is to be said."""


class Named(msgspec.Struct, frozen=True):
    """What came, and what is gone."""

    added: tuple[str, ...]
    removed: tuple[str, ...]

    @classmethod
    def of(cls, difference: Difference) -> Named:
        return cls(*difference)


class ReloadAnswer(msgspec.Struct, frozen=True):
    """What was read, which settings were taken over, and which need a restart, by dotted keys."""

    source: str
    applied: tuple[str, ...]
    restart: tuple[str, ...]
    symbols: Named
    timeframes: Named
    lists: dict[str, Named]  # of each setting that is a list


class Reload:
    """The handler."""

    def __init__(self, instance: Instance) -> None:
        self._instance = instance

    async def order(self, request: web.BaseRequest) -> web.StreamResponse:
        """Read it again: POST."""
        await decode(request, ReloadRequest)
        instance = self._instance
        if instance.reload is None:
            raise ReloadRefused("this process has no configuration to read again", "only `livecache run` has")
        done = instance.reload()
        lists = {key: Named.of(told) for key, told in done.lists.items()}
        named = Named.of(done.named("symbols")), Named.of(done.named("timeframes"))
        return answer(ReloadAnswer(instance.source, done.live, done.restart, *named, lists))
