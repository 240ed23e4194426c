"""Which shards of a venue a process takes, hands over and gives up, as it sees things. Pure.

The leases alone say who holds a shard; all this can do wrong is to be slow, or to move one for nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec

__all__ = ["GATHER_MS", "MOVE_MS", "OFFER_MS", "STEADY_MS", "Offer", "Share", "Step", "View", "Word"]

GATHER_MS = 1_000
"""So long the members have to be the same before a free one is taken: those that start together, or find the
server emptied, come to know of each other."""

STEADY_MS = 2_000
"""Shards are moved only once the members have been the same for so long: who restarts finds its own again."""

MOVE_MS = 1_000
"""From one hand-over's beginning to the next one's, of all members."""

OFFER_MS = 15_000
"""So long whoever is to take a shard may take to prepare for it."""


class Offer(msgspec.Struct, frozen=True, array_like=True):
    """A shard is to go to that member; since when, in ms of the server's clock."""

    to: str
    since: int


class Word(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a member tells the others: what it gives away, and what it is ready to take of that."""

    offers: Mapping[int, Offer] = {}
    ready: Sequence[int] = ()
    fills: str = ""
    """What it is configured to fill, in short: all are to have the same."""


class View(NamedTuple):
    """One moment, as the server told it. `now` is in ms of its clock."""

    now: int
    holders: Sequence[str]  # of each shard; "" for one that is free
    members: Mapping[str, Word]  # those that live, and oneself

    @property
    def moving(self) -> bool:
        """Whether any shard is being handed over."""
        return any(word.offers for word in self.members.values())


class Step(NamedTuple):
    """What to do now, and what to tell the others from now on."""

    take: Sequence[int]  # free ones, in the order in which they are to be claimed
    room: int  # and how many of them
    prepare: Collection[int]  # offered, or free and ours a moment ago: who serves them waits for the lease
    give_up: Collection[int]  # those that another is ready for
    word: Word


@dataclass(slots=True)
class Share:
    """One member's part of the shards; `step` says what is to be done about it.

    `jitter` is uniform in [0, 1): where it begins to look for free ones.
    """

    name: str
    jitter: Callable[[], float]
    _members: frozenset[str] = frozenset()
    _same_since: int = 0
    _offers: dict[int, Offer] = field(default_factory=dict)

    def step(self, view: View, ready: Collection[int] = (), shun: Collection[int] = ()) -> Step:
        """`ready` are the shards that this one is prepared for, or holds; those it is to `shun` it leaves."""
        members, now = frozenset(view.members), view.now
        if members != self._members or now < self._same_since:  # the latter by another server's clock
            self._members, self._same_since = members, now
        held = [shard for shard, holder in enumerate(view.holders) if holder == self.name]
        self._offers = {
            shard: offer
            for shard, offer in self._offers.items()
            if shard in held and offer.to in members and 0 <= now - offer.since < OFFER_MS
        }
        offered = {
            shard
            for member, word in view.members.items()
            for shard, offer in word.offers.items()
            if offer.to == self.name and shard < len(view.holders) and view.holders[shard] == member
        } - set(shun)
        # Free, and we could go on at once: it was given up for us, or the server lost the lease.
        prepare = offered | {shard for shard in ready if not view.holders[shard]}
        given = {s for s, offer in self._offers.items() if s in view.members[offer.to].ready}
        self._begin_move(view, held)
        word = Word(dict(self._offers), sorted(prepare & set(ready)))
        free, room = self._free(view, held, prepare, shun)
        return Step(free, room, prepare, given, word)

    def _free(
        self, view: View, held: Sequence[int], prepare: Collection[int], shun: Collection[int]
    ) -> tuple[list[int], int]:
        """The free ones that may be claimed, and how many: of all shards no more than a fair part."""
        if view.now - self._same_since < GATHER_MS:
            return [], 0
        awaited = {s for word in view.members.values() for s in word.ready}
        free = [
            s for s, holder in enumerate(view.holders) if not holder and s not in awaited.union(prepare, shun)
        ]
        room = max(0, -(-len(view.holders) // len(view.members)) - len({*held, *prepare}))
        first = int(self.jitter() * len(free))
        return [*free[first:], *free[:first]] if room else [], room

    def _begin_move(self, view: View, held: Sequence[int]) -> None:
        """Offer one shard to the poorest, if this is the richest and it is time."""
        offers = [offer for word in view.members.values() for offer in word.offers.values()]
        # Who is ready for a free one as good as holds it; of any other nobody knows yet whose it will be.
        awaited = {s: member for member, word in view.members.items() for s in word.ready}
        holders = [holder or awaited.get(shard, "") for shard, holder in enumerate(view.holders)]
        steady = view.now - self._same_since >= STEADY_MS and all(holders)
        if not steady or any(view.now - one.since < MOVE_MS for one in (*offers, *self._offers.values())):
            return
        counts = Counter(dict.fromkeys(view.members, 0))
        counts.update(holders)
        for member, word in view.members.items():
            its = self._offers if member == self.name else word.offers
            for shard, offer in its.items():
                if holders[shard] == member:
                    counts[member] -= 1
                    counts[offer.to] += 1
        there = sorted(view.members, key=lambda member: (counts[member], member))
        poorest, richest = there[0], there[-1]
        left = [shard for shard in held if shard not in self._offers]
        if left and richest == self.name and counts[richest] - counts[poorest] > 1:
            self._offers[left[-1]] = Offer(poorest, view.now)
