"""A toy venue, whole: days of eight hours from 08:00, weeks of such days, closing flags and flat rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from livecache.clock import Clock
from livecache.model.candle import ExactCandle, rejection
from livecache.model.grid import SessionGrid
from livecache.model.timeframe import Timeframe
from livecache.model.traits import Carriage, Served, Traits
from livecache.venues import venue as v
from livecache.venues.feed.dialect import Frame, Terms
from livecache.venues.feed.feed import SocketFeed, shared_out
from livecache.venues.net.http import Answer, HttpSource, refusal
from livecache.venues.text import complaint, excerpt
from tests.conformance.playing import PlayedFace, Row

M5, H1, D1, W1 = Timeframe.M5, Timeframe.H1, Timeframe.D1, Timeframe.W1
OPENS = tuple(1_745_222_400_000 + n * D1.ms for n in range(798) if n % 7 < 5)  # from 21 April 2025, 08:00
DAYS = SessionGrid(OPENS, tuple(t + 8 * H1.ms for t in OPENS))
GRIDS = {M5: DAYS.within(M5.ms), H1: DAYS.within(H1.ms), D1: DAYS}
GRIDS[W1] = SessionGrid(OPENS[::5], tuple(t + 8 * H1.ms for t in OPENS[4::5]))
SERVED, CARRIES = dict.fromkeys(GRIDS, Served(60)), (Carriage(M5, flag=True),)
TRAITS = Traits(SERVED, CARRIES, empty="flat", order="stamp", grids=GRIDS)
T = TypeVar("T")
UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def doubt(row: Row, timeframe: Timeframe, now: int | None) -> str | None:
    return rejection(ExactCandle(*row), timeframe, now, GRIDS[timeframe])


class ToyVenue:
    traits = TRAITS

    def __init__(self, name: str, urls: Sequence[str], now: Callable[[], int | None], clock: Clock) -> None:
        self.name, self._ws_url, self._now, self._clock = name, urls[1], now, clock
        self._http = HttpSource(urls[0], clock=clock, timeout_s=5.0)
        self.origin, self.stats, self.aclose = self._http.origin, self._http.stats, self._http.aclose

    async def _get(self, kind: str, shape: type[T], **asked: str) -> T | v.FetchFailure:
        def decode(answer: Answer) -> T | v.FetchFailure:
            try:
                return msgspec.json.decode(answer.body, type=shape)
            except UNREADABLE:
                return v.FetchFailure(v.FailureKind.MALFORMED, complaint(answer.body), 200)

        def refused(answer: Answer) -> v.FetchFailure:
            unknown = v.FetchFailure(v.FailureKind.UNKNOWN_SYMBOL, "unknown", 404)
            return unknown if b"no such symbol" in answer.body else refusal(answer)

        return await self._http.get(kind, f"/{kind}", asked, decode=decode, refused=refused)

    async def time(self) -> int | v.FetchFailure:
        return await self._get("time", int)

    async def products(self, only: Sequence[str] = ()) -> Mapping[str, v.Product] | v.FetchFailure:
        told = await self._get("products", dict[str, str])
        if isinstance(told, v.FetchFailure):
            return told
        return {name: v.Product(id_) for name, id_ in told.items() if not only or name in only}

    async def fetch(self, request: v.PageRequest) -> v.Page | v.FetchFailure:
        symbol, timeframe, start, end, _ = request
        if (grid := GRIDS[timeframe]).count(start, end) > TRAITS.page(timeframe):
            return v.FetchFailure(v.FailureKind.PAGE_TOO_LONG, "at most 60 rows")
        span = {"start": str(start), "end": str(end)}
        rows = await self._get("candles", list[Row], symbol=symbol, timeframe=timeframe.value, **span)
        if isinstance(rows, v.FetchFailure):
            return rows
        inside = [row for row in rows if start <= row[0] < end]
        wrong = {grid.floor(row[0]): why for row in inside if (why := doubt(row, timeframe, self._now()))}
        good = [ExactCandle(*row) for row in inside if row[0] not in wrong]
        return v.Page(request, tuple(good), frozenset(wrong), wrong, len(wrong))

    def feeds(
        self, products: Any, aliases: Mapping[str, str], *, trades: bool, among: Any = ()
    ) -> Sequence[v.Feed]:
        how: Any = {"trades": trades, "silence_timeout_s": 2.0}
        each: Any = {"clock": self._clock, "jitter": lambda: 0.5, **how}

        def new(part: Sequence[str], _: int) -> SocketFeed:
            return SocketFeed(ToyDialect(self._ws_url, self._now), part, aliases, **each)

        return shared_out(products, aliases, among=among, most=10, new=new, **how)


class Said(msgspec.Struct, omit_defaults=True):
    said: str  # "row", which may be the `last` of its bucket, "ack", "beat" or "leaving"
    at: int  # Unix ms
    ids: tuple[str, ...] = ()
    row: Row | None = None
    last: bool = False


class ToyDialect:
    terms, heartbeats = Terms(frame_bytes=10_000, id_bytes=100), "beat"

    def __init__(self, url: str, now: Callable[[], int | None]) -> None:
        self.url, self._now, self._symbols = url, now, dict[str, Sequence[str]]()
        self.carry: Callable[[Mapping[str, Sequence[str]]], None] = self._symbols.update
        self.channels: Callable[..., tuple[str, ...]] = lambda *, trades: ("row",)
        self.opening = self.keep_alive = tuple[str, ...]
        self.subscribe = lambda channel, ids: ["+" + " ".join(ids)]
        self.unsubscribe = lambda channel, ids: ["-" + " ".join(ids)]
        self.fatal = lambda complaint: ""

    def decode(self, data: bytes) -> Frame:
        try:
            said = msgspec.json.decode(data, type=Said)
        except UNREADABLE:
            return Frame("", None, (v.Rejected("no frame", excerpt(data), "frame", "undecodable"),))
        names = tuple(name for id_ in said.ids for name in self._symbols.get(id_, ()))
        event: v.Event = v.Subscribed(names, said.at) if said.said == "ack" else v.Heard(said.at)
        if said.row and (why := doubt(said.row, M5, max(said.at, self._now() or 0))):
            event = v.Rejected(why, excerpt(data), "candle", "candle")
        elif said.row:
            one = ExactCandle(*said.row)
            event = v.FeedCandles(said.at, False, tuple((name, M5, one, said.last) for name in names))
        acknowledged = (("row", said.ids),) if said.said == "ack" else ()
        return Frame(said.said, None, (event,), acknowledged, leaving=said.said == "leaving")


class ToyFace(PlayedFace):
    name, symbol, other = "toy", "AAA", "B:B"
    aliases: Mapping[str, str] = {"AAA/EUR": "AAA"}
    data, bad_row = '"said":"row"', (rb'(\d{13}, )"\d+"', rb'\1"none"')
    flag: tuple[str, str] | None = ('"last":true', '"last":false')
    grids, carried, first, last = GRIDS, M5, 8, 16
    venue: Any = ToyVenue

    @property
    def leaving(self) -> str:
        return self.say("leaving")

    def answer(self, path: str, asked: Mapping[str, str]) -> Any:
        names = {**self.aliases, self.symbol: self.symbol, self.other: self.other}
        if path != "/candles":
            return self.now() if path == "/time" else names
        span = Timeframe(asked["timeframe"]), int(asked["start"]), int(asked["end"])
        return self.table(names[asked["symbol"]], *span)[-60:] if asked["symbol"] in names else None

    def asked(self, message: str) -> tuple[bool, Sequence[str]]:
        return message[0] == "+", message[1:].split()

    def say(self, what: str, ids: Sequence[str] = (), row: Row | None = None, *, last: bool = False) -> str:
        return msgspec.json.encode(Said(what, self.now(), tuple(ids), row, last)).decode()
