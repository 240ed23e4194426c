"""The quota in Python, as simply as it can be said; all in microseconds and units."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from livecache.pacing.kept import Terms

__all__ = ["Model"]

ALONE, OPENS, SILENT, GONE, SLOW = 2_000_000, 2_500_000, 1_500_000, 10_000_000, 30_000_000
PARTS = 64

Shared = Mapping[str, tuple[int, Terms]]


def us(seconds: float) -> int:
    return round(seconds * 1e6)


@dataclass
class Member:
    seen: int
    alone_until: int
    units: dict[str, int]


@dataclass
class Model:
    """What `quota.lua` holds. `ask` answers as it does: wait, members, before, alone, levels."""

    members: dict[str, Member] = field(default_factory=dict)
    tats: dict[str, float] = field(default_factory=dict)
    used: dict[str, dict[int, int]] = field(default_factory=dict)
    opens: int = 0
    pause: int = 0

    def ask(
        self, me: str, shared: Shared, now: int, *, reach: int, suits: int, pause: int, knew: bool
    ) -> tuple[int, int, int, int, list[int]]:
        others = {name: one for name, one in self.members.items() if name != me and now - one.seen <= SLOW}
        peers = {name: one for name, one in others.items() if now - one.seen <= GONE}
        mine = self.members.get(me)
        spoke = [one for one in (mine, *peers.values()) if one and now - one.seen <= SILENT]
        silent = [one for one in peers.values() if now - one.seen > SILENT and not one.alone_until]
        if not spoke and (silent or knew):
            self.opens = now + OPENS
        if pause:
            self.pause = max(self.pause, now + pause)
        at: float = max(now + suits, self.pause, self.opens)
        slots: dict[str, tuple[float, int, float]] = {}
        for name, (cost, its) in shared.items():
            if its.unit_s:
                unit = max([us(its.unit_s), *(one.units.get(name, 0) for one in others.values())])
                tat = self.tats[name] = max(now, self.tats.get(name, 0), now + us(its.level))
                slots[name] = unit, cost, tat
                if cost:
                    at = max(at, tat + (cost - max(its.room, cost)) * unit)
                continue
            part, number, turn, kept = self._parts(its, now)
            uses = self.used.setdefault(name, {})
            for each in [each for each in uses if each <= number - kept]:
                del uses[each]
            level = int(its.level)
            if (more := level - sum(uses.values()) if its.number >= 0 else level) > 0:
                uses[number] = uses.get(number, 0) + more
            beyond = sum(uses.values()) + cost - max(its.room, cost) if cost else 0
            for each in sorted(uses):
                if beyond <= 0:
                    break
                beyond -= uses[each]
                at = max(at, now + turn + (each + kept - number - 1) * part)
        wait, alone = at - now, 0
        alone_until = max((one.alone_until for one in peers.values()), default=0)
        if reach == -1:
            alone = ALONE if not peers and now >= self.opens else 0
        elif alone_until > now:
            wait = now - alone_until - 1
        elif wait > reach:
            wait = reach - wait - 1
        else:
            self._take(shared, slots, now, at)
        levels = [
            int(self.tats[name] - now) if its.unit_s else sum(self.used[name].values())
            for name, (_, its) in shared.items()
        ]
        told = {name: us(its.unit_s) for name, (_, its) in shared.items() if its.unit_s}
        self.members[me] = Member(now, now + alone if alone else 0, told)
        return int(wait // 1), len(peers) + 1, sum(name < me for name in peers), alone, levels

    def _take(self, shared: Shared, slots: dict[str, tuple[float, int, float]], now: int, at: float) -> None:
        for name, (cost, its) in shared.items():
            if cost and its.unit_s:
                unit, _, tat = slots[name]
                self.tats[name] = max(tat, at) + cost * unit
            elif cost:
                part, number, turn, _ = self._parts(its, now)
                later = 1 + int((at - now - turn) // part) if at - now >= turn else 0
                self.used[name][number + later] = self.used[name].get(number + later, 0) + cost

    def _parts(self, its: Terms, now: int) -> tuple[float, int, float, int]:
        """How long a part is, the present one's number, when it ends from now, how many count."""
        if its.number >= 0:
            return us(its.length_s), its.number, us(its.turn_s), 1
        part = us(its.length_s) / PARTS
        number = int(now // part)
        return part, number, (number + 1) * part - now, PARTS + 1
