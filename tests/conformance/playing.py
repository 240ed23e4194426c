"""A small market on any grids, and a server on loopback that plays it: of these a face can be made."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from livecache.clock import Clock
from livecache.model.candle import ExactCandle
from livecache.model.grid import Grid
from livecache.model.timeframe import Timeframe
from livecache.simulator import MarketClock
from livecache.venues.venue import FailureKind
from tests.venues.loopback import rest_server

__all__ = ["PlayedFace", "Row"]

Row = tuple[int, str, str, str, str, str]  # open in ms, then open, high, low, close, volume
MINUTE = 60_000
TICK_S = 0.03


class PlayedFace(ABC):
    """Something is traded in each minute, but in every seventh stretch of five minutes nothing: flat rows.

    A kind of it knows the venue's words. Days last from `first` to `last` o'clock.
    """

    grids: Mapping[Timeframe, Grid]
    carried: Timeframe
    first, last = 0, 24
    muted = False
    pause_s: float | None = None
    sorry = FailureKind.MALFORMED

    def __init__(self, start: int, speed: float, host: Clock) -> None:
        self.clock = MarketClock(start, speed, host.monotonic)
        self.now = self.clock.now

    @abstractmethod
    def answer(self, path: str, asked: Mapping[str, str]) -> Any:
        """The answer to a request, to be made JSON; None: there is no such symbol."""

    @abstractmethod
    def asked(self, message: str) -> tuple[bool, Sequence[str]]:
        """Whether a client subscribes, and to what; or it wants no more of it."""

    @abstractmethod
    def say(self, what: str, ids: Sequence[str] = (), row: Row | None = None, *, last: bool = False) -> str:
        """A frame: a "row", an "ack" with all ids, or a "beat"."""

    def row(self, symbol: str, timeframe: Timeframe, time: int, now: int) -> Row:
        """The row of a bucket as it is by now."""
        minutes = range(time, min(self.grids[timeframe].end(time), now + 1), MINUTE)
        hours = range(self.first, self.last)
        traded = [t // MINUTE for t in minutes if t // MINUTE // 60 % 24 in hours and t // MINUTE // 5 % 7]
        prices = [100 + (minute * 7919 + len(symbol)) % 23 for minute in traded] or [100]
        volume = len(traded) - max(0, traded[-1] * MINUTE + MINUTE - now) / MINUTE if traded else 0
        o, h, l, c = map(str, (prices[0], max(prices), min(prices), prices[-1]))  # noqa: E741
        return time, o, h, l, c, str(round(volume, 3))

    def table(self, symbol: str, timeframe: Timeframe, start: int, end: int) -> list[Row]:
        """The rows of the buckets that open in `[start, end)`, the one in progress too."""
        now = self.now()
        return [
            self.row(symbol, timeframe, t, now) for t in self.grids[timeframe].opens(start, min(end, now + 1))
        ]

    def rows(self, symbol: str, timeframe: Timeframe, start: int, end: int) -> list[ExactCandle]:
        return [ExactCandle(*row) for row in self.table(symbol, timeframe, start, end)]

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[tuple[str, str]]:
        async with rest_server(self._serve, cancelling=False) as (url, _):
            yield url, url.replace("http", "ws") + "/feed"

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        if request.path == "/feed":
            return await self._feed(request)
        if (told := self.answer(request.path, request.query)) is None:
            return web.json_response({"error": "no such symbol"}, status=404)
        return web.json_response(told)

    async def _feed(self, request: web.Request) -> web.StreamResponse:
        socket, told = web.WebSocketResponse(timeout=0.2), dict[str, Row]()
        await socket.prepare(request)
        async with asyncio.TaskGroup() as tasks:
            playing = tasks.create_task(self._play(socket, told), name="playing")
            async for message in socket:
                wanted, ids = self.asked(message.data)
                for id_ in ids:
                    told.pop(id_, None)
                    if wanted:
                        told[id_] = (self.grids[self.carried].floor(self.now()), "", "", "", "", "")
                await socket.send_str(self.say("ack", tuple(told)))
            playing.cancel()
        return socket

    async def _play(self, socket: web.WebSocketResponse, told: dict[str, Row]) -> None:
        """Show what is new, and the last of each bucket once it is over."""
        grid = self.grids[self.carried]
        while True:
            now = self.now()
            frames = [self.say("beat")]
            for id_, before in () if self.muted else told.items():
                for time in grid.opens(before[0], now + 1):
                    row, last = self.row(id_, self.carried, time, now), grid.end(time) <= now
                    if last or row != told[id_]:
                        frames.append(self.say("row", (id_,), row, last=last))
                        told[id_] = row if not last else (grid.after(time), *row[1:])
            for frame in frames:
                await socket.send_str(frame)
            await asyncio.sleep(TICK_S)
