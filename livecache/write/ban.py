"""The venue's ban, kept where the next run finds it: until when nothing may be asked."""

from __future__ import annotations

from ..keys.keyspace import Keyspace, decode_ban
from ..wire.scripts import COMMON, RedisLike, Script, send

__all__ = ["load_ban", "tell_ban"]

# KEYS: the ban. ARGV: until when, and for how many ms from now. A later one stays, a key of another type too.
_TELL = Script(
    COMMON
    + """
local kind = type_of(KEYS[1])
if kind == 'none' or kind == 'string' and (tonumber(value_of(KEYS[1])) or 0) < tonumber(ARGV[1]) then
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
end
return 1
"""
)


async def tell_ban(redis: RedisLike, keys: Keyspace, until: int, now: int) -> None:
    """Write that the venue refuses everything until then; the key goes by itself at its end.

    Times are Unix ms of the host's clock. Redis's errors pass through.
    """
    if until > now:
        await _TELL.run(redis, [keys.ban], [until, until - now])


async def load_ban(redis: RedisLike, keys: Keyspace) -> int:
    """Until when it refuses everything, as some run was told; 0 if none was. Redis's errors pass through."""
    return decode_ban(await send(redis, "GET", keys.ban))
