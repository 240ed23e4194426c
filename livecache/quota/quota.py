"""One member of those that share a venue's budgets: what it asks of Redis, and what it may do without."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from math import ceil
from typing import Literal, NamedTuple

from ..clock import Clock
from ..keys.keyspace import Keyspace, decode_ban
from ..pacing.kept import Terms
from ..repeats import Repeats
from ..wire.refusals import hint_on, is_denied, said
from ..wire.scripts import RedisLike, Script, cancellable
from ..wire.trouble import TROUBLE

__all__ = [
    "ADDRESS",
    "AGAIN_S",
    "BEAT_S",
    "LATE",
    "REACH_S",
    "Answer",
    "Quota",
    "Standing",
    "arguments",
    "decode",
]

BEAT_S = 1.0
"""A member is heard of so often, whatever it asks."""

REACH_S = 2.0
"""Nobody reserves further ahead: so long after Redis was lost everything that it gave out is used."""

AGAIN_S = 0.5
"""While Redis does not answer."""

LATE = 0.4
"""Of the time from slot to slot: a slot that is reached later is gone, lest it and the next be one burst."""

ADDRESS = "address"
"""The scope of all who ask from one address."""

_TIMEOUT_S = 1.0
_BEAT, _LEAVE = -1, -2

SCRIPT = Script.load("quota/quota.lua")

Shared = Mapping[str, tuple[int, Terms]]
"""By the names of the budgets, what a request costs, and how they stand."""

Standing = Literal["alone", "shared", "away"]
"""Whether no other is there, or Redis gives out the slots, or does not answer."""


class Answer(NamedTuple):
    """What the script says. Times are seconds."""

    wait_s: float
    """Until the slot; negative where none was reserved: ask again after so long."""
    members: int
    before: int
    """How many members stand before this one."""
    alone_s: float
    """For so long it may do without asking."""
    server_s: float
    ban: int
    """Until when the venue refuses everything, Unix ms; 0 while it does not."""
    levels: Mapping[str, float]
    units_s: Mapping[str, float]
    """What gives a unit back, by the slowest member's word; 0 where units are counted."""


def arguments(
    member: str, shared: Shared, *, reach_s: float, suits_s: float, pause_s: float, knew: bool, now: int = 0
) -> list[str | int]:
    """What the script is given; `now` in microseconds, 0 for the server's."""
    reach = int(reach_s) if reach_s < 0 else _us(reach_s)
    args: list[str | int] = [now, member, int(knew), reach, _us(suits_s), _us(pause_s)]
    for name, (cost, its) in shared.items():
        level = _us(its.level) if its.unit_s else int(its.level)
        args += [name, _us(its.unit_s), cost, level, f"{its.room:.6f}"]
        args += [_us(its.length_s), its.number, _us(its.turn_s)]
    return args


def decode(reply: Sequence[int | bytes | str], shared: Shared) -> Answer:
    """What it says, of the budgets that it was given."""
    wait, members, before, alone, server = (int(each) for each in reply[:5])
    levels, units = reply[6::2], reply[7::2]
    units_s = {name: int(unit) / 1e6 for name, unit in zip(shared, units, strict=True)}
    return Answer(
        wait / 1e6,
        members,
        before,
        alone / 1e6,
        server / 1e6,
        decode_ban(reply[5] if not isinstance(reply[5], int) else str(reply[5])),
        {
            name: int(level) / (1e6 if units_s[name] else 1)
            for name, level in zip(shared, levels, strict=True)
        },
        units_s,
    )


class Quota:
    """Reserves slots, and knows how many share them.

    `scope` says whose budget it is: a ban is of the `ADDRESS`, and no other scope's. All times are the host's
    monotonic seconds.
    """

    def __init__(self, redis: RedisLike, keys: Keyspace, scope: str, member: str, clock: Clock) -> None:
        self.members = 1
        """Those heard of within ten seconds, this one included."""
        self.asks = 0
        self.fallbacks = 0
        """How often Redis was lost."""
        self.heard = asyncio.Event()
        """Set once it is known whether others are there, or that Redis does not tell."""
        self._redis = redis
        self._keys = [keys.budget(scope), *([keys.ban] if scope == ADDRESS else [])]
        self._member = member
        self._clock = clock
        self._one = asyncio.Lock()
        self._before = 0
        self._alone_until = float("-inf")
        self._away_since: float | None = None
        self._reminders = Repeats(clock)
        self._server_ahead_s = 0.0
        self._least_trip_s = _TIMEOUT_S
        self._apart_s = 0.0

    @property
    def standing(self) -> Standing:
        """How it is to go about a request now."""
        if self._away_since is not None:
            return "away"
        return "alone" if self._clock.monotonic() < self._alone_until else "shared"

    async def beat(self, shared: Shared, pause_s: float) -> Answer | None:
        """Be heard of, and hear; None where Redis does not answer. So long the venue has told to pause."""
        asked = await self._ask(shared, reach_s=_BEAT, suits_s=0.0, pause_s=pause_s)
        self.heard.set()
        return asked[0] if asked else None

    async def reserve(
        self, shared: Shared, *, reach_s: float, suits_s: float, pause_s: float
    ) -> tuple[Answer, float, float] | None:
        """Reserve a slot `suits_s` from now or later, `reach_s` from now at most.

        Returns when it is, at the earliest and at the latest: who knows how long the answer was on its way.
        Where there is none within reach, when to ask again. None where Redis does not answer.
        """
        self.asks += 1
        asked = await self._ask(shared, reach_s=reach_s, suits_s=suits_s, pause_s=pause_s)
        if asked is None:
            return None
        answer, said = asked
        wait_s = abs(answer.wait_s)
        return answer, said + wait_s, self._clock.monotonic() + wait_s

    def turn(self, slot: float) -> float:
        """While Redis is away: the first slot from then on that is this member's own, as all take turns.

        What was reserved is used up before.
        """
        if self.members == 1 or self._away_since is None:
            return slot
        slot = max(slot, self._away_since + REACH_S)
        if not self._apart_s:
            return slot
        number = ceil((slot + self._server_ahead_s) / self._apart_s - LATE)
        number += (self._before - number) % self.members
        return max(slot, number * self._apart_s - self._server_ahead_s)

    async def leave(self) -> None:
        """Be a member no longer, until the next beat."""
        self.heard.clear()
        self._alone_until = float("-inf")
        await self._ask({}, reach_s=_LEAVE, suits_s=0.0, pause_s=0.0)

    async def _ask(
        self, shared: Shared, *, reach_s: float, suits_s: float, pause_s: float
    ) -> tuple[Answer, float] | None:
        """What Redis says, and when it said so."""
        async with self._one:
            knew, sent = self.members > 1, self._clock.monotonic()
            args = arguments(
                self._member, shared, reach_s=reach_s, suits_s=suits_s, pause_s=pause_s, knew=knew
            )
            try:
                async with asyncio.timeout(_TIMEOUT_S):
                    reply = await cancellable(SCRIPT.run(self._redis, self._keys, args))
            except (TimeoutError, *TROUBLE) as error:
                if self._away_since is None:
                    self._away_since = self._clock.monotonic()
                    self.fallbacks += 1
                self._tell(error)
                return None
            answer, self._away_since = decode(reply, shared), None
            if reach_s != _LEAVE:
                self._note(answer, sent, self._clock.monotonic())
            return answer, sent + self._least_trip_s

    def _tell(self, error: Exception) -> None:
        """Say what Redis refuses for the budget's sake alone: of all else the writer says it."""
        if is_denied(error):
            remedy = hint_on(error)
        elif "WRONGTYPE" in str(error):
            remedy = "delete that key if nothing needs it, or set another venues.<venue>.budget_scope"
        else:
            return
        what = f"the venue's budget is shared with nobody, for Redis refuses {self._keys[0]}: {said(error)}"
        self._reminders.log("budget_refused", type(error).__name__, what, remedy=remedy)

    def _note(self, answer: Answer, sent: float, now: float) -> None:
        self.members, self._before = answer.members, answer.before
        if self.members > 1:
            self._alone_until = float("-inf")
        elif answer.alone_s:
            self._alone_until = sent + answer.alone_s
        # Of a longer trip nobody knows which part was before the server put the slot where it is.
        self._least_trip_s = min(now - sent, 1.1 * self._least_trip_s)
        self._server_ahead_s = answer.server_s - (sent + now) / 2
        self._apart_s = max(answer.units_s.values(), default=0.0)


def _us(seconds: float) -> int:
    return round(seconds * 1e6)
