"""The way to Redis that is open while the lease is held."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any, TypeVar

from ..wire.scripts import RedisLike
from ..wire.spread import Call, is_apart, is_away, run_all
from ..wire.trouble import TROUBLE
from .lease import Fenced, Lease

__all__ = ["WhileHeld"]

_T = TypeVar("_T")


class WhileHeld:
    """A way to Redis that is open while the lease is held: a `RedisLike` for all that a tenure writes.

    What waits for a connection as the lease runs out, as when the host sleeps, is not sent any more: the
    server would refuse it, unless it is another one by then. Raises `Fenced`. What is sent keeps the lease.
    """

    def __init__(self, redis: RedisLike, lease: Lease) -> None:
        self._redis = redis
        self._lease = lease

    async def execute_command(self, *args: Any) -> Any:
        """Send one command and return its reply, or raise what redis-py raises."""
        return await self._while_held(lambda: self._redis.execute_command(*args))

    @property
    def apart(self) -> bool:
        """As `Many` has it."""
        return is_apart(self._redis)

    def away(self, key: str) -> bool:
        """As `Many` has it."""
        return is_away(self._redis, key)

    async def many(self, calls: Sequence[Call], *, settle: bool = False) -> list[Any]:
        """As `Many` has it."""
        return await self._while_held(lambda: run_all(self._redis, calls, settle=settle))

    async def _while_held(self, send: Callable[[], Awaitable[_T]]) -> _T:
        if self._lease.overdue:
            raise Fenced("the lease is overdue")
        with suppress(*TROUBLE):  # In a cluster it may be another node that has the lease.
            await self._lease.keep()
        try:
            # On waking, a timer that is due comes before whatever else has become possible.
            async with asyncio.timeout(self._lease.left_s) as left:
                return await send()
        except TimeoutError:
            if left.expired():
                raise Fenced("the lease ran out meanwhile") from None
            raise
