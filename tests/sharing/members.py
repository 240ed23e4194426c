"""Processes that share a venue, in virtual time: shipped scripts, and for each shard a lease."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any, NamedTuple

from redis.exceptions import ConnectionError

from livecache.keys.keyspace import Keyspace
from livecache.model.timeframe import Timeframe
from livecache.sharing.hold import Membership
from livecache.sharing.sharer import Sharer
from livecache.write.lease import RENEW_S, Fenced, Lease, Overtaken

__all__ = ["SHARDS", "Member", "Venue", "Write"]

SHARDS = 12
STARTS_S = 2.0  # an engine, from its beginning to its place in line
FLUSHES_S = 0.2


class Write(NamedTuple):
    """What was written under the lease of a shard; `at_s` is virtual."""

    at_s: float
    shard: int
    name: str
    token: int


class Venue:
    """The server, and what was written there."""

    def __init__(self, fake: Any, shards: int = SHARDS) -> None:
        self.fake = fake
        self.shards = shards
        self.keys = Keyspace("sim", "venue")
        self.writes: list[Write] = []
        self.members: list[Member] = []
        self.set_back_s = 0.0  # the server's clock

    def join(self, name: str, fills: str = "") -> Member:
        """Another process starts, that is configured so."""
        member = Member(self, name, fills)
        self.members.append(member)
        return member

    def holders(self) -> list[str]:
        """Who has written each shard within the last second."""
        now_s, found = asyncio.get_running_loop().time(), [""] * self.shards
        for write in reversed(self.writes):
            if write.at_s < now_s - 1.0:
                break
            found[write.shard] = found[write.shard] or write.name
        return found

    def counts(self) -> list[int]:
        """How many shards each of those that live holds, the fewest first."""
        held = Counter(self.holders())
        return sorted(held[member.name] for member in self.members if member.lives)

    async def until(self, happened: Callable[[], bool], within_s: float) -> float:
        """Let time pass until that has happened; how long it took."""
        began_s = asyncio.get_running_loop().time()
        async with asyncio.timeout(within_s):
            while not happened():
                await asyncio.sleep(0.05)
        return asyncio.get_running_loop().time() - began_s

    def held(self) -> bool:
        """Whether every shard is written by somebody that lives."""
        return set(self.holders()) <= {member.name for member in self.members if member.lives}

    def balanced(self) -> bool:
        """Whether all are held, and nobody holds two more than another."""
        return self.held() and self.counts()[-1] - self.counts()[0] < 2

    def moves(self, since_s: float = 0.0) -> list[Write]:
        """The first write of each holder of a shard but its first one."""
        last: dict[int, str] = {}
        found = []
        for write in self.writes:
            if last.get(write.shard, write.name) != write.name and write.at_s >= since_s:
                found.append(write)
            last[write.shard] = write.name
        return found

    def longest_gap_s(self, since_s: float) -> float:
        """The longest that any shard was not written since then."""
        now_s = asyncio.get_running_loop().time()
        gaps = []
        for shard in range(self.shards):
            times = [w.at_s for w in self.writes if w.shard == shard and w.at_s >= since_s]
            gaps += [b - a for a, b in zip([since_s, *times], [*times, now_s], strict=True)]
        return max(gaps)

    def check_one_holder(self) -> None:
        """A shard's tokens only rise, and each is one member's."""
        last: dict[int, tuple[int, str]] = {}
        for write in self.writes:
            before = last.get(write.shard, (0, ""))
            assert write.token > before[0] or (write.token, write.name) == before, (before, write)
            last[write.shard] = write.token, write.name


class Member:
    """One process. Its clock and its way to Redis stand still while it is paused."""

    def __init__(self, venue: Venue, name: str, fills: str = "") -> None:
        self.name = name
        self.fills = fills
        self.lives = True
        self._venue = venue
        self._runs = asyncio.Event()
        self._runs.set()
        self._in_line: set[int] = set()
        membership = Membership(self, Keyspace("sim", "venue"), venue.shards, name)
        self._sharer = Sharer(
            membership, self, Random(name).random, lambda: self._in_line, fills=lambda: self.fills
        )
        self._task = asyncio.create_task(self._sharer.run(self._serve), name=name)

    # --- its clock, and its way to Redis

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()

    def wall(self) -> float:
        return self.monotonic() + 1_700_000_000

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        await self._runs.wait()

    async def execute_command(self, *args: Any) -> Any:
        await self._runs.wait()
        await asyncio.sleep(0.001)
        if not self.lives:
            raise ConnectionError("it is dead")
        return self._venue.fake.execute_command(*args)

    # --- what becomes of it

    def pause(self) -> None:
        self._runs.clear()

    def wake(self) -> None:
        self._runs.set()

    async def kill(self) -> None:
        self.lives = False
        await self._end()

    async def stop(self) -> None:
        await self._end()
        self.lives = False

    async def _end(self) -> None:
        self._task.cancel()
        await asyncio.wait({self._task})

    async def _serve(self, shard: int) -> None:
        keys = self._venue.keys.of_shard(shard, self._venue.shards)
        state = keys.state(f"S{shard}", Timeframe.M1)
        lease = Lease(self, keys, self.name, [state], clock=self)
        try:
            await self.sleep(STARTS_S)
            self._in_line.add(shard)
            await lease.acquire()
            while True:
                try:
                    await self._keep(shard, lease, keys.lease, state)
                except Fenced:
                    await lease.acquire(gives_way=True)
        except Overtaken:
            pass
        except asyncio.CancelledError:
            if self.lives and lease.record:
                await self.sleep(FLUSHES_S)
                await lease.release()
            raise
        finally:
            self._in_line.discard(shard)

    async def _keep(self, shard: int, lease: Lease, key: str, state: str) -> None:
        while True:
            await lease.renew()
            for _ in range(2):
                self._write(shard, lease, key, state)
                await self.sleep(RENEW_S / 2)

    def _write(self, shard: int, lease: Lease, key: str, state: str) -> None:
        """As every script does: only under the lease that is there, and with a fence that is no smaller."""
        fake = self._venue.fake
        if fake.get(key) != lease.record.encode() or int(fake.hget(state, "fence") or 0) > lease.token:
            raise Fenced("another's")
        fake.hset(state, "fence", lease.token)
        self._venue.writes.append(Write(self.monotonic(), shard, self.name, lease.token))
