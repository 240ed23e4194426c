"""One series as it lies in Redis, bucket by bucket, and what each of them is worth.

A `Reader` refuses what it cannot answer for. Who looks into a cache wants to see that too, and told apart.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from operator import attrgetter
from typing import TYPE_CHECKING, NamedTuple

from ...errors import OutOfSync
from ...keys.keyspace import Damaged, Keyspace, decode_member, decode_state
from ...model.candle import ExactCandle
from ...model.coverage import Coverage
from ...model.series import SeriesId, SeriesState
from ...model.timeframe import Multiple, Timeframe, stored_of
from ...read.questions import COUNT_MAX
from ...read.reading import Core, SeriesView, alive_of
from ...reader.links import RedisLink
from ...wire.routing import client_at
from ...wire.scripts import text_of

if TYPE_CHECKING:
    import redis

__all__ = ["Bucket", "BucketKind", "StoredSeries", "buckets_of", "read_series", "read_stored"]


class BucketKind(StrEnum):
    """What a bucket is worth."""

    SETTLED = "settled"  # read from the venue after it had closed
    PROVISIONAL = "provisional"  # closed, and vouched for by an unbroken feed; no candle: no trade seen
    EMPTY = "empty"  # settled, and nothing was traded in it
    FORMING = "forming"  # in progress, and vouched for by the feed
    UNVOUCHED = "unvouched"  # there is a candle, and nobody answers for it
    MISSING = "missing"  # closed, and nothing is known of it
    DAMAGED = "damaged"  # there is something that is no candle


class Bucket(NamedTuple):
    """One bucket: its open time in Unix ms, what it is worth, and its candle if it has one."""

    time: int
    kind: BucketKind
    candle: ExactCandle | None


@dataclass(frozen=True, slots=True)
class StoredSeries:
    """The newest buckets of a series, oldest first and without a gap, and how the series stands."""

    view: SeriesView
    buckets: tuple[Bucket, ...]


def read_stored(client: redis.Redis, keys: Keyspace, series: SeriesId, count: int) -> StoredSeries:
    """The newest `count` buckets and the state of the same moment. redis-py's errors pass through."""
    _, symbol, timeframe = series
    with client_at(client, keys.alive(symbol)).pipeline(transaction=True) as pipeline:
        pipeline.hgetall(keys.state(symbol, timeframe))
        pipeline.get(keys.alive(symbol))
        pipeline.zcard(keys.candles(symbol, timeframe))
        # A bucket has one member at most, so that these hold all of the newest buckets.
        pipeline.zrange(keys.candles(symbol, timeframe), -count, -1, withscores=True)
        replies = pipeline.execute(raise_on_error=False)
    if any(isinstance(reply, Exception) for reply in replies):
        return StoredSeries(SeriesView(series, None, None, 0, "a key of it is of another type"), ())
    fields, alive, members, candles = replies
    record, damage = None, ""
    try:
        told = {text_of(k): text_of(v) for k, v in fields.items()}
        record = decode_state(told, timeframe) if told else None
    except Damaged as error:
        damage = str(error)
    view = SeriesView(series, record, alive_of(alive), members, damage)
    buckets = buckets_of(record.state if record else None, candles, timeframe, count)
    return StoredSeries(view, tuple(buckets))


def read_series(client: redis.Redis, keys: Keyspace, series: SeriesId, count: int) -> StoredSeries:
    """`read_stored`, or of a multiple what a reader gets. Raises the `ReadError` that it would get."""
    if not isinstance(series.timeframe, Multiple):
        return read_stored(client, keys, series, count)
    link = RedisLink(None, client)
    core = Core(replace(keys, database=link.database), math.inf)
    request = core.request(series.symbol, series.timeframe, min(count, COUNT_MAX), at_least=1, forming=True)
    try:
        read = link.drive(core.read_verbatim(request))
    except OutOfSync:
        read = link.drive(core.read_verbatim(replace(request, forming=False)))
    candles = read.candles
    (view,) = link.drive(core.views([SeriesId(*series[:2], stored_of(candles.series.timeframe))]))
    if view.record is None:
        return StoredSeries(view, ())
    known = Coverage([(candles.contiguous_from, candles.settled_through)])
    state = replace(
        view.record.state,
        contiguous_from=candles.contiguous_from,
        settled_through=candles.settled_through,
        known_through=candles.known_through,
        closed_through=read.closed_through,
        coverage=known if candles.contiguous_from < candles.settled_through else Coverage(),
        forming=candles.forming,
        grid="",
    )
    members = [*read.members, *([read.forming] if read.forming else [])]
    record = replace(view.record, state=state, count=len(members))
    pairs = zip(members, map(attrgetter("time"), candles), strict=True)
    buckets = buckets_of(state, pairs, candles.series.timeframe, count)
    return StoredSeries(
        replace(view, series=candles.series, record=record, members=len(members)), tuple(buckets)
    )


def buckets_of(
    state: SeriesState | None,
    members: Iterable[tuple[bytes, float]],
    timeframe: Timeframe,
    count: int,
) -> Sequence[Bucket]:
    """The newest `count` buckets, oldest first; fewer where the series begins later. Pure.

    `members` are pairs of member and score. What lies beyond the bucket in progress is left out.
    """
    grid = state.grid_of(timeframe) if state else timeframe.grid
    candles: dict[int, ExactCandle | None] = {}
    for member, score in members:
        try:
            candle = decode_member(member, timeframe, grid)
            candles[candle.time] = candle
        except Damaged:
            candles[grid.floor(int(score))] = None
    end = max(state.closed_through, grid.end(state.forming) if state.forming else 0) if state else 0
    latest = grid.due(end) if end else grid.end(max(candles, default=0))
    candles = {time: candle for time, candle in candles.items() if time < latest}
    end = max([end, *map(grid.end, candles)])
    begins = [*candles, *([state.contiguous_from] if state and state.contiguous_from else [])]
    begins += [span.start for span in state.coverage] if state else []
    start = max(min(begins, default=end), grid.far_back(end, count))
    return [_bucket(state, time, candles) for time in grid.opens(start, end)]


def _bucket(state: SeriesState | None, time: int, candles: dict[int, ExactCandle | None]) -> Bucket:
    there, candle = time in candles, candles.get(time)
    if there and candle is None:
        kind = BucketKind.DAMAGED
    elif state is None:
        kind = BucketKind.UNVOUCHED if there else BucketKind.MISSING
    elif time in state.coverage:
        kind = BucketKind.SETTLED if there else BucketKind.EMPTY
    elif state.contiguous_from <= time < state.known_through:
        kind = BucketKind.PROVISIONAL
    elif state.forming and time == state.forming:
        kind = BucketKind.FORMING
    else:
        kind = BucketKind.UNVOUCHED if there else BucketKind.MISSING
    return Bucket(time, kind, candle)
