"""A feed under test, and what it tells of a scripted server."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing

import msgspec
from websockets.asyncio.server import ServerConnection

from livecache.venues.coinbase.auth import ApiKey
from livecache.venues.coinbase.websocket import CoinbaseFeed
from livecache.venues.venue import Event

from .loopback import InstantClock, feed_server, payload

__all__ = ["Script", "feed_of", "kinds", "numbered", "subscriptions", "take", "told"]

Script = Callable[[ServerConnection, int], Awaitable[None]]


def numbered(name: str, number: int) -> str:
    """A payload with another sequence number."""
    frame = msgspec.json.decode(payload(name))
    frame["sequence_num"] = number
    return msgspec.json.encode(frame).decode()


def feed_of(
    url: str,
    *products: str,
    clock: InstantClock | None = None,
    aliases: dict[str, str] | None = None,
    trades: bool = False,
    silence_timeout_s: float = 5.0,
    key: ApiKey | None = None,
    first_delay_s: float = 0.0,
    frame_bytes: int = 1024 * 1024,
) -> CoinbaseFeed:
    return CoinbaseFeed(
        url,
        products or ("BTC-USD", "ETH-USD"),
        aliases or {},
        trades=trades,
        now=lambda: None,
        clock=clock or InstantClock(),
        jitter=lambda: 0.0,
        silence_timeout_s=silence_timeout_s,
        key=key,
        first_delay_s=first_delay_s,
        open_timeout_s=2.0,
        frame_bytes=frame_bytes,
    )


async def take(feed: CoinbaseFeed, count: int) -> list[Event]:
    """The first `count` events."""
    events: list[Event] = []
    async with asyncio.timeout(10), aclosing(feed.events()) as stream:
        async for event in stream:
            events.append(event)
            if len(events) == count:
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
