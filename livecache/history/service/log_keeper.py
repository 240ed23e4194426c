"""Carries log records into the store's own log."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Protocol

from ...clock import Clock
from ...errors import StoreUnusable
from ..opening import Place, open_log
from ..records.log import LogEntry, LogStore
from ..thread import Blocking, StoreThread

__all__ = ["LogKeeper", "Record"]

_WAITING_MOST = 10_000
_FLUSH_S = 2.0
_BUSY_S = 1.0
_DETAIL_MOST = 20_000  # characters


class Record(Protocol):
    """A record, as the process tells it, without secrets."""

    @property
    def time_ms(self) -> int: ...
    @property
    def level(self) -> str: ...
    @property
    def event(self) -> str: ...
    @property
    def message(self) -> str: ...
    @property
    def fields(self) -> Mapping[str, object]: ...
    @property
    def trace(self) -> str: ...


class LogKeeper:
    """`take` records, from any thread; entered, what was taken is stored every two seconds, and at the end.

    `venue` is whose series a record is about that names none. Of what cannot be stored the newest is kept for
    when it can: no log is worth the candles.
    """

    def __init__(
        self,
        place: Place,
        clock: Clock,
        venue: str,
        threads: Callable[[], AbstractAsyncContextManager[Blocking]] = StoreThread,
    ) -> None:
        self._place, self._clock, self._venue = place, clock, venue
        self._waiting: deque[Record] = deque(maxlen=_WAITING_MOST)
        self._stack = threads()

    def take(self, record: Record) -> None:
        """Keep a record."""
        self._waiting.append(record)

    async def __aenter__(self) -> LogKeeper:
        self._thread = await self._stack.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._thread(self.store)
        await self._stack.__aexit__(kind, error, trace)

    async def run(self) -> None:
        """Store what is taken until cancelled."""
        while True:
            await self._clock.sleep(_FLUSH_S)
            await self._thread(self.store)

    def store(self) -> None:
        """Store what was taken so far. It blocks."""
        # By a connection of its own, for a moment: no trouble of the store's outlasts it here.
        taken = [self._waiting.popleft() for _ in range(len(self._waiting))]
        if not taken:
            return
        try:
            log = open_log(self._place, lambda: int(self._clock.wall() * 1000), busy_s=_BUSY_S)
            try:
                log.log([self._entry(log, record) for record in taken])
            finally:
                log.close()
        except StoreUnusable:  # The service says so, where people look.
            room = _WAITING_MOST - len(self._waiting)
            self._waiting.extendleft(reversed(taken[-room:] if room else ()))

    def _entry(self, log: LogStore, record: Record) -> LogEntry:
        fields = dict(record.fields)
        job = fields.pop("job", None)
        named = (
            str(fields.get(name, usual))
            for name, usual in (("venue", self._venue), ("symbol", ""), ("timeframe", ""))
        )
        detail = record.trace or (json.dumps(fields, default=str, ensure_ascii=False) if fields else "")
        return LogEntry(
            record.time_ms,
            record.level,
            record.event,
            record.message,
            job if isinstance(job, int) else None,
            log.number_of(*named),
            detail[-_DETAIL_MOST:],
        )
