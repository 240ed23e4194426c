"""The members of a venue that is split into shards: who lives, and who holds which lease."""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

from ..errors import ForeignKey, LivecacheError
from ..keys.keyspace import UNDECODABLE, Keyspace, LeaseRecord, encode_lease, holder_of
from ..wire.scripts import COMMON, RedisLike, Script, text_of
from ..write.lease import LASTS, LEASE_MS
from .plan import View, Word

__all__ = ["MEMBER_MS", "Membership", "SplitOtherwise"]

MEMBER_MS = 4_000
"""A member that says nothing for so long is none: before its leases lapse, so that others know their part."""

# KEYS: the venue's lease, the members' hash, the shards' leases. ARGV: what the venue's lease is to hold; PX;
# this member; for how long it is one, 0: it leaves; its word; then what a claimed lease is to hold, how many
# are claimed, and of which that are free, as places among KEYS. Nobody's lease is touched but a free one.
# A member that is to live for longer than any said so by a clock that was set back since, as by a failover.
# Who leaves gives back what it has claimed and nobody has taken.
# Returns what the venue's lease holds, if that is another's: of one that fills the venue unsplit, or split
# otherwise. Or a key of the first two that is of another type, and which. Else the server's time in ms; of
# each shard its lease, the ms it lasts, and its type if that is another; members and their words in turn.
_HOLD = Script(
    COMMON
    + LASTS
    + """
local whole = value_of(KEYS[1])
if type(whole) == 'table' then return { KEYS[1], type_of(KEYS[1]) } end
if whole and whole ~= ARGV[1] then return whole end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local kind = type_of(KEYS[2])
if kind ~= 'hash' and kind ~= 'none' then return { KEYS[2], kind } end
if ARGV[4] == '0' then
  redis.call('HDEL', KEYS[2], ARGV[3])
  for i = 3, #KEYS do
    if value_of(KEYS[i]) == ARGV[6] then redis.call('DEL', KEYS[i]) end
  end
else
  redis.call('HSET', KEYS[2], ARGV[3], string.format('%.0f ', now + ARGV[4]) .. ARGV[5])
end
local members, live = redis.call('HGETALL', KEYS[2]), {}
for i = 1, #members, 2 do
  local ends, word = string.match(members[i + 1], '^(%d+) (.*)$')
  local left = ends and tonumber(ends) - now or 0
  if left > 0 and left <= FAR_MS then
    live[#live + 1], live[#live + 2] = members[i], word
  else
    redis.call('HDEL', KEYS[2], members[i])
  end
end
if #live == 0 then
  redis.call('DEL', KEYS[1])
else
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
end
local room = tonumber(ARGV[7])
for i = 8, #ARGV do
  if room > 0 and not value_of(KEYS[tonumber(ARGV[i])]) then
    room = room - 1
    redis.call('SET', KEYS[tonumber(ARGV[i])], ARGV[6], 'PX', ARGV[2])
  end
end
local leases = {}
for i = 3, #KEYS do
  local held = value_of(KEYS[i])
  if type(held) == 'table' then
    leases[#leases + 1] = { '', 0, type_of(KEYS[i]) }
  else
    leases[#leases + 1] = { held or '', held and lasts(KEYS[i], ARGV[2]) or 0, '' }
  end
end
return { now, leases, live }
""".replace("FAR_MS", str(2 * MEMBER_MS))
)


class SplitOtherwise(LivecacheError):
    """The venue is filled unsplit, or in another number of shards: both would fence each other for ever."""

    def __init__(self, holder: str, shards: int) -> None:
        super().__init__(
            f"{holder} fills this venue, and not as one of {shards} shards",
            "stop all that fill it before its `shards` change; this one waits meanwhile",
        )


class Membership:
    """One member of those that share a venue. Redis's errors pass through."""

    def __init__(self, redis: RedisLike, keys: Keyspace, shards: int, name: str) -> None:
        self.name = name
        self._redis = redis
        self.keys = keys
        self._keys = [keys.lease, keys.members, *map(keys.lease_of, range(shards))]
        self._whole = encode_lease(LeaseRecord(f"a service in {shards} shards", 0, shards))
        self._claim = encode_lease(LeaseRecord(name, 0))
        self.lapses_ms: float = math.inf
        """For how long the lease of the first that is none of the members lasts, as of the last view."""
        self.foreign: dict[str, str] = {}
        """The leases of shards that are of another type, as of the last view, and of which."""

    async def hold(self, word: Word, claim: Sequence[int] = (), room: int = 0) -> View:
        """Say that this member lives, claim the first `room` of these that are free, and look who has which.

        Raises `SplitOtherwise`, and `ForeignKey` where the venue's lease or the members' hash is no such key.
        """
        return await self._call(MEMBER_MS, word, room, claim)

    async def leave(self) -> None:
        """It is none any more. What it has only claimed is free; what was taken is given up elsewhere."""
        await self._call(0, Word(), 0, ())

    async def _call(self, lives_ms: int, word: Word, room: int, claim: Sequence[int]) -> View:
        told: list[str | int] = [
            self._whole,
            LEASE_MS,
            self.name,
            lives_ms,
            msgspec.json.encode(word).decode(),
            self._claim,
        ]
        reply = await _HOLD.run(self._redis, self._keys, [*told, room, *(shard + 3 for shard in claim)])
        if not isinstance(reply, list):
            raise SplitOtherwise(holder_of(reply) or "something else", len(self._keys) - 2)
        if len(reply) == 2:
            raise ForeignKey(*map(text_of, reply))
        now, leases, live = reply
        names, words = map(text_of, live[::2]), map(_word, live[1::2])
        members = dict(zip(names, words, strict=True))
        kinds = zip(self._keys[2:], (text_of(kind) for *_, kind in leases), strict=True)
        self.foreign = {key: kind for key, kind in kinds if kind}
        holders = [(holder_of(held) or "another") if held or kind else "" for held, _, kind in leases]
        lapsing = (
            int(ms) for who, (held, ms, _) in zip(holders, leases, strict=True) if held and who not in members
        )
        self.lapses_ms = min(lapsing, default=math.inf)
        return View(int(now), holders, members)


def _word(raw: bytes | str) -> Word:
    """What another has said; nothing where that cannot be understood."""
    try:
        return msgspec.json.decode(raw, type=Word)
    except UNDECODABLE:
        return Word()
