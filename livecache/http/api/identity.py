"""`GET /api/v1/service`: which process answers here, since when, and where it reads and writes."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from types import MappingProxyType

from aiohttp import web
from msgspec import UNSET

from ...config.render import redact
from ..answers import answer
from ..route import MAY_ORDER
from ..shapes.fields import NoQuery
from ..shapes.service import ServiceAnswer, VenueStands
from ..source import parse
from ..watch.instance import Instance

__all__ = ["PATH", "Identity", "stands"]

PATH = "/api/v1/service"


def stands(
    instance: Instance, *, known: bool, ready: Mapping[str, bool] = MappingProxyType({})
) -> dict[str, VenueStands]:
    """How the process serves each of its venues. `known`: who asks may be told more than everybody."""
    return {
        venue: VenueStands(
            role=place.role,
            trouble=redact(place.trouble),
            instance=place.engine.name if known and place.engine else UNSET,
            origin=place.engine.venue.origin if known and place.engine else UNSET,
            ready=ready.get(venue, UNSET),
        )
        for venue, place in instance.places.items()
    }


class Identity:
    """The handler. `/healthz` tells a part of it to everybody."""

    def __init__(self, instance: Instance) -> None:
        self._instance = instance
        self.version = version("livecache")

    async def show(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request."""
        parse(request, NoQuery)
        return answer(self.tell(orders=request[MAY_ORDER]))

    @property
    def uptime_s(self) -> float:
        """For how long this process has run."""
        return round(max(0.0, self._instance.clock.wall() - self._instance.started_at_s), 1)

    def tell(self, *, orders: bool) -> ServiceAnswer:
        """Who this is, as of now, to somebody who may order work or not. No secret is in it, but it is not
        for everybody all the same.
        """
        instance, engine = self._instance, self._instance.engine
        several = len(instance.places) > 1
        return ServiceAnswer(
            version=self.version,
            instance=engine.name if engine else "",
            role=instance.role,
            started_at=int(instance.started_at_s * 1000),
            uptime_s=self.uptime_s,
            venue="" if several or engine is None else engine.venue.name,
            venues=stands(instance, known=True) if several else UNSET,
            origin="" if several or engine is None else engine.venue.origin,
            redis=instance.redis if engine else "",
            prefix=instance.config.redis.prefix,
            config=instance.source,
            orders=orders,
            history={v: redact(one.trouble) for v, one in instance.history.items()} or UNSET,
        )
