"""Keeps the venue's clock: asks GET /time at the start, while no frames come, and after the host slept."""

from __future__ import annotations

from collections.abc import Callable

from ..core.backoff import delays
from ..quiet import logger
from ..venues.venue import FailureKind, FetchFailure, Venue
from .live import Live
from .ratelimit import RateLimiter
from .repeats import Repeats

__all__ = ["Timekeeper"]

_TICK_S = 1.0
_SILENCE_S = 3.0  # well below the 10 s that an alive key lasts
_SLOWEST_RETRY_S = 5.0


class Timekeeper:
    """Asks the venue what time it is whenever nothing else tells."""

    def __init__(self, live: Live, venue: Venue, limiter: RateLimiter, jitter: Callable[[], float]) -> None:
        self._live = live
        self._venue = venue
        self._limiter = limiter
        self._jitter = jitter
        self._repeats = Repeats(live.clock)

    async def learn(self) -> None:
        """Ask until the venue has told its time once. Says at once, and every 10 s, why it cannot."""
        for delay in delays(self._jitter, most_s=_SLOWEST_RETRY_S):
            # An answer that the host's clock contradicts is asked for a second time at once.
            while await self._ask():
                if self._live.venue_clock.known:
                    return
            await self._live.clock.sleep(delay)

    async def run(self) -> None:
        """Watch for silence and for a host that slept, until cancelled."""
        live = self._live
        sleeps = live.sleeps()
        while True:
            await live.clock.sleep(_TICK_S)
            monotonic = live.clock.monotonic()
            slept = live.sleeps() != sleeps
            if slept:
                sleeps = live.sleeps()
                logger.bind(event="host_slept").warning("the host slept: asking the venue for its time")
            if slept or live.wants_time() or live.venue_clock.silence_s(monotonic) > _SILENCE_S:
                await self._ask()
            # Buckets close and readiness runs out though nothing is heard.
            live.changed.set()

    async def _ask(self) -> bool:
        started = await self._limiter.acquire()
        sleeps = self._live.sleeps()
        answer = await self._venue.time()
        if isinstance(answer, FetchFailure):
            if answer.kind is FailureKind.REFUSED:
                self._limiter.refused(answer.retry_after_s, started=started)
            self._repeats.log(
                "venue_unreachable",
                answer.kind,
                f"{self._venue.name} at {self._venue.origin}: {answer.message}; trying again"
                " (without a network, `livecache demo` shows it all)",
                url=self._venue.origin,
            )
            return False
        self._repeats.forget("venue_unreachable")
        self._live.confirm_time(answer, sleeps)
        return True
