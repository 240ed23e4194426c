"""The one clock: the venue's. Pure: the host's monotonic time comes in as an argument, in seconds."""

from __future__ import annotations

__all__ = ["IMPLAUSIBLE_MS", "VenueClock"]

IMPLAUSIBLE_MS = 60_000
"""A stamp further ahead of `now` than this counts only once GET /time confirms it."""


class VenueClock:
    """What the venue's clock has been *heard* to say, and what it must say *now*.

    `heard` (Unix ms) is the largest plausible stamp received. It never runs ahead, so it alone decides what
    may be settled. `now` adds the host's monotonic time since, and decides closing and schedules.
    """

    __slots__ = ("_claimed", "_doubted", "_heard_at_s", "heard")

    def __init__(self) -> None:
        self.heard = 0
        self._heard_at_s = 0.0
        self._doubted = False
        self._claimed = 0  # the first implausible stamp, which waits for another one to agree

    @property
    def known(self) -> bool:
        """Whether the venue has been heard at all."""
        return self.heard > 0

    @property
    def doubted(self) -> bool:
        """Whether an implausible stamp waits for GET /time to confirm or refute it."""
        return self._doubted

    def now(self, monotonic_s: float) -> int:
        """The venue's time in Unix ms; 0 while it is unknown."""
        if not self.heard:
            return 0
        return self.heard + max(0, int((monotonic_s - self._heard_at_s) * 1000))

    def hear(self, stamp: int, monotonic_s: float) -> bool:
        """Take a stamp (Unix ms) from a message. False if it is implausibly far ahead and was not taken."""
        # `heard` is no later than `now`, and nearly always tells enough.
        ahead = stamp > self.heard + IMPLAUSIBLE_MS and stamp > self.now(monotonic_s) + IMPLAUSIBLE_MS
        if ahead or not self.heard:
            self._doubted = True
            self._claimed = self._claimed or stamp
            return False
        self._advance(stamp, monotonic_s)
        return True

    def confirm(self, stamp: int, monotonic_s: float, wall_ms: int | None = None) -> None:
        """Take the answer of GET /time (Unix ms); `wall_ms` is what the host's clock says.

        An implausible one counts once a second source agrees: a frame before it, or the next answer. What
        one wrong answer settles ahead of time could never be taken back. The first answer of all has nothing
        but the host's clock to be compared with; if that differs, either may be wrong.
        """
        claimed, self._claimed = self._claimed, 0
        self._doubted = False
        if self._is_implausible(stamp, monotonic_s, wall_ms):
            if not claimed or stamp < claimed:
                self._claimed = stamp
                self._doubted = True
                return
            stamp = claimed
        self._advance(stamp, monotonic_s)

    def silence_s(self, monotonic_s: float) -> float:
        """Seconds since `heard` last grew; infinite while nothing was heard."""
        return monotonic_s - self._heard_at_s if self.heard else float("inf")

    def _is_implausible(self, stamp: int, monotonic_s: float, wall_ms: int | None) -> bool:
        if self.heard:
            return stamp > self.now(monotonic_s) + IMPLAUSIBLE_MS
        return wall_ms is not None and abs(stamp - wall_ms) > IMPLAUSIBLE_MS

    def _advance(self, stamp: int, monotonic_s: float) -> None:
        if stamp > self.heard:
            self.heard = stamp
            self._heard_at_s = monotonic_s
