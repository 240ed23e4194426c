"""What to tell an operator about the settings of a server that is not ours, and the command that mends it."""

from __future__ import annotations

from typing import Any

from loguru import logger

from .scripts import RedisLike, send
from .trouble import TROUBLE

__all__ = ["advise"]

_LONGEST_MEMBER = 96  # bytes: candles of BTC above 100,000 make 67, with room for what comes


async def advise(redis: RedisLike) -> list[str]:
    """Log once what the server's settings cost; the commands that mend it. Silent where it may not ask."""
    advice: list[tuple[str, str]] = []
    longest = await _setting(redis, "zset-max-listpack-value")
    if longest is not None and longest.isdigit() and int(longest) < _LONGEST_MEMBER:
        advice.append(
            (
                f"sets with a member over {longest} bytes take about 129 bytes a candle instead of 80",
                "CONFIG SET zset-max-listpack-value 128",
            )
        )
    policy = await _setting(redis, "maxmemory-policy")
    limit = await _setting(redis, "maxmemory")
    if policy not in (None, "noeviction") and limit not in (None, "0"):
        advice.append(
            (
                f"this server evicts keys when it is full ({policy}): candles may vanish at any time",
                "CONFIG SET maxmemory-policy noeviction",
            )
        )
    for problem, remedy in advice:
        logger.bind(event="redis_advice", remedy=remedy).warning(f"Redis: {problem}; mend it by: {remedy}")
    return [remedy for _, remedy in advice]


async def _setting(redis: RedisLike, name: str) -> str | None:
    """The setting's value, or None where the server does not tell."""
    try:
        reply: Any = await send(redis, "CONFIG", "GET", name)
    except TROUBLE:  # A managed Redis refuses CONFIG, an ACL may forbid it.
        return None
    found = reply if isinstance(reply, dict) else dict(zip(reply[::2], reply[1::2], strict=False))
    for key, value in found.items():
        if _text(key) == name:
            return _text(value)
    return None


def _text(raw: Any) -> str:
    return raw.decode() if isinstance(raw, bytes) else str(raw)
