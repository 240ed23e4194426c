"""Adoption: what of an earlier run's candles may be believed at start."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from operator import attrgetter

import msgspec

from ..errors import OutsideCalendar
from ..keys.keyspace import Damaged, Keyspace, decode_member, decode_state, standing_of
from ..model.candle import ExactCandle
from ..model.coverage import Span
from ..model.grid import Grid
from ..model.series import SeriesId, Stored
from ..model.timeframe import Timeframe
from ..quiet import logger
from ..wire.scripts import COMMON, RedisLike, Script, text_of
from ..wire.spread import Call, grouped, run_all

__all__ = ["Adopted", "LoadedSeries", "judge", "load"]

# More than anybody keeps; so that a set of somebody else's cannot fill our memory.
_MEMBERS_MAX = 20_000

_SERIES_A_CALL = 20

_APART_MS = 5_000
"""So far two hosts may be apart in what they take for the venue's time: the one that comes may be behind."""

# KEYS: for each series its set and its state hash. ARGV: the most members to return of each.
# Returns for each series {the hash, the members with their scores}, or the type that should not be there.
_LOAD = Script(
    COMMON
    + """
local results = {}
for i = 1, #KEYS / 2 do
  local set_type, state_type = type_of(KEYS[2 * i - 1]), type_of(KEYS[2 * i])
  if set_type ~= 'zset' and set_type ~= 'none' then
    results[i] = set_type
  elseif state_type ~= 'hash' and state_type ~= 'none' then
    results[i] = state_type
  else
    results[i] = {
      redis.call('HGETALL', KEYS[2 * i]),
      redis.call('ZRANGE', KEYS[2 * i - 1], 0, ARGV[1] - 1, 'WITHSCORES'),
    }
  end
end
return results
"""
)


class LoadedSeries(msgspec.Struct, frozen=True):
    """One series as it lies in Redis: the state's fields, and members with their scores, lowest first."""

    fields: Mapping[str, str]
    members: Sequence[tuple[bytes, float]]


class Adopted(msgspec.Struct, frozen=True):
    """What may be believed, and why the rest may not. Series of which nothing was stored are in neither."""

    stored: tuple[Stored, ...]
    refused: Mapping[SeriesId, str]
    rejected: int  # members that could not be believed, over all series


def judge(
    series: SeriesId, found: LoadedSeries, *, origin: str, now: int, grid: Grid | None = None
) -> Stored | str:
    """What was found, decoded, or the reason why it cannot be believed. `now` is the venue's, Unix ms.

    `grid` is where the venue's buckets lie, if not where the timeframe says.
    """
    try:
        return _judge(series, found, origin, now, grid or series.timeframe.grid)
    except OutsideCalendar as error:
        return f"not all of its times lie on its grid: {error.message}"


def _judge(series: SeriesId, found: LoadedSeries, origin: str, now: int, venues: Grid) -> Stored | str:
    try:
        record = decode_state(found.fields, series.timeframe)
    except Damaged as damage:
        return str(damage)
    if record.origin != origin:
        return f"it came from {record.origin or 'nowhere'}, not from {origin}"
    coverage, grid = record.state.coverage, record.state.grid_of(series.timeframe)
    if coverage and coverage.spans[-1].end > now:
        return "its coverage runs ahead of the venue's clock"
    if record.count != len(found.members):
        return f"the set has {len(found.members)} members and its state says {record.count}"
    candles: list[ExactCandle] = []
    for member, score in found.members:
        try:
            candle = decode_member(member, series.timeframe, grid)
        except Damaged as damage:
            return f"a damaged member at {score:.0f}: {damage}"
        if candle.time != score:
            return f"the member of {candle.time} lies at {score:.0f}"
        if candle.time > now + _APART_MS:
            return f"the candle of {candle.time} lies ahead of the venue's clock"
        if candles and candle.time == candles[-1].time:
            return f"two members for the bucket of {candle.time}"
        candles.append(candle)
    state = record.state
    there = all(c.time in venues for c in candles) and all(map(venues.bounds, chain(*coverage)))
    # A session that its calendar did not know was never asked for, and would count as empty.
    if not there or any(grid.opens(*span) != venues.opens(*span) for span in coverage):
        return "its buckets do not lie where the venue's do"
    closed = grid.closed(now + _APART_MS)
    known = Span(state.contiguous_from, min(state.known_through, closed))
    standing = state.reason if standing_of(state.reason) else ""
    if standing.startswith("halted"):
        standing = standing.partition("; ")[0]  # What else was amiss is found anew.
    return Stored(series, tuple(candles), coverage, state.history_from, known, state.ready, standing)


def _damaged(series: SeriesId, found: LoadedSeries, grid: Grid) -> int:
    """How many of the members cannot be believed."""
    count = 0
    for member, _ in found.members:
        try:
            decode_member(member, series.timeframe, grid)
        except (Damaged, OutsideCalendar):
            count += 1
    return count


async def load(
    redis: RedisLike,
    keys: Keyspace,
    series: Sequence[SeriesId],
    *,
    origin: str,
    now: int,
    grid: Callable[[Timeframe], Grid] = attrgetter("grid"),
) -> Adopted:
    """Read what an earlier run left of `series`. Call it while holding the lease, or it may change meanwhile.

    `grid` tells where the venue's buckets lie; `origin` is its scheme and host, `now` its clock in Unix ms.
    Redis's errors pass through.
    """
    stored: list[Stored] = []
    refused: dict[SeriesId, str] = {}
    rejected = 0
    groups = grouped(redis, series, _SERIES_A_CALL, lambda one: one.symbol)
    calls = [
        Call(_LOAD, [name(*s[1:]) for s in batch for name in (keys.candles, keys.state)], [_MEMBERS_MAX])
        for batch in groups
    ]
    for batch, replies in zip(groups, await run_all(redis, calls), strict=True):
        if isinstance(replies, BaseException):
            refused |= dict.fromkeys(batch, f"its node did not tell: {replies}")
            continue
        for one, reply in zip(batch, replies, strict=True):
            if not isinstance(reply, list):
                refused[one] = f"a key of it holds a {text_of(reply)}"
                continue
            found = _found(*reply)
            if not found.fields and not found.members:
                continue
            verdict = judge(one, found, origin=origin, now=now, grid=grid(one.timeframe))
            if isinstance(verdict, Stored):
                stored.append(verdict)
            else:
                refused[one] = verdict
                rejected += _damaged(one, found, grid(one.timeframe))
    for one, reason in refused.items():
        logger.bind(event="adoption_refused", series=str(one), reason=reason).warning(
            "{} starts empty: what is stored cannot be used, {}.", one, reason
        )
    return Adopted(tuple(stored), refused, rejected)


def _found(fields: Sequence[bytes], members: Sequence[bytes]) -> LoadedSeries:
    pairs = zip(members[::2], members[1::2], strict=True)
    return LoadedSeries(
        fields={text_of(k): text_of(v) for k, v in zip(fields[::2], fields[1::2], strict=True)},
        members=[(member, float(score)) for member, score in pairs],
    )
