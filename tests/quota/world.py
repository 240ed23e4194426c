"""Members that share a budget over a real server, in virtual time."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import redis

from livecache.engine.limiter import Limiter, Urgency
from livecache.engine.venue_time import VenueTime
from livecache.keys.keyspace import Keyspace
from livecache.model.budget import NOTHING, Budget, Costs
from livecache.quota.quota import Quota
from tests.simulation.virtual import VirtualClock, run_virtually

from .members import PACED

__all__ = ["BEGAN_S", "KEYS", "World", "all_of", "asking", "now", "played"]

KEYS = Keyspace("t", "v")
BEGAN_S = 1_700_000_000


class Store:
    """A real server by virtual time: half a millisecond away, and to be lost."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self.lost = ""
        self.calls = 0

    async def execute_command(self, *args: Any) -> Any:
        await asyncio.sleep(0.0005)
        if self.lost == "refuses":
            raise redis.ConnectionError("gone")
        while self.lost:
            await asyncio.sleep(3600)
        self.calls += 1
        if args[0] in ("EVALSHA", "EVAL"):
            now = 3 + args[2]
            us = round((BEGAN_S + asyncio.get_running_loop().time()) * 1e6)
            args = *args[:now], us, *args[now + 1 :]
        return self.client.execute_command(*args)


class Clock(VirtualClock):
    """Whose timers are late by chance."""

    def __init__(self, late_s: float = 0.0) -> None:
        super().__init__(wall_s=1_000.0)
        self._late_s = late_s

    async def sleep(self, seconds: float) -> None:
        await super().sleep(seconds + (random.random() * self._late_s if seconds > 0 else 0))


@dataclass
class World:
    """Members over one server, and what they have sent: when, of which class, after how long, by whom."""

    store: Store
    sent: list[tuple[float, Urgency, float, str]] = field(default_factory=list)

    @asynccontextmanager
    async def member(
        self, name: str, budgets: Sequence[Budget] = PACED, late_s: float = 0.0
    ) -> AsyncIterator[Limiter]:
        clock = Clock(late_s)
        quota = Quota(self.store, KEYS, "address", name, clock)
        limiter = Limiter(budgets, VenueTime(clock), random.random, quota)
        limiter.shares.clear()
        sharing = asyncio.create_task(limiter.share(), name=name)
        try:
            yield limiter
        finally:
            sharing.cancel()
            await asyncio.wait([sharing])
            await limiter.leave()

    async def asks(
        self, limiter: Limiter, name: str, seconds: float, urgency: Urgency, per_s: float = 0.0,
        costs: Costs = NOTHING,
    ) -> None:  # fmt: skip
        """So many requests a second; 0: always another one."""
        until = now() + seconds

        async def one() -> None:
            began = now()
            ticket = await limiter.acquire(urgency, costs)
            self.sent.append((ticket.started, urgency, ticket.started - began, name))
            limiter.heard(ticket, object())

        async with asyncio.TaskGroup() as requests:
            while now() < until:
                if per_s:
                    await asyncio.sleep(random.expovariate(per_s))
                    requests.create_task(one(), name=name)
                else:
                    await one()

    def starts(self, since: float = 0.0, until: float = 1e9) -> list[float]:
        return sorted(at for at, *_ in self.sent if since <= at < until)

    def rate(self, since: float, until: float) -> float:
        return len(self.starts(since, until)) / (until - since)


def now() -> float:
    return asyncio.get_running_loop().time()


def played(url: str, scenario: Any, seed: int = 5) -> World:
    """What was sent in it, in virtual time."""
    random.seed(seed)
    with redis.Redis.from_url(url) as client:
        client.flushall()
        world = World(Store(client))

        async def run() -> None:
            await scenario(world)

        run_virtually(run())
        return world


async def all_of(*each: Coroutine[Any, Any, None]) -> None:
    async with asyncio.TaskGroup() as tasks:
        for n, one in enumerate(each):
            tasks.create_task(one, name=str(n))


async def asking(world: World, name: str, seconds: float, late_s: float = 0.0) -> None:
    """A member that always has something deep to ask for, and now and then something urgent."""
    async with world.member(name, late_s=late_s) as limiter:
        await all_of(
            world.asks(limiter, name, seconds, Urgency.HISTORY),
            world.asks(limiter, name, seconds, Urgency.LIVE, 0.6),
        )
