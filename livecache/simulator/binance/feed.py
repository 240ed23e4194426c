"""Binance's websocket side: combined streams of 1m klines.

https://developers.binance.com/docs/binance-spot-api-docs/web-socket-streams
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

import msgspec
from aiohttp import WSMessage, WSMsgType, web

from ...clock import Clock
from ...model.candle import ExactCandle
from ...model.timeframe import Timeframe
from ..clock import MarketClock
from ..session import Server, Session
from ..trouble.faults import Faults, FeedFrame
from .exchange import Exchange
from .options import MARKETS

__all__ = ["FeedServer"]

_M1 = Timeframe.M1
_CANDLES = "candles"
_STREAM = "@kline_1m"
_MAX_MESSAGE_BYTES = 64 * 1024
_STREAMS_MOST = 1024
# After a pause of the host the feed catches up with this many buckets and leaves the rest to REST.
_CATCH_UP_MS = 12 * _M1.ms


class _Message(msgspec.Struct):
    method: str
    id: int | None = None
    params: list[str] = []


class BinanceSession(Session):
    """Too many frames of a client, or a ping without an answer, end its connection; so does its age."""

    def __init__(
        self, *args: Any, now: Callable[[], int], most: int, ping_s: float, pong_s: float, **options: Any
    ) -> None:
        super().__init__(*args, **options)
        self._now = now
        self._most = most  # frames in a second
        self._ping_s, self._pong_s = ping_s, pong_s
        self._pongs: list[bytes] = []
        self._frames_s: deque[float] = deque()

    def say(self, text: str, channel: str = "") -> None:
        """Put a message in line."""
        self.put(FeedFrame(self.number, channel, -1, text))

    def _heard(self, message: WSMessage) -> int | None:
        if message.type is WSMsgType.PONG:
            self._pongs.append(bytes(message.data))
        now_s = self._host.monotonic()
        self._frames_s.append(now_s)
        while self._frames_s[0] <= now_s - 1.0:
            self._frames_s.popleft()
        return 1008 if len(self._frames_s) > self._most else None

    async def _watch(self) -> None:
        options: Any = self._options
        ends_s = self._host.monotonic() + options.life_s
        told, sent = False, 0
        while (left_s := ends_s - self._host.monotonic()) > 0:
            if options.notice_s and left_s <= options.notice_s and not told:
                told = True
                data = f'{{"e":"serverShutdown","E":{self._now()}}}'
                self.say(f'{{"stream":"!serverShutdown","data":{data}}}')
            wake_s = min(left_s, self._ping_s)
            if options.notice_s and not told:
                wake_s = min(wake_s, left_s - options.notice_s)
            await self._host.sleep(wake_s)
            if wake_s < self._ping_s:
                continue
            sent += 1
            payload = f"{self.number}.{sent}".encode()
            await self._ws.ping(payload)
            await self._host.sleep(min(self._pong_s, max(0.0, ends_s - self._host.monotonic())))
            if payload not in self._pongs:
                return await self.close(1008)
            self._pongs.clear()
        return await self.close(1000)


class FeedServer(Server[BinanceSession]):
    """Every connected client, and the clockwork that feeds them. `run` must run while clients are served."""

    def __init__(self, exchange: Exchange, clock: MarketClock, faults: Faults, host_clock: Clock) -> None:
        super().__init__(clock, exchange.options, host_clock)
        self._exchange = exchange
        self._faults = faults
        self._of = MARKETS[exchange.options.api]
        self._streams = {symbol.lower() + _STREAM: symbol for symbol in exchange.symbols}
        # What was shown of each symbol last: the bucket in progress then, and its candle.
        self._shown: dict[str, tuple[int, ExactCandle | None]] = {}

    async def run(self) -> None:
        """Send what is due, until cancelled."""
        await self._repeat(self._of.update_ms, self._tick)

    async def serve(self, request: web.Request) -> web.WebSocketResponse:
        """Serve one client from its handshake to its end."""
        if request.path not in (*self._of.streams, *self._of.mute):
            raise web.HTTPNotFound
        ws = web.WebSocketResponse(autoping=False, max_msg_size=_MAX_MESSAGE_BYTES, timeout=0.3)
        await ws.prepare(request)
        counts, options = self._exchange.counts, self._exchange.options
        counts.connections += 1
        session = BinanceSession(
            counts.connections,
            ws,
            request.transport,
            options=options,
            faults=self._faults,
            counts=counts,
            host=self._host,
            now=self._clock.now,
            most=options.frames_per_s or self._of.frames_per_s,
            ping_s=options.ping_s or self._of.ping_s,
            pong_s=options.pong_s or self._of.pong_s,
        )
        if request.path in self._of.streams:
            self._sessions.add(session)
        if streams := request.query.get("streams"):
            self._subscribe(session, streams.split("/"))
        try:
            await session.run(lambda text: self._receive(session, text))
        finally:
            self._sessions.discard(session)
        return ws

    # --- what clients say

    def _receive(self, session: BinanceSession, text: str) -> None:
        try:
            message = msgspec.json.decode(text, type=_Message)
        except msgspec.MsgspecError as error:
            return session.say(_json({"error": {"code": 2, "msg": f"Invalid request: {error}"}}))
        return self._obey(session, message)

    def _obey(self, session: BinanceSession, message: _Message) -> None:
        wanted = session.subscriptions.setdefault(_CANDLES, {})
        result: object = None
        if message.method == "SUBSCRIBE":
            if len(wanted) + len(message.params) > _STREAMS_MOST:
                refused = {"code": 2, "msg": "Invalid request: too many streams"}
                return session.say(_json({"error": refused, "id": message.id}))
            _, complaint = self._faults.refusal(
                [self._exchange.symbols[self._streams[s]] for s in message.params if s in self._streams]
            )
            if complaint:
                refused = {"code": 2, "msg": f"Invalid request: {complaint}"}
                return session.say(_json({"error": refused, "id": message.id}))
            self._subscribe(session, message.params)
        elif message.method == "UNSUBSCRIBE":
            for stream in message.params:
                wanted.pop(self._streams.get(stream, stream), None)
        elif message.method == "LIST_SUBSCRIPTIONS":
            result = [symbol.lower() + _STREAM for symbol in wanted]
        else:
            refused = {"code": 2, "msg": f"Invalid request: unknown variant `{message.method[:30]}`"}
            return session.say(_json({"error": refused, "id": message.id}))
        return session.say(_json({"result": result, "id": message.id}))

    def _subscribe(self, session: BinanceSession, streams: list[str]) -> None:
        """What there is not is taken as well, and nothing is ever told of it."""
        wanted = session.subscriptions.setdefault(_CANDLES, {})
        for symbol in (self._streams.get(stream, stream) for stream in streams):
            wanted[symbol] = self._clock.now()

    # --- what is sent by the clock

    def frames(self, symbols: Iterable[str], now: int) -> list[tuple[str, str]]:
        """What is to be told of these since the last time, by symbol. `now`: market time, Unix ms."""
        return [
            (symbol, _kline(symbol, candle, now, last=last))
            for symbol in symbols
            if self._exchange.lists(symbol)
            for candle, last in self._updates(symbol, now)
        ]

    def _tick(self) -> None:
        heard = {s for session in self._sessions for s in session.subscriptions.get(_CANDLES, ())}
        self._shown = {symbol: shown for symbol, shown in self._shown.items() if symbol in heard}
        for symbol, text in self.frames(sorted(heard), self._clock.now()):
            for session in self._sessions:
                if session.wants(_CANDLES, symbol, self._exchange.symbols[symbol]):
                    session.say(text, _CANDLES)

    def _updates(self, symbol: str, now: int) -> list[tuple[ExactCandle, bool]]:
        """The candles that changed or closed since the last tick, oldest first, and whether it is their last.

        One that has not closed and in which nothing was traded is not shown.
        """
        bucket = _M1.floor(now)
        since, before = self._shown.get(symbol) or (bucket, None)
        rows = self._exchange.rows(symbol, _M1, max(since, bucket - _CATCH_UP_MS), bucket + 1, now)
        newest = rows[-1] if rows and rows[-1].time == bucket else None
        self._shown[symbol] = (bucket, newest)
        closed = [(row, True) for row in rows if row.time < bucket]
        if newest and newest != before and not newest.flat:
            return [*closed, (newest, False)]
        return closed


def _kline(symbol: str, c: ExactCandle, now: int, *, last: bool) -> str:
    flat = float(c.volume) == 0
    first, newest, trades = (-1, -1, 0) if flat else (c.time // 100, c.time // 100 + 6, 7)
    return (
        f'{{"stream":"{symbol.lower()}{_STREAM}","data":{{"e":"kline","E":{now},"s":"{symbol}","k":{{'
        f'"t":{c.time},"T":{c.time + _M1.ms - 1},"s":"{symbol}","i":"1m","f":{first},"L":{newest},'
        f'"o":"{c.open}","c":"{c.close}","h":"{c.high}","l":"{c.low}","v":"{c.volume}","n":{trades},'
        f'"x":{"true" if last else "false"},"q":"0","V":"0","Q":"0","B":"0"}}}}}}'
    )


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
