"""The simulated market's time: the host's, shifted and sped up."""

from __future__ import annotations

import time
from collections.abc import Callable

__all__ = ["MarketClock"]


class MarketClock:
    """Market time: `start_ms` (by default the host's time) plus `speed` times the real time since."""

    def __init__(
        self,
        start_ms: int | None = None,
        speed: float = 1.0,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`start_ms` in Unix ms; `speed` in market seconds a real second, above 0; `monotonic` in seconds."""
        if not speed > 0:
            raise ValueError(f"speed must be above 0, not {speed}")
        self.start_ms = int(time.time() * 1000) if start_ms is None else start_ms
        self.speed = speed
        self._monotonic = monotonic
        self._began_s = monotonic()

    def now(self) -> int:
        """Market time in Unix ms."""
        return self.now_ns() // 1_000_000

    def now_ns(self) -> int:
        """Market time in Unix ns."""
        return self.start_ms * 1_000_000 + int((self._monotonic() - self._began_s) * self.speed * 1e9)

    def real_s(self, market_ms: float) -> float:
        """How many real seconds that much market time lasts."""
        return market_ms / 1000 / self.speed
