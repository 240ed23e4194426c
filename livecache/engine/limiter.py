"""Waits until a request may start: the most urgent first, and none for ever. `pacing/` decides when."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from enum import IntEnum
from typing import NamedTuple, Protocol, TypeVar

from ..model.budget import NOTHING, Budget, Costs, Hour
from ..model.timeframe import iso
from ..pacing.meter import BAN_MOST_S, Meter, Ticket
from ..quiet import logger
from ..quota.quota import AGAIN_S, BEAT_S, LATE, REACH_S, Quota
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


_REACHES_S = {Urgency.LIVE: 0.95 * REACH_S, Urgency.WARM: 0.35, Urgency.READ: 0.2, Urgency.HISTORY: 0.12}
"""So far ahead each may reserve of a shared budget: while more urgent ones queue, others find no slot.

Not even what is live reaches as far as one that has waited for long: it would take each slot that there is.
"""

_REACHES_FURTHER = 0.007
"""Seconds by the square of those since its class had its turn, lest one starve for what others ask.

Little at first: the line is as long as the one of any process that reaches furthest.
"""

_LATE_LEAST_S = 0.01

_MISSED = 3  # slots, and then it may be later

_SAME_BAN_MS = 1_000  # by which its end may be told differently

_LOOK_S = 5.0
"""In a ban the wall clock is looked at so often: it goes on while the host sleeps, which timers do not."""


class _Wanted(Protocol):
    @property
    def urgency(self) -> Urgency: ...
    @property
    def costs(self) -> Costs: ...


class _Only(NamedTuple):
    urgency: Urgency
    costs: Costs


_W = TypeVar("_W", bound=_Wanted)


@dataclass(slots=True, eq=False)
class _Waiting:
    urgency: Urgency
    since: float
    passed_over: int = 0
    missed: int = 0  # slots that it has reached too late
    in_line: bool = False  # holds a slot, or asks for one
    turn: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def starves(self) -> bool:
        return self.passed_over >= _PASSED_OVER_MOST


class _Reserved(NamedTuple):
    slot: float  # at the earliest
    latest: float
    costs: Costs
    starves: bool  # whether it is for one that does: that neither gives way nor takes what others hold


class Limiter:
    """`await acquire()` before each request, and then tell what was `heard`.

    There is one of a venue in a process, whatever number of engines wait in it. It keeps to `budgets` beside
    what the venue allows; of two of one name, to the one that is configured. `jitter` is uniform in [0, 1).
    With a `quota`, which others share, each engine has `share` run.
    """

    def __init__(
        self,
        budgets: Sequence[Budget],
        time: VenueTime,
        jitter: Callable[[], float],
        quota: Quota | None = None,
    ) -> None:
        self.ban = asyncio.Event()
        """Set by the next ban, and followed by another then."""
        self.shares = {Urgency.HISTORY: 0.5}
        """Of the budgets: such a class leaves the rest to the others, until it was passed over too often."""
        self.time = time
        self._clock = time.clock
        self.quota = quota
        self._jitter = jitter
        self._reserved: list[_Reserved] = []  # for whoever comes first when it is time
        self._refused = asyncio.Event()
        self._sharing = 0  # engines that run
        self._beats = asyncio.Lock()  # one of them at a time
        self._meter = Meter(budgets, venue_ahead_s=self._venue_ahead_s, jitter=jitter)
        self._waiting: list[_Waiting] = []  # in the order in which they came
        self._turns: dict[Urgency, float] = {}  # when each had its last
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
        only = _Only(urgency, costs)
        taken = await self.acquire_for(only, lambda: only)
        assert taken is not None
        return taken[0]

    async def acquire_for(self, first: _W, choose: Callable[[], _W | None]) -> tuple[Ticket, _W] | None:
        """The same for a request of what `choose` says at the moment of the slot.

        There may be something better to ask for than at `first`, of other costs, or nothing any more: then
        there is no ticket. What is more urgent finds a slot the sooner.
        """
        if self.quota is not None:
            await self.quota.heard.wait()
        slot = self._clock.monotonic()
        waiting = _Waiting(first.urgency, slot)
        self._waiting.append(waiting)
        try:
            while True:
                while waiting not in self._next():
                    waiting.turn.clear()
                    await self._reserve_early(waiting, first.costs)
                    await waiting.turn.wait()
                if self._banned_s() > _LOOK_S:
                    await self._clock.sleep(_LOOK_S)
                    continue
                # By the slot and not by the clock, lest a late timer count. A refusal may have moved it.
                share = 1.0 if waiting.starves else self.shares.get(waiting.urgency, 1.0)
                away = self.quota is not None and self.quota.standing == "away"
                due = slot = self._meter.slot(
                    self._meter.times(first.costs, self._others_too),
                    max(slot, self._clock.monotonic()) if away else slot,
                    share,
                )
                reserved = None
                if self.quota is not None and away:
                    due = self.quota.turn(slot)
                elif self.quota is not None and self.quota.standing == "shared":
                    reserved = await self._reserve(self.quota, waiting, first.costs, slot, share)
                    if reserved is None and (chosen := choose()) is not None:
                        first, waiting.urgency = chosen, min(waiting.urgency, chosen.urgency)
                    if reserved is None or waiting not in self._next():
                        continue
                    due = max(slot, reserved.latest)
                if (wait_s := due - self._clock.monotonic()) > _TICK_S:
                    await self._clock.sleep(wait_s if due == slot else min(wait_s, _LOOK_S))
                    continue
                if (chosen := choose()) is None:
                    return None
                if chosen.costs == first.costs:
                    return self._start(waiting, chosen.costs, due, reserved), chosen
                first = chosen
        finally:
            self._waiting.remove(waiting)
            self._call()

    async def share(self) -> None:
        """Keep up with those who share the budgets, until cancelled. Of several that run one does it."""
        if self.quota is None:
            return
        self._sharing += 1
        try:
            async with self._beats:
                while True:
                    await self._beat(self.quota)
        finally:
            self._sharing -= 1

    async def _beat(self, quota: Quota) -> None:
        now = self._clock.monotonic()
        terms = self._meter.terms(NOTHING, now)
        if (answer := await quota.beat(terms, self._paused_s(now))) is not None:
            self._meter.told(terms)
            if answer.ban:
                self.heed(answer.ban)
            if not self._reserved:  # Else that is among what is used, and has not started.
                self._meter.hear(answer.levels, self._clock.monotonic())
        with suppress(TimeoutError):
            async with asyncio.timeout(AGAIN_S if quota.standing == "away" else BEAT_S):
                await self._refused.wait()
        self._refused.clear()

    async def leave(self) -> None:
        """Tell those who share the budgets that this one does not any more, unless it is still to `share`."""
        if self.quota is not None and not self._sharing and self.quota.standing != "away":
            await self.quota.leave()

    def heard(self, ticket: Ticket, answer: object) -> None:
        """What came of the request: its answer, or why there is none."""
        now = self._clock.monotonic()
        if not isinstance(answer, FetchFailure):
            self._meter.answered(ticket, now, answer.usage if isinstance(answer, Page) else NOTHING)
        elif answer.kind is FailureKind.REFUSED:
            self._meter.refused(ticket, now, answer.retry_after_s)
            self._refused.set()
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

    def _next(self) -> list[_Waiting]:
        """Whose turn it is. Where slots are shared, who starves has one of its own and holds nobody up."""
        shared = self.quota is not None and self.quota.standing == "shared"
        starve = [one for one in self._waiting if one.starves]
        others = [one for one in self._waiting if not one.starves] if shared or not starve else []
        return [min(line, key=lambda one: one.urgency) for line in (starve, others) if line]

    def _call(self) -> None:
        """Whose turn it is, and the next one that is live and not in line."""
        live = [one for one in self._waiting if one.urgency is Urgency.LIVE and not one.in_line]
        for one in (*self._next(), *live[:1]):
            one.turn.set()

    async def _reserve(
        self, quota: Quota, waiting: _Waiting, costs: Costs, slot: float, share: float
    ) -> _Reserved | None:
        """A slot of the budgets that are shared, from then on; None where to look again."""
        self._call()  # Two have their turn, and there was one as long as nothing was shared.
        one_line = len(self._next()) == 1
        latest = max(slot, self._clock.monotonic()) - self._late_s(waiting)
        for reserved in list(self._reserved):
            if reserved.slot < latest:
                waiting.missed += 1
                self._reserved.remove(reserved)
            elif reserved.costs == costs and (reserved.starves == waiting.starves or one_line):
                waiting.in_line = True
                return reserved
        again_s = await self._ask(quota, waiting, costs, slot, share)
        if again_s > 0:
            await self._clock.sleep(min(again_s, BEAT_S))
        return None

    async def _reserve_early(self, waiting: _Waiting, costs: Costs) -> None:
        """What is live need not wait for its turn to get in line: who is before it holds a slot, or asks."""
        quota = self.quota
        if quota and quota.standing == "shared" and waiting.urgency is Urgency.LIVE and not waiting.in_line:
            await self._ask(quota, waiting, costs, self._clock.monotonic(), 1.0)
            if waiting.in_line:
                self._call()

    async def _ask(self, quota: Quota, waiting: _Waiting, costs: Costs, slot: float, share: float) -> float:
        """Reserve a slot; where there is none, returns in how many seconds to ask again."""
        now, starves, waiting.in_line = self._clock.monotonic(), waiting.starves, True
        asked = await quota.reserve(
            self._meter.terms(costs, now, share),
            reach_s=self._reach_s(waiting, now),
            suits_s=max(0.0, slot - now),
            pause_s=self._paused_s(now),
        )
        waiting.in_line = asked is not None and asked[0].wait_s >= 0
        if asked is None:
            return 0.0
        _, earliest, when = asked
        if waiting.in_line:
            self._reserved.append(_Reserved(earliest, when, costs, starves))
            self._reserved.sort(key=lambda one: one.slot)
            return 0.0
        # By chance a little later, lest the same one always come first.
        later_s = min(_REACHES_S[waiting.urgency], _REACHES_S[Urgency.WARM]) / 2
        return when - self._clock.monotonic() + self._jitter() * later_s

    def _reach_s(self, waiting: _Waiting, now: float) -> float:
        """How far ahead it may reserve: the further, the longer ago its class had its turn."""
        since = max(waiting.since, self._turns.get(waiting.urgency, waiting.since))
        # Who was passed over has the turn of what came before it, and not of what is live.
        as_ = min(waiting.urgency, Urgency.WARM) if waiting.starves else waiting.urgency
        return min(REACH_S, _REACHES_S[as_] + _REACHES_FURTHER * (now - since) ** 2)

    @property
    def _others_too(self) -> int:
        """How many start at the same time, unseen, when one does here."""
        return self.quota.members if self.quota is not None and self.quota.standing == "away" else 1

    def _late_s(self, waiting: _Waiting) -> float:
        rate_per_s = self.rate_per_s
        least_s = max(LATE / rate_per_s, _LATE_LEAST_S) if rate_per_s else BEAT_S
        # On a host that is always late some start all the same.
        return least_s * max(1, waiting.missed - _MISSED)

    def _paused_s(self, now: float) -> float:
        return max(0.0, self._meter.paused_until - now)

    def _start(self, waiting: _Waiting, costs: Costs, slot: float, reserved: _Reserved | None) -> Ticket:
        had_its_turn = waiting.urgency if waiting.starves else None
        for other in self._waiting:
            other.passed_over = (
                0 if other.urgency == had_its_turn else other.passed_over + (other.urgency > waiting.urgency)
            )
        if known := reserved in self._reserved:
            self._reserved.remove(reserved)
        now = self._turns[waiting.urgency] = max(slot, self._clock.monotonic())
        return self._meter.start(costs, slot, now, many=self._others_too, known=known)

    def _note_ban(self, now: float) -> None:
        until = int((self._clock.wall() + self._meter.banned_until - now) * 1000)
        if until > self._banned_until + _SAME_BAN_MS:
            self._banned_until, self._ban_ends_s = until, now + BAN_MOST_S
            told, self.ban = self.ban, asyncio.Event()
            told.set()
            logger.bind(event="venue_banned", until=until).error(
                f"the venue refuses everything from this address: banned until {iso(until)}, and not asked"
            )

    def _venue_ahead_s(self) -> float:
        return (self.time.now() / 1000 or self._clock.wall()) - self._clock.monotonic()
