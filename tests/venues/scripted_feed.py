"""A feed under test, and what it tells of a scripted server."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from datetime import UTC, datetime

import msgspec

from livecache.venues.coinbase.auth import ApiKey
from livecache.venues.coinbase.dialect import CoinbaseDialect
from livecache.venues.feed.feed import SocketFeed
from livecache.venues.venue import Event

from .loopback import InstantClock, ServerConnection, feed_server, payload

__all__ = [
    "Script",
    "ack_frame",
    "candle_frame",
    "feed_of",
    "heartbeat_frame",
    "kinds",
    "numbered",
    "subscriptions",
    "take",
    "take_until",
    "told",
]

Script = Callable[[ServerConnection, int], Awaitable[None]]


def numbered(name: str, number: int) -> str:
    """A payload with another sequence number."""
    frame = msgspec.json.decode(payload(name))
    frame["sequence_num"] = number
    return msgspec.json.encode(frame).decode()


def candle_frame(number: int, stamp: int, product: str, kind: str = "update") -> str:
    """A frame with the 5m candle in which `stamp` (Unix ms) lies."""
    frame = msgspec.json.decode(payload("candles_update"))
    frame["sequence_num"], frame["timestamp"] = number, _timestamp(stamp)
    event = frame["events"][0]
    event["type"] = kind
    event["candles"][0] |= {"product_id": product, "start": str(stamp // 300_000 * 300)}
    return msgspec.json.encode(frame).decode()


def ack_frame(number: int, stamp: int, *ids: str, channels: tuple[str, ...] = ("candles",)) -> str:
    """A frame that acknowledges all that the connection is subscribed to."""
    frame = msgspec.json.decode(payload("ack"))
    frame["sequence_num"], frame["timestamp"] = number, _timestamp(stamp)
    frame["events"] = [{"subscriptions": dict.fromkeys(channels, ids)}]
    return msgspec.json.encode(frame).decode()


def heartbeat_frame(number: int, stamp: int) -> str:
    frame = msgspec.json.decode(payload("heartbeats"))
    frame["sequence_num"], frame["timestamp"] = number, _timestamp(stamp)
    return msgspec.json.encode(frame).decode()


def _timestamp(stamp: int) -> str:
    return datetime.fromtimestamp(stamp / 1000, UTC).isoformat(timespec="milliseconds")


def feed_of(
    url: str,
    *products: str,
    clock: InstantClock | None = None,
    aliases: dict[str, str] | None = None,
    trades: bool = False,
    silence_timeout_s: float = 5.0,
    key: ApiKey | None = None,
    first_delay_s: float = 0.0,
    frame_bytes: int | None = 1024 * 1024,
    open_timeout_s: float = 2.0,
) -> SocketFeed:
    return SocketFeed(
        CoinbaseDialect(url, lambda: None, key),
        products or ("BTC-USD", "ETH-USD"),
        aliases or {},
        trades=trades,
        clock=clock or InstantClock(),
        jitter=lambda: 0.0,
        silence_timeout_s=silence_timeout_s,
        first_delay_s=first_delay_s,
        open_timeout_s=open_timeout_s,
        message_bytes=frame_bytes,
    )


async def take(feed: SocketFeed, count: int) -> list[Event]:
    """The first `count` events."""
    return await take_until(feed, lambda events: len(events) == count)


async def take_until(feed: SocketFeed, enough: Callable[[list[Event]], bool]) -> list[Event]:
    """The first events, up to the one with which they are enough."""
    events: list[Event] = []
    async with asyncio.timeout(30), aclosing(feed.events()) as stream:
        async for event in stream:
            events.append(event)
            if enough(events):
                break
    return events


def told(
    script: Script, count: int, *products: str, trades: bool = False, silence_timeout_s: float = 5.0
) -> list[Event]:
    """The first events of a feed whose server runs `script`."""

    async def scenario() -> list[Event]:
        async with feed_server(script) as url:
            feed = feed_of(url, *products, trades=trades, silence_timeout_s=silence_timeout_s)
            return await take(feed, count)

    return asyncio.run(scenario())


async def subscriptions(connection: ServerConnection, count: int) -> list[dict[str, object]]:
    return [msgspec.json.decode(await connection.recv()) for _ in range(count)]


def kinds(events: list[Event]) -> list[type]:
    return [type(event) for event in events]
