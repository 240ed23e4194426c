"""`GET /api/v1/stream`: server-sent events of some series, resumed where a client left off."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence

import msgspec
from aiohttp import web

from ...errors import ClosesLost, ConfigError
from ...model.series import SeriesId
from ...read.close_events import entries_after
from ..ordering.desk import Desk
from ..origins import SHARED
from ..shapes.events import LostEvent, StateEvent, StreamQuery
from ..shapes.fields import SERIES_A_STREAM_MOST
from ..source import Source, Way, parse
from .events import RETRY, Happening, closed_event, entries_of, framed, position_of
from .hub import Hub, Listener, Slow
from .table import row, time_of

__all__ = ["EVERYTHING", "PATH", "Streams"]

PATH = "/api/v1/stream"

EVERYTHING = "*"
"""In place of the series: what closes, settles and is revised of all."""

SEND_S = 10.0  # a client that does not take a message within that is cut off

_HEADERS = {
    "Content-Type": "text/event-stream",
    "Cache-Control": "no-cache",
    "X-Accel-Buffering": "no",  # nginx would hold events back
}


class Streams:
    """The handler."""

    def __init__(self, source: Source, hub: Hub, desk: Desk) -> None:
        self._source = source
        self._desk = desk
        self._hub = hub

    async def show(self, request: web.BaseRequest) -> web.StreamResponse:
        """Tell what happens until the client goes. Raises LivecacheError for what cannot be answered."""
        query = parse(request, StreamQuery, repeated="series")
        way = self._source.way()
        after = _after(request.headers.get("Last-Event-ID") or query.after, way.venues)
        if query.jobs:
            _ = self._desk.place
        elif not query.series:
            raise ConfigError("missing parameter series", "or jobs=true, for jobs alone")
        everything = query.series == [EVERYTHING]
        series = await (self._some() if everything else self._series(way, query.series))
        if request.method == "HEAD":
            return web.Response(headers=_HEADERS)
        listener = Listener(series, everything=everything, jobs=query.jobs)
        self._hub.add(listener)
        try:
            joined = await self._hub.join(listener)
            views = await way.link.drive(way.core.views(series))
            rows = [] if everything else [row(view) for view in views]
            state = StateEvent(time=time_of(views), error="", series=rows)
            # What it resumes from stays its place until it has been told all that came since.
            first = framed(
                "state", msgspec.json.encode(state), "" if after else position_of(joined, way.venues)
            )
            shared = request[SHARED]
            response = web.StreamResponse(headers={**_HEADERS, **shared})
            await self._send(request, response, listener, RETRY + first, (way, after, joined))
        finally:
            self._hub.remove(listener)
        return response

    async def _some(self) -> list[SeriesId]:
        """A few, by which one can tell whether anybody vouches."""
        one_of_each = sorted({series[:2]: series for series in await self._source.known()}.values())
        return one_of_each[:: len(one_of_each) // SERIES_A_STREAM_MOST + 1]

    async def _series(self, way: Way, names: Sequence[str]) -> list[SeriesId]:
        known = await self._source.known()
        found = []
        for name in dict.fromkeys(names):
            symbol, _, timeframe = name.rpartition(":")
            if not symbol:
                hint = "symbol and timeframe: BTC-USD:5m; or * alone, for all of them"
                raise ConfigError(f"series: {name[:40]!r} is none", hint)
            series = way.core.series_id(await self._source.place(symbol), timeframe)
            if series not in known:
                raise await self._source.unknown(series)
            found.append(series)
        return found

    async def _send(
        self,
        request: web.BaseRequest,
        response: web.StreamResponse,
        listener: Listener,
        first: bytes,
        resume: tuple[Way, Mapping[str, str], Mapping[str, str]],
    ) -> None:
        async def write(message: bytes) -> None:
            async with asyncio.timeout(SEND_S):
                await response.write(message)

        way, after, joined = resume
        told = {**joined, **after}
        try:
            await response.prepare(request)
            await write(first)
            for venue, last in after.items():
                try:
                    async for happening in _missed(way, venue, last, joined.get(venue, "")):
                        told[venue] = happening.entry
                        if listener.wants(happening):
                            await write(happening.framed(position_of(told, way.venues)))
                except ClosesLost as error:
                    told[venue] = joined.get(venue, last)
                    lost = LostEvent(after=error.after, error=error.message, hint=error.hint)
                    await write(framed("lost", msgspec.json.encode(lost), position_of(told, way.venues)))
            while True:
                await write(await listener.told())
        except (Slow, TimeoutError):
            if request.transport is not None:
                request.transport.abort()
        except ConnectionError:
            pass  # It has gone.


async def _missed(way: Way, venue: str, last: str, until: str) -> AsyncIterator[Happening]:
    """What a venue's stream of closes tells after one entry up to another. Raises `ClosesLost`."""
    keys = way.core.keyspace(venue)
    if not until:  # Nobody knows where it ends: what comes once it can be read again begins there.
        raise ClosesLost(keys.closes, last)
    while last != until:
        entries = await way.link.drive(entries_after(keys, last, until))
        if not entries:
            return
        for raw_id, fields in entries:
            last = raw_id.decode()
            happening = closed_event(last, fields, keys)
            if happening is not None:
                yield happening


def _after(text: str | None, venues: Sequence[str]) -> dict[str, str]:
    try:
        return entries_of(text, venues) if text else {}
    except ValueError:
        raise ConfigError(
            f"{(text or '')[:40]!r} is no id of an event", "an id as the stream gave it"
        ) from None
