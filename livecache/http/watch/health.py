"""/healthz, /startupz, /readyz: whether it lives, was ready once, and is ready now.

An orchestrator acts on the answers, so each fails only where what it does then can help: a restart for the
first two, no traffic for the last.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from aiohttp import web

from ...config.render import redact
from ..answers import answer
from ..api.identity import Identity, stands
from ..guard import Guard
from ..shapes.service import VenueStands
from .instance import Instance
from .lookout import Look, Lookout

__all__ = ["Health", "reasons_dead", "reasons_dead_of", "shortened", "started"]

STIRS_WITHIN_S = 60.0
"""Whatever happens, the writer tries something with Redis every few seconds, a command of 5 s at most."""

REASONS_MOST = 20


def reasons_dead(*, still_s: float) -> list[str]:
    """Why this process had better be restarted; [] if it lives. `still_s`: since the writer last stirred.

    Neither a venue nor a Redis that is away is a reason, nor another instance that writes: a restart mends
    none of them.
    """
    if still_s <= STIRS_WITHIN_S:
        return []
    return [f"the writer has neither written, waited nor tried for {still_s:.0f} s"]


def reasons_dead_of(instance: Instance) -> list[str]:
    """Why that process had better be restarted; [] if it lives: also while no engine runs in it yet."""
    return [
        instance.name(venue, reason)
        for venue, place in instance.places.items()
        for engine in place.engines
        for reason in reasons_dead(still_s=engine.clock.monotonic() - engine.writer.pulse.stirred_at_s)
    ]


async def started(instance: Instance, lookout: Lookout) -> Look | None:
    """Whether all was ready once is then known in the instance, for good; the look that it took, if any.

    A venue that is in trouble does not count beside others: a restart would take those away as well.
    """
    sound = [place for place in instance.places.values() if not place.trouble]
    if sound and all(place.is_warm for place in sound):
        instance.was_ready = True
    if instance.was_ready:
        return None
    look = await lookout.look()
    # What an earlier run left may be warm though the venue is away, and nobody vouches for it.
    instance.was_ready |= bool(sound) and look.left_warm and all(place.role != "starting" for place in sound)
    return look


def shortened(reasons: Sequence[str]) -> list[str]:
    """The first of them, and how many more there are."""
    shown = [redact(reason) for reason in reasons[:REASONS_MOST]]
    more = len(reasons) - len(shown)
    return [*shown, f"and {more} more"] if more else shown


class Health:
    """The three handlers. Without a `guard` nobody is told more than everybody."""

    def __init__(self, instance: Instance, lookout: Lookout, guard: Guard | None = None) -> None:
        self._instance = instance
        self._lookout = lookout
        self._guard = guard
        self._identity = Identity(instance)

    async def alive(self, request: web.BaseRequest) -> web.StreamResponse:
        """Whether it lives: 200 while it starts, warms or waits. And who that is."""
        known = self._guard is not None and self._guard.refuses_request(request.headers.get) is None
        told: dict[str, object] = {"version": self._identity.version, "uptime_s": self._identity.uptime_s}
        if known:  # For who may ask for candles there is more.
            who = self._identity.tell(orders=False)
            told |= {"instance": who.instance, "redis": who.redis, "config": who.config}
        return self._say(
            "alive", reasons_dead_of(self._instance), stands(self._instance, known=known), **told
        )

    async def started(self, request: web.BaseRequest) -> web.StreamResponse:
        """Whether all was ready once: then for good."""
        look = await started(self._instance, self._lookout)
        if look is None:
            return self._say("started", [], stands(self._instance, known=False))
        reasons = [] if self._instance.was_ready else look.reasons
        return self._say("started", reasons, self._ready(look), series=look.series)

    async def ready(self, request: web.BaseRequest) -> web.StreamResponse:
        """Whether readers find everything ready now, whichever instance writes it."""
        look = await self._lookout.look()
        return self._say("ready", look.reasons, self._ready(look), series=look.series)

    def _ready(self, look: Look) -> Mapping[str, VenueStands]:
        return stands(self._instance, known=False, ready=look.ready)

    def _say(
        self, name: str, reasons: Sequence[str], venues: Mapping[str, VenueStands], **more: object
    ) -> web.Response:
        content = {name: not reasons, "role": self._instance.role, **more, "reasons": shortened(reasons)}
        if len(venues) > 1:
            content["venues"] = venues
        return answer(content, 503 if reasons else 200)
