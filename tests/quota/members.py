"""Members that ask a venue without a pause, in this process or, as a command, each in its own.

Such a command says that it is loaded, and begins once it is told a line.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from livecache.clock import SystemClock
from livecache.engine.limiter import Limiter, Urgency
from livecache.engine.venue_time import VenueTime
from livecache.keys.keyspace import Keyspace
from livecache.model.budget import Budget, Spacing
from livecache.quota.quota import Quota
from livecache.wire.connecting import client_for

__all__ = ["PER_S", "Sent", "ask", "limiter_of", "most_in", "store_of"]

PER_S = 9.5
ALWAYS = 100.0
"""Requests a second of a class that always has something to ask for; 1,000: ten things at once."""

PACED = (Spacing("requests", PER_S, yields=True),)


class Sent(NamedTuple):
    """A request: when it started (monotonic seconds), of which class, and how long it had waited."""

    at: float
    urgency: int
    waited_s: float


def store_of(url: str) -> Any:
    """A client as the service has it."""
    options: dict[str, Any] = {"socket_timeout": 2.5, "socket_connect_timeout": 2.5}
    return client_for(redis.asyncio, url, retry=Retry(NoBackoff(), 0), **options)


def limiter_of(store: Any, name: str, budgets: Sequence[Budget] = PACED) -> Limiter:
    """The limiter of a member of that name."""
    clock = SystemClock()
    quota = Quota(store, Keyspace("t", "v"), "address", name, clock)
    limiter = Limiter(budgets, VenueTime(clock), random.random, quota)
    limiter.shares.clear()
    return limiter


async def ask(limiter: Limiter, seconds: float, mix: Mapping[Urgency, float]) -> list[Sent]:
    """What it sends in so long; so many requests a second of each class come by themselves."""
    sent: list[Sent] = []
    until = time.monotonic() + seconds

    async def one(urgency: Urgency) -> None:
        began = time.monotonic()
        ticket = await limiter.acquire(urgency)
        sent.append(Sent(ticket.started, urgency, time.monotonic() - began))
        limiter.heard(ticket, object())

    async def flow(urgency: Urgency, per_s: float, requests: asyncio.TaskGroup) -> None:
        if per_s >= ALWAYS:
            await one(urgency)  # one at least, however late it may
        while time.monotonic() < until:
            if per_s >= ALWAYS:
                await one(urgency)
            else:
                await asyncio.sleep(random.expovariate(per_s))
                requests.create_task(one(urgency), name=urgency.name)

    async with asyncio.TaskGroup() as helpers:
        sharing = helpers.create_task(limiter.share(), name="quota")
        async with asyncio.TaskGroup() as flows:
            for urgency, per_s in mix.items():
                for _ in range(max(1, int(per_s / ALWAYS))):
                    flows.create_task(flow(urgency, per_s, flows), name=urgency.name)
        sharing.cancel()
        await asyncio.wait([sharing])
    await limiter.leave()
    return sent


def most_in(times: Sequence[float], length_s: float = 1.0) -> int:
    """The most of these within any time so long."""
    times, most, first = sorted(times), 0, 0
    for last, at in enumerate(times):
        while times[first] <= at - length_s:
            first += 1
        most = max(most, last - first + 1)
    return most


async def _main(url: str, name: str, seconds: float, mix: Mapping[Urgency, float]) -> None:
    print("loaded", flush=True)
    sys.stdin.readline()
    store = store_of(url)
    limiter = limiter_of(store, name)
    sent = await ask(limiter, seconds, mix)
    await store.aclose()
    assert limiter.quota is not None
    print(json.dumps({"sent": sent, "asks": limiter.quota.asks, "fallbacks": limiter.quota.fallbacks}))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("name")
    parser.add_argument("seconds", type=float)
    parser.add_argument("mix", help="requests a second of each class, the most urgent first, by commas")
    given = parser.parse_args()
    mix = {u: float(each) for u, each in zip(Urgency, given.mix.split(","), strict=True) if float(each)}
    asyncio.run(_main(given.url, given.name, given.seconds, mix))
