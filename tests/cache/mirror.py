"""Two servers as one: every command goes to fakeredis and to a real one, and they have to agree."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

from redis.exceptions import ConnectionError, RedisError

from livecache.keys.keyspace import Damaged, Keyspace, decode_lease

# All that a server holds, in one round trip: for each key its name, its type, whether it has a time limit,
# and its content.
_CONTENTS = """
local found = {}
for i, key in ipairs(redis.call('KEYS', '*')) do
  local kind = redis.call('TYPE', key)
  kind = type(kind) == 'table' and kind.ok or kind
  local content
  if kind == 'zset' then content = redis.call('ZRANGE', key, 0, -1, 'WITHSCORES')
  elseif kind == 'hash' then content = redis.call('HGETALL', key)
  elseif kind == 'set' then content = redis.call('SMEMBERS', key)
  elseif kind == 'stream' then content = redis.call('XRANGE', key, '-', '+')
  elseif kind == 'string' then content = redis.call('GET', key)
  else content = redis.call('LRANGE', key, 0, -1) end
  found[i] = { key, kind, redis.call('PTTL', key) >= 0 and 1 or 0, content }
end
return found
"""

# Keys whose time limit is a real one: moves the limit to where it is never reached, and tells what it was.
_NEW_LIMITS = """
local found = {}
for _, key in ipairs(redis.call('KEYS', '*')) do
  local left = redis.call('PTTL', key)
  if left >= 0 and left < ARGV[1] / 2 then
    redis.call('PEXPIRE', key, ARGV[1])
    found[#found + 1] = { key, left }
  end
end
return found
"""
_NEVER_MS = 100_000_000
_READS = ("GET", "INFO", "CONFIG", "TIME", "PTTL")

__all__ = ["Connection", "Mirror", "VirtualClock"]

_START_S = 1_753_056_000.0
_TICK_S = 1.0
_QUIET_TURNS = 12


class VirtualClock:
    """Time that passes only when told. Sleepers wake in order; nobody waits for real."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self._sleepers: list[tuple[float, asyncio.Event]] = []

    def monotonic(self) -> float:
        return self.now_s

    def wall(self) -> float:
        return _START_S + self.now_s

    async def sleep(self, seconds: float) -> None:
        woken = asyncio.Event()
        self._sleepers.append((self.now_s + seconds, woken))
        await woken.wait()

    def move(self, seconds: float) -> None:
        """Let so much time pass, and wake whom it is up for."""
        self.now_s += seconds
        for at_s, woken in self._sleepers:
            if at_s <= self.now_s:
                woken.set()
        self._sleepers = [sleeper for sleeper in self._sleepers if not sleeper[1].is_set()]


class Mirror:
    """Both servers. Their time is the virtual clock's: it ages what expires, and answers TIME."""

    def __init__(self, fake: Any, real: Any, clock: VirtualClock, keys: Keyspace) -> None:
        self.fake = fake
        self.real = real
        self.clock = clock
        self.keys = keys
        self.commands = 0
        self._ends_s: dict[bytes, float] = {}

    def execute(self, *command: Any) -> Any:
        """One command on both, and the reply on which they agree; the error, if they agree on one."""
        self.commands += 1
        if command[0] == "TIME":
            now_s = self.clock.wall()
            return [int(now_s), int(now_s % 1 * 1e6)]
        if command[0] in ("INFO", "CONFIG"):  # of the server itself, not of what it holds
            return self.real.execute_command(*command)
        mine, theirs = _outcome(self.fake, command), _outcome(self.real, command)
        assert _comparable(mine) == _comparable(theirs), f"{command}: fakeredis {mine}, the server {theirs}"
        if isinstance(theirs, Exception):
            raise theirs
        return theirs

    def both(self) -> tuple[Any, Any]:
        """The two clients, for what a test does behind the writers' backs."""
        return self.fake, self.real

    def note_limits(self) -> None:
        """From now on the virtual clock decides when those keys expire that were just given a time limit."""
        for key, left_ms in self.real.eval(_NEW_LIMITS, 0, _NEVER_MS):
            self._ends_s[key] = self.clock.now_s + -(-left_ms // 1000)
            self.fake.pexpire(key, _NEVER_MS)

    def age(self) -> None:
        """What has come to the end of its time is gone."""
        for key in [key for key, end_s in self._ends_s.items() if end_s <= self.clock.now_s]:
            del self._ends_s[key]
            for client in self.both():
                if client.pttl(key) >= 0:
                    client.delete(key)

    def contents(self, client: Any | None = None) -> dict[str, Any]:
        """What one server holds: of each key its content, and whether it has a time limit."""
        found = (client or self.real).eval(_CONTENTS, 0)
        return {key.decode(): (_content(kind, raw), limited == 1) for key, kind, limited, raw in found}

    def holder(self) -> str:
        """The instance whose lease it is; "" while it is nobody's."""
        try:
            raw = self.real.get(self.keys.lease)
            return decode_lease(raw).instance if raw else ""
        except (Damaged, RedisError):
            return ""

    async def quiet(self) -> None:
        """Let everybody work until nobody has anything to send."""
        turns, before = 0, self.commands
        while turns < _QUIET_TURNS:
            await asyncio.sleep(0)
            turns = turns + 1 if self.commands == before else 0
            before = self.commands

    async def pass_time(self, seconds: float) -> None:
        """Let time pass in small steps, with everybody at work in each."""
        for _ in range(int(seconds / _TICK_S)):
            self.clock.move(_TICK_S)
            self.age()
            await self.quiet()


class Connection:
    """One instance's connection to both servers, which can be stopped and cut.

    `inspect` is called with every command that changed anything: its name, and what was held before it.
    """

    def __init__(self, mirror: Mirror, inspect: Callable[[dict[str, Any]], None]) -> None:
        self._mirror = mirror
        self._inspect = inspect
        self._going = asyncio.Event()
        self._going.set()
        self.cut = ""
        """ "before" or "after" the server has done its work, the next command fails."""

    def stop(self) -> None:
        """As SIGSTOP does it: the next command is sent when the process goes on."""
        self._going.clear()

    def go_on(self) -> None:
        self._going.set()

    async def execute_command(self, *command: Any) -> Any:
        await asyncio.sleep(0)
        await self._going.wait()
        cut, self.cut = self.cut, ""
        if cut == "before":
            raise ConnectionError("cut before the command arrived")
        if command[0] in _READS:
            reply = self._mirror.execute(*command)
        else:
            before = self._mirror.contents()
            reply = self._mirror.execute(*command)
            self._mirror.note_limits()
            self._inspect(before)
        if cut == "after":
            raise ConnectionError("cut before the answer arrived")
        return reply


def _outcome(client: Any, command: Iterable[Any]) -> Any:
    try:
        return client.execute_command(*command)
    except RedisError as error:
        return error


def _comparable(reply: Any) -> Any:
    if isinstance(reply, Exception):
        return type(reply)
    match reply:
        case [bytes(held), int(left_ms)]:  # whose the lease is, and for how long: milliseconds may differ
            return [held, left_ms > 0]
        case list():
            # An audit compares digests only where a script can make them; the double cannot.
            return [each for each in reply if not (isinstance(each, list) and each[1:] == [b"content"])]
    return reply


def _content(kind: bytes, raw: Any) -> Any:
    match kind:
        case b"zset":
            return list(zip(raw[::2], map(float, raw[1::2]), strict=True))
        case b"hash":
            return dict(zip(raw[::2], raw[1::2], strict=True))
        case b"set":
            return set(raw)
        case b"stream":
            return [fields for _, fields in raw]  # Each server numbers its entries by its own clock.
    return raw
