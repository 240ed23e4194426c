"""The venue's websocket side: who gets which frame, and when.

https://docs.cdp.coinbase.com/coinbase-app/advanced-trade-apis/websocket/websocket-channels
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import msgspec
from aiohttp import web

from ...clock import Clock
from ...model.candle import ExactCandle
from ...model.timeframe import Timeframe
from ..clock import MarketClock
from ..face import Counts
from ..market.market import Market
from ..options import ServerOptions
from ..session import Server, Session
from ..trouble.faults import Faults, FeedFrame
from .auth import KeyRing
from .listing import newest_trades, trade_json

__all__ = ["FeedServer"]

_M5 = Timeframe.M5
_SNAPSHOT_CANDLES = 100
_MAX_MESSAGE_BYTES = 256 * 1024
# After a pause of the host the feed catches up with this many buckets and leaves the rest to REST.
_CATCH_UP_MS = 12 * _M5.ms
# The heartbeat counter is the uptime of the venue's process, which began long before us.
_UPTIME_S = 75_497


class _Message(msgspec.Struct):
    """What a client sends. Other keys are ignored, a granularity as well: candles are always 5m."""

    type: str
    channel: str = ""
    product_ids: list[str] = []
    jwt: str = ""


class CoinbaseSession(Session):
    """Frames are numbered over all channels. A client that does not subscribe is closed, and a silent one."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.has_subscribed = False
        self._next_sequence = 0
        # Somewhere between the two bounds, the same for the same connection.
        least_s, most_s = self._options.silence_s
        self._silence_s = least_s + (most_s - least_s) * (self.number * 0.618 % 1)

    def send(self, channel: str, timestamp: str, events: str) -> None:
        """Put a frame in line, with the next sequence number. `events` is a JSON array."""
        client_id = '"client_id":"",' if self._options.client_id else ""
        text = (
            f'{{"channel":"{channel}",{client_id}"timestamp":"{timestamp}",'
            f'"sequence_num":{self._next_sequence},"events":{events}}}'
        )
        self.put(FeedFrame(self.number, channel, self._next_sequence, text))
        self._next_sequence += 1

    def send_error(self, error: str) -> None:
        """Put an error frame in line. It has no sequence number; `error` is JSON."""
        self.put(FeedFrame(self.number, "", -1, error))

    async def _watch(self) -> None:
        """Close a connection that does not subscribe in time, or that has gone silent."""
        await self._host.sleep(self._options.subscribe_timeout_s)
        if not self.has_subscribed:
            return await self.close(1008)
        while (left_s := self._last_sent_s + self._silence_s - self._host.monotonic()) > 0:
            await self._host.sleep(left_s)
        return await self.close(1000)


class FeedServer(Server[CoinbaseSession]):
    """Every connected client, and the clockwork that feeds them. `run` must run while clients are served."""

    def __init__(
        self,
        market: Market,
        clock: MarketClock,
        options: ServerOptions,
        counts: Counts,
        *,
        faults: Faults,
        keys: KeyRing,
        host_clock: Clock,
    ) -> None:
        super().__init__(clock, options, host_clock)
        self._market = market
        self._counts = counts
        self._faults = faults
        self._keys = keys
        self._products = frozenset(market.products())
        self._aliases = dict(market.aliases())
        # What the candles channel showed last: the bucket in progress then, and its candle if it had traded.
        self._shown: dict[str, tuple[int, ExactCandle | None]] = {}
        self._traded_until: dict[str, int] = {}
        self._heartbeats = _UPTIME_S

    async def run(self) -> None:
        """Send what is due, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for name, every_ms, tick in (
                ("candles", self._options.update_ms, self._tick_candles),
                ("trades", self._options.trades_ms, self._tick_trades),
                ("heartbeats", 1_000, self._tick_heartbeats),
            ):
                tasks.create_task(self._repeat(every_ms, tick), name=f"simulator-{name}")

    async def serve(self, request: web.Request) -> web.WebSocketResponse:
        """Serve one client from its handshake to its end."""
        ws = web.WebSocketResponse(
            compress=self._options.compression, max_msg_size=_MAX_MESSAGE_BYTES, timeout=0.3
        )
        await ws.prepare(request)
        self._counts.connections += 1
        session = CoinbaseSession(
            self._counts.connections,
            ws,
            request.transport,
            options=self._options,
            faults=self._faults,
            counts=self._counts,
            host=self._host,
        )
        self._sessions.add(session)
        try:
            await session.run(lambda text: self._receive(session, text))
        finally:
            self._sessions.discard(session)
        return ws

    # --- what clients say

    def _receive(self, session: CoinbaseSession, text: str) -> None:
        try:
            message = msgspec.json.decode(text, type=_Message)
        except msgspec.MsgspecError:
            return self._refuse(session, "malformed message")
        if message.type not in ("subscribe", "unsubscribe"):
            return self._refuse(session, f"unknown type {message.type[:50]}")
        if message.jwt and not self._keys.allows_feed(message.jwt, self._clock.now()):
            return self._refuse(session, "authentication failure")
        asked = [self._aliases.get(p, p) for p in message.product_ids]
        products = [p for p in asked if p in self._products and self._faults.lists(p)]
        wanted = session.subscriptions.setdefault(message.channel, {})
        if message.type == "unsubscribe":
            for product in products if message.product_ids else list(wanted):
                wanted.pop(product, None)
            if not wanted:
                del session.subscriptions[message.channel]
        else:
            session.has_subscribed = True
            refused, complaint = self._faults.refusal(products)
            products = [product for product in products if product not in refused]
            if complaint:
                self._refuse(session, complaint)
            for unknown in sorted(set(asked) - set(products) - refused):
                self._refuse(session, f"Product {unknown[:50]} not supported")
            subscribed = ["heartbeats"] if message.channel == "heartbeats" else products
            wanted.update(dict.fromkeys(subscribed, self._clock.now()))
            self._send_snapshots(session, message.channel, list(dict.fromkeys(products)))
        # The acknowledgement comes after the first data, as at the venue.
        current = {c: sorted(p) for c, p in session.subscriptions.items() if p}
        listed = {} if self._options.empty_ack else current
        session.send("subscriptions", self._timestamp(), _json([{"subscriptions": listed}]))
        return None

    def _refuse(self, session: CoinbaseSession, message: str) -> None:
        session.send_error(_json({"type": "error", "message": message}))

    def _send_snapshots(self, session: CoinbaseSession, channel: str, products: Iterable[str]) -> None:
        now = self._clock.now()
        for product in products:
            if channel == "candles":
                self._shown.setdefault(product, self._current(product, now))
                candles = self._snapshot(product, now)
                if candles and session.wants(channel, product):
                    session.send(channel, self._timestamp(), _candles_event("snapshot", product, candles))
            elif channel == "market_trades":
                self._traded_until.setdefault(product, now)
                trades = [trade_json(t) for t in newest_trades(self._market, product, 0, now)]
                if trades and session.wants(channel, product):
                    event = {"type": "snapshot", "trades": trades}
                    session.send(channel, self._timestamp(), _json([event]))

    def _current(self, product: str, now: int) -> tuple[int, ExactCandle | None]:
        bucket = _M5.floor(now)
        rows = self._market.candles(product, _M5, bucket, bucket + 1, now)
        return bucket, rows[0] if rows else None

    def _snapshot(self, product: str, now: int) -> list[ExactCandle]:
        """At most 100 candles out of 160 to 200 buckets, in no order: as observed, no back-fill."""
        bucket = _M5.floor(now)
        chance = random.Random(f"{product}|{bucket}")
        since = bucket - chance.randint(160, 200) * _M5.ms
        rows = self._market.candles(product, _M5, since, bucket + 1, now)
        # A product with fewer candles than fit has holes as well.
        return chance.sample(rows, min(_SNAPSHOT_CANDLES, len(rows) * 5 // 8 + 1 if rows else 0))

    # --- what is sent by the clock

    def _tick_candles(self) -> None:
        now, timestamp = self._clock.now(), self._timestamp()
        subscribed = self._subscribed("candles")
        self._shown = {p: s for p, s in self._shown.items() if p in subscribed}
        for product in subscribed:
            for candle in self._updates(product, now):
                self._publish("candles", product, timestamp, _candles_event("update", product, [candle]))

    def _updates(self, product: str, now: int) -> list[ExactCandle]:
        """The candles that changed since the last tick, oldest first."""
        bucket = _M5.floor(now)
        since, last = self._shown.get(product) or self._current(product, now)
        rows = self._market.candles(product, _M5, max(since, bucket - _CATCH_UP_MS), bucket + 1, now)
        self._shown[product] = (bucket, rows[-1] if rows and rows[-1].time == bucket else None)
        options = self._faults.options(product, self._options)
        if since < bucket and not options.final_update(product):
            rows = [row for row in rows if row.time != since]
        return [row for row in rows if row != last]

    def _tick_trades(self) -> None:
        now, timestamp = self._clock.now(), self._timestamp()
        subscribed = self._subscribed("market_trades")
        self._traded_until = {p: t for p, t in self._traded_until.items() if p in subscribed}
        for product in subscribed:
            since = max(self._traded_until.get(product, now), now - _CATCH_UP_MS)
            self._traded_until[product] = now
            trades = [trade_json(t) for t in reversed(self._market.trades(product, since, now))]
            if trades:
                event = {"type": "update", "trades": trades}
                self._publish("market_trades", product, timestamp, _json([event]))

    def _tick_heartbeats(self) -> None:
        self._heartbeats += 1
        # Go's time.String(), not RFC 3339: the venue prints it so.
        seconds, nanos = divmod(self._clock.now_ns(), 1_000_000_000)
        moment = f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S}.{nanos:09d} +0000 UTC"
        event = {
            "current_time": f"{moment} m=+{self._heartbeats}.{nanos:09d}",
            "heartbeat_counter": self._heartbeats,
        }
        self._publish("heartbeats", "heartbeats", self._timestamp(), _json([event]))

    def _publish(self, channel: str, product: str, timestamp: str, events: str) -> None:
        for session in self._sessions:
            if session.wants(channel, product):
                session.send(channel, timestamp, events)

    def _subscribed(self, channel: str) -> list[str]:
        wanted = set().union(*(s.subscriptions.get(channel, ()) for s in self._sessions))
        return sorted(product for product in wanted if self._faults.lists(product))

    def _timestamp(self) -> str:
        """Market time in RFC 3339 with nanoseconds, without trailing zeros, as Go prints it."""
        seconds, nanos = divmod(self._clock.now_ns(), 1_000_000_000)
        fraction = f".{nanos:09d}".rstrip("0").rstrip(".")
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}{fraction}Z"


def _candles_event(kind: str, product: str, candles: Iterable[ExactCandle]) -> str:
    rows = ",".join(
        f'{{"start":"{c.time // 1000}","high":"{c.high}","low":"{c.low}","open":"{c.open}",'
        f'"close":"{c.close}","volume":"{c.volume}","product_id":"{product}"}}'
        for c in candles
    )
    return f'[{{"type":"{kind}","candles":[{rows}]}}]'


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
