"""Presence: what tells readers that somebody writes. The alive keys, the feed's hash, the set of series."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ..keys.keyspace import RETIRED, AliveRecord, Keyspace, encode_alive
from ..model.series import SeriesId
from ..quiet import logger
from ..wire.scripts import COMMON, RedisLike, Script, text_of
from ..wire.spread import Call, grouped, is_apart, run_all
from .lease import Fenced, Lease

__all__ = ["ALIVE_MS", "Alive", "Presence"]

ALIVE_MS = 10_000
"""An alive key expires this long after its last renewal: then nobody vouches."""

_KEYS_A_CALL = 200

# KEYS: alive keys; then the lease. ARGV: PX, our lease, then the keys' values. PX 0 changes values only: no
# key lives longer, or anew, for it. Keys of another type are left alone. Returns those, each with its type;
# or "FENCED", and has changed nothing.
_VOUCH = Script(
    COMMON
    + """
if value_of(KEYS[#KEYS]) ~= ARGV[2] then return 'FENCED' end
local foreign = {}
for i = 1, #KEYS - 1 do
  local kind = type_of(KEYS[i])
  if kind == 'string' and ARGV[1] == '0' then
    redis.call('SET', KEYS[i], ARGV[i + 2], 'XX', 'KEEPTTL')
  elseif kind == 'string' or kind == 'none' then
    if ARGV[1] ~= '0' then redis.call('SET', KEYS[i], ARGV[i + 2], 'PX', ARGV[1]) end
  else
    foreign[#foreign + 1] = { KEYS[i], kind }
  end
end
return foreign
"""
)

# KEYS: the lease, the feed's hash; and the shard's own, where the venue is split. ARGV: our lease, then
# fields and values. Returns as _VOUCH does.
_DESCRIBE = Script(
    COMMON
    + """
if value_of(KEYS[1]) ~= ARGV[1] then return 'FENCED' end
local foreign = {}
for i = 2, #KEYS do
  local kind = type_of(KEYS[i])
  if kind == 'hash' or kind == 'none' then
    redis.call('HSET', KEYS[i], unpack(ARGV, 2))
  else
    foreign[#foreign + 1] = { KEYS[i], kind }
  end
end
return foreign
"""
)

# KEYS: alive keys. ARGV: the start of every value that this instance writes; how each of them is to end, or
# "" to remove it. No other instance's is touched, and none lives longer for it.
_LEAVE = Script(
    COMMON
    + """
for _, key in ipairs(KEYS) do
  local held = type_of(key) == 'string' and redis.call('GET', key)
  if held and string.sub(held, 1, #ARGV[1]) == ARGV[1] then
    if ARGV[2] == '' then
      redis.call('DEL', key)
    else
      redis.call('SET', key, string.gsub(held, '"feed":.*', ARGV[2]), 'XX', 'KEEPTTL')
    end
  end
end
return #KEYS
"""
)

# KEYS: the set of series, the lease, the feed's hash; then the set of venues, if it can be in one call with
# these: `_ENROL` is what is done to that where it cannot.
# ARGV: our lease, our venue, the order of symbols and that of timeframes, which a set has not and the hash
# tells; how many members there are to be; these, then those that are to go. They are added before others are
# removed, so that no reader finds a configured series unknown.
# Returns as _VOUCH does; else "OTHERS", and which other members there are.
_ANNOUNCE = Script(
    COMMON
    + """
if value_of(KEYS[2]) ~= ARGV[1] then return 'FENCED' end
local kind = type_of(KEYS[1])
if kind ~= 'set' and kind ~= 'none' then return { { KEYS[1], kind } } end
local wanted, others, last = {}, {}, 5 + ARGV[5]
for first = 6, last, 1000 do
  redis.call('SADD', KEYS[1], unpack(ARGV, first, math.min(first + 999, last)))
end
for i = 6, last do wanted[ARGV[i]] = true end
for i = last + 1, #ARGV do redis.call('SREM', KEYS[1], ARGV[i]) end
for _, member in ipairs(redis.call('SMEMBERS', KEYS[1])) do
  if not wanted[member] then others[#others + 1] = member end
end
kind = type_of(KEYS[3])
if kind == 'hash' or kind == 'none' then
  redis.call('HSET', KEYS[3], 'symbols', ARGV[3], 'timeframes', ARGV[4])
end
if KEYS[4] then
  kind = type_of(KEYS[4])
  if kind ~= 'set' and kind ~= 'none' then return { { KEYS[4], kind } } end
  redis.call('SADD', KEYS[4], ARGV[2])
end
return { 'OTHERS', others }
"""
)

# KEYS: the set of venues. ARGV: our venue. Returns as _VOUCH does.
_ENROL = Script(
    COMMON
    + """
local kind = type_of(KEYS[1])
if kind ~= 'set' and kind ~= 'none' then return { { KEYS[1], kind } } end
redis.call('SADD', KEYS[1], ARGV[1])
return {}
"""
)

# KEYS: states of series that nobody fills any more; then the lease. ARGV: our token, our lease, why. Readers
# are told so from now on. What the states say of candles that are settled stays, for whoever fills the series
# again. Returns 1, or "FENCED".
_RETIRE = Script(
    COMMON
    + """
if value_of(KEYS[#KEYS]) ~= ARGV[2] then return 'FENCED' end
for i = 1, #KEYS - 1 do
  if type_of(KEYS[i]) == 'hash' then
    local fence = fence_of(redis.call('HGET', KEYS[i], 'fence'))
    if fence and fence > tonumber(ARGV[1]) then return 'FENCED' end
    redis.call('HSET', KEYS[i], 'ready', '0', 'reason', ARGV[3], 'contiguous_from', '0',
      'settled_through', '0', 'known_through', '0', 'forming', '0', 'fence', ARGV[1], 'revision', '0')
  end
end
return 1
"""
)


class Alive(NamedTuple):
    """What the alive keys may say now: the venue's time (Unix ms), "up" or "down" for each symbol's feed.

    `renews`: the venue was heard since they said so last, so they live on; else they only say something else.
    """

    time: int
    feed: Mapping[str, str]
    renews: bool = True


class Presence:
    """Writes those keys for one instance. When is the writer's to decide; Redis's errors pass through.

    `lease` is needed in a cluster, where each symbol is guarded by its own fence.
    """

    def __init__(
        self,
        redis: RedisLike,
        keys: Keyspace,
        series: Sequence[SeriesId],
        instance: str,
        *,
        announced: Sequence[SeriesId],
        order: Sequence[str] = (),
        lease: Lease | None = None,
    ) -> None:
        self._redis = redis
        self._lease = lease
        self._keys = keys
        self._instance = instance
        self._symbol_of: dict[str, str] = {}
        self._announced: tuple[SeriesId, ...] = ()
        self._order: Sequence[str] = ()
        self.alive_keys: list[str] = []
        """Of all symbols."""
        self.change(series, announced, order)

    def change(
        self, series: Sequence[SeriesId], announced: Sequence[SeriesId], order: Sequence[str] = ()
    ) -> None:
        """Vouch for these from now on, and announce those. `order`: of all symbols, if there are others."""
        self._announced = tuple(announced)
        self._order = order or tuple(dict.fromkeys(one.symbol for one in announced))
        symbol_of = {self._keys.alive(s.symbol): s.symbol for s in series}
        self._symbol_of |= symbol_of  # One that is gone may be under way just now.
        self.alive_keys = list(symbol_of)

    async def announce(self, lease: str, token: int) -> dict[str, str]:
        """Make the set of series say exactly what is configured, if `lease` is still the lease's value.

        Of a venue that is split it does so for the shard alone. The feed's hash says in which order. Series
        that are not configured any more say so in their states before they leave the set, under the fence
        `token`.

        Returns the key if it is of another type, with that type. `Fenced` if the lease is another one.
        """
        members = [self._keys.series_member(series) for series in self._announced]
        keys, apart = [self._keys.series, self._keys.lease, self._keys.feed], is_apart(self._redis)
        if not apart:
            keys.append(self._keys.venues)
        timeframes = " ".join(dict.fromkeys(series.timeframe.value for series in self._announced))
        args: list[str | int] = [
            lease,
            self._keys.venue,
            " ".join(self._order),
            timeframes,
            len(members),
            *members,
        ]
        reply = await _ANNOUNCE.run(self._redis, keys, args)
        foreign = _foreign(reply)
        others = [] if foreign else [text_of(member) for member in reply[1]]
        if gone := [member for member in others if self._keys.owns(member.rpartition(":")[0])]:
            await self._retire(gone, lease, token)
            foreign = _foreign(await _ANNOUNCE.run(self._redis, keys, [*args, *gone]))
        if apart:
            foreign |= _foreign(await _ENROL.run(self._redis, [self._keys.venues], [self._keys.venue]))
        return foreign

    async def _retire(self, members: Sequence[str], lease: str, token: int) -> None:
        """Have readers of these series told that nobody fills them any more."""
        gone = sorted(series for member in members if (series := self._keys.parse_series(member)))
        states = {self._keys.state(s.symbol, s.timeframe): s.symbol for s in gone}
        if self._lease is not None and is_apart(self._redis):
            await self._lease.enter(states)
        calls = []
        for batch in grouped(self._redis, states, _KEYS_A_CALL, states.__getitem__):
            key, value = self._guard(states[batch[0]], lease)
            calls.append(Call(_RETIRE, [*batch, key], [token, value, RETIRED]))
        for outcome in await run_all(self._redis, calls):
            if isinstance(outcome, BaseException):
                raise outcome
            if outcome != 1:
                raise Fenced("the lease is not ours any more, or a newer writer has written")
        if gone:
            logger.bind(event="series_retired", series=members).info(
                "not configured any more, and readers are told: {} series; `livecache prune` removes them",
                len(gone),
            )

    async def vouch(self, alive: Alive, status: Mapping[str, str], lease: str) -> dict[str, str]:
        """Write the feed's hash and every symbol's alive key, if `lease` is still the lease's value.

        Returns the keys of another type, which were left alone, each with its type. `Fenced` if the lease is
        another one: then nothing was written. In a cluster only symbols that were entered are vouched for.
        """
        pairs = [text for pair in status.items() for text in pair]
        keys = [self._keys.lease, *dict.fromkeys((self._keys.feed, self._keys.own_feed))]
        calls = [Call(_DESCRIBE, keys, [lease, *pairs])]
        of: list[str] = [""]
        for batch in grouped(self._redis, self.alive_keys, _KEYS_A_CALL, self._symbol_of.__getitem__):
            symbols = [self._symbol_of[key] for key in batch]
            if self._lease is not None and not self._lease.holds(symbols[0]):
                continue
            values = [self._value(alive.time, alive.feed.get(symbol, "down")) for symbol in symbols]
            lives_ms = ALIVE_MS if alive.renews else 0
            key, value = self._guard(symbols[0], lease)
            calls.append(Call(_VOUCH, [*batch, key], [lives_ms, value, *values]))
            of.append(symbols[0])
        foreign: dict[str, str] = {}
        for symbol, outcome in zip(of, await run_all(self._redis, calls), strict=True):
            if symbol and self._lease is not None and is_apart(self._redis) and _is_fenced(outcome):
                self._lease.leave(symbol)
            elif not isinstance(outcome, BaseException):
                foreign |= _foreign(outcome)
        return foreign

    async def leave(self, *, for_good: bool) -> None:
        """Have this instance's alive keys say that it leaves, and live on for as long as they would have.

        Whoever comes within that time is not noticed by readers. `for_good`: they are removed instead.
        """
        ours = self._value(0, "").split(',"time"')[0] + ","
        told = encode_alive(AliveRecord(self._instance, 0, "down", leaving=True))
        end = "" if for_good else told[told.index('"feed"') :]
        groups = grouped(self._redis, self.alive_keys, _KEYS_A_CALL, self._symbol_of.__getitem__)
        await run_all(self._redis, [Call(_LEAVE, batch, [ours, end]) for batch in groups])

    def _guard(self, symbol: str, lease: str) -> tuple[str, str]:
        """The key that goes with what is written of a symbol, and what it has to hold."""
        apart = self._lease is not None and is_apart(self._redis)
        return self._lease.guard(symbol) if apart and self._lease else (self._keys.lease, lease)

    def _value(self, time: int, feed: str) -> str:
        return encode_alive(AliveRecord(self._instance, time, feed))


def _is_fenced(outcome: Any) -> bool:
    return not isinstance(outcome, BaseException | list)


def _foreign(reply: Any) -> dict[str, str]:
    """The keys of another type in a script's reply, with their types; or `Fenced`."""
    if not isinstance(reply, list):
        raise Fenced("the lease is not ours any more")
    if reply and reply[0] in (b"OTHERS", "OTHERS"):
        return {}
    return {text_of(key): text_of(kind) for key, kind in reply}
