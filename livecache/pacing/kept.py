"""Budgets as they are used. Pure: `now` comes in, in the host's monotonic seconds, and never goes back.

But for `slot`: whoever has waited asks by the slot that was told before, and others have started since.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Generic, NamedTuple, TypeVar

from ..model.budget import Budget, Pool, Rolling, Window

__all__ = ["Kept", "KeptPool", "KeptRolling", "KeptWindow", "Terms"]

_CLOCK_OFF_S = 2.5  # by which the venue's clock may be off from where it is believed to be

_FORGETS = 64  # parts of a `Rolling`'s length: so finely it is known when others' use of it ends

_B = TypeVar("_B", bound=Budget)


class Terms(NamedTuple):
    """A budget as those share it who are bound by it together, and what one of them has used of it alone.

    Either it is used up and refills by one each `unit_s`, or `unit_s` is 0 and what was used counts: for
    `length_s` from then on, or, with a `number`, until the window of that number ends in `turn_s`.
    """

    unit_s: float
    level: float
    """Seconds until it is as if never used; or what is used of this window; or units nobody was told of."""
    room: float
    """Units that may be used at once."""
    length_s: float = 0.0
    number: int = -1
    turn_s: float = 0.0


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

    def told(self, units: int) -> None:
        """The others know of so many that were used here."""

    def terms(self, cost: int, now: float, share: float) -> Terms:
        """It for a request of that cost, as `slot` has it."""
        raise NotImplementedError

    def hear(self, level: float, now: float) -> None:
        """So much of it is used by all who share it: a level as in `Terms`, or units within `length_s`."""

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

    def terms(self, cost: int, now: float, share: float) -> Terms:
        self._refill(now)
        unit_s = 1 / self.budget.refill_per_s
        return Terms(unit_s, self._used * unit_s, max(self.budget.size * self.budget.share * share, cost))

    def hear(self, level: float, now: float) -> None:
        self._refill(now)
        self._used = max(self._used, level * self.budget.refill_per_s)

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
        self._untold = 0  # units of which the others do not know
        self._elsewhere = 0.0  # units of others, as last heard

    def slot(self, cost: int, now: float, share: float) -> float:
        self._forget(now)
        beyond = self._used + self._elsewhere + cost - max(self._room * share, cost)
        for started, freed in self._starts:
            if beyond <= 0:
                break
            beyond -= freed
            now = started + self.budget.length_s
        return now if beyond <= 0 else now + min(1.0, self.budget.length_s / _FORGETS)

    def start(self, cost: int, slot: float, now: float) -> None:
        self._forget(now)
        self._used += cost
        self._untold += cost
        while cost > 0:  # What is more than there is room for is used of the time that follows.
            self._starts.append((now, part := min(cost, max(1, int(self._room)))))
            cost, now = cost - part, now + self.budget.length_s

    def told(self, units: int) -> None:
        self._untold -= units

    def terms(self, cost: int, now: float, share: float) -> Terms:
        self._forget(now)
        return Terms(0.0, self._untold, max(self._room * share, cost), self.budget.length_s)

    def hear(self, level: float, now: float) -> None:
        self._forget(now)
        self._elsewhere = max(0.0, level - self._used)

    @property
    def _room(self) -> float:
        return self.budget.size * self.budget.share

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
        if self._used + cost <= max(self.budget.size * self.budget.share * share, cost):
            return now
        return self._end() + _CLOCK_OFF_S - self._ahead_s()

    def start(self, cost: int, slot: float, now: float) -> None:
        self._turn(now)
        self._ours += cost
        self._flying += cost

    def terms(self, cost: int, now: float, share: float) -> Terms:
        self._turn(now)
        room = self.budget.size * self.budget.share * share
        turn_s = self._end() + _CLOCK_OFF_S - self._ahead_s() - now
        return Terms(0.0, self._used, max(room, cost), self.budget.length_s, self._number, max(0.0, turn_s))

    def hear(self, level: float, now: float) -> None:
        self._turn(now)
        self._told = max(self._told, int(level) - self._flying)

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

    @property
    def _used(self) -> int:
        return max(self._ours, self._told + self._flying)

    def _end(self) -> float:
        """When the window ends by the venue's clock."""
        return float((self._number + 1) * self.budget.length_s)

    def _turn(self, now: float) -> None:
        number = int((now + self._ahead_s() - _CLOCK_OFF_S) // self.budget.length_s)
        if number > self._number:
            late = self._late if self._number in (-1, number - 1) else 0
            self._number, self._turned = number, now
            self._ours, self._told, self._late = self._flying + late, 0, 0
