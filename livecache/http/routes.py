"""What is served: each path once, with its handler, and whether everybody may ask."""

from __future__ import annotations

from collections.abc import Sequence

from ..clock import Clock
from .api.routes import Api
from .guard import Guard
from .page import PageFiles
from .route import Handler, Requests, Route
from .watch.health import Health
from .watch.instance import Instance
from .watch.lookout import Lookout
from .watch.metrics import Metrics
from .watch.reload import PATH as RELOAD
from .watch.reload import Reload
from .watch.repair import PATH as REPAIR
from .watch.repair import Repairs

__all__ = ["Handler", "Route", "routes"]


def routes(
    instance: Instance,
    requests: Requests,
    clock: Clock,
    api: Api | None = None,
    guard: Guard | None = None,
) -> Sequence[Route]:
    """All of them. The streams of an `api` tell nothing unless it runs."""
    # What tells of candles is not `public`: whoever can connect could ask for it.
    health = Health(instance, Lookout(instance, clock), guard)
    metrics = Metrics(instance, requests)
    repairs = Repairs(instance)
    return (
        Route("GET", "/healthz", health.alive, public=True),
        Route("GET", "/startupz", health.started, public=True),
        Route("GET", "/readyz", health.ready, public=True),
        Route("GET", "/metrics", metrics.show, public=True),
        Route("POST", REPAIR, repairs.order, orders=True),
        Route("GET", REPAIR, repairs.left),
        Route("POST", RELOAD, Reload(instance).order, orders=True),
        *(api or Api(instance, clock)).routes,
        *PageFiles().routes,
    )
