"""The stream of closes, seen from the writer: what waits to be announced, and announcing it."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from ..keys.keyspace import Keyspace, encode_close
from ..model.series import Close
from ..quiet import logger
from ..wire.scripts import RedisLike, Script, text_of
from .lease import Fenced

__all__ = ["CLOSES_KEPT", "PENDING_MAX", "PendingCloses"]

PENDING_MAX = 10_000
"""Entries that wait for a Redis that is away; beyond that the oldest are given up."""

CLOSES_KEPT = 10_000
"""Entries of the stream, about."""

_ENTRIES_A_CALL = 100

_CLOSES = Script.load("wire/common.lua", "write/closes.lua")


class PendingCloses:
    """Entries that are not yet known to be in the stream, oldest first.

    They leave only when the server has answered: those of a call that fails may be added twice, but never not
    at all.
    """

    def __init__(self, redis: RedisLike, keys: Keyspace) -> None:
        self._redis = redis
        self._keys = keys
        self._pending: deque[Close] = deque()
        self.added = 0
        self.dropped = 0
        self.blocked = ""
        """The type that the stream's key holds instead of a stream; "" if nothing is in the way."""

    @property
    def waiting(self) -> bool:
        """Whether there is something to announce, and nothing known that is in the way."""
        return bool(self._pending) and not self.blocked

    def __len__(self) -> int:
        return len(self._pending)

    def keep(self, closes: Sequence[Close]) -> None:
        """Take entries to announce."""
        self._pending.extend(closes)
        surplus = len(self._pending) - PENDING_MAX
        if surplus > 0:
            if not self.dropped:
                logger.bind(event="closes_dropped").warning(
                    "Redis has been away for so long that the oldest closes are not announced any more."
                )
            self.dropped += surplus
            for _ in range(surplus):
                self._pending.popleft()

    async def send(self, lease: str) -> None:
        """Announce all, if `lease` is still the lease's value; else `Fenced`. Redis's errors pass through.

        Where something foreign is in the stream's place, all stays pending.
        """
        while self._pending:
            entries = [self._pending[i] for i in range(min(_ENTRIES_A_CALL, len(self._pending)))]
            encoded = [encode_close(close, self._keys) for close in entries]
            args = [lease, CLOSES_KEPT, len(encoded[0]), *(arg for entry in encoded for arg in entry)]
            added = await _CLOSES.run(self._redis, [self._keys.closes, self._keys.lease], args)
            if not isinstance(added, int):
                answer = text_of(added)
                if answer.startswith("WRONGTYPE"):
                    self.blocked = answer.split(" ", 1)[1]
                    return
                raise Fenced("the lease is not ours any more")
            self.blocked = ""
            self.added += added
            for _ in entries:
                self._pending.popleft()
