"""`GET /api/v1/series`: how every series stands, looked at once a second at most, however many ask."""

from __future__ import annotations

import asyncio
import contextlib
from typing import NamedTuple

import msgspec
from aiohttp import web

from ..cache.keyspace import Damaged, decode_member
from ..cache.reading import SeriesView, trips
from ..cache.standing import row_of
from ..clock import Clock
from ..errors import RedisUnavailable
from .conditional import GZIP_FROM_BYTES, given, packed, tag_of
from .lookout import LOOK_AGAIN_MOST_S, LOOK_AGAIN_S, LOOK_SHARE
from .shapes import NoQuery, SeriesAnswer, SeriesRow
from .source import Source, Way, parse

__all__ = ["PATH", "Table", "row", "time_of"]

PATH = "/api/v1/series"

TABLE_S = 8.0  # for one look; 6,300 series take half a second


class _Seen(NamedTuple):
    body: bytes
    gzipped: bytes
    tag: str
    way: Way
    until_s: float


class Table:
    """The handler, and what it saw last."""

    def __init__(self, source: Source, clock: Clock) -> None:
        self._source = source
        self._clock = clock
        self._turn = asyncio.Lock()
        self._seen: _Seen | None = None

    async def show(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request. Raises LivecacheError for what cannot be answered."""
        parse(request, NoQuery)
        seen = await self._look()
        return given(request, seen.body, tag=seen.tag, gzipped=seen.gzipped)

    async def _look(self) -> _Seen:
        way = self._source.way()
        async with self._turn:
            began_s = self._clock.monotonic()
            seen = self._seen
            if seen is None or seen.way is not way or began_s >= seen.until_s:
                try:
                    async with asyncio.timeout(TABLE_S):
                        answer = await _read(way)
                except TimeoutError:
                    raise RedisUnavailable(f"Redis does not answer within {TABLE_S:g} s") from None
                body = msgspec.json.encode(answer)
                gzipped = await asyncio.to_thread(packed, body) if len(body) >= GZIP_FROM_BYTES else b""
                ended_s = self._clock.monotonic()
                wait_s = min(max(LOOK_AGAIN_S, LOOK_SHARE * (ended_s - began_s)), LOOK_AGAIN_MOST_S)
                seen = self._seen = _Seen(body, gzipped, tag_of(body), way, ended_s + wait_s)
            return seen


async def _read(way: Way) -> SeriesAnswer:
    rows: list[SeriesRow] = []
    time = 0
    # A round trip at a time: in between the feed and the writer have their turn.
    for trip in trips(await way.link.drive(way.core.all_series())):
        views = await way.link.drive(way.core.views(trip))
        time = max(time, time_of(views))
        rows += map(row, views)
    ready = sum(one.state == "ready" for one in rows)
    return SeriesAnswer(venue=way.keys.venue, time=time, total=len(rows), ready=ready, series=rows)


def time_of(views: list[SeriesView]) -> int:
    """The venue's clock at the last sign of life in these, Unix ms; 0 without one."""
    return max((view.alive.time for view in views if view.alive), default=0)


def row(view: SeriesView) -> SeriesRow:
    """A series as the API tells of it."""
    seen, stored = row_of(view), view.record.state if view.record else None
    last = None
    with contextlib.suppress(Damaged):  # It shows no price; readers tell of the damage.
        last = decode_member(view.newest, view.series.timeframe) if view.newest else None
    return SeriesRow(
        symbol=view.series.symbol,
        timeframe=view.series.timeframe.value,
        state=seen.state,  # type: ignore[arg-type]
        reason=seen.reason,
        feed=seen.feed,  # type: ignore[arg-type]
        candles=seen.count,
        contiguous_from=stored.contiguous_from if stored else 0,
        settled_through=seen.settled_through,
        known_through=stored.known_through if stored else 0,
        closed_through=stored.closed_through if stored else 0,
        lag_ms=seen.lag_ms,
        last=float(last.close) if last else None,
        last_time=last.time if last else None,
    )
