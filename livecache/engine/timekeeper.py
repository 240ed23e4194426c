"""Keeps the venue's clock: asks GET /time at the start, while no frames come, and after the host slept."""

from __future__ import annotations

from collections.abc import Callable

from ..pacing.backoff import delays
from ..quiet import logger
from ..repeats import Repeats
from ..venues.remedies import tell_unreachable
from ..venues.venue import FetchFailure, Venue
from .limiter import Limiter, Urgency
from .live import Live

__all__ = ["Timekeeper"]

_TICK_S = 1.0
_SILENCE_S = 3.0  # well below the 10 s that an alive key lasts
_SLOWEST_RETRY_S = 5.0

# The host's clock is told of if it is off by so much, steadily: a simulated market runs elsewhere, or faster.
_OFF_FROM_MS = 10_000
_OFF_BELOW_MS = 86_400_000
_STEADY_MS = 2_000
_STEADY_TICKS = 3
_REMIND_OF_CLOCK_S = 3_600.0


class Timekeeper:
    """Asks the venue what time it is whenever nothing else tells."""

    def __init__(self, live: Live, venue: Venue, limiter: Limiter, jitter: Callable[[], float]) -> None:
        self._live = live
        self._venue = venue
        self._limiter = limiter
        self._jitter = jitter
        self._repeats = Repeats(live.clock)
        self._reminders = Repeats(live.clock, _REMIND_OF_CLOCK_S)
        self._off_ms = 0  # the host's clock less the venue's
        self._steady = 0  # ticks

    async def learn(self) -> None:
        """Ask until the venue has told its time once. Says at once, and every 10 s, why it cannot."""
        for delay in delays(self._jitter, most_s=_SLOWEST_RETRY_S):
            # An answer that the host's clock contradicts is asked for a second time at once.
            while await self._ask():
                if self._live.time.venue_clock.known:
                    return
            await self._live.clock.sleep(delay)

    async def run(self) -> None:
        """Watch for silence and for a host that slept, until cancelled."""
        live = self._live
        sleeps = live.time.sleeps()
        while True:
            await live.clock.sleep(_TICK_S)
            monotonic = live.clock.monotonic()
            slept = live.time.sleeps() != sleeps
            if slept:
                sleeps = live.time.sleeps()
                logger.bind(event="host_slept").warning(
                    "the host slept, or its clock was set ahead: asking the venue for its time"
                )
            # Nobody waits here for the end of a ban: buckets close meanwhile.
            if self._limiter.banned_until:
                pass
            elif slept or live.time.wants_asking() or live.time.venue_clock.silence_s(monotonic) > _SILENCE_S:
                await self._ask()
            self._watch_host()
            # Buckets close and readiness runs out though nothing is heard.
            live.changed.set()

    def _watch_host(self) -> None:
        """Say that the host's clock is off. Nothing here goes by it, but whoever reads the log does."""
        live = self._live
        if not live.time.venue_clock.known:
            return
        off_ms = int(live.clock.wall() * 1000) - live.now()
        self._steady = self._steady + 1 if abs(off_ms - self._off_ms) < _STEADY_MS else 0
        self._off_ms = off_ms
        if self._steady < _STEADY_TICKS:
            return
        if abs(off_ms) < _OFF_FROM_MS:
            self._reminders.forget("host_clock_off")
        elif abs(off_ms) < _OFF_BELOW_MS:
            where = "ahead of" if off_ms > 0 else "behind"
            self._reminders.log(
                "host_clock_off",
                where,
                f"this host's clock is {abs(off_ms) / 1000:.0f} s {where} {self._venue.name}'s: nothing here "
                "goes by it but the log's stamps; set it, best by NTP",
                seconds=round(off_ms / 1000),
            )

    async def _ask(self) -> bool:
        if not self._live.timeline.traits.clock:
            told = f"{self._venue.name} does not tell its time: where no stamp does, this host's clock does"
            self._reminders.log("host_clock_used", "", told)
            self._live.time.ask_host()
            return True
        ticket = await self._limiter.acquire(Urgency.LIVE)
        sleeps = self._live.time.sleeps()
        answer = await self._venue.time()
        self._limiter.heard(ticket, answer)
        if isinstance(answer, FetchFailure):
            tell_unreachable(self._repeats, self._venue, answer)
            return False
        self._repeats.forget("venue_unreachable")
        self._live.time.confirm(answer, sleeps)
        return True
