"""Waits until a request may start: the most urgent first, and none for ever. `pacing/` decides when."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Protocol, TypeVar

from ..model.budget import NOTHING, Budget, Costs, Hour
from ..model.timeframe import iso
from ..pacing.meter import BAN_MOST_S, Meter, Ticket
from ..quiet import logger
from ..venues.venue import FailureKind, FetchFailure, Page
from .venue_time import VenueTime

__all__ = ["Limiter", "Urgency"]

_TICK_S = 1e-6  # a wait this short is over: the sums of floats need not meet exactly

_PASSED_OVER_MOST = 8
"""So many starts of what is more urgent, and it is the turn of one: no class starves."""


class Urgency(IntEnum):
    """Whom a request is for, the most urgent first."""

    LIVE = 0  # the venue's time, settling, repair
    WARM = 1
    READ = 2  # what a reader asked for and is not there
    HISTORY = 3


_SAME_BAN_MS = 1_000  # by which its end may be told differently

_LOOK_S = 5.0
"""In a ban the wall clock is looked at so often: it goes on while the host sleeps, which timers do not."""


class _Priced(Protocol):
    @property
    def costs(self) -> Costs: ...


_P = TypeVar("_P", bound=_Priced)


@dataclass(slots=True, eq=False)
class _Waiting:
    urgency: Urgency
    passed_over: int = 0
    turn: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def starves(self) -> bool:
        return self.passed_over >= _PASSED_OVER_MOST


class Limiter:
    """`await acquire()` before each request, and then tell what was `heard`. `ban` is set by each ban.

    It keeps to `budgets` beside what the venue allows; of two of one name, to the one that is configured.
    `jitter` is uniform in [0, 1).
    """

    def __init__(self, budgets: Sequence[Budget], time: VenueTime, jitter: Callable[[], float]) -> None:
        self.ban = asyncio.Event()
        self.shares = {Urgency.HISTORY: 0.5}
        """Of the budgets: such a class leaves the rest to the others, until it was passed over too often."""
        self._time = time
        self._clock = time.clock
        self._meter = Meter(budgets, venue_ahead_s=self._venue_ahead_s, jitter=jitter)
        self._waiting: list[_Waiting] = []  # in the order in which they came
        self._banned_until = 0  # by the wall clock
        self.ban_follows = True
        """Whether the last ban is one of the address, whichever host of the venue is asked."""
        self._ban_ends_s = 0.0  # monotonic: whatever becomes of the wall clock
        self._configured = budgets
        self._allowed: Sequence[Budget] = ()

    def change(self, budgets: Sequence[Budget]) -> None:
        """Other budgets are configured from now on."""
        self._configured = budgets
        self._arrange()

    def learn(self, budgets: Sequence[Budget]) -> None:
        """The venue allows so much."""
        self._allowed = budgets
        self._arrange()

    def _arrange(self) -> None:
        by_name = {budget.name: budget for budget in (*self._allowed, *self._configured)}
        self._meter.change(tuple(by_name.values()))

    @property
    def rate_per_s(self) -> float | None:
        """Requests a second at present; None where their number is not what is bounded."""
        return min((pace.rate_per_s for pace in self._meter.paces), default=None)

    @property
    def cuts(self) -> int:
        """How often refusals lowered the rate."""
        return sum(pace.cuts for pace in self._meter.paces)

    @property
    def hour(self) -> Hour:
        """The requests of the hour that ends now, in real seconds, and how many it may have."""
        return self._meter.hour(self._clock.monotonic())

    @property
    def banned_until(self) -> int:
        """Until when the venue refuses everything, Unix ms of the host's clock; 0 while it does not."""
        return self._banned_until if self._banned_s() > 0 else 0

    async def acquire(self, urgency: Urgency, costs: Costs = NOTHING) -> Ticket:
        """Wait for a slot and take it; the ticket is to be handed to `heard`.

        Those that are as urgent are served in order. A caller that is cancelled while it waits uses no slot.
        """
        only = Ticket(costs, 0.0)
        taken = await self.acquire_for(urgency, only, lambda: only)
        assert taken is not None
        return taken[0]

    async def acquire_for(
        self, urgency: Urgency, first: _P, choose: Callable[[], _P | None]
    ) -> tuple[Ticket, _P] | None:
        """The same for a request of what `choose` says at the moment of the slot.

        There may be something better to ask for than at `first`, of other costs, or nothing any more: then
        there is no ticket.
        """
        waiting, slot = _Waiting(urgency), self._clock.monotonic()
        self._waiting.append(waiting)
        try:
            while True:
                while self._first() is not waiting:
                    waiting.turn.clear()
                    await waiting.turn.wait()
                if self._banned_s() > _LOOK_S:
                    await self._clock.sleep(_LOOK_S)
                    continue
                # By the slot and not by the clock, lest a late timer count. A refusal may have moved it.
                share = 1.0 if waiting.starves else self.shares.get(urgency, 1.0)
                slot = self._meter.slot(first.costs, slot, share)
                if (wait_s := slot - self._clock.monotonic()) > _TICK_S:
                    await self._clock.sleep(wait_s)
                    continue
                if (chosen := choose()) is None:
                    return None
                if chosen.costs == first.costs:
                    return self._start(waiting, chosen.costs, slot), chosen
                first = chosen
        finally:
            self._waiting.remove(waiting)
            if self._waiting:
                self._first().turn.set()

    def heard(self, ticket: Ticket, answer: object) -> None:
        """What came of the request: its answer, or why there is none."""
        now = self._clock.monotonic()
        if not isinstance(answer, FetchFailure):
            self._meter.answered(ticket, now, answer.usage if isinstance(answer, Page) else NOTHING)
        elif answer.kind is FailureKind.REFUSED:
            self._meter.refused(ticket, now, answer.retry_after_s)
        elif answer.kind is FailureKind.BANNED:
            self._meter.banned(ticket, now, answer.retry_after_s)
            self.ban_follows = answer.status != 451  # A country that one host does not serve, another may.
            self._note_ban(now)
        else:
            self._meter.ended(ticket, now)

    def heed(self, banned_until: int) -> None:
        """Another run was told of a ban until then (Unix ms of the host's clock)."""
        now = self._clock.monotonic()
        if (left_s := banned_until / 1000 - self._clock.wall()) > 0:
            self._meter.ban(left_s, now)
            self._note_ban(now)

    def _banned_s(self) -> float:
        """How many seconds of the ban are left; 0 or less without one.

        It is over when the wall clock says so, which others were told as well, and that goes on while the
        host sleeps; one that is set back holds nobody up for longer than the longest ban.
        """
        if not self._banned_until:
            return 0.0
        now = self._clock.monotonic()
        left_s = min(self._banned_until / 1000 - self._clock.wall(), self._ban_ends_s - now)
        self._meter.banned_until = now + left_s
        if left_s <= 0:
            self._banned_until = 0
        return left_s

    def _first(self) -> _Waiting:
        return min(self._waiting, key=lambda one: (not one.starves, one.urgency))

    def _start(self, waiting: _Waiting, costs: Costs, slot: float) -> Ticket:
        had_its_turn = waiting.urgency if waiting.starves else None
        for other in self._waiting:
            other.passed_over = (
                0 if other.urgency == had_its_turn else other.passed_over + (other.urgency > waiting.urgency)
            )
        return self._meter.start(costs, slot, max(slot, self._clock.monotonic()))

    def _note_ban(self, now: float) -> None:
        until = int((self._clock.wall() + self._meter.banned_until - now) * 1000)
        if until > self._banned_until + _SAME_BAN_MS:
            self._banned_until, self._ban_ends_s = until, now + BAN_MOST_S
            self.ban.set()
            logger.bind(event="venue_banned", until=until).error(
                f"the venue refuses everything from this address: banned until {iso(until)}, and not asked"
            )

    def _venue_ahead_s(self) -> float:
        return (self._time.now() / 1000 or self._clock.wall()) - self._clock.monotonic()
