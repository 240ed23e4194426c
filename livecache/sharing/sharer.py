"""Keeps this process's part of a venue's shards: says that it lives, and begins and ends what serves each."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Coroutine
from typing import Any

from ..clock import Clock
from ..errors import ForeignKey, LivecacheError
from ..quiet import logger
from ..repeats import Repeats
from ..wire.refusals import hint_on, passes, said, unavailable
from ..wire.trouble import TROUBLE
from .hold import Membership, SplitOtherwise
from .plan import Share, Word

__all__ = ["HOLD_S", "Serve", "Sharer"]

HOLD_S = 1.0
_MOVING_S = 0.25  # while a shard is handed over, which takes three words
_LEAST_S = 0.05
_GOODBYE_S = 1.0

Serve = Callable[[int], Coroutine[Any, Any, None]]
"""Serves a shard until cancelled, once its lease is free or claimed; ends by itself where it lost that."""


class Sharer:
    """One member. `ready` tells the shards that could be served at once; those to `shun` are not taken.

    `client` is the way to Redis for whoever reads.
    """

    def __init__(
        self,
        membership: Membership,
        clock: Clock,
        jitter: Callable[[], float],
        ready: Callable[[], Collection[int]],
        shun: Callable[[], Collection[int]] = tuple,
        *,
        client: Any = None,
    ) -> None:
        self.name = membership.name
        self.store, self.keys = client, membership.keys
        self.knows = False
        """Whether it has seen who holds what."""
        self.part = 1
        """So many shards at least are this one's to serve, of all."""
        self._membership = membership
        self._share = Share(membership.name, jitter)
        self._clock = clock
        self._ready = ready
        self._shun = shun
        self._word = Word()
        self._wanted: set[int] = set()
        self._reminders = Repeats(clock)

    async def run(self, serve: Serve) -> None:
        """Serve what is to be served until cancelled; then the others are told that this one leaves.

        What `serve` raises ends it likewise. `ForeignKey` and `RedisUnavailable` where it has never seen who
        holds what, and waiting is in vain.
        """
        self._word, self._wanted = Word(), set()
        running: dict[int, asyncio.Task[None]] = {}
        ending: set[int] = set()  # a second cancellation would cut its farewell short
        async with asyncio.TaskGroup() as tasks:
            try:
                while True:
                    wait_s = await self._look()
                    running = {shard: task for shard, task in running.items() if not task.done()}
                    ending &= running.keys()
                    for shard in running.keys() - self._wanted - ending:
                        running[shard].cancel()
                        ending.add(shard)
                    for shard in sorted(self._wanted - running.keys()):
                        running[shard] = tasks.create_task(serve(shard), name=f"shard {shard}")
                    await self._clock.sleep(wait_s)
            except asyncio.CancelledError:
                # The others look around while what is served here is brought to its end.
                await self._leave()
                raise

    async def _look(self) -> float:
        """What is to be served now; when to look again."""
        try:
            view = await self._membership.hold(self._word)
            shun = set(self._shun())
            step = self._share.step(view, self._ready(), shun)
            if step.take or step.word != self._word:
                view = await self._membership.hold(step.word, step.take, step.room)
                self._word = step.word
        except SplitOtherwise as error:
            self._wanted = set()
            self._reminders.log("split_otherwise", "", f"{error.message}; {error.hint}")
        except ForeignKey as error:
            if not self.knows:
                raise
            self._cannot_see(error, str(error))
        except TROUBLE as error:
            if not (self.knows or passes(error)):
                raise unavailable(error) from error
            self._cannot_see(error, f"{said(error)}: {hint_on(error)}")
        else:
            self.knows = True
            self.part = max(1, len(view.holders) // len(view.members))
            held = {s for s, holder in enumerate(view.holders) if holder == self._membership.name}
            self._tell(held, step.take)
            self._wanted = (held - shun | set(step.prepare)) - set(step.give_up)
            lapses_s = self._membership.lapses_ms / 1000 + _LEAST_S
            return max(_LEAST_S, min(_MOVING_S if view.moving else HOLD_S, lapses_s))
        return HOLD_S

    def _cannot_see(self, error: Exception, why: str) -> None:
        # What is served here goes on: its leases tell whether it may.
        self._reminders.log("members_unknown", type(error).__name__, f"cannot see who shares: {why}")

    def _tell(self, held: Collection[int], take: Collection[int]) -> None:
        if foreign := [str(ForeignKey(*one)) for one in self._membership.foreign.items()]:
            self._reminders.log("foreign_key", "", f"shards that nobody can serve: {'; '.join(foreign)}")
        taken = sorted(set(take) & set(held))
        if taken:
            logger.bind(event="shards_taken", shards=taken).info(
                "taking {} of the shards: {}", len(taken), taken
            )

    async def _leave(self) -> None:
        try:
            async with asyncio.timeout(_GOODBYE_S):
                await self._membership.leave()
        except (LivecacheError, TimeoutError, *TROUBLE):
            pass  # They notice.
