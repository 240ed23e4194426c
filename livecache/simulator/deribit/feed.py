"""The websocket side of the simulated Deribit: who gets which frame, and when.

https://docs.deribit.com/api-reference/subscription-channels/charttradesinstrument_nameresolution
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Any

import msgspec
from aiohttp import web

from ...clock import Clock
from ...model.candle import ExactCandle
from ...model.timeframe import Timeframe
from ..clock import MarketClock
from ..session import Server, Session
from ..trouble.faults import Faults, FeedFrame, HangUp
from .exchange import TOO_MANY, Exchange, RpcFault, answer_of

__all__ = ["CHANNEL", "PATH", "FeedServer"]

PATH = "/ws/api/v2"
CHANNEL = "chart.trades"
_PLATFORM = "platform_state"
_NAME = re.compile(r"chart\.trades\.([^.]+)\.1")
_M1 = Timeframe.M1
_CATCH_UP_MS = 12 * _M1.ms
_MAX_MESSAGE_BYTES = 256 * 1024
_HEARTBEAT_LEAST_S = 10
_END = "end"  # no channel: where a connection is closed
_INVALID = RpcFault(-32602, "Invalid params")


class _Asked(msgspec.Struct):
    id: int | str | None = None
    method: str = ""
    params: dict[str, Any] | None = None


class _Client(Session):
    """A client. Whether it is there is asked every so often, once it has asked for that."""

    def __init__(self, *args: Any, patience_s: float, **options: Any) -> None:
        super().__init__(*args, **options)
        self._patience_s = patience_s
        self._every_s = 0.0
        self._agreed = asyncio.Event()
        self.there = True  # since it was asked last

    def agree(self, every_s: float) -> None:
        """It is to be asked so often, in real seconds."""
        self._every_s = every_s
        self._agreed.set()

    def send(self, channel: str, body: str) -> None:
        """Put a frame in line."""
        self.put(FeedFrame(self.number, channel, -1, body))

    def end(self, body: str) -> None:
        """Tell it that, and end the connection."""
        self.send("", body)
        self.send(_END, "")

    async def _watch(self) -> None:
        await self._agreed.wait()
        while self.there:
            await self._host.sleep(self._every_s)
            self.there = False
            self.send("heartbeat", _notice("heartbeat", {"type": "test_request"}))
            await self._host.sleep(self._patience_s)
        await self.close(1000)


class FeedServer(Server[_Client]):
    """Every connected client, and the clockwork that feeds them. `run` must run while clients are served."""

    def __init__(self, exchange: Exchange, clock: MarketClock, faults: Faults, host_clock: Clock) -> None:
        super().__init__(clock, exchange.options, host_clock)
        self._exchange = exchange
        self._faults = faults
        # What was shown last: the bucket in progress then, and its candle if it had traded.
        self._shown: dict[str, tuple[int, ExactCandle | None]] = {}
        self._locked = False

    async def run(self) -> None:
        """Send what is due, until cancelled."""
        await self._repeat(self._options.update_ms, self._tick)

    async def serve(self, request: web.Request) -> web.WebSocketResponse:
        """Serve one client from its handshake to its end."""
        options = self._options
        ws = web.WebSocketResponse(compress=options.compression, max_msg_size=_MAX_MESSAGE_BYTES, timeout=0.3)
        await ws.prepare(request)
        counts = self._exchange.counts
        counts.connections += 1
        client = _Client(
            counts.connections,
            ws,
            request.transport,
            options=options,
            faults=_Ending(self._faults),
            counts=counts,
            host=self._host,
            patience_s=options.test_patience_s,
        )
        self._sessions.add(client)
        try:
            await client.run(lambda text: self._receive(client, text))
        finally:
            self._sessions.discard(client)
        return ws

    # --- what clients say

    def _receive(self, client: _Client, text: str) -> None:
        began_us = self._clock.now_ns() // 1000
        try:
            asked = msgspec.json.decode(text, type=_Asked)
        except msgspec.MsgspecError:
            asked, told = _Asked(), RpcFault(11050, "bad_request")
        else:
            if not self._exchange.credits.take():
                body = answer_of(RpcFault(10028, TOO_MANY.message), asked.id, began_us, began_us)
                return client.end(body)
            told = self._call(client, asked)
        if told is not None:
            body = answer_of(told, asked.id, began_us, self._clock.now_ns() // 1000)
            client.send("heartbeat" if asked.method == "public/test" else "", body)
        return None

    def _call(self, client: _Client, asked: _Asked) -> Any:
        """The result, or an RpcFault; None where a fault leaves it unanswered."""
        parameters = asked.params or {}
        own: dict[str, Callable[[_Client, Any], Any]] = {
            "public/subscribe": self._subscribe,
            "public/unsubscribe": self._unsubscribe,
            "public/set_heartbeat": self._heartbeat,
        }
        if asked.method == "public/test":
            client.there = True
            self._tick()  # Where the market goes fast, an answer would overtake minutes.
            if self._faults.mute("heartbeats", "heartbeats", 0):
                return None
        try:
            if asked.method in own:
                return own[asked.method](client, parameters)
            return self._exchange.call(asked.method, parameters)
        except RpcFault as fault:
            return fault

    def _heartbeat(self, client: _Client, parameters: dict[str, Any]) -> str:
        interval = parameters.get("interval")
        if not isinstance(interval, int) or interval < _HEARTBEAT_LEAST_S:
            raise RpcFault(-32602, "Invalid params", data={"param": "interval", "reason": "too short"})
        client.agree(self._options.test_after_s or interval)
        return "ok"

    def _subscribe(self, client: _Client, parameters: dict[str, Any]) -> list[str]:
        """Those that are taken: the others are left out, without a word."""
        now = self._clock.now()
        wanted = client.subscriptions.setdefault(CHANNEL, {})
        asked = {channel: _instrument(channel) for channel in _channels(parameters)}
        if _PLATFORM in asked:
            client.subscriptions[_PLATFORM] = {"": now}
        symbols = self._exchange.symbols
        known = {c: i for c, i in asked.items() if self._exchange.knows(i)}
        refused, why = self._faults.refusal([symbols[i] for i in known.values()])
        taken = {channel: i for channel, i in known.items() if symbols[i] not in refused}
        for instrument in taken.values():
            wanted[instrument] = now
            self._shown.setdefault(instrument, (_M1.floor(now), None))
        if refused and why and not taken:
            raise RpcFault(11052, "subscribe_error", data={"reason": why})
        return [channel for channel in asked if channel in taken or channel == _PLATFORM]

    def _unsubscribe(self, client: _Client, parameters: dict[str, Any]) -> list[str]:
        wanted = client.subscriptions.setdefault(CHANNEL, {})
        return [c for c in _channels(parameters) if wanted.pop(_instrument(c), None) is not None]

    # --- what is sent by the clock

    def _tick(self) -> None:
        now = self._clock.now()
        self._tell_locks(now)
        wanted = {i for client in self._sessions for i in client.subscriptions.get(CHANNEL, ())}
        self._shown = {i: shown for i, shown in self._shown.items() if i in wanted}
        for instrument in sorted(i for i in wanted if self._exchange.knows(i)):
            for row in self._updates(instrument, now):
                body = _notice("subscription", {"channel": f"{CHANNEL}.{instrument}.1", "data": _candle(row)})
                for client in self._sessions:
                    wants = client.subscriptions.get(CHANNEL, {}).get(instrument)
                    product = self._exchange.symbols[instrument]
                    if wants is not None and not self._faults.mute("candles", product, wants):
                        client.send(CHANNEL, body)

    def _tell_locks(self, now: int) -> None:
        """Tell who wants to know it which indices are locked or unlocked now. Who comes later is not told."""
        locked = any(begin <= now < end for begin, end in self._exchange.options.locks)
        if locked is self._locked:
            return
        self._locked = locked
        for product in sorted(self._exchange.symbols.values()):
            data = {"price_index": product.lower().replace("-", "_"), "locked": locked}
            body = _notice("subscription", {"channel": _PLATFORM, "data": data})
            for client in self._sessions:
                if _PLATFORM in client.subscriptions:
                    client.send(_PLATFORM, body)

    def _updates(self, instrument: str, now: int) -> list[ExactCandle]:
        """What changed since the last tick, oldest first; what had no trades is told of when it is over."""
        bucket = _M1.floor(now)
        since, last = self._shown.get(instrument, (bucket, None))
        rows = self._exchange.chart.rows(instrument, _M1, max(since, bucket - _CATCH_UP_MS), bucket + 1, now)
        rows = [row for row in rows if row.time < bucket or not row.flat]
        self._shown[instrument] = (bucket, rows[-1] if rows and rows[-1].time == bucket else None)
        return [row for row in rows if row != last]


class _Ending(Faults):
    """The faults, and the end of a connection in its place in line."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults

    def frame(self, frame: FeedFrame) -> Any:
        return HangUp(1000) if frame.channel == _END else self._faults.frame(frame)

    def mute(self, channel: str, product: str, subscribed_ms: int) -> bool:
        return self._faults.mute(channel, product, subscribed_ms)


def _channels(parameters: dict[str, Any]) -> list[str]:
    channels = parameters.get("channels")
    if not isinstance(channels, list):
        raise _INVALID
    return [str(channel) for channel in channels]


def _instrument(channel: str) -> str:
    """Which instrument's minutes it is; "" if it is another channel."""
    found = _NAME.fullmatch(channel)
    return found[1] if found else ""


def _candle(row: ExactCandle) -> dict[str, Any]:
    names = ("open", "high", "low", "close", "volume")
    told: dict[str, Any] = {name: msgspec.Raw(getattr(row, name).encode()) for name in names}
    return {"tick": row.time, **told, "cost": round(float(row.close) * float(row.volume), 2)}


def _notice(method: str, parameters: dict[str, Any]) -> str:
    return msgspec.json.encode({"jsonrpc": "2.0", "method": method, "params": parameters}).decode()
