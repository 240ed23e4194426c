"""The writer: carries what changed to Redis, one script call for many series, and never gives up.

It takes what has changed since it last asked, and sends it; meanwhile the next gathers. Its memory is bounded
by the number of series, whatever Redis does: a change that could not be sent is not kept, its series is
*owed*, and is sent whole later from what the process holds. So an emptied, replaced or returning Redis is
rewritten without a request to the venue.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
from collections.abc import Callable, Sequence
from functools import partial

from msgspec.structs import replace

from ..clock import Clock
from ..errors import ForeignKey
from ..keys.keyspace import Keyspace
from ..model.series import Change, SeriesId
from ..quiet import logger
from ..wire.advice import ServerWatch
from ..wire.scripts import RedisLike, batches, cancellable
from ..wire.spread import is_apart, is_away, trouble_of
from ..wire.trouble import TROUBLE, Task, waits_s
from ..write.closes import PendingCloses
from ..write.lease import RENEW_S, Fenced, Lease, Overtaken
from ..write.presence import ALIVE_MS, Presence
from ..write.source import ChangeSource
from ..write.stats import WriterStats
from ..write.upserts import Held, Upserts, batch_changes, rest_s
from ..write.while_held import WhileHeld
from .audit import Audit, DamageTeller
from .foreign import ForeignKeys, Unwritten, find_foreign
from .patience import Patience
from .vouching import UNSENT_S, Vouching

__all__ = ["Writer", "WriterStats"]

CLOSE_GOODBYE_S = 1.0  # for all that is said to Redis at a clean stop
AUDIT_EVERY = 2  # renewals of the lease
REMIND_S = 10.0
_WHOLE_AT_ONCE, _SERIES_A_PART, _MEMBERS_A_PART = 25, 200, 5_000  # of what is rewritten


class Writer:
    """Writes the series of one venue: `open`, then `run` until cancelled, then `close`.

    `announced` are the series that readers may expect, where those written now are only some of them, `order`
    has all symbols. `wake` is set by whoever has changed something. `problems` says why a series cannot be
    written. With `gives_way` it ends by `Overtaken` rather than write over what another instance has written.
    Where this process has `used_before` what it writes to, it waits for whatever that refuses.
    Every `audit_every` renewals of the lease it compares a part of what Redis holds.
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
        order: Sequence[str] = (),
        sole_owner: bool = False,
        gives_way: bool = False,
        used_before: bool = False,
        audit_every: int = AUDIT_EVERY,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._unwritten = Unwritten(redis, keys)
        self.problems = self._unwritten.problems
        self.stats = WriterStats()
        self._redis, self._keys = redis, keys
        self._series = tuple(series)
        self._source = source
        self._clock = clock
        self._wake = wake
        self._gives_way = gives_way
        self._audit_every = audit_every
        self._jitter = jitter
        self._lease = Lease(redis, keys, instance, self._states(), clock=clock, sole_owner=sole_owner)
        self.pulse, self.holder, self.holds = self._lease.pulse, self._lease.holder, self._lease.holds
        held = WhileHeld(redis, self._lease)
        announced = announced or series
        self._presence = Presence(
            held, keys, series, instance, announced=announced, order=order, lease=self._lease
        )
        self._upserts = Upserts(held, keys, self._lease, origin=origin, clock=clock)
        self.found = self._upserts.found
        # The series whose content in Redis is unknown, or on its way: they are written whole.
        self._owed: set[SeriesId] = set(series)
        self._audit = Audit(held, keys, series, announced, source, self._held, self._lease, origin=origin)
        self._teller = DamageTeller()
        self.stats.damage = self._teller.stats
        self._foreign = ForeignKeys()
        self._server = ServerWatch(redis)
        self._patience = Patience(
            clock, self.stats, self.pulse, self._server, jitter, remind_s=REMIND_S, used_before=used_before
        )
        self.patiently = self._patience.until_done
        self._closes = PendingCloses(held, keys)
        self._vouching = Vouching(
            source, self._lease, self._presence, self._foreign, self._patience, keys, clock, origin=origin
        )
        self._entered = False
        self._announced = True  # whether what is configured was announced
        self._listed: Sequence[SeriesId] | None = None  # what the set of series says since then

    @property
    def token(self) -> int:
        """The fencing token of this tenure; 0 before `open`, and while the lease is taken anew."""
        return self._lease.token if self._entered else 0

    @property
    def writing(self) -> bool:
        """Whether this instance holds the lease, as far as it knows."""
        return self._entered and not self._lease.overdue

    async def open(self) -> None:
        """Wait for Redis and for the lease, and fence off older writers. Then what is stored may be read.

        Raises `ForeignKey` if a key holds something else: the prefix is somebody else's, and it is better to
        stop than to mix with their data.
        """
        look = partial(find_foreign, self._redis, self._keys, self._series)
        foreign = await self.patiently(look)
        for series, problem in foreign.items():
            self._unwritten.complain(series, problem)
        for problem in foreign.values():
            raise problem
        await self._enter()
        await self._server.look()

    def change(self, series: Sequence[SeriesId], order: Sequence[str] = ()) -> None:
        """Write and announce these series from now on; the source has them already.

        Readers of those that are gone are told so, and those that came are written whole.
        """
        self._owed = (self._owed | (set(series) - set(self._series))) & set(series)
        self._series = tuple(series)
        self._unwritten.keep(series)
        self._upserts.keep(series)
        self._lease.change(self._states())
        self._presence.change(series, series, order)
        self._audit.change(series, series)
        self._announced, self._listed = False, None
        self._vouching.due()
        self._wake.set()

    def _states(self) -> list[str]:
        return sorted(self._keys.state(s.symbol, s.timeframe) for s in self._series)

    async def run(self) -> None:
        """Write until cancelled. Whenever the lease was lost, wait for it, and rewrite what is not as it was.

        With `gives_way`, `Overtaken` if another instance has written meanwhile.
        """
        while True:
            # A task of its own: on Python 3.11 a group that ends by an error drops a cancellation that comes
            # meanwhile. `cancellable` finds it, since nothing but a stop ever cancels this task here.
            tenure = asyncio.create_task(self._tenure(), name="writer: tenure")
            try:
                await cancellable(tenure)
            except* Fenced as fenced:
                reason = fenced.exceptions[0]
            self._entered = False
            self.stats.fenced += 1
            successor = await self.patiently(partial(self._lease.tell_loss, reason))
            if successor is not None and self._gives_way:
                raise Overtaken(successor)
            await self._enter(again=True)
            await self._server.look()

    async def close(self, *, for_good: bool = False) -> None:
        """Send what is left, say that this one leaves, and give up the lease: for whoever comes next.

        `for_good`: nobody will, and readers are to know at once. Takes a second at most, and never raises for
        Redis's sake.
        """
        try:
            async with asyncio.timeout(CLOSE_GOODBYE_S):
                if not self._entered:  # It has said nothing to take back, but may have got its turn just now.
                    with contextlib.suppress(*TROUBLE):
                        await self._lease.release()
                    return
                await self._lease.renew()
                await self._presence.leave(for_good=for_good)
                self._wake.set()
                while self._wake.is_set():
                    self._wake.clear()
                    await self._flush()
                await self._lease.release()
        except (Fenced, *TROUBLE) as error:
            logger.bind(event="goodbye_failed", kind=type(error).__name__).info(
                "Redis was not told of the stop ({}); readers notice within {} s.",
                type(error).__name__,
                ALIVE_MS // 1000,
            )

    # --- tenure

    async def _enter(self, *, again: bool = False) -> None:
        """Begin a tenure: of what an earlier one knew of Redis only what nobody has written since counts."""
        await self.patiently(partial(self._lease.acquire, gives_way=again and self._gives_way))
        self._upserts.recall(self._lease.revisions)
        self._teller.forget()
        self._owed = (self._owed | set(self._series) - self._upserts.held.keys()) - set(self.problems)
        self._vouching.due()
        # If the lease is lost again already, nothing is announced, and the next renewal leads back here.
        with contextlib.suppress(Fenced):
            await self.patiently(self._announce)
        self._entered = True

    async def _announce(self) -> None:
        """Make the set of series say what is configured."""
        self._announced, self._listed, series = True, None, self._series
        try:
            announced = self._presence.announce(self._lease.record, self._lease.token)
            await self._foreign.heed([self._keys.series], announced)
        except BaseException:
            self._announced = False
            raise
        self._listed = series if series is self._series else None

    async def _tenure(self) -> None:
        """Write until the lease is lost."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._flush_forever(), name="writer: flush")
            tasks.create_task(self._hold_forever(), name="writer: lease and alive")

    async def _hold_forever(self) -> None:
        """Renew the lease, and only then vouch: a writer that was stopped and wakes up must not."""
        for renewal in itertools.count():
            task: Task = "hold"
            try:
                await self._lease.renew()
                await self._go_on()
                task = "vouch"
                await self._vouching.vouch()
                task = "hold"
                if renewal % self._audit_every == 0:
                    await self._check()
                    await self._patience.recovered(task)
            except TROUBLE as error:
                self._patience.note(error, task)
                if self._lease.overdue:
                    raise Fenced("the lease could not be renewed in time") from error
            await self._clock.sleep(RENEW_S)

    async def _go_on(self) -> None:
        """In a cluster: enter the symbols whose node was away, and have another try at what is owed."""
        if not is_apart(self._redis):
            return
        await self._patience.heed(trouble_of(self._redis), "node")
        if entered := await self._lease.enter_rest():
            self._upserts.recall(self._lease.revisions, entered)
            came = {s for s in self._series if s.symbol in entered}
            self._owed |= came - self._upserts.held.keys() - self.problems.keys()
        if self._owed or self._closes.waiting:
            self._wake.set()

    def _reached(self, series: SeriesId) -> bool:
        """Whether it can be written now: in a cluster its node may be away."""
        return self.holds(series.symbol) and not is_away(self._redis, self._keys.fence(series.symbol))

    async def _check(self) -> None:
        """Compare a part of what Redis holds with what was written; have written what differs, or can be."""
        owed = {*await self._unwritten.due(), *self._teller.tell(await self._audit.series())}
        if owed:
            self._owed |= owed
            self._wake.set()
        listed, look = self._listed, self._foreign.look()
        shared = await self._audit.shared()
        if listed is None or listed is not self._listed:
            # It is being announced just now, so that either answer may be true.
            shared = shared._replace(set_damaged=False)
        self._teller.tell_shared(shared)
        self._foreign.update([self._keys.series, self._keys.closes, self._keys.feed], shared.types, look)
        if shared.set_damaged:
            self._announced = False
            self._wake.set()
        if self._closes.blocked and self._keys.closes not in shared.types:
            self._closes.blocked = ""
            self._wake.set()

    def _held(self, series: SeriesId) -> Held | None:
        """What Redis holds of a series; None while that is not known, or a change is on its way."""
        return None if series in self._owed else self._upserts.held.get(series)

    # --- flushing

    async def _flush_forever(self) -> None:
        waits = waits_s(self._jitter)
        self._wake.set()
        while True:
            await self._wake.wait()
            self._wake.clear()
            task: Task = "write"
            try:
                if not self._announced:
                    await self._announce()
                written = await self._flush()
                if self._patience.lasts_s(task) > UNSENT_S:
                    self._vouching.due()
                await self._patience.recovered(task)
                task = "vouch"  # the first time as soon as it can be said, not at the lease's next renewal
                await self._vouching.vouch()
            except TROUBLE as error:
                self._patience.note(error, task)
                self._wake.set()
                await self._clock.sleep(next(waits))
            else:
                waits = waits_s(self._jitter)
                if (rest := rest_s(written)) > 0:
                    await self._clock.sleep(rest)

    async def _flush(self) -> int:
        """Send some of what is there to send; of how many series. What fails stays owed, and closes pending.

        Where more is left, `wake` is set.
        """
        began_s = self._clock.monotonic()
        changes = self._gather()
        try:
            await self._closes.send(self._lease.record)
        except TROUBLE as error:
            if not is_apart(self._redis):
                raise
            self._patience.note(error, "hold")  # Other nodes have the candles.
        finally:
            self.stats.closes, self.stats.closes_dropped = self._closes.added, self._closes.dropped
        if self._closes.blocked:
            self._foreign.update([self._keys.closes], {self._keys.closes: self._closes.blocked})
        for batch in batch_changes(changes, apart=is_apart(self._redis)):
            await self._send(batch)
        self.stats.flushes += 1
        if changes:
            self.stats.flush_seconds.observe(self._clock.monotonic() - began_s)
        if not self._owed:
            self._source.sent()
        return len(changes)

    def _gather(self) -> list[Change]:
        """What to send now: what changed, and some of what is owed, whole. From here on all of it is owed."""
        taken = self._source.take()
        self._closes.keep(taken.closes)
        changes: dict[SeriesId, Change] = {}
        for change in taken.series:
            # A change can build only on what was sent: where an earlier one failed, the series stays owed.
            builds = change.series in self._upserts.held and change.series not in self._owed
            if (change.whole or builds) and self._reached(change.series):
                changes[change.series] = change
                self._owed.discard(change.series)
            elif change.series not in self.problems:
                self._owed.add(change.series)
        updates = {change.series: change.updates for change in taken.series}
        owed = [s for s in self._series if s in self._owed and self._reached(s)]
        for some in batches(owed, _WHOLE_AT_ONCE):
            again = self._source.whole(some)
            self._closes.keep(again.closes)
            for change in again.series:
                changes[change.series] = replace(change, updates=updates.get(change.series, ()))
            if (
                len(changes) >= _SERIES_A_PART
                or sum(len(c.members) for c in changes.values()) >= _MEMBERS_A_PART
            ):
                self._wake.set()
                break
        self._owed |= set(changes)
        return list(changes.values())

    async def _send(self, batch: Sequence[Change]) -> None:
        """One call of the script. `Fenced` if the lease is another's."""
        lost = 0
        for series, outcome in (await self._upserts.send(batch)).items():
            if isinstance(outcome, int):
                self._owed.discard(series)
                self.stats.upserts += 1
                self._unwritten.written(series)
            elif outcome == "LOST":
                lost += 1
            elif outcome != "UNTOLD":  # which stays owed
                self._owed.discard(series)
                self.stats.foreign += 1
                _, kind, key = outcome.split(" ", 2)
                self._unwritten.complain(series, ForeignKey(key, kind))
        if lost:
            self._wake.set()
            self.stats.lost += lost
            logger.bind(event="cache_lost", series=lost).warning(
                "Redis no longer holds {} series as they were written; rewriting them from memory.", lost
            )
