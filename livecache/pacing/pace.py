"""Requests a least time apart, and further apart for a while after refusals. Pure: `now` comes in."""

from __future__ import annotations

from collections.abc import Callable

from ..model.budget import Spacing
from .kept import Kept, Terms

__all__ = ["Pace"]

_CUT = 0.7  # of the rate that is left after a refusal that follows another
_CUT_ALONE = 0.95  # … after one that stands alone: evenly sent requests may arrive bunched
_ALONE_S = 30.0  # since the last cut: then a refusal stands alone
_PAUSE_S = 1.0  # after a refusal that does not say how long
_PAUSE_ALONE_S = 0.25
_LEAST_RATE_PER_S = 0.5
_RETURN_S = 60.0  # from nothing to the whole rate
_ROOM = 0.95  # of the rate that was refused: how far the rate returns before it is tried again
_TRIED_AFTER = 4  # times as long as it had gone well before
_TRIED_AFTER_LEAST_S = 15.0
_TRIED_AFTER_MOST_S = 1800.0
_FORGIVEN_LATENESS = 0.1  # of an interval


class Pace(Kept[Spacing]):
    """A `Spacing` as it stands: when the next request may start. All times are the host's monotonic seconds.

    Starts never bunch: a slot that nobody used is gone.

    Where it `yields`, a refusal cuts the rate by a factor and pauses; successes return it, a little a second,
    to just below what was refused. There it stays for a multiple of the time that went well before, and only
    then tries for what was configured. So a venue that allows less is asked a few times an hour, while the
    refusal that was mere chance, or trouble of the venue's, is soon made good.
    """

    def __init__(self, budget: Spacing, jitter: Callable[[], float]) -> None:
        super().__init__(budget)
        self.rate_per_s = self._configured_per_s = self._sustained_per_s = budget.per_s
        self.cuts = 0
        self._jitter = jitter
        self._least_per_s = min(_LEAST_RATE_PER_S, self.rate_per_s)
        self._next = float("-inf")
        self._pause_s = _PAUSE_S
        self._cut_at = float("-inf")
        self._raised_at = float("-inf")
        self._started_since_cut = False
        # `_sustained_per_s` is how far the rate returns before this.
        self._try_at = float("-inf")

    def change(self, budget: Spacing) -> None:
        """Another rate from now on. What refusals have taught counts on, as far as it is not above that."""
        rate_per_s, self.budget = budget.per_s, budget
        if rate_per_s == self._configured_per_s:
            return
        if self.rate_per_s == self._configured_per_s:
            self._next += 1 / rate_per_s - 1 / self.rate_per_s
            self.rate_per_s = self._sustained_per_s = rate_per_s
        else:
            self.rate_per_s = min(self.rate_per_s, rate_per_s)
            self._sustained_per_s = min(self._sustained_per_s, rate_per_s)
        self._configured_per_s = rate_per_s
        self._least_per_s = min(_LEAST_RATE_PER_S, rate_per_s)

    def slot(self, cost: int, now: float, share: float) -> float:
        """When the next request may start; one that takes a share of the rate only comes that much later."""
        return self._next + (1 / share - 1) / self.rate_per_s

    def start(self, cost: int, slot: float, now: float) -> None:
        """Take `slot`, at `now`, which a timer may have made a little later."""
        interval = 1 / self.rate_per_s
        # The next slot counts from this one and not from when it was noticed, lest late timers add up to a
        # lower rate; but what was slept through is not made good.
        self._next = max(slot, now - _FORGIVEN_LATENESS * interval) + cost * interval
        if self.budget.jitter_s:
            self._next += self.budget.jitter_s * self._jitter()
        self._started_since_cut = True

    def terms(self, cost: int, now: float, share: float) -> Terms:
        return Terms(1 / self.rate_per_s, max(0.0, self._next - now), 0.0)

    def hear(self, level: float, now: float) -> None:
        self._next = max(self._next, now + level)

    def succeeded(self, now: float) -> None:
        """A request was answered: a lowered rate returns by the time that passed since it last changed."""
        most = self._configured_per_s if now >= self._try_at else self._sustained_per_s
        if self.rate_per_s >= most:
            return
        # Time in which nothing was asked proves nothing.
        passed = min(now - self._raised_at, 2 / self.rate_per_s)
        self.rate_per_s = min(most, self.rate_per_s + passed / _RETURN_S * self._configured_per_s)
        self._raised_at = now

    def refused(self, started: float, now: float) -> float | None:
        """As `Kept` has it. It pauses after a refusal, where it yields.

        Requests that were under way when the rate was cut are refused by the dozen and say nothing of the
        new rate, so they do not cut it again.
        """
        if not self.budget.yields:
            return None
        if self._started_since_cut and started > self._cut_at:
            self._cut(now)
        return self._pause_s

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
