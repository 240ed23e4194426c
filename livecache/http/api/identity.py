"""`GET /api/v1/service`: which process answers here, since when, and where it reads and writes."""

from __future__ import annotations

from importlib.metadata import version

from aiohttp import web

from ..answers import answer
from ..shapes import NoQuery, ServiceAnswer
from ..source import parse
from ..watch.instance import Instance

__all__ = ["PATH", "Identity"]

PATH = "/api/v1/service"


class Identity:
    """The handler. `/healthz` tells a part of it to everybody."""

    def __init__(self, instance: Instance) -> None:
        self._instance = instance
        self.version = version("livecache")

    async def show(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request."""
        parse(request, NoQuery)
        return answer(self.tell())

    @property
    def uptime_s(self) -> float:
        """For how long this process has run."""
        return round(max(0.0, self._instance.clock.wall() - self._instance.started_at_s), 1)

    def tell(self) -> ServiceAnswer:
        """Who this is, as of now. No secret is in it, but it is not for everybody all the same."""
        instance, engine = self._instance, self._instance.engine
        return ServiceAnswer(
            version=self.version,
            instance=engine.name if engine else "",
            role=instance.role,
            started_at=int(instance.started_at_s * 1000),
            uptime_s=self.uptime_s,
            venue=engine.venue.name if engine else "",
            origin=engine.venue.origin if engine else "",
            redis=instance.redis if engine else "",
            prefix=instance.config.redis.prefix,
            config=instance.source,
        )
