"""Patience with Redis: what it refuses is counted, said and waited for, unless that is in vain."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from ..clock import Clock
from ..wire.advice import ServerWatch
from ..wire.refusals import passes, unavailable
from ..wire.trouble import TROUBLE, Task, Trouble, waits_s
from ..write.lease import Pulse
from ..write.stats import WriterStats

__all__ = ["Patience"]

_T = TypeVar("_T")


class Patience:
    """One writer's. `jitter` is uniform in [0, 1); `remind_s` is how often lasting trouble is said again.

    Where this process has `used_before` what it writes to, whatever that refuses is waited for.
    """

    def __init__(
        self,
        clock: Clock,
        stats: WriterStats,
        pulse: Pulse,
        server: ServerWatch,
        jitter: Callable[[], float],
        *,
        remind_s: float,
        used_before: bool,
    ) -> None:
        self._clock = clock
        self._stats = stats
        self._pulse = pulse
        self._server = server
        self._jitter = jitter
        self._used_before = used_before
        self._trouble = Trouble(clock, remind_s=remind_s)

    async def until_done(self, attempt: Callable[[], Awaitable[_T]]) -> _T:
        """Try until Redis lets it succeed; say meanwhile why it does not."""
        for wait_s in waits_s(self._jitter):
            self._pulse.stirred_at_s = self._clock.monotonic()
            try:
                result = await attempt()
            except TROUBLE as error:
                self.note(error, "start")
                await self._clock.sleep(wait_s)
            else:
                await self.recovered("start")
                return result
        raise AssertionError("delays never end")

    def lasts_s(self, task: Task) -> float:
        """For how long that has not worked, in seconds; 0 if it works."""
        return self._trouble.lasts_s(task)

    def note(self, error: BaseException, task: Task) -> None:
        """Count and log it. `RedisUnavailable` where nothing was ever written and waiting is in vain."""
        if not (passes(error) or self._used_before or self._pulse.answered_at_s):
            raise unavailable(error) from error
        self._stats.errors += 1
        self._trouble.note(error, task)

    async def heed(self, error: BaseException | None, task: Task) -> None:
        """It fails by that, or works."""
        if error is not None:
            self.note(error, task)
        else:
            await self.recovered(task)

    async def recovered(self, task: Task) -> None:
        """Redis did what it was asked: if that was the last trouble, it is over."""
        if self._trouble.over(task):
            self._stats.recoveries += 1
            await self._server.look()
