"""`POST /api/v1/candles/backfill` and `/update-latest`: have years of candles fetched, or the newest again.

An order is jobs in the file: whoever keeps the history there works on them, now or after a restart.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import TYPE_CHECKING, NamedTuple

import msgspec
from aiohttp import web

from ...engine.engine import Engine
from ...errors import ConfigError, UnknownSeries
from ...history.store import PRIORITY, Order, Want
from ...model.coverage import Span
from ...model.naming import ambiguous, near_names, split_venue
from ...model.timeframe import Timeframe, iso
from ...model.traits import Traits
from ..answers import NotServed, answer, decode
from ..api.candles import moment
from ..shapes.jobs import BackfillRequest, OrderAnswer, UpdateRequest
from ..watch.instance import Instance
from .desk import Desk

if TYPE_CHECKING:
    from ...history.store import HistoryDatabase

__all__ = ["BACKFILL", "JOBS_WAITING_MOST", "SERIES_AN_ORDER_MOST", "UPDATE", "Orders"]

BACKFILL, UPDATE = "/api/v1/candles/backfill", "/api/v1/candles/update-latest"

SERIES_AN_ORDER_MOST = 2_000
JOBS_WAITING_MOST = 20_000

_PRIORITY = PRIORITY // 2  # before what the service wants by itself
_KEY = re.compile(r"[!-~]([ -~]{0,198}[!-~])?")


class _Of(NamedTuple):
    """What is ordered of one venue; `span` None: the newest."""

    venue: str
    traits: Traits
    symbols: Sequence[str]
    timeframes: Sequence[Timeframe]
    span: Span | None
    now: int
    final: int  # what ended by then is


class Orders:
    """The handlers."""

    def __init__(self, instance: Instance, desk: Desk) -> None:
        self._instance = instance
        self._desk = desk

    async def backfill(self, request: web.BaseRequest) -> web.StreamResponse:
        """Take an order for years: POST."""
        asked: BackfillRequest = await decode(request, BackfillRequest)
        start = moment("from", str(asked.from_))
        end = None if asked.to is None else moment("to", str(asked.to))
        return await self._take(request, asked, asked.symbols, start, end, force=asked.force)

    async def update(self, request: web.BaseRequest) -> web.StreamResponse:
        """Take an order for the newest: POST."""
        asked: UpdateRequest = await decode(request, UpdateRequest)
        configured = self._instance.config.venues
        everything = [f"{venue}:{symbol}" for venue, own in configured.items() for symbol in own.symbols]
        return await self._take(request, asked, asked.symbols or everything)

    async def _take(
        self,
        request: web.BaseRequest,
        asked: BackfillRequest | UpdateRequest,
        symbols: Sequence[str],
        start: int | None = None,
        end: int | None = None,
        *,
        force: bool = False,
    ) -> web.Response:
        _ = self._desk.place  # Without a history nothing else is worth telling.
        key = _key(request, asked)
        if asked.timeframes and asked.timeframe:
            raise ConfigError("timeframe is there beside timeframes", "say one or the other")
        named = asked.timeframes or ([asked.timeframe] if asked.timeframe else None)
        parts = [self._part(venue, own, named, start, end) for venue, own in self._by_venue(symbols).items()]
        series = sum(len(part.symbols) * len(part.timeframes) for part in parts)
        if series > SERIES_AN_ORDER_MOST:
            raise ConfigError(f"that is {series:,} series", f"order {SERIES_AN_ORDER_MOST:,} at most at once")
        order = await self._desk(lambda store: _submitted(store, parts, key, force=force))
        return answer(
            OrderAnswer(
                status="accepted" if order.jobs else "complete",
                job_id=order.jobs[0] if order.jobs else None,
                jobs=list(order.jobs),
                order=order.id,
            ),
            202,
        )

    def _by_venue(self, symbols: Sequence[str]) -> Mapping[str, list[str]]:
        """The symbols as their venues write them."""
        configured = self._instance.config.venues
        found: dict[str, dict[str, None]] = {}
        for text in symbols:
            venue, name = split_venue(text, configured)
            if venue is None and len(configured) == 1:
                (venue,) = configured
            if venue is None:
                known = {one: own.symbols for one, own in configured.items()}
                having = [one for one, its in known.items() if name in its]
                if len(having) > 1:
                    raise ambiguous(name, having)
                if not having:
                    near = near_names(name, known)
                    hint = f"did you mean {' or '.join(near)}?" if near else "name its venue: venue:SYMBOL"
                    raise UnknownSeries(f"{name}: no venue fills this symbol", hint)
                (venue,) = having
            name = configured[venue].symbol_meant(name)
            if problem := configured[venue].symbol_problem(name):
                raise ConfigError(f"symbols: {problem[0]}", problem[1])
            found.setdefault(venue, {})[name] = None
        return {venue: list(names) for venue, names in found.items()}

    def _part(
        self,
        venue: str,
        symbols: Sequence[str],
        named: Sequence[str] | None,
        start: int | None,
        end: int | None,
    ) -> _Of:
        engine = self._engine(venue)
        traits, now = engine.live.timeline.traits, engine.live.now()
        if not now:
            raise NotServed("starting", 503, f"{venue} has not told its time yet", "ask again in a moment")
        span = None if start is None else Span(start, min(now, now if end is None else end))
        if span is not None and span.start >= span.end:
            raise ConfigError(
                f"nothing lies between {iso(span.start)} and {iso(span.end)}", "see from and to"
            )
        config = self._instance.config
        kept = config.history.timeframes or config.cache_of(venue).timeframes
        timeframes = [one for one in kept if one in traits.served]
        if named is not None:
            timeframes = list(dict.fromkeys(map(Timeframe.parse, named)))
            for one in timeframes:
                if one not in traits.served:
                    there = ", ".join(each.value for each in traits.served)
                    raise ConfigError(f"{venue} has no candles of {one}", f"it has {there}")
        final = traits.final_by(now, engine.live.timeline.policy.settle_delay_ms)
        return _Of(venue, traits, symbols, timeframes, span, now, final)

    def _engine(self, venue: str) -> Engine:
        engine = self._instance.engines.get(venue)
        if engine is None:
            raise NotServed("starting", 503, f"no service of {venue} runs here", "ask again in a minute")
        return engine


class _Key(NamedTuple):
    """What an order is known by, and what it asked for; both hashed."""

    name: str
    body: str

    @property
    def text(self) -> str:
        return self.name + self.body


def _key(request: web.BaseRequest, asked: msgspec.Struct) -> _Key | None:
    text = request.headers.get("Idempotency-Key")
    if text is None:
        return None
    if not _KEY.fullmatch(text):
        raise ConfigError("Idempotency-Key cannot be used", "1 to 200 characters of plain text")
    body = request.path.encode() + msgspec.json.encode(asked)
    return _Key(f"http:{_hash(text.encode(errors='replace'))}:", _hash(body))


def _hash(of: bytes) -> str:
    return blake2b(of, digest_size=16).hexdigest()


def _submitted(store: HistoryDatabase, parts: Sequence[_Of], key: _Key | None, *, force: bool) -> Order:
    """The order, which the file has then; the one of before if its key was given already."""
    if (earlier := _given_before(store, key)) is not None:
        return earlier
    wants = [want for part in parts for want in _wants(store, part, force=force)]
    with store.writing():  # Another one may have given the same key meanwhile.
        if (earlier := _given_before(store, key)) is not None:
            return earlier
        if store.waiting() + len(wants) > JOBS_WAITING_MOST:
            hint = "ask again when some are done: /api/v1/jobs"
            raise NotServed("not_now", 503, "too many jobs are waiting", hint, again_s=60)
        return store.submit(wants, key=key.text if key else "")


def _given_before(store: HistoryDatabase, key: _Key | None) -> Order | None:
    order = store.order(key.name) if key else None
    if order is not None and key is not None and order.key != key.text:
        hint = "a key stands for one request: take a new one"
        raise NotServed("key_reused", 422, "this Idempotency-Key was for another order", hint, again_s=None)
    return order


def _wants(store: HistoryDatabase, part: _Of, *, force: bool) -> list[Want]:
    from ...history.ordering import newest_of, wants_of

    of = store, part.venue, part.traits, part.symbols, part.timeframes
    if part.span is None:
        return newest_of(*of, final=part.final, now=part.now, priority=_PRIORITY)
    return wants_of(*of, part.span, final=part.final, now=part.now, force=force, priority=_PRIORITY)
