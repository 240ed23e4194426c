"""Which of Redis's errors pass by themselves, and how often to speak of them."""

from __future__ import annotations

from loguru import logger
from redis.exceptions import (
    ConnectionError,
    InvalidResponse,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
    TimeoutError,
)

from ..clock import Clock
from .connecting import hint_on, is_denied, is_of_cluster, is_protected

__all__ = ["TROUBLE", "Trouble", "passes"]

TROUBLE = (RedisError, OSError)
"""What a command may raise for Redis's or the network's sake. Ask `passes` before retrying."""

# Error codes that redis-py has no class for. All say "not now": a replica, a failed save, a slow script, a
# cluster that moves its slots.
_PASSING_CODES = frozenset(
    ("BUSY", "CLUSTERDOWN", "LOADING", "MASTERDOWN", "MISCONF", "NOREPLICAS", "OOM", "READONLY", "TRYAGAIN")
)


def passes(error: BaseException) -> bool:
    """Whether trying again later can help. An error reply of any other kind is a bug of ours."""
    # The last three by somebody's hand, who put another address there or another setting.
    if (
        isinstance(error, OutOfMemoryError | ReadOnlyError)
        or is_denied(error)
        or is_protected(error)
        or is_of_cluster(error)
    ):
        return True
    if isinstance(error, ResponseError):
        return str(error).split(" ", 1)[0] in _PASSING_CODES
    # What answers there may be no Redis: a proxy in its place, or another service's port.
    return isinstance(error, ConnectionError | TimeoutError | InvalidResponse | OSError)


class Trouble:
    """Says once what is wrong with Redis, reminds while it lasts, and says when it is over."""

    def __init__(self, clock: Clock, *, remind_s: float) -> None:
        self._clock = clock
        self._remind_s = remind_s
        self._said_at_s: dict[str, float] = {}  # by kind: two that take turns are each told once
        self._since_s = 0.0

    def note(self, error: BaseException) -> None:
        """Log the error, unless one of its kind was logged a moment ago."""
        kind, now_s = type(error).__name__, self._clock.monotonic()
        if not self._said_at_s:
            self._since_s = now_s
        if now_s - self._said_at_s.get(kind, float("-inf")) < self._remind_s:
            return
        self._said_at_s[kind] = now_s
        text, hint = str(error)[:200], hint_on(error)
        logger.bind(event="redis_trouble", kind=kind, error=text, hint=hint).warning(
            "Redis cannot be used now ({}: {}); trying again. {}", kind, text, hint
        )

    def over(self) -> bool:
        """Log that it works again; False if nothing was wrong."""
        if not self._said_at_s:
            return False
        logger.bind(event="redis_recovered", seconds=round(self._clock.monotonic() - self._since_s, 1)).info(
            "Redis works again."
        )
        self._said_at_s.clear()
        return True
