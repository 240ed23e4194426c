"""The simulated market's time: the host's, shifted and sped up."""

from __future__ import annotations

import time
from collections.abc import Callable

__all__ = ["MarketClock"]


_CREEP = 0.001  # ms a real ms: stamps that stood still altogether would be those of a venue that has died


class MarketClock:
    """Market time: `start_ms` (by default the host's time) plus `speed` times the real time since.

    From `hold_ms` on it creeps, 1 ms a real second: so what has come about by then stays to be looked at.
    """

    def __init__(
        self,
        start_ms: int | None = None,
        speed: float = 1.0,
        monotonic: Callable[[], float] = time.monotonic,
        *,
        hold_ms: int | None = None,
    ) -> None:
        """`start_ms` and `hold_ms` in Unix ms; `speed` in market seconds a real second, above 0.

        `monotonic` tells real seconds.
        """
        if not speed > 0:
            raise ValueError(f"speed must be above 0, not {speed}")
        self.start_ms = int(time.time() * 1000) if start_ms is None else start_ms
        self.speed = speed
        self._held_ns = None if hold_ms is None else max(0, hold_ms - self.start_ms) * 1_000_000
        self._monotonic = monotonic
        self._began_s = monotonic()

    def now(self) -> int:
        """Market time in Unix ms."""
        return self.now_ns() // 1_000_000

    def now_ns(self) -> int:
        """Market time in Unix ns."""
        since_ns = int((self._monotonic() - self._began_s) * self.speed * 1e9)
        if self._held_ns is not None and since_ns > self._held_ns:
            since_ns = self._held_ns + int((since_ns - self._held_ns) / self.speed * _CREEP)
        return self.start_ms * 1_000_000 + since_ns

    def real_s(self, market_ms: float) -> float:
        """How many real seconds that much market time lasts, while it does not creep."""
        return market_ms / 1000 / self.speed
