"""When the next request may start, by all that bounds it. Pure: `now` comes in, and never goes back.

All times are the host's monotonic seconds, as real as the venue's limits, unless they say otherwise.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from ..model.budget import HOUR_S, NOTHING, Budget, Costs, Hour, Pool, Rolling, Spacing, Window
from .kept import Kept, KeptPool, KeptRolling, KeptWindow, Terms
from .pace import Pace

__all__ = ["BAN_MOST_S", "Meter", "Ticket"]

BAN_MOST_S = 3 * 86_400.0
"""Whatever the venue says: a wrong header must not stop the service for good."""

_BAN_S = 120.0  # the first that does not say how long; each that follows it twice as long
_PAUSE_MOST_S = 300.0  # whatever the venue says
_PAUSE_S = 60.0  # where neither the venue says how long nor a budget; each that follows it twice as long
_PAUSE_DOUBLED_MOST_S = 1800.0


class Ticket(NamedTuple):
    """A request that has started. Tell the meter once how it ended: it counts as under way until then."""

    costs: Costs
    started: float
    budgets: tuple[Kept[Any], ...] = ()  # of which it took its costs


class _Ever:
    """How long to wait if nobody says: twice as long each time in a row."""

    def __init__(self, first_s: float, most_s: float) -> None:
        self._first_s = first_s
        self._most_s = most_s
        self._times = 0
        self._at = float("-inf")

    def again(self, started: float, now: float) -> float:
        """Once more. What was under way at the last time is of that time."""
        if started > self._at:
            self._times, self._at = self._times + 1, now
        return min(self._first_s * 2.0 ** (self._times - 1), self._most_s)

    def over(self) -> None:
        self._times = 0


class Meter:
    """All of a venue's budgets, its pauses and its bans.

    `venue_ahead_s` is the venue's clock (Unix seconds) less the host's monotonic one. `jitter` is uniform in
    [0, 1).
    """

    def __init__(
        self, budgets: Sequence[Budget], *, venue_ahead_s: Callable[[], float], jitter: Callable[[], float]
    ) -> None:
        self.paused_until = self.banned_until = float("-inf")
        self._venue_ahead_s = venue_ahead_s
        self._jitter = jitter
        self._kept: dict[str, Kept[Any]] = {}
        self._pauses = _Ever(_PAUSE_S, _PAUSE_DOUBLED_MOST_S)
        self._bans = _Ever(_BAN_S, BAN_MOST_S)
        self._starts: deque[float] = deque()  # within the last hour
        self.change(budgets)

    @property
    def paces(self) -> list[Pace]:
        """The budgets that say how far apart requests start."""
        return [kept for kept in self._kept.values() if isinstance(kept, Pace)]

    def hour(self, now: float) -> Hour:
        """What was asked within the hour that ends now, whatever came of it."""
        while self._starts and self._starts[0] + HOUR_S <= now:
            self._starts.popleft()
        hourly = [budget for kept in self._kept.values() if isinstance(budget := kept.budget, Rolling)]
        most = (int(each.size * each.share) for each in hourly if each.length_s == HOUR_S)
        return Hour(len(self._starts), min(most, default=0))

    def change(self, budgets: Sequence[Budget]) -> None:
        """Other budgets from now on. What was used of those that stay is used, and they have learned."""
        before, self._kept = self._kept, {}
        for budget in budgets:
            kept = before.get(budget.name)
            if kept is not None and type(kept.budget) is type(budget):
                kept.change(budget)
            else:
                kept = self._keep(budget)
            self._kept[budget.name] = kept

    def slot(self, costs: Costs, now: float, share: float = 1.0) -> float:
        """When a request may start: `now` or later. It takes that share at most of what is ours."""
        slot = max(now, self.paused_until, self.banned_until)
        for name, kept in self._kept.items():
            if cost := costs.get(name, 1):
                slot = max(slot, kept.slot(cost, now, share))
        return slot

    def terms(self, costs: Costs, now: float, share: float = 1.0) -> dict[str, tuple[int, Terms]]:
        """By its name, what a request costs in each budget, and how that is shared with others."""
        priced = ((name, costs.get(name, 1), kept) for name, kept in self._kept.items())
        return {name: (cost, kept.terms(cost, now, share)) for name, cost, kept in priced}

    def told(self, terms: Mapping[str, tuple[int, Terms]]) -> None:
        """Those who share the budgets know what these terms say."""
        for name, (_, its) in terms.items():
            if name in self._kept:
                self._kept[name].told(int(its.level))

    def hear(self, levels: Mapping[str, float], now: float) -> None:
        """How much is used of each budget by all who share it."""
        for name, level in levels.items():
            if name in self._kept:
                self._kept[name].hear(level, now)

    def times(self, costs: Costs, many: int) -> Costs:
        """What so many such requests cost."""
        return costs if many == 1 else {name: many * costs.get(name, 1) for name in self._kept}

    def start(self, costs: Costs, slot: float, now: float, *, many: int = 1, known: bool = False) -> Ticket:
        """Take `slot`, at `now`, which a timer may have made a little later.

        `many`: for each that starts here as many start elsewhere, unseen, itself included. `known`: those who
        share the budgets know of it.
        """
        budgets = tuple(kept for name, kept in self._kept.items() if costs.get(name, 1))
        for kept in budgets:
            cost = costs.get(kept.budget.name, 1)
            kept.start(many * cost, slot, now)
            kept.told(cost if known else (many - 1) * cost)
        self.hour(now)
        self._starts.append(now)
        return Ticket(self.times(costs, many), now, budgets)

    def ended(self, ticket: Ticket, now: float, usage: Costs = NOTHING) -> None:
        """It failed or was given up. `usage` is what the venue counts as used, by the budgets' names."""
        for kept in ticket.budgets:  # Of one that came since, it has taken nothing.
            name = kept.budget.name
            kept.ended(ticket.costs.get(name, 1), ticket.started, now, usage.get(name))

    def answered(self, ticket: Ticket, now: float, usage: Costs = NOTHING) -> None:
        """It was answered."""
        self.ended(ticket, now, usage)
        self._pauses.over()
        self._bans.over()
        for kept in self._kept.values():
            if now >= self.paused_until:
                kept.succeeded(now)

    def refused(self, ticket: Ticket, now: float, retry_after_s: float | None = None) -> None:
        """It was refused for being too many: nothing is sent for so long, or for as long as it takes."""
        self.ended(ticket, now)
        told = [
            pause_s
            for name, kept in self._kept.items()
            if ticket.costs.get(name, 1) and (pause_s := kept.refused(ticket.started, now)) is not None
        ]
        if retry_after_s is not None:
            told = [min(max(retry_after_s, 0.0), _PAUSE_MOST_S)]
        pause_s = max(told) if told else self._pauses.again(ticket.started, now)
        self.paused_until = max(self.paused_until, now + pause_s)

    def banned(self, ticket: Ticket, now: float, retry_after_s: float | None = None) -> None:
        """The venue refuses everything from this address: nothing at all is sent for so long.

        A ban of no length, as of one that is over by a clock that is off, is one that does not say how long.
        """
        self.ended(ticket, now)
        self.ban(retry_after_s or self._bans.again(ticket.started, now), now)

    def ban(self, seconds: float, now: float) -> None:
        """Send nothing for so long, of which another run may have been told."""
        self.banned_until = max(self.banned_until, now + min(max(seconds, 0.0), BAN_MOST_S))

    def _keep(self, budget: Budget) -> Kept[Any]:
        match budget:
            case Pool():
                return KeptPool(budget)
            case Rolling():
                return KeptRolling(budget)
            case Window():
                return KeptWindow(budget, self._venue_ahead_s)
            case Spacing():
                return Pace(budget, self._jitter)
