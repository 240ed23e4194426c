"""The writer: carries what changed to Redis, one script call for many series, and never gives up.

It takes what has changed since it last asked, and sends it; meanwhile the next gathers. Its memory is bounded
by the number of series, whatever Redis does: a change that could not be sent is not kept, its series is
*owed*, and is sent whole later from what the process holds. So an emptied, replaced or returning Redis is
rewritten without a request to the venue.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from loguru import logger

from ..clock import Clock
from ..core.backoff import delays
from ..core.series import Change, SeriesId
from ..errors import ForeignKey
from .closes import PendingCloses
from .foreign import find_foreign
from .keyspace import Damaged, Keyspace, decode_lease, encode_state, encode_update
from .lease import RENEW_S, Fenced, Lease
from .presence import ALIVE_MS, Presence
from .scripts import RedisLike, Script, cancellable, send
from .source import ChangeSource
from .trouble import TROUBLE, Trouble, passes

__all__ = ["Writer", "WriterStats"]

ALIVE_RENEW_S = 3.0
ALIVE_AGAIN_S = 0.25  # at the soonest, where the feed came up or broke meanwhile
CLOSE_GOODBYE_S = 1.0  # for all that is said to Redis at a clean stop
FOREIGN_RETRY_S = 10.0
REMIND_S = 10.0

# What one call may hold. 100 series keep the server busy for 0.45 ms; whole ones with all their members,
# longer.
_SERIES_A_CALL = 100
_MEMBERS_A_CALL = 5_000

_UPSERT = Script.load("upsert.lua")


@dataclass(slots=True)
class WriterStats:
    """Counters since start."""

    flushes: int = 0
    upserts: int = 0  # series written
    closes: int = 0  # entries added to the stream
    closes_dropped: int = 0  # entries given up because Redis was away for too long
    lost: int = 0  # series found missing or outdated in Redis, and rewritten
    foreign: int = 0  # writes refused because a key holds something that is not livecache's
    fenced: int = 0  # times the lease was lost
    errors: int = 0  # flushes that failed and were tried again
    recoveries: int = 0  # times Redis worked again after errors


_T = TypeVar("_T")


class Writer:
    """Writes the series of one venue: `open`, then `run` until cancelled, then `close`.

    `announced` are the series that readers may expect, where those written now are only some of them.
    `wake` is set by whoever has changed something. `problems` says why a series cannot be written.
    """

    def __init__(
        self,
        redis: RedisLike,
        keys: Keyspace,
        series: Sequence[SeriesId],
        source: ChangeSource,
        *,
        origin: str,
        instance: str,
        clock: Clock,
        wake: asyncio.Event,
        announced: Sequence[SeriesId] | None = None,
        sole_owner: bool = False,
        cluster: bool = False,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.problems: dict[SeriesId, str] = {}
        self.stats = WriterStats()
        self._redis = redis
        self._keys = keys
        self._series = tuple(series)
        self._source = source
        self._origin = origin
        self._instance = instance
        self._clock = clock
        self._wake = wake
        self._cluster = cluster
        self._jitter = jitter
        self._trouble = Trouble(clock, remind_s=REMIND_S)
        states = sorted((s.symbol, keys.state(s.symbol, s.timeframe)) for s in series)
        self._lease = Lease(
            redis, keys, instance, states, clock=clock, sole_owner=sole_owner, cluster=cluster
        )
        self._presence = Presence(
            redis, keys, series, instance, announced=announced or series, cluster=cluster
        )
        # The revision that Redis holds of each series, as far as this tenure knows. Owed are the series whose
        # content there is unknown; they are written whole.
        self._revisions: dict[SeriesId, int] = {}
        self._revision = 0
        self._owed: set[SeriesId] = set(series)
        self._closes = PendingCloses(redis, keys)
        self._vouched_at_s = float("-inf")
        self._vouched_feed = 0
        self._entered = False
        self._retry_foreign_at_s = 0.0

    @property
    def token(self) -> int:
        """The fencing token of this tenure; 0 before `open`."""
        return self._lease.token

    async def open(self) -> list[ForeignKey]:
        """Wait for Redis and for the lease, and fence off older writers. Then what is stored may be read.

        Returns the keys of single series that hold something else: these series cannot be written for now.
        Raises `ForeignKey` if a key that all series need does.
        """
        foreign = await self._patiently(
            lambda: find_foreign(self._redis, self._keys, self._series, cluster=self._cluster)
        )
        for series, problem in foreign.items():
            self._complain(series, problem)
        await self._enter()
        return list(foreign.values())

    async def holder(self) -> str | None:
        """The instance that holds the lease, if it is another one and Redis tells."""
        try:
            raw = await send(self._redis, "GET", self._keys.lease)
            record = decode_lease(raw) if raw is not None else None
        except (Damaged, *TROUBLE):
            return None
        return record.instance if record is not None and record.instance != self._instance else None

    async def run(self) -> None:
        """Write until cancelled. Whenever the lease was lost, wait for it, and rewrite everything."""
        while True:
            # A task of its own: on Python 3.11 a group that ends by an error drops a cancellation that comes
            # meanwhile. `cancellable` finds it, since nothing but a stop ever cancels this task here.
            tenure = asyncio.create_task(self._tenure(), name="writer: tenure")
            try:
                await cancellable(tenure)
            except* Fenced as fenced:
                self.stats.fenced += 1
                logger.bind(event="fenced", instance=self._instance).warning(
                    "Stopped writing: {}. Waiting for the lease.", fenced.exceptions[0]
                )
            await self._enter()

    async def close(self) -> None:
        """Send what is left, tell readers at once that nobody vouches any more, and give up the lease.

        Takes a second at most, and never raises for Redis's sake.
        """
        try:
            async with asyncio.timeout(CLOSE_GOODBYE_S):
                if not self._entered:  # Still waiting for its turn: it has said nothing to take back.
                    return
                await self._lease.renew()
                await self._flush()
                await self._presence.retract()
                await self._lease.release()
        except (Fenced, *TROUBLE) as error:
            logger.bind(event="goodbye_failed", kind=type(error).__name__).info(
                "Redis was not told of the stop ({}); readers notice within {} s.",
                type(error).__name__,
                ALIVE_MS // 1000,
            )

    # --- tenure

    async def _enter(self) -> None:
        """Begin a tenure: nothing that an earlier one knew of Redis counts."""
        self._entered = False
        await self._patiently(self._lease.acquire)
        self._revisions.clear()
        self._owed = set(self._series) - set(self.problems)
        self._vouched_at_s = float("-inf")
        # If the lease is lost again already, nothing is announced, and the next renewal leads back here.
        await self._patiently(lambda: self._presence.announce(self._lease.record))
        self._entered = True

    async def _tenure(self) -> None:
        """Write until the lease is lost."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._flush_forever(), name="writer: flush")
            tasks.create_task(self._hold_forever(), name="writer: lease and alive")

    async def _hold_forever(self) -> None:
        """Renew the lease, and only then vouch: a writer that was stopped and wakes up must not."""
        while True:
            try:
                await self._lease.renew()
                await self._vouch()
                self._retry_foreign()
            except TROUBLE as error:
                self._note(error)
                if self._lease.overdue:
                    raise Fenced("the lease could not be renewed in time") from error
            await self._clock.sleep(RENEW_S)

    async def _vouch(self) -> None:
        """Renew the alive keys and the feed's hash, if that is due and true."""
        now_s = self._clock.monotonic()
        feed_changes = self._source.feed_changes()
        wait_s = ALIVE_RENEW_S if feed_changes == self._vouched_feed else ALIVE_AGAIN_S
        if now_s - self._vouched_at_s < wait_s or self._lease.overdue:
            return
        alive = self._source.alive()
        if alive is None:
            return
        self._vouched_at_s = now_s
        self._vouched_feed = feed_changes
        status = {"instance": self._instance, "origin": self._origin, **self._source.feed_status()}
        await self._presence.vouch(alive, status)

    # --- flushing

    async def _flush_forever(self) -> None:
        waits = delays(self._jitter, first_s=0.2, most_s=5.0)
        while True:
            if not self._owed and not self._closes:
                await self._wake.wait()
            self._wake.clear()
            try:
                await self._flush()
                # The first time as soon as it can be said, not at the lease's next renewal.
                await self._vouch()
            except TROUBLE as error:
                self._note(error)
                await self._clock.sleep(next(waits))
            else:
                self._recovered()
                waits = delays(self._jitter, first_s=0.2, most_s=5.0)

    async def _flush(self) -> None:
        """Send all that is there to send. What fails stays owed, and closes stay pending."""
        changes = self._gather()
        try:
            await self._closes.send(self._lease.record)
        finally:
            self.stats.closes, self.stats.closes_dropped = self._closes.added, self._closes.dropped
        for batch in self._batches(changes):
            await self._send(batch)
        self.stats.flushes += 1
        self._source.sent()

    def _gather(self) -> list[Change]:
        """What to send now: what changed, and whole what is owed. From here on all of it is owed."""
        taken = self._source.take()
        self._closes.keep(taken.closes)
        changes: dict[SeriesId, Change] = {}
        for change in taken.series:
            # A change can build only on what was sent: where an earlier one failed, the series stays owed.
            if change.whole or (change.series in self._revisions and change.series not in self._owed):
                changes[change.series] = change
                self._owed.discard(change.series)
            elif change.series not in self.problems:
                self._owed.add(change.series)
        if self._owed:
            again = self._source.whole([s for s in self._series if s in self._owed])
            self._closes.keep(again.closes)
            updates = {change.series: change.updates for change in taken.series}
            for change in again.series:
                changes[change.series] = replace(change, updates=updates.get(change.series, ()))
        self._owed = set(changes)
        return list(changes.values())

    def _batches(self, changes: Sequence[Change]) -> list[list[Change]]:
        """The changes, so many a call; in a cluster only one symbol's, whose keys share a slot."""
        batches: list[list[Change]] = []
        members = 0
        for change in sorted(changes, key=lambda c: c.series.symbol) if self._cluster else changes:
            full = not batches or len(batches[-1]) >= _SERIES_A_CALL
            full = full or members + len(change.members) > _MEMBERS_A_CALL
            if full or (self._cluster and batches[-1][-1].series.symbol != change.series.symbol):
                batches.append([])
                members = 0
            batches[-1].append(change)
            members += len(change.members)
        return batches

    async def _send(self, batch: Sequence[Change]) -> None:
        """One call of the script. `Fenced` if a newer writer was here."""
        keys: list[str] = []
        args: list[str | int] = [self._lease.token]
        revisions: dict[SeriesId, int] = {}
        updated_at = int(self._clock.wall() * 1000)
        for change in batch:
            symbol, timeframe = change.series.symbol, change.series.timeframe
            keys += (self._keys.candles(symbol, timeframe), self._keys.state(symbol, timeframe))
            self._revision += 1
            revisions[change.series] = self._revision
            # Popped, for until the answer is in nobody knows which of the two Redis holds.
            expected = self._revisions.pop(change.series, 0)
            args += (int(change.whole), expected, self._revision, change.keep_from, len(change.members))
            for time, candle in change.members.items():
                args += (time, candle.member() if candle else "")
            fields = encode_state(
                change.state,
                origin=self._origin,
                fence=self._lease.token,
                revision=self._revision,
                updated_at=updated_at,
            )
            args += (len(fields) // 2, *fields)
            args += (self._keys.updates(symbol, timeframe), len(change.updates))
            args += [encode_update(update) for update in change.updates]
        reply = await _UPSERT.run(self._redis, keys, args)
        if not isinstance(reply, list):
            raise Fenced("a newer writer has written here")
        lost: list[SeriesId] = []
        for (series, revision), result in zip(revisions.items(), reply, strict=True):
            if isinstance(result, int):
                self._revisions[series] = revision
                self._owed.discard(series)
                self.stats.upserts += 1
                if self.problems.pop(series, None):
                    logger.bind(event="foreign_key_gone", series=str(series)).info(
                        "{} is written again.", series
                    )
            elif _text(result) == "LOST":
                lost.append(series)
            else:
                self._owed.discard(series)
                self.stats.foreign += 1
                _, kind, key = _text(result).split(" ", 2)
                self._complain(series, ForeignKey(key, kind))
        if lost:
            self.stats.lost += len(lost)
            logger.bind(event="cache_lost", series=len(lost)).warning(
                "Redis no longer holds {} series as they were written; rewriting them from memory.", len(lost)
            )

    # --- keys of somebody else's

    def _complain(self, series: SeriesId, problem: ForeignKey) -> None:
        """Remember why the series is not written, and say it once."""
        if self.problems.get(series) != str(problem):
            self.problems[series] = str(problem)
            logger.bind(event="foreign_key", series=str(series), key=problem.key).error(
                "{} is not written: {}", series, problem
            )

    def _retry_foreign(self) -> None:
        """Now and then try those series again: somebody may have made room."""
        if self.problems and self._clock.monotonic() >= self._retry_foreign_at_s:
            self._retry_foreign_at_s = self._clock.monotonic() + FOREIGN_RETRY_S
            self._owed |= set(self.problems)
            self._wake.set()

    # --- trouble

    async def _patiently(self, attempt: Callable[[], Awaitable[_T]]) -> _T:
        """Try until Redis lets it succeed."""
        for wait_s in delays(self._jitter, first_s=0.2, most_s=5.0):
            try:
                result = await attempt()
            except TROUBLE as error:
                self._note(error)
                await self._clock.sleep(wait_s)
            else:
                self._recovered()
                return result
        raise AssertionError("delays never end")

    def _note(self, error: BaseException) -> None:
        """Count and log an error that passes; raise one that does not, for it is a bug."""
        if not passes(error):
            raise error
        self.stats.errors += 1
        self._trouble.note(error)

    def _recovered(self) -> None:
        self.stats.recoveries += self._trouble.over()


def _text(raw: Any) -> str:
    return raw.decode() if isinstance(raw, bytes) else str(raw)
