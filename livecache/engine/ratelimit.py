"""Pacing of requests: evenly, first come first served, and slower for a while after a refusal.

`Pace` decides and is pure; `RateLimiter` waits. All times are the host's monotonic seconds, as real as the
venue's limits.
"""

from __future__ import annotations

import asyncio
from collections import deque

from ..clock import Clock

__all__ = ["Pace", "RateLimiter"]

_CUT = 0.7  # of the rate that is left after a refusal that follows another
_CUT_ALONE = 0.95  # … after one that stands alone: evenly sent requests may arrive bunched
_ALONE_S = 30.0  # since the last cut: then a refusal stands alone
_PAUSE_S = 1.0  # after a refusal that does not say how long
_PAUSE_ALONE_S = 0.25
_LONGEST_PAUSE_S = 300.0  # whatever the venue says: a wrong header must not stop the service for good
_LEAST_RATE_PER_S = 0.5
_RETURN_S = 60.0  # from nothing to the whole rate
_ROOM = 0.95  # of the rate that was refused: how far the rate returns before it is tried again
_TRIED_AFTER = 4  # times as long as it had gone well before
_TRIED_AFTER_LEAST_S = 15.0
_TRIED_AFTER_MOST_S = 1800.0
_FORGIVEN_LATENESS = 0.1  # of an interval
_TICK_S = 1e-6  # a wait this short is over: the sums of floats need not meet exactly


class Pace:
    """When the next request may start. Pure: `now` (monotonic seconds) comes in.

    Starts are at least `1 / rate` apart and never bunch: a slot that nobody used is gone. With
    `batch_size`, at most so many requests start in any `batch_delay_s`.

    A refusal cuts the rate by a factor and pauses; successes return it, a little a second, to just below
    what was refused. There it stays for a multiple of the time that went well before, and only then tries
    for what was configured. So a venue that allows less is asked a few times an hour, while the refusal
    that was mere chance, or trouble of the venue's, is soon made good.
    """

    def __init__(
        self, rate_per_s: float, *, batch_size: int | None = None, batch_delay_s: float | None = None
    ) -> None:
        if rate_per_s <= 0:
            raise ValueError("the rate must be positive")
        if (batch_size is None) != (batch_delay_s is None):
            raise ValueError("batch_size and batch_delay_s belong together")
        if batch_size is not None and batch_size < 1:
            raise ValueError("batch_size must be positive")
        self.rate_per_s = rate_per_s
        self.cuts = 0
        self._configured_per_s = rate_per_s
        self._least_per_s = min(_LEAST_RATE_PER_S, rate_per_s)
        self._next = float("-inf")
        self._paused_until = float("-inf")
        self._pause_s = _PAUSE_S
        self._cut_at = float("-inf")
        self._raised_at = float("-inf")
        self._started_since_cut = False
        self._sustained_per_s = rate_per_s  # how far the rate returns before `_try_at`
        self._try_at = float("-inf")
        self._batch_delay_s = batch_delay_s or 0.0
        self._batch: deque[float] = deque(maxlen=batch_size or 0)

    def change(self, rate_per_s: float, batch_size: int | None, batch_delay_s: float | None) -> None:
        """Another rate from now on. What refusals have taught counts on, as far as it is not above that."""
        if rate_per_s == self._configured_per_s:
            pass
        elif self.rate_per_s == self._configured_per_s:
            self._next += 1 / rate_per_s - 1 / self.rate_per_s
            self.rate_per_s = self._sustained_per_s = rate_per_s
        else:
            self.rate_per_s = min(self.rate_per_s, rate_per_s)
            self._sustained_per_s = min(self._sustained_per_s, rate_per_s)
        self._configured_per_s = rate_per_s
        self._least_per_s = min(_LEAST_RATE_PER_S, rate_per_s)
        self._batch_delay_s = batch_delay_s or 0.0
        self._batch = deque(self._batch, maxlen=batch_size or 0)

    def slot(self, now: float) -> float:
        """When the next request may start: `now` or later."""
        slot = max(now, self._next, self._paused_until)
        if self._batch and len(self._batch) == self._batch.maxlen:
            slot = max(slot, self._batch[0] + self._batch_delay_s)
        return slot

    def start(self, slot: float, now: float) -> None:
        """Take `slot`, at `now`, which a timer may have made a little later."""
        interval = 1 / self.rate_per_s
        # The next slot counts from this one and not from when it was noticed, lest late timers add up to a
        # lower rate; but what was slept through is not made good.
        self._next = max(slot, now - _FORGIVEN_LATENESS * interval) + interval
        self._batch.append(now)
        self._started_since_cut = True

    def refused(self, now: float, retry_after_s: float | None = None, started: float | None = None) -> None:
        """The venue refused a request for being too many. `started`: when it was, if known.

        Requests that were under way when the rate was cut are refused by the dozen and say nothing of the
        new rate, so they do not cut it again.
        """
        if self._started_since_cut and (started is None or started > self._cut_at):
            self._cut(now)
        pause_s = self._pause_s if retry_after_s is None else min(max(retry_after_s, 0.0), _LONGEST_PAUSE_S)
        self._paused_until = max(self._paused_until, now + pause_s)

    def succeeded(self, now: float) -> None:
        """A request was answered: a lowered rate returns by the time that passed since it last changed."""
        most = self._configured_per_s if now >= self._try_at else self._sustained_per_s
        if self.rate_per_s >= most or now < self._paused_until:
            return
        # Time in which nothing was asked proves nothing.
        passed = min(now - self._raised_at, 2 / self.rate_per_s)
        self.rate_per_s = min(most, self.rate_per_s + passed / _RETURN_S * self._configured_per_s)
        self._raised_at = now

    def _cut(self, now: float) -> None:
        went_well_s = now - self._cut_at
        alone = went_well_s > _ALONE_S
        if now >= self._try_at:  # The rate was on its way up, or all up: this is as far as it goes for now.
            hold_s = _TRIED_AFTER * went_well_s if self.cuts else 0.0
            self._try_at = now + min(max(hold_s, _TRIED_AFTER_LEAST_S), _TRIED_AFTER_MOST_S)
        self._sustained_per_s = max(self._least_per_s, self.rate_per_s * _ROOM)
        self.rate_per_s = max(self._least_per_s, self.rate_per_s * (_CUT_ALONE if alone else _CUT))
        self._pause_s = _PAUSE_ALONE_S if alone else _PAUSE_S
        self.cuts += 1
        self._cut_at = self._raised_at = now
        self._started_since_cut = False


class RateLimiter:
    """`await acquire()` before each request; then tell whether it `succeeded` or was `refused`."""

    def __init__(
        self,
        rate_per_s: float,
        clock: Clock,
        *,
        batch_size: int | None = None,
        batch_delay_s: float | None = None,
    ) -> None:
        self._pace = Pace(rate_per_s, batch_size=batch_size, batch_delay_s=batch_delay_s)
        self._clock = clock
        self._turn = asyncio.Lock()  # which is fair

    def change(self, rate_per_s: float, batch_size: int | None, batch_delay_s: float | None) -> None:
        """Another rate from now on."""
        self._pace.change(rate_per_s, batch_size, batch_delay_s)

    @property
    def rate_per_s(self) -> float:
        """Requests a second at present."""
        return self._pace.rate_per_s

    @property
    def cuts(self) -> int:
        """How often refusals lowered the rate."""
        return self._pace.cuts

    async def acquire(self) -> float:
        """Wait for a slot and take it. Returns when that was, to be handed to `refused`.

        A caller that is cancelled while it waits uses no slot.
        """
        async with self._turn:
            slot = self._pace.slot(self._clock.monotonic())
            while (wait_s := slot - self._clock.monotonic()) > _TICK_S:
                await self._clock.sleep(wait_s)
                # A refusal in the meantime may have moved it.
                slot = max(slot, self._pace.slot(slot))
            started = max(slot, self._clock.monotonic())
            self._pace.start(slot, started)
            return started

    def refused(self, retry_after_s: float | None = None, *, started: float | None = None) -> None:
        """A request was refused for being too many. `started`: what its `acquire` returned."""
        self._pace.refused(self._clock.monotonic(), retry_after_s, started)

    def succeeded(self) -> None:
        """A request was answered."""
        self._pace.succeeded(self._clock.monotonic())
