"""Keeps this process's part of a venue's shards: says that it lives, and begins and ends what serves each."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Collection, Coroutine
from typing import Any

from msgspec.structs import replace

from ..clock import Clock
from ..errors import ForeignKey, LivecacheError
from ..quiet import logger
from ..repeats import Repeats
from ..wire.refusals import hint_on, passes, said, unavailable
from ..wire.trouble import TROUBLE
from .hold import Membership, SplitOtherwise
from .plan import Share, View, Word

__all__ = ["DIFFER_S", "HOLD_S", "Serve", "Sharer"]

HOLD_S = 1.0
_MOVING_S = 0.25  # while a shard is handed over, which takes three words
_LEAST_S = 0.05
_GOODBYE_S = 1.0

DIFFER_S = 60.0
"""So long members may be configured to fill different series: they are reloaded, or started, one by one."""

Serve = Callable[[int], Coroutine[Any, Any, None]]
"""Serves a shard until cancelled, once its lease is free or claimed; ends by itself where it lost that."""


class Sharer:
    """One member. `ready` tells the shards that could be served at once; those to `shun` are not taken.

    `fills` is in short what is configured, of which all are to have the same; "" says nothing. `client` is
    the way to Redis for whoever reads.
    """

    def __init__(
        self,
        membership: Membership,
        clock: Clock,
        jitter: Callable[[], float],
        ready: Callable[[], Collection[int]],
        shun: Callable[[], Collection[int]] = tuple,
        fills: Callable[[], str] = str,
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
        self._fills = fills
        self._differ_s = math.inf  # since when another has something else configured
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
            self._word = replace(self._word, fills=self._fills())
            view = await self._membership.hold(self._word)
            shun = set(self._shun())
            step = self._share.step(view, self._ready(), shun)
            word = replace(step.word, fills=self._word.fills)
            if step.take or word != self._word:
                view = await self._membership.hold(word, step.take, step.room)
                self._word = word
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
            self._compare(view)
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

    def _compare(self, view: View) -> None:
        """Say so where another is configured to fill other series, and stays so."""
        words = {name: word.fills for name, word in view.members.items() if word.fills}
        others = sorted(name for name, fills in words.items() if self._word.fills not in ("", fills))
        now_s = self._clock.monotonic()
        self._differ_s = min(self._differ_s, now_s) if others else math.inf
        if now_s - self._differ_s >= DIFFER_S:
            self._reminders.log(
                "configured_otherwise",
                "",
                f"{', '.join(others)} and this process are configured with different symbols or timeframes:"
                " what one alone has is filled by nobody while another holds its shard; give all the same",
            )

    async def _leave(self) -> None:
        try:
            async with asyncio.timeout(_GOODBYE_S):
                await self._membership.leave()
        except (LivecacheError, TimeoutError, *TROUBLE):
            pass  # They notice.
