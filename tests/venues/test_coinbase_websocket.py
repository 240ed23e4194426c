"""What the feed tells of what a scripted websocket server on loopback says."""

from __future__ import annotations

import asyncio
import base64
import random
import zlib
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager

import jwt
import pytest

from livecache.venues.coinbase.auth import ApiKey
from livecache.venues.venue import (
    Broken,
    Event,
    FeedCandles,
    FeedFailure,
    Heard,
    Rejected,
    Subscribed,
    Trades,
)

from .loopback import ServerConnection, accepted, feed_server, frame, payload, raw_server
from .scripted_feed import candle_frame, feed_of, kinds, numbered, subscriptions, take, told
from .test_coinbase_auth import NAME, PEM, PRIVATE


def test_heartbeats_are_subscribed_first_and_data_needs_no_ack() -> None:
    messages: list[dict[str, object]] = []

    async def script(connection: ServerConnection, number: int) -> None:
        messages.extend(await subscriptions(connection, 3))
        await connection.send(numbered("candles_mixed", 0))
        await connection.send(numbered("ack_empty", 1))
        await connection.send(numbered("market_trades", 2))
        await connection.send(payload("error").decode())
        await connection.send(numbered("unknown_channel", 3))
        await connection.send(numbered("ack", 4))
        await connection.send(numbered("candles_update_client_id", 5))
        await connection.wait_closed()

    events = told(script, 8, trades=True)
    assert kinds(events) == [
        FeedCandles,
        FeedCandles,
        Heard,
        Trades,
        FeedFailure,
        Heard,
        Subscribed,
        FeedCandles,
    ]
    products = ["BTC-USD", "ETH-USD"]
    assert messages == [
        {"type": "subscribe", "channel": "heartbeats"},
        {"type": "subscribe", "channel": "candles", "product_ids": products},
        {"type": "subscribe", "channel": "market_trades", "product_ids": products},
    ]


def test_a_usdc_product_is_subscribed_as_usd_and_told_as_both_if_both_were_asked_for() -> None:
    async def scenario() -> tuple[list[Event], list[dict[str, object]]]:
        messages: list[dict[str, object]] = []

        async def script(connection: ServerConnection, number: int) -> None:
            messages.extend(await subscriptions(connection, 2))
            await connection.send(numbered("ack", 0))
            await connection.send(numbered("candles_update", 1))
            await connection.wait_closed()

        async with feed_server(script) as url:
            feed = feed_of(url, "BTC-USDC", "BTC-USD", aliases={"BTC-USDC": "BTC-USD", "BTC-USD": "BTC-USD"})
            return await take(feed, 2), messages

    (subscribed, candles), messages = asyncio.run(scenario())
    assert messages[1]["product_ids"] == ["BTC-USD"]
    assert isinstance(subscribed, Subscribed)
    assert subscribed.products == ("BTC-USDC", "BTC-USD")
    assert isinstance(candles, FeedCandles)
    assert [product for product, *_ in candles.candles] == ["BTC-USDC", "BTC-USD"]


def test_a_sequence_jump_is_a_break_without_losing_the_connection() -> None:
    async def script(connection: ServerConnection, number: int) -> None:
        await connection.send(numbered("candles_update", 3))
        await connection.send(numbered("heartbeats", 4))
        await connection.send(numbered("heartbeats", 4))
        await connection.send(numbered("candles_update", 2))
        await connection.send(numbered("candles_update", 7))
        await connection.send(numbered("heartbeats", 8))
        await connection.wait_closed()

    events = told(script, 5)
    assert kinds(events) == [FeedCandles, Heard, Broken, FeedCandles, Heard]
    assert events[2] == Broken(
        ("BTC-USD", "ETH-USD"), "sequence jump: 2 messages lost", lost_connection=False
    )


def test_an_unreadable_frame_is_rejected_and_missed_in_the_sequence() -> None:
    async def script(connection: ServerConnection, number: int) -> None:
        await connection.send(numbered("heartbeats", 0))
        await connection.send("}{")
        await connection.send(b"\xff\xfe")
        await connection.send(numbered("heartbeats", 3))
        await connection.wait_closed()

    assert kinds(told(script, 5)) == [Heard, Rejected, Rejected, Broken, Heard]


def test_each_subscription_bears_a_token_of_its_own() -> None:
    async def scenario() -> list[str]:
        tokens: list[str] = []

        async def script(connection: ServerConnection, number: int) -> None:
            tokens.extend(str(message["jwt"]) for message in await subscriptions(connection, 2))
            await connection.send(numbered("heartbeats", 0))
            await connection.wait_closed()

        async with feed_server(script) as url:
            await take(feed_of(url, key=ApiKey(NAME, PEM)), 1)
        return tokens

    first, second = asyncio.run(scenario())
    assert first != second
    assert jwt.decode(first, PRIVATE.public_key(), algorithms=["ES256"])["sub"] == NAME


def test_what_a_slow_consumer_has_not_read_stays_with_the_venue() -> None:
    """The feed buffers a bounded number of frames; then TCP holds the sender back."""

    async def scenario() -> None:
        held_back = asyncio.Event()
        padding = base64.b64encode(random.Random(1).randbytes(75_000)).decode()  # hard to compress
        frame = numbered("heartbeats", 1)[:-1] + f',"padding":"{padding}"}}'

        async def script(connection: ServerConnection, number: int) -> None:
            await connection.send(numbered("heartbeats", 0))
            for _ in range(2000):
                try:
                    await asyncio.wait_for(connection.send(frame), 0.1)
                except TimeoutError:
                    held_back.set()
                    return

        async with (
            feed_server(script) as url,
            asyncio.timeout(30),
            aclosing(feed_of(url).events()) as stream,
        ):
            await anext(stream)
            await held_back.wait()

    asyncio.run(scenario())


def test_a_feed_whose_key_is_refused_goes_on_without_it() -> None:
    """What it follows needs none. Whoever refuses may leave the connection open, or close it."""
    seen: list[bool] = []

    async def script(connection: ServerConnection, number: int) -> None:
        (first,) = await subscriptions(connection, 1)
        seen.append("jwt" in first)
        if seen[-1]:
            await connection.send('{"type": "error", "message": "authentication failure"}')
        else:
            await connection.send(numbered("heartbeats", 0))
        await connection.wait_closed()

    async def scenario() -> list[Event]:
        async with feed_server(script) as url:
            return await take(feed_of(url, key=ApiKey(NAME, PEM)), 3)

    events = asyncio.run(scenario())
    assert isinstance(events[0], FeedFailure) and isinstance(events[1], Broken)
    assert isinstance(events[2], Heard) and seen == [True, False]


# --- the frames that carry messages

BOUND = 5_000
TEXT, BINARY, PING = 1, 2, 9
OPEN = 1_784_086_800_000
FORMS: dict[str, Callable[[bytes], list[tuple[int, bytes]]]] = {
    "text": lambda data: [(TEXT, data)],
    "binary": lambda data: [(BINARY, data)],
    "fragments": lambda data: [(TEXT, data[:10]), (0, data[10:11]), (0, data[11:])],
}


@asynccontextmanager
async def sending(
    messages: Sequence[str | bytes], form: str = "text", *, compressed: bool = False
) -> AsyncIterator[str]:
    """A server that sends these to who has subscribed, and no more."""
    packer = zlib.compressobj(wbits=-15)

    def packed(data: bytes) -> bytes:
        return (packer.compress(data) + packer.flush(zlib.Z_SYNC_FLUSH))[:-4]

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(accepted(await reader.readuntil(b"\r\n\r\n"), deflate=compressed))
        await reader.read(1)
        for message in messages:
            data = message.encode() if isinstance(message, str) else message
            parts = FORMS[form](packed(data) if compressed else data)
            for number, (kind, part) in enumerate(parts, 1):
                bits = 0x40 if compressed and number == 1 else 0
                writer.write(frame(PING, b"") + frame(kind, part, fin=number == len(parts), bits=bits))
        while await reader.read(1000):
            pass

    async with raw_server(talk) as port:
        yield f"ws://127.0.0.1:{port}"


def padded(number: int, to: int = 0) -> str:
    return candle_frame(number, OPEN + number * 1000, "BTC-USD").ljust(to)


@pytest.mark.parametrize("compressed", [False, True], ids=["plain", "compressed"])
@pytest.mark.parametrize("form", FORMS)
def test_a_message_is_taken_in_any_frames_up_to_its_bound(form: str, compressed: bool) -> None:
    messages = [padded(0), padded(1, BOUND), padded(2, BOUND + 1)]

    async def scenario() -> list[Event]:
        async with sending(messages, form, compressed=compressed) as url:
            return await take(feed_of(url, "BTC-USD", frame_bytes=BOUND), 3)

    first, at_the_bound, above = asyncio.run(scenario())
    assert isinstance(first, FeedCandles) and isinstance(at_the_bound, FeedCandles)
    assert isinstance(above, Broken) and "1009" in above.reason and above.lost_connection


@pytest.mark.parametrize(
    "odd",
    [
        "",
        " ",
        "[]",
        "null",
        "5",
        "9" * 4_000,
        "[" * 1_000 + "]" * 1_000,
        "\0",
        b"\xff\xfe\x00",
        b'{"channel":"\xff',
    ],
    ids=lambda odd: repr(odd[:12]),
)
def test_a_message_that_is_none_costs_itself_and_not_the_connection(odd: str | bytes) -> None:
    async def scenario() -> list[Event]:
        async with sending([padded(0), odd, padded(1)]) as url:
            return await take(feed_of(url, "BTC-USD", frame_bytes=BOUND), 3)

    assert kinds(asyncio.run(scenario())) == [FeedCandles, Rejected, FeedCandles]
