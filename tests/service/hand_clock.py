"""A clock for what is told the time and never waits for it."""

from __future__ import annotations

import asyncio

__all__ = ["HandClock"]


class HandClock:
    """A clock that is set by hand: `time` (monotonic seconds) begins at 100, the wall clock at `wall_s`."""

    def __init__(self, wall_s: float = 100.0) -> None:
        self.time = 100.0
        self._ahead_s = wall_s - self.time

    def monotonic(self) -> float:
        return self.time

    def wall(self) -> float:
        return self.time + self._ahead_s

    def set_wall(self, ahead_s: float) -> None:
        """Somebody sets the wall clock, so much ahead of what it says, or behind."""
        self._ahead_s += ahead_s

    async def sleep(self, seconds: float) -> None:
        self.time += seconds
        await asyncio.sleep(0)
