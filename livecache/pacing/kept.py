"""Budgets as they are used. Pure: `now` comes in, in the host's monotonic seconds, and never goes back.

But for `slot`: whoever has waited asks by the slot that was told before, and others have started since.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

from ..model.budget import Budget, Pool, Rolling, Window

__all__ = ["Kept", "KeptPool", "KeptRolling", "KeptWindow"]

_CLOCK_OFF_S = 2.5  # by which the venue's clock may be off from where it is believed to be

_B = TypeVar("_B", bound=Budget)


class Kept(Generic[_B]):
    """A budget, and how much of it is used."""

    def __init__(self, budget: _B) -> None:
        self.budget = budget

    def change(self, budget: _B) -> None:
        """Another one of that name from now on; what is used stays used."""
        self.budget = budget

    def slot(self, cost: int, now: float, share: float) -> float:
        """When a request of that cost may start, which is to take that share at most of what is ours."""
        raise NotImplementedError

    def start(self, cost: int, slot: float, now: float) -> None:
        """It starts, for the slot that was told."""

    def ended(self, cost: int, started: float, now: float, told: int | None) -> None:
        """It has ended. `told`: how much of the budget is used by the venue's own count, if that came."""

    def succeeded(self, now: float) -> None:
        """It was answered."""

    def refused(self, started: float, now: float) -> float | None:
        """It was refused, for being one too many.

        Returns for how many seconds to pause, 0 where the next slot says it, None where this cannot tell.
        """
        return None


class KeptPool(Kept[Pool]):
    """Knows the level, which refills."""

    def __init__(self, budget: Pool) -> None:
        super().__init__(budget)
        self._used = 0.0
        self._at = float("-inf")  # when that was

    def slot(self, cost: int, now: float, share: float) -> float:
        self._refill(now)
        room = max(self.budget.size * self.budget.share * share, cost)
        # What is used is known as of `_at`: what refilled before that is counted already.
        return max(now, self._at) + max(0.0, self._used + cost - room) / self.budget.refill_per_s

    def start(self, cost: int, slot: float, now: float) -> None:
        self._refill(now)
        self._used += cost

    def refused(self, started: float, now: float) -> float | None:
        # Others have emptied it, or it is smaller than was said.
        self._refill(now)
        self._used = max(self._used, self.budget.size * self.budget.share)
        return 0.0

    def _refill(self, now: float) -> None:
        if now > self._at:
            self._used = (
                max(0.0, self._used - (now - self._at) * self.budget.refill_per_s) if self._used else 0.0
            )
            self._at = now


class KeptRolling(Kept[Rolling]):
    """Remembers what started within the last `length_s`."""

    def __init__(self, budget: Rolling) -> None:
        super().__init__(budget)
        self._starts: deque[tuple[float, int]] = deque()  # and costs: no more of them than the budget's size
        self._used = 0

    def slot(self, cost: int, now: float, share: float) -> float:
        self._forget(now)
        beyond = self._used + cost - max(self.budget.size * self.budget.share * share, cost)
        for started, freed in self._starts:
            if beyond <= 0:
                break
            beyond -= freed
            now = started + self.budget.length_s
        return now

    def start(self, cost: int, slot: float, now: float) -> None:
        self._forget(now)
        self._starts.append((now, cost))
        self._used += cost

    def _forget(self, now: float) -> None:
        while self._starts and self._starts[0][0] + self.budget.length_s <= now:
            self._used -= self._starts.popleft()[1]


class KeptWindow(Kept[Window]):
    """Counts what we use of a window, and hears what the venue has counted.

    It turns when the venue's clock surely has. Until then, and for what has not ended well before, a request
    may count before the turn or after it, and so it counts on both sides.
    `venue_ahead_s`: the venue's clock (Unix seconds) less `now`.
    """

    def __init__(self, budget: Window, venue_ahead_s: Callable[[], float]) -> None:
        super().__init__(budget)
        self._ahead_s = venue_ahead_s
        self._number = -1  # of windows since 1970
        self._turned = float("-inf")
        self._ours = 0
        self._told = 0  # others' use included
        self._flying = 0
        self._late = 0  # ended so late that it may count in the next window

    def change(self, budget: Window) -> None:
        if budget.length_s != self.budget.length_s:
            self._number, self._late = -1, self._ours
        super().change(budget)

    def slot(self, cost: int, now: float, share: float) -> float:
        self._turn(now)
        used = max(self._ours, self._told + self._flying)
        if used + cost <= max(self.budget.size * self.budget.share * share, cost):
            return now
        return self._end() + _CLOCK_OFF_S - self._ahead_s()

    def start(self, cost: int, slot: float, now: float) -> None:
        self._turn(now)
        self._ours += cost
        self._flying += cost

    def ended(self, cost: int, started: float, now: float, told: int | None) -> None:
        self._turn(now)
        self._flying -= cost
        if now + self._ahead_s() >= self._end() - _CLOCK_OFF_S:
            self._late += cost
        if started >= self._turned:  # Else the count may be of the window before.
            self._told = self._told + cost if told is None else max(self._told, told)

    def refused(self, started: float, now: float) -> float | None:
        if started >= self._turned:
            self._told = self.budget.size
        return 0.0

    def _end(self) -> float:
        """When the window ends by the venue's clock."""
        return float((self._number + 1) * self.budget.length_s)

    def _turn(self, now: float) -> None:
        number = int((now + self._ahead_s() - _CLOCK_OFF_S) // self.budget.length_s)
        if number > self._number:
            late = self._late if self._number in (-1, number - 1) else 0
            self._number, self._turned = number, now
            self._ours, self._told, self._late = self._flying + late, 0, 0
