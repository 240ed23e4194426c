"""Upserts: the changes of series as calls of upsert.lua, and what Redis holds once they are answered."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from msgspec.structs import replace

from ..clock import Clock
from ..keys.keyspace import Keyspace, encode_state, encode_update
from ..model.candle import ExactCandle
from ..model.series import Change, SeriesId, SeriesState, Stored
from ..wire.scripts import RedisLike, Script, text_of
from ..wire.spread import Call, grouped, is_apart, run_all
from .lease import Fenced, Lease

__all__ = ["Held", "Upserts", "batch_changes", "rest_s"]

# What one call may hold. 100 series keep the server busy for 0.45 ms; whole ones with all their members,
# longer.
_SERIES_A_CALL = 100
_MEMBERS_A_CALL = 5_000
_SERIES_AT_ONCE_APART = 1_000  # in a cluster, where each symbol is a call and they go side by side

# After a flush of many series the writer rests, while candles of the same buckets gather. Else a feed that
# never pauses would have half of the processor spent on flushes. After a few the next one follows at once.
_REST_FROM_SERIES = 25
_REST_S_A_SERIES = 60e-6  # some four times what writing one costs
_REST_S_MOST = 0.05

_UPSERT = Script.load("wire/common.lua", "write/upsert.lua")
_UPSERT_APART = Script(_UPSERT.text.replace("'PUBLISH'", "'SPUBLISH'"))
"""In a cluster: told to the nodes that have the symbol, and to no others."""


class Held(NamedTuple):
    """What Redis holds of a series: the number of the write, its state, and how many members it left."""

    revision: int
    state: SeriesState
    members: int


_Written = dict[SeriesId, tuple[int, SeriesState | None]]


class Upserts:
    """Writes changes, one call for many series, and remembers what each left behind."""

    def __init__(self, redis: RedisLike, keys: Keyspace, lease: Lease, *, origin: str, clock: Clock) -> None:
        self.held: dict[SeriesId, Held] = {}
        """What Redis holds, as far as this tenure knows. A series that is being written is not in it."""
        self._redis = redis
        self._keys = keys
        self._lease = lease
        self._origin = origin
        self._clock = clock
        self._revision = 0
        self._found: dict[SeriesId, Sequence[ExactCandle]] = {}  # until the first write of each

    def found(self, token: int, stored: Iterable[Stored]) -> None:
        """This was read while `token` was the lease's, whole: what is so already need not be sent again.

        The lease's stamp is on it, so that a write upon anything else is `LOST`. A member that somebody
        changes by hand meanwhile is found by the audit, as at any other time.
        """
        if token == self._lease.token:
            self._found = {one.series: one.candles for one in stored}

    def recall(self, revisions: Mapping[str, str], symbols: Collection[str] | None = None) -> None:
        """Another tenure: of what was known of Redis, that counts which stands at the revision it was left.

        `revisions` are by the keys of the states. `symbols`: that tenure is of these alone.
        """

        def stands(series: SeriesId, revision: int) -> bool:
            if symbols is not None and series.symbol not in symbols:
                return True
            return revisions.get(self._keys.state(series.symbol, series.timeframe)) == str(revision)

        # Anew, for what was expected under another fence is not expected any more.
        self.held = {s: Held(*held) for s, held in self.held.items() if stands(s, held.revision)}
        self._found = {s: found for s, found in self._found.items() if stands(s, 0)}

    def keep(self, series: Iterable[SeriesId]) -> None:
        """Only these are written from now on: nothing is known of others when they come back."""
        kept = set(series)
        self.held = {each: held for each, held in self.held.items() if each in kept}
        self._found = {each: found for each, found in self._found.items() if each in kept}

    async def send(self, batch: Sequence[Change]) -> dict[SeriesId, int | str]:
        """Write these changes: for each the number of members now, or why it was left untouched.

        Of one server it is one call, and `Fenced` if the lease is not ours any more, or a newer writer was
        here; Redis's errors pass through. In a cluster it is a call a symbol; one that is fenced has to be
        entered again, and what was not answered is "UNTOLD".
        """
        groups = grouped(self._redis, batch, len(batch) or 1, lambda change: change.series.symbol)
        calls, written = zip(*map(self._call, groups), strict=True) if groups else ((), ())
        outcomes: dict[SeriesId, int | str] = {}
        for (symbol, states), reply in zip(written, await run_all(self._redis, calls), strict=True):
            if isinstance(reply, BaseException):
                outcomes |= dict.fromkeys(states, "UNTOLD")
                continue
            if not isinstance(reply, list):
                if not is_apart(self._redis):
                    raise Fenced("the lease is not ours any more, or a newer writer has written")
                self._lease.leave(symbol)
                outcomes |= dict.fromkeys(states, "UNTOLD")
                continue
            for (series, (revision, state)), result in zip(states.items(), reply, strict=True):
                if isinstance(result, int) and state is not None:
                    self.held[series] = Held(revision, state, result)
                outcomes[series] = result if isinstance(result, int) else text_of(result)
        return outcomes

    def _call(self, batch: Sequence[Change]) -> tuple[Call, tuple[str, _Written]]:
        """These changes as one call, and what each of them leaves behind."""
        keys: list[str] = []
        args: list[str | int] = [self._lease.token]
        written: _Written = {}
        updated_at = int(self._clock.wall() * 1000)
        for whole in batch:
            change = self._upon_what_was_found(whole)
            symbol, timeframe = change.series.symbol, change.series.timeframe
            keys += (self._keys.candles(symbol, timeframe), self._keys.state(symbol, timeframe))
            self._revision += 1
            # Popped, for until the answer is in nobody knows which of the two Redis holds.
            before = self.held.pop(change.series, None)
            state = change.state or (before.state if before else None)
            written[change.series] = self._revision, state
            expected = before.revision if before else 0
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
        key, value = self._lease.guard(batch[0].series.symbol)
        script = _UPSERT_APART if is_apart(self._redis) else _UPSERT
        return Call(script, [*keys, key], [*args, value]), (batch[0].series.symbol, written)

    def _upon_what_was_found(self, change: Change) -> Change:
        """The change, without what it would write as it is there already."""
        found = self._found.pop(change.series, None)
        if found is None or not change.whole:
            return change
        there = {candle.time: candle for candle in found}
        gone: dict[int, ExactCandle | None] = {
            time: None for time in there if time >= change.keep_from and time not in change.members
        }
        other = {time: candle for time, candle in change.members.items() if there.get(time) != candle}
        return replace(change, whole=False, members=gone | other)


def rest_s(series: int) -> float:
    """How long to rest after a flush of so many series, in seconds."""
    return min(_REST_S_MOST, series * _REST_S_A_SERIES) if series >= _REST_FROM_SERIES else 0.0


def batch_changes(changes: Sequence[Change], *, apart: bool = False) -> list[list[Change]]:
    """The changes, so many a call; or, where symbols are `apart`, so many at once."""
    most = _SERIES_AT_ONCE_APART if apart else _SERIES_A_CALL
    batches: list[list[Change]] = []
    members = 0
    for change in changes:
        full = not batches or len(batches[-1]) >= most
        if full or members + len(change.members) > _MEMBERS_A_CALL:
            batches.append([])
            members = 0
        batches[-1].append(change)
        members += len(change.members)
    return batches
