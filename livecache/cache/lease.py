"""The lease: one writer at a time, and proof for Redis of which one.

Holding the lease is only a promise to try: a writer that was stopped and wakes up may still believe in it.
So every tenure has a token larger than all before it, each state hash bears the token of its last writer
(its *fence*), and the script that writes refuses a smaller one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from loguru import logger

from ..clock import Clock
from ..errors import LivecacheError
from .keyspace import Damaged, Keyspace, LeaseRecord, decode_lease, encode_lease
from .scripts import RedisLike, Script, send

__all__ = ["LEASE_MS", "RENEW_S", "Fenced", "Lease", "batched"]

LEASE_MS = 6_000
"""The lease expires this long after its last renewal, in the server's milliseconds."""

RENEW_S = 1.5
"""Seconds between renewals: three may fail before the lease is lost."""

_RETRY_S = 1.0
_REMIND_S = 10.0
_KEYS_A_CALL = 100


class Fenced(LivecacheError):
    """Another writer has taken over, or may have. Never leaves the writer: it acquires anew and rewrites."""


# KEYS: the lease. ARGV: our record; the start of any record of this instance; PX; 1 to take it from anybody.
# Returns 1, or {whose it is, milliseconds it still lasts}. A lease of our own instance is one whose answer
# was lost on the way, or of an earlier tenure.
_ACQUIRE = Script("""
local held = redis.call('GET', KEYS[1])
if held and ARGV[4] ~= '1' and string.sub(held, 1, #ARGV[2]) ~= ARGV[2] then
  return { held, redis.call('PTTL', KEYS[1]) }
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[3])
return 1
""")

# KEYS: the lease. ARGV: our record; PX. Returns 1, or 0 if it is not ours any more.
_RENEW = Script("""
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
""")

# KEYS: the lease. ARGV: our record. Returns whether it was ours to give up.
_RELEASE = Script("""
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])
""")

# KEYS: state hashes. Returns the largest fence among them, "0" if there is none.
_HIGHEST = Script("""
local highest, text = 0, '0'
for _, key in ipairs(KEYS) do
  local kind = redis.call('TYPE', key)
  if (type(kind) == 'table' and kind.ok or kind) == 'hash' then
    local fence = redis.call('HGET', key, 'fence')
    local number = tonumber(fence or '')
    if number and number > highest then highest, text = number, fence end
  end
end
return text
""")

# KEYS: state hashes. ARGV: our token. From here on an older writer cannot touch them. Returns 1, or 0 if one
# bears a larger token. The revision is void too: what an older tenure numbered means nothing to this one.
_STAMP = Script("""
for _, key in ipairs(KEYS) do
  local kind = redis.call('TYPE', key)
  if (type(kind) == 'table' and kind.ok or kind) == 'hash' then
    local fence = tonumber(redis.call('HGET', key, 'fence') or '')
    if fence and fence > tonumber(ARGV[1]) then return 0 end
    redis.call('HSET', key, 'fence', ARGV[1], 'revision', '0')
  end
end
return 1
""")


def batched(symbols_and_keys: Iterable[tuple[str, str]], most: int, *, cluster: bool) -> list[list[str]]:
    """The keys in lists of at most `most`; in a cluster none mixes symbols, which live in different slots."""
    batches: list[list[str]] = []
    last: str | None = None
    for symbol, key in symbols_and_keys:
        if not batches or len(batches[-1]) >= most or (cluster and symbol != last):
            batches.append([])
        batches[-1].append(key)
        last = symbol
    return batches


class Lease:
    """The right of one instance to write the keys of one venue.

    `states` are the symbols and state hashes of all configured series. With `sole_owner` (the server was
    started by us a moment ago) whatever lease is found is a dead one's, and is taken over at once, the first
    time.

    Redis's and the network's errors pass through every method; the caller decides when to try again.
    """

    def __init__(
        self,
        redis: RedisLike,
        keys: Keyspace,
        instance: str,
        states: Sequence[tuple[str, str]],
        *,
        clock: Clock,
        sole_owner: bool = False,
        cluster: bool = False,
    ) -> None:
        self._redis = redis
        self._key = keys.lease
        self._instance = instance
        self._batches = batched(states, _KEYS_A_CALL, cluster=cluster)
        self._clock = clock
        self._takes_over = sole_owner
        self._reminded_at_s = float("-inf")
        self._renewed_at_s = float("-inf")
        self.token = 0
        """The fencing token of this tenure; 0 before the first."""
        self.record = ""
        """The lease's value, word for word; scripts compare it."""

    @property
    def overdue(self) -> bool:
        """Whether it was not renewed for so long that it may be another's by now."""
        return self._clock.monotonic() - self._renewed_at_s > LEASE_MS / 1000

    async def acquire(self) -> int:
        """Wait until the lease is ours, stamp every stored state with the new token, and return it.

        When this returns no older writer can change a configured series any more: what is read from now on is
        what stays.
        """
        while True:
            holder = await self._try()
            if holder is None and await self._stamp():
                self._takes_over = False
                self._reminded_at_s = float("-inf")
                logger.bind(event="lease_acquired", instance=self._instance, token=self.token).info(
                    "This instance writes now."
                )
                return self.token
            if holder is not None:
                self._remind(*holder)
            await self._clock.sleep(_RETRY_S)

    async def renew(self) -> None:
        """Hold it for another while. `Fenced` if it is not ours any more, be it another's or gone."""
        started_s = self._clock.monotonic()
        if await _RENEW.run(self._redis, [self._key], [self.record, LEASE_MS]) != 1:
            raise Fenced("the lease is not ours any more")
        # Counted from before the request: the server cannot have renewed it earlier than that.
        self._renewed_at_s = started_s

    async def release(self) -> bool:
        """Give it up, so that another need not wait for it to expire. False if it was not ours."""
        return bool(await _RELEASE.run(self._redis, [self._key], [self.record]))

    async def _try(self) -> tuple[str, float] | None:
        """One attempt; None if it is ours, else who holds it and for how many seconds more."""
        fences = [int(await _HIGHEST.run(self._redis, batch, [])) for batch in self._batches]
        seconds, microseconds = await send(self._redis, "TIME")
        server_ms = int(seconds) * 1000 + int(microseconds) // 1000
        self.token = max(server_ms, *(fence + 1 for fence in fences), self.token + 1)
        self.record = encode_lease(LeaseRecord(self._instance, self.token))
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
            return decode_lease(held).instance, int(left_ms) / 1000
        except Damaged:
            return "something unreadable", int(left_ms) / 1000

    async def _stamp(self) -> bool:
        """Mark all stored states as ours; False if an even newer writer was faster."""
        return all(
            [await _STAMP.run(self._redis, batch, [self.token]) == 1 for batch in self._batches],
        )

    def _remind(self, holder: str, left_s: float) -> None:
        now_s = self._clock.monotonic()
        if now_s - self._reminded_at_s < _REMIND_S:
            return
        self._reminded_at_s = now_s
        logger.bind(event="lease_wait", holder=holder, left_s=left_s).warning(
            "Waiting: {} writes here; its lease runs for {:.1f} s unless renewed.", holder, left_s
        )
