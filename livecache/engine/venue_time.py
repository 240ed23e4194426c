"""The venue's time on this host: heard in stamps, asked for by GET /time, in doubt after the host slept."""

from __future__ import annotations

import asyncio

from ..clock import Clock
from ..model.clock import IMPLAUSIBLE_MS, VenueClock

__all__ = ["VenueTime"]

# Wall time running ahead of monotonic time by more than this means that the host slept.
_SLEPT_S = 5.0


class VenueTime:
    """What time it is at a venue. It is made first of all: the venue itself decodes by it.

    Engines of one venue have one: what any of them hears is the time of all. `clock` is the host's. Stamps
    are Unix ms of the venue's clock.
    """

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.venue_clock = VenueClock()
        self._wakes: dict[asyncio.Event, int] = {}
        self._next_wake = 0  # the first of these; 0: there is none
        self._answered_s = 0.0
        self._wall_ahead_s: float | None = None
        self._sleeps = 0
        self._told_awake = 0  # what GET /time said last since then, and was not believed
        self._awake_at = 0  # after a sleep: the venue's time from which on stamps are fresh; 0 while awake

    def now(self) -> int:
        """The venue's time; 0 while unknown."""
        return self.venue_clock.now(self.clock.monotonic())

    def if_known(self) -> int | None:
        """The venue's time; None while unknown."""
        return self.now() or None

    @property
    def heard(self) -> int:
        """The newest stamp that was believed: it alone decides what may be settled. 0 while there is none."""
        return self.venue_clock.heard

    def hear(self, stamp: int) -> int:
        """Take a stamp from a frame; the stamp to go by, which is never implausibly far ahead."""
        monotonic = self._notice_sleep()
        plausible = self.venue_clock.hear(stamp, monotonic)
        if plausible and stamp >= self._awake_at:
            self._awake_at = 0
        if not self._awake_at:
            self._answered_s = monotonic
        if not plausible:
            stamp = min(stamp, self.venue_clock.now(monotonic))
        self._wake_if_due()
        return stamp

    def confirm(self, stamp: int, sleeps: int | None = None) -> None:
        """Take the answer of GET /time. `sleeps` is what `sleeps()` said before it was asked."""
        if sleeps is not None and sleeps != self.sleeps():
            return  # It may lie here since before the host slept: the next one counts.
        before, self._told_awake = self._told_awake, stamp
        if stamp < self._awake_at and not 0 < before <= stamp:
            return  # It says that less time has passed than the host slept: a second answer must agree.
        monotonic = self.clock.monotonic()
        self._awake_at = self._told_awake = 0
        self._answered_s = monotonic
        self.venue_clock.confirm(stamp, monotonic, int(self.clock.wall() * 1000))
        self._wake_if_due()

    def wake(self, due: asyncio.Event, at: int) -> None:
        """Set `due` once a stamp of `at` or later is believed; with 0 no more."""
        self._wakes[due] = at
        self._arrange_wakes()

    def ask_host(self) -> None:
        """As `confirm`, where the venue does not tell its time: once a stamp came, time passes from there on.

        The host's wall clock may be off, or be set: it counts before any stamp, or where it is far ahead.
        """
        clock, now, before = self.venue_clock, self.now(), self.heard
        wall = int(self.clock.wall() * 1000)
        if not clock.known or clock.by_host or wall > now + IMPLAUSIBLE_MS:
            self.confirm(wall)
            clock.by_host |= clock.heard != before
        else:
            self.confirm(now)

    def answered(self) -> None:
        """The venue has answered a request."""
        monotonic = self._notice_sleep()
        if not self._awake_at:
            self._answered_s = monotonic

    def answered_s(self) -> float | None:
        """When (monotonic, of the host) the venue was last heard; None while its time is not to be relied on.

        That is if it has not answered since the host slept, and while its time is unknown or in doubt: what
        was fresh a moment ago may be hours old.
        """
        self._notice_sleep()
        clock = self.venue_clock
        return None if self._awake_at or not clock.known or clock.doubted else self._answered_s

    def sleeps(self) -> int:
        """How often the host has slept so far, as far as wall time ran ahead of monotonic time."""
        self._notice_sleep()
        return self._sleeps

    def wants_asking(self) -> bool:
        """Whether only GET /time can tell: a stamp was implausible, or what came since a sleep was stale."""
        return self.venue_clock.doubted or self._awake_at > 0

    def _notice_sleep(self) -> float:
        """After a sleep the venue has to be heard anew: what is still to be read may be from before it.

        Returns the monotonic time.
        """
        monotonic = self.clock.monotonic()
        ahead = self.clock.wall() - monotonic
        before, self._wall_ahead_s = self._wall_ahead_s, ahead
        if before is not None and ahead - before > _SLEPT_S:
            self._sleeps += 1
            self._awake_at = self.now() + int((ahead - before - _SLEPT_S) * 1000)
        return monotonic

    def _wake_if_due(self) -> None:
        if self._next_wake and self.heard >= self._next_wake:
            for due, at in self._wakes.items():
                if at <= self.heard:
                    due.set()
            self._arrange_wakes()

    def _arrange_wakes(self) -> None:
        self._wakes = {due: at for due, at in self._wakes.items() if at and not due.is_set()}
        self._next_wake = min(self._wakes.values(), default=0)
