"""A real server with the shipped scripts, seen through connections that break, in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from random import Random
from typing import Any

import redis
from redis.exceptions import ConnectionError, ReadOnlyError

from livecache.keys.keyspace import Keyspace
from livecache.write.lease import LEASE_MS
from livecache.write.presence import ALIVE_MS

from .faults import Fault, Kind
from .virtual import BlockingRedis

__all__ = ["Connection", "Store"]


class Store:
    """The server that all processes of a run share.

    The server's own clock stands still compared with the run's, so keys that expire are removed here, when
    the run's time has come.
    """

    def __init__(self, client: redis.Redis, keys: Keyspace, now_s: Callable[[], float]) -> None:
        self.client = client
        self.keys = keys
        self.now_s = now_s
        self.commands = 0
        self.is_full = False
        self._redis = BlockingRedis(client)
        self._expires: dict[str, float] = {}
        self._saved: list[dict[bytes, bytes]] = []

    def command(self, *args: Any) -> Any:
        """Run a command, after what has expired is gone."""
        self.expire()
        self.commands += 1
        reply = self._redis.send(*args)
        if args[0] in ("EVALSHA", "EVAL") and args[2]:
            self._note_renewal(args[3 : 3 + args[2]], args[3 + args[2] :], reply)
        return reply

    def close(self) -> None:
        """Disconnect."""
        self._redis.close()

    def expire(self) -> None:
        """Remove the keys whose time has come."""
        now_s = self.now_s()
        for key in [key for key, at_s in self._expires.items() if now_s >= at_s]:
            del self._expires[key]
            self.client.delete(key)

    def let_expire(self, key: str, seconds: float) -> None:
        """Have a key expire, as EXPIRE would: of a key that is not there, nothing does."""
        if self.client.exists(key):
            self._expires[key] = self.now_s() + seconds

    def persist(self, key: str) -> None:
        """The key was written anew, or made to stay."""
        self._expires.pop(key, None)

    def full(self, is_full: bool) -> None:
        """Have the server refuse what needs memory, as it really does."""
        if is_full != self.is_full:
            self.client.config_set("maxmemory", "1" if is_full else "0")
            self.is_full = is_full

    def save(self) -> None:
        """Keep a copy of everything, as a snapshot on disk would be."""
        everything: Any = self.client.keys()
        names = [k for k in everything if not k.endswith((b":alive", b":lease"))]
        self._saved = [*self._saved[-1:], {k: d for k in names if (d := self.client.dump(k))}]

    def roll_back(self) -> bool:
        """Come back with an older copy; False if there is none."""
        if not self._saved:
            return False
        self.client.flushall()
        self._expires.clear()
        for key, dump in self._saved[0].items():
            self.client.restore(key, 0, dump)
        return True

    def _note_renewal(self, keys: Any, args: Any, reply: Any) -> None:
        if isinstance(reply, bytes) or reply == 0:
            return
        alive_s, lease_s = ALIVE_MS / 1000, LEASE_MS / 1000
        if ALIVE_MS in args and all(isinstance(k, str) for k in keys):
            for key in keys:
                if key.endswith(":alive"):
                    self._expires[key] = self.now_s() + alive_s
        elif self.keys.lease in keys and LEASE_MS in args and reply == 1:
            self._expires[self.keys.lease] = self.now_s() + lease_s


class Connection:
    """One process's way to the server."""

    def __init__(self, store: Store, runs: asyncio.Event, active: list[Fault], random: Random) -> None:
        self._store = store
        self._runs = runs
        self._active = active
        self._random = random
        self.left: int | None = None  # commands until the process stops dead
        self.dead = asyncio.Event()

    async def execute_command(self, *args: Any) -> Any:
        """Send one command, or raise what redis-py raises."""
        await self._runs.wait()
        await self._maybe_die()
        for fault in self._active:
            if fault.kind is Kind.REDIS_AWAY:
                raise ConnectionError("the server is away")
            if fault.kind is Kind.REDIS_REFUSES and fault.what == "READONLY" and args[0] != "TIME":
                raise ReadOnlyError("You can't write against a read only replica.")
            if fault.kind is Kind.REDIS_CUT and self._random.random() < fault.amount:
                if self._random.random() < 0.5:
                    self._store.command(*args)
                raise ConnectionError("the connection was lost")
        reply = self._store.command(*args)
        await self._maybe_die()
        return reply

    async def _maybe_die(self) -> None:
        if self.left is None:
            return
        self.left -= 1
        if self.left < 0:
            self.dead.set()
            await asyncio.Event().wait()  # until it is cancelled
