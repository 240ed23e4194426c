"""The one clock: the venue's. Pure: the host's monotonic time comes in as an argument, in seconds."""

from __future__ import annotations

__all__ = ["IMPLAUSIBLE_MS", "VenueClock"]

IMPLAUSIBLE_MS = 60_000
"""A stamp further ahead of `now` than this counts only once GET /time confirms it."""

_APART_MS = 60_000
"""Over so much of the venue's own time its answers must agree where nobody else speaks for them."""


class VenueClock:
    """What the venue's clock has been *heard* to say, and what it must say *now*.

    `heard` (Unix ms) is the largest plausible stamp received. It never runs ahead, so it alone decides what
    may be settled. `now` adds the host's monotonic time since, and decides closing and schedules.
    """

    __slots__ = ("_agreed", "_claimed", "_doubted", "_framed", "_heard_at_s", "by_host", "heard")

    def __init__(self) -> None:
        self.heard = 0
        self.by_host = False  # `heard` is but what the host's clock says: the first stamp goes before it
        self._heard_at_s = 0.0
        self._doubted = False
        self._claimed = 0  # the first implausible stamp, which waits for others to agree
        self._agreed = 0  # the last of those that did
        self._framed = False  # whether a frame was among them

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
            self._claim(stamp, framed=stamp >= self._claimed)
            return False
        if self.by_host:
            self.heard, self.by_host = 0, False
        if stamp > self.heard and self._claimed:  # Frames go on from where they were.
            self._forget_claim()
        self._advance(stamp, monotonic_s)
        return True

    def confirm(self, stamp: int, monotonic_s: float, wall_ms: int | None = None) -> None:
        """Take the answer of GET /time (Unix ms); `wall_ms` is what the host's clock says.

        What a wrong one settles ahead of time could never be taken back. So an implausible one counts only
        with another source: a frame, or a second answer with which the host's clock agrees. Answers alone
        must agree over a minute in which no frame refutes them. The first answer of all has nothing but the
        host's clock to be compared with; if that differs, either may be wrong.
        """
        if not self._is_implausible(stamp, monotonic_s, wall_ms):
            self._forget_claim()
            self._advance(stamp, monotonic_s)
            return
        claimed, agreed = self._claimed, self._agreed
        if not claimed or stamp < claimed:
            self._forget_claim()
        self._claim(stamp, framed=False)
        alone = self.heard and not self._framed and not self._on_the_wall(stamp, wall_ms)
        if self._claimed == claimed and not (alone and stamp < claimed + _APART_MS):
            self._forget_claim()
            self._advance(agreed, monotonic_s)

    def silence_s(self, monotonic_s: float) -> float:
        """Seconds since `heard` last grew; infinite while nothing was heard."""
        return monotonic_s - self._heard_at_s if self.heard else float("inf")

    def _is_implausible(self, stamp: int, monotonic_s: float, wall_ms: int | None) -> bool:
        if self.heard:
            return stamp > self.now(monotonic_s) + IMPLAUSIBLE_MS
        return wall_ms is not None and not self._on_the_wall(stamp, wall_ms)

    @staticmethod
    def _on_the_wall(stamp: int, wall_ms: int | None) -> bool:
        return wall_ms is not None and abs(stamp - wall_ms) <= IMPLAUSIBLE_MS

    def _claim(self, stamp: int, *, framed: bool) -> None:
        self._doubted = True
        self._claimed = self._claimed or stamp
        if stamp >= self._claimed:
            self._agreed = stamp
        self._framed |= framed

    def _forget_claim(self) -> None:
        self._claimed, self._agreed, self._framed, self._doubted = 0, 0, False, False

    def _advance(self, stamp: int, monotonic_s: float) -> None:
        if stamp > self.heard:
            self.heard = stamp
            self._heard_at_s = monotonic_s
