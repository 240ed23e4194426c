"""Presence: what tells readers that somebody writes. The alive keys, the feed's hash, the set of series."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from ..core.series import SeriesId
from .keyspace import AliveRecord, Keyspace, encode_alive
from .lease import batched
from .scripts import RedisLike, Script, send

__all__ = ["ALIVE_MS", "Alive", "Presence"]

ALIVE_MS = 10_000
"""An alive key expires this long after its last renewal: then nobody vouches."""

_KEYS_A_CALL = 200

# KEYS: alive keys. ARGV: PX, then their values. Keys of another type are left alone.
_VOUCH = Script("""
for i, key in ipairs(KEYS) do
  local kind = redis.call('TYPE', key)
  kind = type(kind) == 'table' and kind.ok or kind
  if kind == 'string' or kind == 'none' then
    redis.call('SET', key, ARGV[i + 1], 'PX', ARGV[1])
  end
end
return #KEYS
""")

# KEYS: alive keys. ARGV: the start of every value that this instance writes. Removes those, and no other's.
_RETRACT = Script("""
for _, key in ipairs(KEYS) do
  local kind = redis.call('TYPE', key)
  if (type(kind) == 'table' and kind.ok or kind) == 'string' then
    if string.sub(redis.call('GET', key), 1, #ARGV[1]) == ARGV[1] then redis.call('DEL', key) end
  end
end
return #KEYS
""")

# KEYS: the set of series, the lease. ARGV: our lease, then the members: afterwards the set holds exactly
# these. Returns 1, or "FENCED" and has changed nothing.
_ANNOUNCE = Script("""
local unpack = unpack or table.unpack
if redis.call('GET', KEYS[2]) ~= ARGV[1] then return 'FENCED' end
redis.call('DEL', KEYS[1])
for first = 2, #ARGV, 1000 do
  redis.call('SADD', KEYS[1], unpack(ARGV, first, math.min(first + 999, #ARGV)))
end
return 1
""")


class Alive(NamedTuple):
    """What the alive keys may say now: the venue's time (Unix ms), "up" or "down" for each symbol's feed."""

    time: int
    feed: Mapping[str, str]


class Presence:
    """Writes those keys for one instance. When is the writer's to decide; Redis's errors pass through."""

    def __init__(
        self,
        redis: RedisLike,
        keys: Keyspace,
        series: Sequence[SeriesId],
        instance: str,
        *,
        announced: Sequence[SeriesId],
        cluster: bool,
    ) -> None:
        self._redis = redis
        self._keys = keys
        self._announced = tuple(announced)
        self._instance = instance
        self._symbol_of = {keys.alive(s.symbol): s.symbol for s in series}
        named = ((symbol, key) for key, symbol in self._symbol_of.items())
        self._batches = batched(named, _KEYS_A_CALL, cluster=cluster)

    async def announce(self, lease: str) -> None:
        """Make the set of series say exactly what is configured, if `lease` is still the lease's value."""
        members = [self._keys.series_member(series) for series in self._announced]
        await _ANNOUNCE.run(self._redis, [self._keys.series, self._keys.lease], [lease, *members])

    async def vouch(self, alive: Alive, status: Mapping[str, str]) -> None:
        """Renew every symbol's alive key, and the feed's hash."""
        for batch in self._batches:
            symbols = [self._symbol_of[key] for key in batch]
            values = [self._value(alive.time, alive.feed.get(symbol, "down")) for symbol in symbols]
            await _VOUCH.run(self._redis, batch, [ALIVE_MS, *values])
        pairs = [text for pair in status.items() for text in pair]
        await send(self._redis, "HSET", self._keys.feed, *pairs)

    async def retract(self) -> None:
        """Remove this instance's alive keys, so that readers know at once."""
        ours = self._value(0, "").split(',"time"')[0] + ","
        for batch in self._batches:
            await _RETRACT.run(self._redis, batch, [ours])

    def _value(self, time: int, feed: str) -> str:
        return encode_alive(AliveRecord(self._instance, time, feed))
