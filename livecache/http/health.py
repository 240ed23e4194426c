"""/healthz, /startupz, /readyz: whether it lives, was ready once, and is ready now.

An orchestrator acts on the answers, so each fails only where what it does then can help: a restart for the
first two, no traffic for the last.
"""

from __future__ import annotations

from collections.abc import Sequence

from aiohttp import web

from ..config import redact
from .answers import answer
from .instance import Instance
from .lookout import Lookout

__all__ = ["Health", "reasons_dead", "shortened"]

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


def shortened(reasons: Sequence[str]) -> list[str]:
    """The first of them, and how many more there are."""
    shown = [redact(reason) for reason in reasons[:REASONS_MOST]]
    more = len(reasons) - len(shown)
    return [*shown, f"and {more} more"] if more else shown


class Health:
    """The three handlers."""

    def __init__(self, instance: Instance, lookout: Lookout) -> None:
        self._instance = instance
        self._lookout = lookout

    async def alive(self, request: web.BaseRequest) -> web.StreamResponse:
        """Whether it lives: 200 while it starts, warms or waits."""
        service = self._instance.service
        still_s = service.clock.monotonic() - service.writer.pulse.stirred_at_s if service else 0.0
        return self._say("alive", reasons_dead(still_s=still_s))

    async def started(self, request: web.BaseRequest) -> web.StreamResponse:
        """Whether all was ready once: then for good."""
        instance = self._instance
        if instance.service is not None and instance.service.live.warm_s is not None:
            instance.was_ready = True
        if instance.was_ready:
            return self._say("started", [])
        look = await self._lookout.look()
        # What an earlier run left may be warm though the venue is away, and nobody vouches for it.
        instance.was_ready |= look.left_warm and instance.role != "starting"
        return self._say("started", [] if instance.was_ready else look.reasons, series=look.series)

    async def ready(self, request: web.BaseRequest) -> web.StreamResponse:
        """Whether readers find everything ready now, whichever instance writes it."""
        look = await self._lookout.look()
        return self._say("ready", look.reasons, series=look.series)

    def _say(self, name: str, reasons: Sequence[str], **more: int) -> web.Response:
        content = {name: not reasons, "role": self._instance.role, **more, "reasons": shortened(reasons)}
        return answer(content, 503 if reasons else 200)
