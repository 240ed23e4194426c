"""`GET /api/v1/candles`: closed candles of one series, and who vouches for them how far.

What a reader would raise is refused; what it would return is answered with the digits that are stored.
"""

from __future__ import annotations

import re
from dataclasses import replace
from functools import partial

import msgspec
from aiohttp import web
from msgspec import UNSET, structs

from ...errors import ConfigError, LivecacheError, NotReady, Stale, UnknownSeries
from ...model.grid import SessionGrid
from ...model.timeframe import Timeframe, time_in
from ...read.answer import Request, Verbatim
from ...read.reading import Core
from ..conditional import given, named_in, tag_of, takes_gzip
from ..past.formats import MEDIA_TYPES, Format, Made, arrow_of, csv_of, headers_of
from ..past.older import with_older
from ..past.window import Ask, Past, Question, Wanted
from ..shapes.candles import BUCKETS_USUAL, CandlesHead, CandlesQuery
from ..shapes.fields import ROWS_MOST, ROWS_USUAL
from ..source import Source, Way, parse

__all__ = ["PATH", "CandlesRoute", "body_of", "moment"]

PATH = "/api/v1/candles"

_TIME_MAX = 1 << 47  # ms: the year 6429
_MS = re.compile(r"\d{1,15}", re.ASCII)

_HELD_S = 300
"""Years that the live service has done with may be held so long."""

_VARY = "Accept, Accept-Encoding"

_head = msgspec.json.Encoder()


class CandlesRoute:
    """The handler."""

    def __init__(self, source: Source, past: Past) -> None:
        self._source, self._past = source, past

    async def show(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request. Raises LivecacheError for what cannot be answered."""
        headers = request.headers
        if made := self._past.held(_question(request), headers.get("If-None-Match", "")):
            return sent(request, made)
        query = parse(request, CandlesQuery)
        way, symbol = self._source.way(), await self._source.place(query.symbol)
        query = structs.replace(query, symbol=symbol)
        form = query.format or format_of(headers.get("Accept", ""))
        if query.before is not None or query.adjust != "splits":
            return sent(request, await self._years(request, query, form))
        try:
            read, skipped = await self._warm(way, query)
        except (NotReady, Stale, UnknownSeries) as error:
            if query.from_ is None or query.settled or type(error) not in (NotReady, Stale, UnknownSeries):
                raise
            if query.to is None and isinstance(error, Stale):
                raise  # what would be told as the newest may be hours old
            try:
                return sent(request, await self._years(request, query, form))
            except UnknownSeries:
                raise error from None
        if form == "json":
            response = given(request, body_of(read, skipped))
            response.headers["Vary"] = _VARY
            return response
        return sent(request, await self._past.in_thread(partial(_made, read, skipped, form)))

    async def _years(self, request: web.BaseRequest, query: CandlesQuery, form: Format) -> Made:
        headers = request.headers
        gzip = takes_gzip(headers.get("Accept-Encoding", ""))
        wanted = Wanted(_ask(query), form, gzip, headers.get("If-None-Match", ""))
        return await self._past.answer(wanted, _question(request))

    async def _warm(self, way: Way, query: CandlesQuery) -> tuple[Verbatim, int]:
        """What is kept warm, and how many of its oldest are too many. Raises what a reader raises."""
        try:
            wanted, since = _wanted(way.core, query)
        except ValueError as error:
            raise ConfigError(str(error)) from None
        try:
            read = await self._newest(way, wanted, goes_on=since is None and self._past.kept)
        except UnknownSeries:
            raise await self._source.unknown(wanted.series) from None
        most = query.limit or ROWS_MOST
        if wanted.span and (buckets := read.grid.count(*wanted.span)) > most:
            raise _miscounted(wanted.span, buckets, most)
        return read, 0 if since is None else _before(since, read, wanted)

    async def _newest(self, way: Way, wanted: Request, *, goes_on: bool) -> Verbatim:
        """What is kept warm of it, and where it goes on what lies before that, if it is too little."""
        goes_on = goes_on and wanted.span is None
        short: NotReady | None = None
        try:
            read = await way.link.drive(way.core.read_verbatim(wanted))
        except NotReady as error:
            if type(error) is not NotReady or not goes_on or not error.have:
                raise
            short = error
            read = await way.link.drive(way.core.read_verbatim(replace(wanted, at_least=0)))
        if not goes_on or len(read.members) >= wanted.count:
            return read
        try:
            read = await with_older(self._past, read, wanted.count)
        except LivecacheError as error:
            if short is not None:
                short.hint = "; ".join(filter(None, [short.hint, f"the history: {error.message}"]))
        if short is not None and len(read.members) < wanted.at_least:
            raise short
        return read


def _question(request: web.BaseRequest) -> Question:
    return request.path_qs, request.headers.get("Accept", "")


def format_of(accept: str) -> Format:
    """What an Accept names first; JSON, if none of ours."""
    for one in accept.lower().split(","):
        kind, _, weight = one.partition(";")
        for form, media_type in MEDIA_TYPES.items():
            if kind.strip() == media_type and "q=0" not in weight.replace("q=0.", ""):
                return form
    return "json"


def sent(request: web.BaseRequest, made: Made) -> web.Response:
    """An answer as this client gets it."""
    headers = {
        "ETag": made.tag,
        "Cache-Control": f"private, max-age={_HELD_S}" if made.old else "no-cache",
        "Vary": _VARY,
    }
    if not made.body or named_in(request.headers.get("If-None-Match", ""), made.tag):
        return web.Response(status=304, headers=headers)
    if made.gzipped:
        headers["Content-Encoding"] = "gzip"
    headers["Content-Type"] = MEDIA_TYPES[made.format]
    return web.Response(body=made.body, headers={**headers, **made.headers})


def _made(read: Verbatim, skipped: int, form: Format) -> Made:
    """What is kept warm in another format."""
    members = [*read.members[skipped:], *([read.forming] if read.forming else ())]
    head = _head_of(read)
    if form == "csv":
        body = csv_of(b"\n".join(member[1:-1] for member in members))
    else:
        body = arrow_of([*zip(*read.candles[skipped:], strict=True)] or [()] * 6, head)
    return Made(body, tag_of(body), form, headers_of(head), old=False)


def _ask(query: CandlesQuery) -> Ask:
    """The window that is meant. Raises ConfigError."""
    for name, told in (("forming", query.forming), ("settled", query.settled), ("at_least", query.at_least)):
        if told:
            raise ConfigError(f"{name} is for what is kept warm", "leave it out")
    times = [
        None if text is None else moment(name, text)
        for name, text in (("from", query.from_), ("to", query.to), ("before", query.before))
    ]
    start, end, before = times
    if before is not None and (start is not None or end is not None):
        raise ConfigError("before is there beside from or to", "say one or the other")
    if end is not None and start is None:
        raise ConfigError("to is there without from", "say from when on, or how many by before and limit")
    return Ask(
        query.symbol,
        query.timeframe,
        start,
        end,
        before,
        query.limit or (BUCKETS_USUAL if start is None else ROWS_MOST),
        query.adjust,
        query.fill,
        query.timeout,
        query.partial,
    )


def moment(name: str, text: str) -> int:
    """A time in Unix ms, from such a number or from ISO-8601. Raises ConfigError that names the parameter."""
    # In a query a plus sign is a space, and a zone begins with one.
    iso = re.sub(r"(:\d\d(?:\.\d+)?) (\d\d:?\d\d)$", r"\1+\2", text)
    time = time_in(iso)
    if time is None and _MS.fullmatch(text):
        time = int(text)
    if time is None:
        raise ConfigError(f"{name}: {text!r} is no time", "Unix ms, or ISO-8601: 2026-02-20T12:00:00Z")
    if not 0 <= time < _TIME_MAX:
        raise ConfigError(f"{name}: {text!r} is before 1970, or too late")
    return time


def body_of(read: Verbatim, skipped: int = 0) -> bytes:
    """The answer. Its candles are the stored members, joined, but for the first `skipped`."""
    head, members = _head.encode(_head_of(read)), b",".join(read.members[skipped:])
    return b'%b,"forming":%b,"candles":[%b]}' % (head[:-1], read.forming or b"null", members)


def _head_of(read: Verbatim) -> CandlesHead:
    candles, (venue, symbol, timeframe) = read.candles, read.candles.series
    return CandlesHead(
        venue=venue,
        symbol=symbol,
        timeframe=timeframe.value,
        ready=not read.reason,
        reason=read.reason,
        feed=candles.feed,  # type: ignore[arg-type]  # "up" or "down": a reader has checked
        contiguous_from=candles.contiguous_from,
        settled_through=candles.settled_through,
        known_through=candles.known_through,
        closed_through=read.closed_through,
        forming_from=candles.forming,
        grid=_sessions(read) or UNSET,
    )


def _sessions(read: Verbatim) -> str:
    """The sessions that its buckets lie in; "" where there are none."""
    if not isinstance(read.grid, SessionGrid):
        return ""
    first = read.candles[0].time if len(read.candles) else read.closed_through
    return read.grid.text(first, max(first, read.closed_through))


def _wanted(core: Core, query: CandlesQuery) -> tuple[Request, int | None]:
    """The read that answers it; and from when on its candles are wanted, if it may give older ones too."""
    names = query.symbol, core.read_id(query.symbol, query.timeframe).timeframe
    start = None if query.from_ is None else moment("from", query.from_)
    end = None if query.to is None else moment("to", query.to)
    if start is None:
        if end is not None:
            raise ConfigError("to is there without from", "say from when on, or how many by limit")
        count = query.limit or ROWS_USUAL
        wanted = core.request(
            *names,
            count,
            settled=query.settled,
            forming=query.forming,
            at_least=query.at_least,
        )
        return wanted, None
    if query.forming or query.at_least is not None:
        what = "forming" if query.forming else "at_least"
        raise ConfigError(f"{what} is for the newest candles", "leave out from, or this")
    most = query.limit or ROWS_MOST
    if end is None:
        return core.request(*names, most, settled=query.settled, at_least=1), start
    return _span(core, names, start, end, most, settled=query.settled), None


def _span(
    core: Core, names: tuple[str, Timeframe], start: int, end: int, most: int, *, settled: bool
) -> Request:
    buckets = names[1].grid.count(start, end)
    if end <= start or buckets > most + 1:  # A venue's lie elsewhere perhaps: only the reply tells.
        raise _miscounted((start, end), buckets, most)
    return core.range_request(*names, start, end, settled=settled)


def _miscounted(span: tuple[int, int], buckets: int, most: int) -> ConfigError:
    told = f"[{span[0]}, {span[1]}) holds the opens of {buckets} buckets"
    return ConfigError(told, f"ask for 1 to {most} of them")


def _before(since: int, read: Verbatim, wanted: Request) -> int:
    """How many of the newest candles open before `since`. Raises if there are others since then."""
    candles = read.candles
    start = read.grid.ceil(since)  # where its buckets lie is only now known for sure
    if start < candles.contiguous_from:
        raise NotReady(
            f"{wanted.series}: from {start} on was asked for, and it is known without a gap "
            f"from {candles.contiguous_from} on",
            "ask for a later from",
        )
    skipped = sum(1 for candle in candles if candle.time < start)
    if not skipped and len(candles) == wanted.count and candles[0].time > start > candles.contiguous_from:
        raise ConfigError(f"there may be more than {wanted.count} candles since {start}", "say to as well")
    return skipped
