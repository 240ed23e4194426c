"""A toy venue, whole: days of eight hours from 08:00, weeks of such days, closing flags and flat rows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from aiohttp import web

from livecache.clock import Clock
from livecache.model.candle import ExactCandle, rejection
from livecache.model.grid import SessionGrid
from livecache.model.timeframe import Timeframe
from livecache.model.traits import Carriage, Served, Traits
from livecache.simulator import MarketClock
from livecache.venues import venue as v
from livecache.venues.feed.dialect import Frame, Terms
from livecache.venues.feed.feed import SocketFeed, shared_out
from livecache.venues.net.http import Answer, HttpSource, refusal
from livecache.venues.text import complaint, excerpt
from tests.venues.loopback import rest_server

M5, H1, D1, W1 = Timeframe.M5, Timeframe.H1, Timeframe.D1, Timeframe.W1
OPENS = tuple(1_745_222_400_000 + n * D1.ms for n in range(798) if n % 7 < 5)  # from 21 April 2025, 08:00
DAYS = SessionGrid(OPENS, tuple(t + 8 * H1.ms for t in OPENS))
GRIDS = {M5: DAYS.within(M5.ms), H1: DAYS.within(H1.ms), D1: DAYS}
GRIDS[W1] = SessionGrid(OPENS[::5], tuple(t + 8 * H1.ms for t in OPENS[4::5]))
TRAITS = Traits(dict.fromkeys(GRIDS, Served(60)), (Carriage(M5, flag=True),), empty="flat", grids=GRIDS)
Row = tuple[int, str, str, str, str, str]  # open in ms, then open, high, low, close, volume
UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def doubt(row: Row, timeframe: Timeframe, now: int | None) -> str | None:
    return rejection(ExactCandle(*row), timeframe, now, GRIDS[timeframe])


class ToyVenue:
    traits = TRAITS

    def __init__(self, name: str, urls: Sequence[str], now: Callable[[], int | None], clock: Clock) -> None:
        self.name, self._ws_url, self._now, self._clock = name, urls[1], now, clock
        self._http = HttpSource(urls[0], clock=clock, timeout_s=1.0)
        self.origin, self.stats, self.aclose = self._http.origin, self._http.stats, self._http.aclose

    async def _get(self, kind: str, shape: Any, **asked: str) -> Any:
        def decode(answer: Answer) -> Any:
            try:
                return msgspec.json.decode(answer.body, type=shape)
            except UNREADABLE:
                return v.FetchFailure(v.FailureKind.MALFORMED, complaint(answer.body), 200)

        def refused(answer: Answer) -> v.FetchFailure:
            unknown = answer.status == 404 and b"no such symbol" in answer.body
            return (
                v.FetchFailure(v.FailureKind.UNKNOWN_SYMBOL, "unknown", 404) if unknown else refusal(answer)
            )

        return await self._http.get(kind, f"/{kind}", asked, decode=decode, refused=refused)

    async def time(self) -> int | v.FetchFailure:
        told: int | v.FetchFailure = await self._get("time", int)
        return told

    async def products(self, only: Sequence[str] = ()) -> Mapping[str, v.Product] | v.FetchFailure:
        told = await self._get("products", dict[str, str])
        listed = {} if isinstance(told, v.FetchFailure) else told
        found = {name: v.Product(id_) for name, id_ in listed.items() if not only or name in only}
        return found if listed is told else told

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
        self,
        products: Sequence[str],
        aliases: Mapping[str, str],
        *,
        trades: bool,
        among: Sequence[v.Feed] = (),
    ) -> Sequence[v.Feed]:
        how: Any = {"trades": trades, "silence_timeout_s": 1.0}

        def new(part: Sequence[str], index: int) -> SocketFeed:
            dialect = ToyDialect(self._ws_url, self._now)
            return SocketFeed(dialect, part, aliases, clock=self._clock, jitter=lambda: 0.5, **how)

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
            event = v.Candles(said.at, False, tuple((name, M5, one, said.last) for name in names))
        acknowledged = (("row", said.ids),) if said.said == "ack" else ()
        return Frame(said.said, None, (event,), acknowledged, leaving=said.said == "leaving")


class ToyFace:
    name, symbol, other = "toy", "AAA", "B:B"
    aliases: Mapping[str, str] = {"AAA/EUR": "AAA"}
    data = '"said":"row"'
    flag: tuple[str, str] | None = ('"last":true', '"last":false')
    bad_row = (rb'(\d{13}, )"\d+"', rb'\1"none"')

    def __init__(self, start: int, speed: float) -> None:
        self.clock = MarketClock(start, speed)
        self.now = self.clock.now
        self.muted = False

    @property
    def leaving(self) -> str:
        return msgspec.json.encode(Said("leaving", self.now())).decode()

    def row(self, symbol: str, timeframe: Timeframe, time: int, now: int) -> Row:
        """Something is traded in each minute, but for every seventh 5m bucket: its row is flat."""
        minutes = range(time, min(GRIDS[timeframe].end(time), now + 1), 60_000)
        open_ = [t // 60_000 for t in minutes if t % D1.ms // H1.ms in range(8, 16) and t // M5.ms % 7]
        prices = [100 + (minute * 7919 + len(symbol)) % 23 for minute in open_] or [100]
        volume = len(open_) - max(0, open_[-1] * 60_000 + 60_000 - now) / 60_000 if open_ else 0
        o, h, l, c = map(str, (prices[0], max(prices), min(prices), prices[-1]))  # noqa: E741
        return time, o, h, l, c, str(round(volume, 3))

    def rows(self, symbol: str, timeframe: Timeframe, start: int, end: int) -> list[ExactCandle]:
        now = self.now()
        times = GRIDS[timeframe].opens(start, min(end, now + 1))
        return [ExactCandle(*self.row(symbol, timeframe, t, now)) for t in times]

    def venue(self, name: str, urls: Sequence[str], now: Callable[[], int | None], clock: Clock) -> v.Venue:
        return ToyVenue(name, urls, now, clock)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        asked, now, names = request.query, self.now(), {**self.aliases, "AAA": "AAA", "B:B": "B:B"}
        if request.path == "/feed":
            return await self._feed(request)
        if request.path != "/candles":
            return web.json_response({"/time": now, "/products": names}[request.path])
        if asked["symbol"] not in names:
            return web.json_response({"error": "no such symbol"}, status=404)
        timeframe, end = Timeframe(asked["timeframe"]), min(int(asked["end"]), now + 1)
        times = GRIDS[timeframe].opens(int(asked["start"]), end)[-60:]
        return web.json_response([self.row(names[asked["symbol"]], timeframe, t, now) for t in times])

    async def _feed(self, request: web.Request) -> web.StreamResponse:
        socket, told = web.WebSocketResponse(timeout=0.2), dict[str, Row]()
        await socket.prepare(request)

        async def play() -> None:
            while True:
                now = self.now()
                frames = [Said("beat", now)]
                for id_, before in told.items():
                    for time in () if self.muted else GRIDS[M5].opens(before[0], now + 1):
                        row, last = self.row(id_, M5, time, now), GRIDS[M5].end(time) <= now
                        if last or row != told[id_]:
                            frames.append(Said("row", now, (id_,), row, last))
                            told[id_] = row if not last else (GRIDS[M5].after(time), *row[1:])
                for frame in frames:
                    await socket.send_str(msgspec.json.encode(frame).decode())
                await asyncio.sleep(0.03)

        async with asyncio.TaskGroup() as tasks:
            playing = tasks.create_task(play(), name="playing")
            async for message in socket:
                for id_ in message.data[1:].split():
                    told.pop(id_, None)
                    if message.data[0] == "+":
                        told[id_] = (GRIDS[M5].floor(self.now()), "", "", "", "", "")
                ack = Said("ack", self.now(), tuple(told))
                await socket.send_str(msgspec.json.encode(ack).decode())
            playing.cancel()
        return socket

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[tuple[str, str]]:
        async with rest_server(self._answer, cancelling=False) as (url, _):
            yield url, url.replace("http", "ws") + "/feed"
