"""The host's clocks and sleep, behind one object that tests replace."""

from __future__ import annotations

import asyncio
import time
from typing import Protocol

__all__ = ["Clock", "SystemClock"]


class Clock(Protocol):
    """Host time. Everything that waits or measures takes one of these."""

    def monotonic(self) -> float:
        """Seconds that never go back; stop while the host sleeps on some systems."""
        ...

    def wall(self) -> float:
        """Unix seconds; may jump."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait that many real seconds."""
        ...


class SystemClock:
    """The real thing."""

    monotonic = staticmethod(time.monotonic)  # asked several times a frame
    wall = staticmethod(time.time)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
