"""What is served: each path once, with its handler, and whether everybody may ask."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

from aiohttp import web

from ..clock import Clock
from .health import Health
from .instance import Instance
from .lookout import Lookout
from .metrics import Metrics
from .repair import PATH as REPAIR
from .repair import Repairs
from .requests import RequestStats

__all__ = ["Handler", "Route", "routes"]

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class Route(NamedTuple):
    """A method and a path. A `GET` is a `HEAD` too.

    A handler answers within `server.ANSWER_S`, unless its answer is `endless`. It raises a LivecacheError for
    what cannot be answered: see `answers.of_error`. Whoever may ask only with the token is asked for it
    before, unless the route is `public`.
    """

    method: str
    path: str
    handler: Handler
    public: bool = False
    endless: bool = False


def routes(instance: Instance, stats: RequestStats, clock: Clock) -> Sequence[Route]:
    """All of them."""
    # What is neither health nor metrics is not `public`: whoever can connect could ask for it.
    health = Health(instance, Lookout(instance, clock))
    metrics = Metrics(instance, stats)
    repairs = Repairs(instance)
    return (
        Route("GET", "/healthz", health.alive, public=True),
        Route("GET", "/startupz", health.started, public=True),
        Route("GET", "/readyz", health.ready, public=True),
        Route("GET", "/metrics", metrics.show, public=True),
        Route("POST", REPAIR, repairs.order),
        Route("GET", REPAIR, repairs.left),
    )
