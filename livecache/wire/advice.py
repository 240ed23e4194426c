"""What to tell an operator about the settings of a server that is not ours, and the command that mends it."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping
from typing import Any
from weakref import WeakKeyDictionary

from ..quiet import logger
from .scripts import RedisLike, send, text_of
from .spread import is_apart
from .trouble import TROUBLE

__all__ = ["SETTINGS", "ServerWatch", "advice_on", "advise"]

SETTINGS = ("zset-max-listpack-value", "maxmemory-policy", "maxmemory", "client-output-buffer-limit")
"""What is asked of a server."""

_AGAIN_S = 60.0
_TOLD: WeakKeyDictionary[RedisLike, dict[str, float]] = WeakKeyDictionary()

_LONGEST_MEMBER = 96  # bytes: candles of BTC above 100,000 make 67, with room for what comes


async def advise(redis: RedisLike) -> list[str]:
    """Log once what the server's settings cost; the commands that mend it. Silent where it may not ask.

    The shards of a process ask by one way, one after the other: what one has told the others need not.
    """
    advice = advice_on({name: await _setting(redis, name) for name in SETTINGS})
    now_s = asyncio.get_running_loop().time()
    told = _TOLD.setdefault(redis, {})
    for problem, remedy in advice:
        if now_s - told.get(problem, -math.inf) < _AGAIN_S:
            continue
        told[problem] = now_s
        logger.bind(event="redis_advice", remedy=remedy).warning(f"Redis: {problem}; mend it by: {remedy}")
    return [remedy for _, remedy in advice]


def advice_on(settings: Mapping[str, str | None]) -> list[tuple[str, str]]:
    """What these settings cost, each with the command that mends it. None: the server does not tell."""
    advice: list[tuple[str, str]] = []
    longest = settings.get("zset-max-listpack-value")
    if longest is not None and longest.isdigit() and int(longest) < _LONGEST_MEMBER:
        advice.append(
            (
                f"sets with a member over {longest} bytes take about 129 bytes a candle instead of 80",
                "CONFIG SET zset-max-listpack-value 128",
            )
        )
    policy, limit = settings.get("maxmemory-policy"), settings.get("maxmemory")
    if policy not in (None, "noeviction") and limit not in (None, "0"):
        # Only what has a time limit: the lease, and what vouches for the candles, but not these.
        victims = "the lease and the alive keys" if str(policy).startswith("volatile") else "candles"
        advice.append(
            (
                f"this server evicts keys when it is full ({policy}): {victims} may vanish at any time",
                "CONFIG SET maxmemory-policy noeviction",
            )
        )
    buffers = settings.get("client-output-buffer-limit")
    if buffers is not None and "pubsub 0 0 0" in buffers:
        advice.append(
            (
                "a subscriber that does not read fills this server's memory without end",
                "CONFIG SET client-output-buffer-limit 'pubsub 32mb 8mb 60'",
            )
        )
    return advice


class ServerWatch:
    """Notices when another server answers under the same address, by its run id, and advises on that one."""

    def __init__(self, redis: RedisLike) -> None:
        self._redis = redis
        self._run_id: str | None = None

    async def look(self) -> None:
        """Look which server it is; the first one that tells is only remembered. In a cluster any may tell."""
        if is_apart(self._redis):
            return
        try:
            info: Any = await send(self._redis, "INFO", "server")
        except TROUBLE:
            return
        run_id = info.get("run_id") if isinstance(info, dict) else None
        if run_id is None or run_id == self._run_id:
            return
        known, self._run_id = self._run_id, run_id
        if known is not None:
            logger.bind(event="redis_replaced").info("Redis was restarted, or is another server now.")
            await advise(self._redis)


async def _setting(redis: RedisLike, name: str) -> str | None:
    """The setting's value, or None where the server does not tell."""
    try:
        reply: Any = await send(redis, "CONFIG", "GET", name)
    except TROUBLE:  # A managed Redis refuses CONFIG, an ACL may forbid it.
        return None
    found = reply if isinstance(reply, dict) else dict(zip(reply[::2], reply[1::2], strict=False))
    for key, value in found.items():
        if text_of(key) == name:
            return text_of(value)
    return None
