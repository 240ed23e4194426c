"""The lease: one writer at a time, and proof for Redis of which one.

Holding the lease is only a promise to try: a writer that was stopped and wakes up may still believe in it.
So every tenure has a token larger than all before it, each state hash bears the token of its last writer
(its *fence*), and the script that writes refuses a smaller one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ..clock import Clock
from ..errors import LivecacheError
from ..keys.keyspace import Damaged, Keyspace, LeaseRecord, decode_lease, encode_lease, holder_of
from ..quiet import logger
from ..wire.scripts import COMMON, RedisLike, Script, send, text_of
from ..wire.spread import Call, grouped, is_apart, is_away, run_all
from ..wire.trouble import TROUBLE

__all__ = ["LASTS", "LEASE_MS", "RENEW_S", "Fenced", "Lease", "Overtaken", "Pulse"]

LEASE_MS = 6_000
"""The lease expires this long after its last renewal, in the server's milliseconds."""

RENEW_S = 1.0
"""Seconds between renewals: five may fail before the lease is lost."""

_RETRY_S = 1.0
_REMIND_S = 10.0
_KEYS_A_CALL = 100
_UNREADABLE = "something that livecache did not write"


class Fenced(LivecacheError):
    """Another writer has taken over, or may have. Never leaves the writer: it acquires anew and rewrites."""


class Overtaken(LivecacheError):
    """Another instance has written since: what this one holds in memory is older than what is stored."""

    def __init__(self, successor: str) -> None:
        super().__init__(
            f"{successor} has taken over", "start over: wait for the lease, adopt what is stored"
        )


LASTS = """
-- The ms that a lease still lasts: at most what a renewal gives it. More it has by a clock that was set back
-- since, as by a failover.
local function lasts(key, most)
  if redis.call('PTTL', key) > tonumber(most) then redis.call('PEXPIRE', key, most) end
  return redis.call('PTTL', key)
end
"""

# KEYS: the lease. ARGV: our record; the start of any record of this instance; PX; 1 to take it from anybody.
# Returns 1, or {whose it is, milliseconds it still lasts}. A lease of our own instance is one whose answer
# was lost on the way, or of an earlier tenure. A key of another type is nobody's to take.
_ACQUIRE = Script(
    COMMON
    + LASTS
    + """
local held = value_of(KEYS[1])
if type(held) == 'table' then return { 'another type', -1 } end
if held and ARGV[4] ~= '1' and string.sub(held, 1, #ARGV[2]) ~= ARGV[2] then
  return { held, lasts(KEYS[1], ARGV[3]) }
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[3])
return 1
"""
)

# KEYS: the lease. ARGV: our record; PX. Returns 1, or 0 if it is not ours any more.
_RENEW = Script(
    COMMON
    + """
if value_of(KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
"""
)

# KEYS: the lease. ARGV: our record. Returns whether it was ours to give up.
_RELEASE = Script(
    COMMON
    + """
if value_of(KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])
"""
)

# KEYS: state hashes, and of a cluster the symbol's fence. Returns the largest of all fences, "0" for none.
_HIGHEST = Script(
    COMMON
    + """
local highest, text = 0, '0'
for _, key in ipairs(KEYS) do
  local kind = type_of(key)
  local fence = kind == 'hash' and redis.call('HGET', key, 'fence')
  if kind == 'string' then fence = redis.call('GET', key) end
  local number = fence_of(fence)
  if number and number > highest then highest, text = number, fence end
end
return text
"""
)

# KEYS: state hashes; of a cluster then the symbol's fence. ARGV: our token, that of our tenure before, and 1
# where there is a fence. From here on an older writer cannot touch them. Returns 0 if one bears a larger
# token; else of each the revision that a tenure of ours left, "" where another has been: what that numbered
# means nothing to this one.
_STAMP = Script(
    COMMON
    + """
local revisions, states = {}, #KEYS
if ARGV[3] == '1' then
  states = #KEYS - 1
  local held = value_of(KEYS[#KEYS])
  if type(held) == 'table' then return held end
  local fence = fence_of(held)
  if fence and fence > tonumber(ARGV[1]) then return 0 end
end
for i = 1, states do
  local key = KEYS[i]
  revisions[i] = ''
  if type_of(key) == 'hash' then
    local held = redis.call('HMGET', key, 'fence', 'revision')
    local fence = fence_of(held[1])
    if fence and fence > tonumber(ARGV[1]) then return 0 end
    if held[1] == ARGV[2] or held[1] == ARGV[1] then revisions[i] = held[2] or '' end
    redis.call('HSET', key, 'fence', ARGV[1], 'revision', revisions[i] == '' and '0' or revisions[i])
  end
end
if states < #KEYS then redis.call('SET', KEYS[#KEYS], ARGV[1]) end
return revisions
"""
)


@dataclass(slots=True)
class Pulse:
    """When the writer last did what it does every second or so. It stirs even while Redis is away."""

    stirred_at_s: float  # monotonic: it tried something with Redis; from the start on
    answered_at_s: float = 0.0  # Unix, the host's clock: Redis answered; 0: not yet
    vouched_at_s: float = 0.0  # … and readers were told that this instance vouches
    waits_for: str = ""  # the instance whose lease it waits for


class Lease:
    """The right of one instance to write the keys of one venue.

    `states` are the state hashes of all configured series. With `sole_owner` (the server was
    started by us a moment ago) whatever lease is found is a dead one's, and is taken over at once, the first
    time.

    Redis's and the network's errors pass through every method; the caller decides when to try again.
    """

    def __init__(
        self,
        redis: RedisLike,
        keys: Keyspace,
        instance: str,
        states: Sequence[str],
        *,
        clock: Clock,
        sole_owner: bool = False,
    ) -> None:
        self._redis = redis
        self._keys = keys
        self._key = keys.lease
        self.instance = instance
        self.change(states)
        self._clock = clock
        self._takes_over = sole_owner
        self._reminded_at_s = float("-inf")
        self._renewed_at_s = float("-inf")
        self._theirs = ""  # who held it last, as far as was seen, and until when at least
        self._theirs_until_s = float("-inf")
        self.pulse = Pulse(stirred_at_s=clock.monotonic())
        self.token = 0
        """The fencing token of this tenure; 0 before the first."""
        self.record = ""
        """The lease's value, word for word; scripts compare it."""
        self.revisions: dict[str, str] = {}
        """Of each stored state that nobody has written since the tenure before: what that numbered it."""
        self._stamped = 0  # the token of that tenure
        self._entered: set[str] = set()  # symbols, where each is fenced by itself

    def change(self, states: Sequence[str]) -> None:
        """There are other series. Those that came are written whole, under this tenure's token."""
        self._states = states
        self._by_symbol: dict[str, list[str]] = {}  # is looked through each second
        for state in states:
            self._by_symbol.setdefault(self._symbol_of(state), []).append(state)

    def guard(self, symbol: str) -> tuple[str, str]:
        """The key that goes with each write of a symbol, and what it holds while we may write.

        It is the lease, but in a cluster, where no script sees that as well: then it is the symbol's fence.
        """
        if is_apart(self._redis):
            return self._keys.fence(symbol), str(self.token)
        return self._key, self.record

    def holds(self, symbol: str) -> bool:
        """Whether this tenure has entered the symbol: in a cluster each has to be, by itself."""
        return not is_apart(self._redis) or symbol in self._entered

    def leave(self, symbol: str) -> None:
        """Its fence is not ours, be it a newer writer's or lost: it has to be entered again."""
        self._entered.discard(symbol)

    async def enter(self, states: Iterable[str]) -> set[str]:
        """Stamp these states, and tell which symbols were entered; those of a node that is away were not.

        Of one server all are, or `Fenced` is raised: as where a state bears a larger token than ours.
        """
        apart, before, entered = is_apart(self._redis), self._stamped, set[str]()
        batches = grouped(self._redis, states, _KEYS_A_CALL, self._symbol_of)
        # Of one server call by call, for the lease is to be kept meanwhile.
        for some in [batches] if apart else [[batch] for batch in batches]:
            await self.keep()
            calls = [Call(_STAMP, self._fenced(batch), [self.token, before, int(apart)]) for batch in some]
            for batch, stood in zip(some, await run_all(self._redis, calls, settle=True), strict=True):
                if stood == 0:
                    raise Fenced("a newer writer has written")
                if isinstance(stood, list):
                    self.revisions |= {key: text_of(each) for key, each in zip(batch, stood, strict=True)}
                    entered |= {self._symbol_of(key) for key in batch} if apart else set()
        self._entered |= entered
        return entered

    async def enter_rest(self) -> set[str]:
        """Enter the symbols that are not yet, where their nodes answer; which these are. As `enter`."""
        rest = [states for symbol, states in self._by_symbol.items() if not self.holds(symbol)]
        there = [states for states in rest if not is_away(self._redis, states[0])]
        return await self.enter(state for states in there for state in states)

    def _symbol_of(self, state: str) -> str:
        series = self._keys.series_of(state)
        return series.symbol if series is not None else ""

    def _fenced(self, states: Sequence[str]) -> list[str]:
        """These states of one call, in a cluster with the fence of their symbol."""
        return [*states, self._keys.fence(self._symbol_of(states[0]))] if is_apart(self._redis) else [*states]

    @property
    def left_s(self) -> float:
        """How long it is surely ours yet, in seconds, unless it is renewed."""
        return self._renewed_at_s + LEASE_MS / 1000 - self._clock.monotonic()

    @property
    def overdue(self) -> bool:
        """Whether it was not renewed for so long that it may be another's by now."""
        return self.left_s < 0

    async def acquire(self, *, gives_way: bool = False) -> int:
        """Wait until the lease is ours, stamp every stored state with the new token, and return it.

        With `gives_way`, `Overtaken` where another instance holds it.

        When this returns no older writer can change a configured series any more: what is read from now on is
        what stays.
        """
        while True:
            self.pulse.stirred_at_s = self._clock.monotonic()
            holder = await self._try()
            self.pulse.answered_at_s = self._clock.wall()
            self.pulse.waits_for = holder[0] if holder is not None else ""
            if holder is None and await self._stamp():
                self._takes_over = False
                self._reminded_at_s = float("-inf")
                logger.bind(event="lease_acquired", instance=self.instance, token=self.token).info(
                    "This instance writes now."
                )
                return self.token
            if holder is not None:
                if gives_way and holder[0] != _UNREADABLE:
                    raise Overtaken(holder[0])
                self._remind(*holder)
            await self._clock.sleep(_RETRY_S)

    async def keep(self) -> None:
        """Renew it if it is running out: whoever does much in one go has no other turn to."""
        if self.left_s < LEASE_MS / 2000:
            await self.renew()

    async def renew(self) -> None:
        """Hold it for another while. `Fenced` if it is not ours any more, be it another's or gone."""
        started_s = self.pulse.stirred_at_s = self._clock.monotonic()
        renewed = await _RENEW.run(self._redis, [self._key], [self.record, LEASE_MS])
        self.pulse.answered_at_s = self._clock.wall()
        if renewed != 1:
            raise Fenced("the lease is not ours any more")
        # Counted from before the request: the server cannot have renewed it earlier than that.
        self._renewed_at_s = started_s

    async def release(self) -> bool:
        """Give it up, so that another need not wait for it to expire. False if it was not ours."""
        return bool(await _RELEASE.run(self._redis, [self._key], [self.record]))

    async def successor(self) -> str | None:
        """Who has written here after this tenure; None if nobody, even where the lease is gone.

        Redis's errors pass through.
        """
        if (holder := await self.holder()) is not None:
            return holder
        newer = max(await self._fences(), default=0) > self.token
        return "an instance that is gone" if newer else None

    async def tell_loss(self, reason: BaseException) -> str | None:
        """Log whether another instance took over, or the lease is merely gone; returns the `successor`."""
        successor = await self.successor()
        if successor is not None:
            logger.bind(event="fenced", instance=self.instance, holder=successor).warning(
                "Stopped writing: {} has taken over.", successor
            )
        else:
            logger.bind(event="lease_gone", instance=self.instance, reason=str(reason)).warning(
                "Redis lost the lease, or was away ({}). Taking it anew, and rewriting what it lost.", reason
            )
        return successor

    async def holder(self) -> str | None:
        """The instance that holds it, if that is another one and Redis tells."""
        try:
            holder = holder_of(await send(self._redis, "GET", self._key))
        except TROUBLE:
            return None
        return holder if holder != self.instance else None

    async def _try(self) -> tuple[str, float] | None:
        """One attempt; None if it is ours, else who holds it and for how many seconds more."""
        fences = await self._fences()
        theirs_s = self._theirs_until_s - self._clock.monotonic()
        if theirs_s > 0 and not any(fences) and await send(self._redis, "GET", self._key) is None:
            # Gone before its time, and all else with it: the server was emptied. Whoever wrote here has all
            # of it in memory, and we would have to ask the venue; so it goes first.
            return self._theirs, theirs_s
        seconds, microseconds = await send(self._redis, "TIME")
        server_ms = int(seconds) * 1000 + int(microseconds) // 1000
        self.token = max(server_ms, *(fence + 1 for fence in fences), self.token + 1)
        self.record = encode_lease(LeaseRecord(self.instance, self.token))
        ours = self.record[: self.record.index(',"token"') + 1]
        started_s = self._clock.monotonic()
        reply = await _ACQUIRE.run(
            self._redis, [self._key], [self.record, ours, LEASE_MS, int(self._takes_over)]
        )
        if reply == 1:
            self._renewed_at_s = started_s
            return None
        held, left_ms = reply
        try:
            self._theirs = decode_lease(held).instance
            self._theirs_until_s = started_s + min(int(left_ms), LEASE_MS) / 1000
            return self._theirs, int(left_ms) / 1000
        except Damaged:
            return _UNREADABLE, max(0, int(left_ms)) / 1000

    async def _fences(self) -> list[int]:
        batches = grouped(self._redis, self._states, _KEYS_A_CALL, self._symbol_of)
        found = await run_all(self._redis, [Call(_HIGHEST, self._fenced(batch), []) for batch in batches])
        return [int(fence) for fence in found if not isinstance(fence, BaseException)]

    async def _stamp(self) -> bool:
        """Mark all stored states as ours; False if an even newer writer was faster, or the lease ran out."""
        self.revisions, self._entered = {}, set()
        try:
            await self.enter(self._states)
        except Fenced:
            return False
        self._stamped = self.token
        return True

    def _remind(self, holder: str, left_s: float) -> None:
        now_s = self._clock.monotonic()
        if now_s - self._reminded_at_s < _REMIND_S:
            return
        self._reminded_at_s = now_s
        if holder == _UNREADABLE:
            logger.bind(event="lease_wait", holder=holder).warning(
                "Waiting for the lease: {} holds {}; delete that key if nothing needs it, or set another "
                "redis.prefix", self._key, holder,
            )  # fmt: skip
            return
        logger.bind(event="lease_wait", holder=holder, left_s=left_s).warning(
            "Waiting for the lease {}: {} holds it, for {:.1f} s unless renewed.{}",
            *(self._key, holder, left_s),
            " Set `shards` as there, or stop it." if holder.endswith(" shards") else "",
        )
