"""How the feed loses and leaves its connection, against a scripted server on loopback."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest

from livecache.venues.venue import (
    Broken,
    Event,
    FeedCandles,
    Heard,
    Rejected,
)

from .loopback import InstantClock, ServerConnection, feed_server, payload, raw_server
from .scripted_feed import feed_of, kinds, numbered, subscriptions, take, told


@pytest.mark.parametrize("how", [1000, 1001, 1008, 1011, 1012, "cut"])
def test_whatever_ends_a_connection_is_one_break_and_a_new_subscription(how: int | str) -> None:
    messages: list[list[dict[str, object]]] = []

    async def script(connection: ServerConnection, number: int) -> None:
        messages.append(await subscriptions(connection, 2))
        await connection.send(numbered("candles_update", 0))
        if number > 1:
            await connection.wait_closed()
        elif isinstance(how, int):
            await connection.close(how, "because")
        else:
            await connection.arrived()
            connection.cut()

    candles, broken, again = told(script, 3)
    assert isinstance(candles, FeedCandles)
    assert isinstance(again, FeedCandles)
    assert messages[0] == messages[1]
    reason = "the connection was cut" if how == "cut" else f"closed by the venue ({how} because)"
    assert broken == Broken(("BTC-USD", "ETH-USD"), reason, lost_connection=True)


def test_a_connection_cut_right_behind_a_message_is_a_break() -> None:
    async def script(connection: ServerConnection, number: int) -> None:
        await subscriptions(connection, 2)
        await connection.send(numbered("candles_update", 0))
        if number == 1:
            connection.cut()
        await connection.wait_closed()

    events = told(script, 2)
    # The cut may have overtaken the message.
    broken = next(event for event in events if isinstance(event, Broken))
    assert broken.lost_connection


def test_silence_is_a_break_and_leads_to_a_new_connection() -> None:
    async def script(connection: ServerConnection, number: int) -> None:
        await connection.send(numbered("heartbeats", 0))
        await connection.wait_closed()

    events = told(script, 3, silence_timeout_s=0.3)
    assert kinds(events) == [Heard, Broken, Heard]
    assert events[1] == Broken(("BTC-USD", "ETH-USD"), "silent for 0.3 s", lost_connection=True)


def test_noise_is_silence_too() -> None:
    """A server that sends only what cannot be understood, or repeats itself, is not alive."""

    async def script(connection: ServerConnection, number: int) -> None:
        await connection.send(numbered("heartbeats", 5))
        while True:
            await connection.send(numbered("heartbeats", 5))
            await connection.send("what?")
            try:
                await asyncio.wait_for(connection.wait_closed(), 0.01)
            except TimeoutError:
                continue
            return

    async def scenario() -> None:
        async with feed_server(script) as url:
            feed = feed_of(url, silence_timeout_s=0.3)
            async with asyncio.timeout(30), aclosing(feed.events()) as stream:
                async for event in stream:
                    assert isinstance(event, Heard | Rejected | Broken)
                    if isinstance(event, Broken):
                        break
            assert feed.repeated_frames > 0

    asyncio.run(scenario())


def test_a_slow_consumer_is_not_taken_for_a_silent_venue() -> None:
    async def scenario() -> None:
        done = asyncio.Event()

        async def script(connection: ServerConnection, number: int) -> None:
            assert number == 1, "the feed has reconnected"
            for sequence in range(3):
                await connection.send(numbered("heartbeats", sequence))
            await done.wait()

        async with feed_server(script) as url:
            feed = feed_of(url, silence_timeout_s=0.3)
            async with asyncio.timeout(30), aclosing(feed.events()) as stream:
                assert isinstance(await anext(stream), Heard)
                later = asyncio.get_running_loop().create_future()
                asyncio.get_running_loop().call_later(0.7, later.set_result, None)
                await later  # more than twice the timeout
                assert isinstance(await anext(stream), Heard)
                assert isinstance(await anext(stream), Heard)
            done.set()

    asyncio.run(scenario())


def test_a_frame_beyond_the_bound_ends_the_connection() -> None:
    async def script(connection: ServerConnection, number: int) -> None:
        await connection.send("x" * 5000 if number == 1 else numbered("heartbeats", 0))
        await connection.wait_closed()

    async def scenario() -> list[Event]:
        async with feed_server(script) as url:
            return await take(feed_of(url, frame_bytes=4000), 2)

    broken, heard = asyncio.run(scenario())
    assert isinstance(broken, Broken)
    assert "1009" in broken.reason
    assert isinstance(heard, Heard)


def test_waits_grow_until_a_connection_has_worked_for_a_while() -> None:
    """So a venue that accepts, says something and hangs up is not stormed."""

    async def scenario() -> list[float]:
        clock = InstantClock()

        async def script(connection: ServerConnection, number: int) -> None:
            await subscriptions(connection, 2)
            if number < 3:
                await connection.send(numbered("ack", 0))
            elif number == 3:
                await connection.send(numbered("heartbeats", 0))  # proves something, but not for long
            elif number == 4:
                clock.time += 6
                await connection.send(numbered("ack", 0))  # proves nothing
            elif number == 5:
                clock.time += 6
                await connection.send(numbered("heartbeats", 0))
            else:
                await connection.send(numbered("heartbeats", 0))
                await connection.wait_closed()
            await connection.close(1001)

        async with feed_server(script) as url:
            await take(feed_of(url, clock=clock, first_delay_s=1.5), 11)
        return clock.sleeps

    assert asyncio.run(scenario()) == [1.5, 0.25, 0.5, 1.0, 2.0, 0.25]


@pytest.mark.parametrize("how", ["cancelled", "closed"])
def test_the_socket_is_closed_when_the_iteration_ends(how: str) -> None:
    async def scenario() -> None:
        closed = asyncio.Event()
        heard = asyncio.Event()

        async def script(connection: ServerConnection, number: int) -> None:
            await connection.send(numbered("heartbeats", 0))
            await connection.wait_closed()
            closed.set()

        async def consume(stream: AsyncGenerator[Event, None]) -> None:
            async for _ in stream:
                heard.set()

        async with feed_server(script) as url, asyncio.timeout(30):
            stream = feed_of(url).events()
            if how == "closed":
                await anext(stream)
                await stream.aclose()
            else:
                task = asyncio.create_task(consume(stream), name="consumer")
                await heard.wait()
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
            await closed.wait()

    asyncio.run(scenario())


def test_a_server_that_never_answers_the_closing_handshake_holds_nobody_up() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readuntil(b"\r\n\r\n")
        key = next(
            line.split(b":", 1)[1].strip()
            for line in request.split(b"\r\n")
            if line.lower().startswith(b"sec-websocket-key")
        )
        accept = base64.b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
        writer.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
        )
        frame = payload("ack_empty")
        writer.write(bytes([0x81, 126, len(frame) >> 8, len(frame) & 255]) + frame)
        while await reader.read(1000):
            pass

    async def scenario() -> float:
        async with raw_server(talk) as port:
            stream = feed_of(f"ws://127.0.0.1:{port}").events()
            async with asyncio.timeout(30):
                assert isinstance(await anext(stream), Heard)
                began = time.monotonic()
                await stream.aclose()
                return time.monotonic() - began

    assert asyncio.run(scenario()) < 1.5


def test_a_counter_that_starts_again_ends_as_silence() -> None:
    """The numbers of a connection never start again; if they do, nobody can tell what was lost."""

    async def script(connection: ServerConnection, number: int) -> None:
        for sequence in (41, 0, 1, 2):
            await connection.send(numbered("heartbeats", sequence))
        await connection.wait_closed()

    assert kinds(told(script, 3, silence_timeout_s=0.3)) == [Heard, Broken, Heard]
