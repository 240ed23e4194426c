"""How the feed gets a connection where there is none to be had, against scripted servers on loopback."""

from __future__ import annotations

import asyncio
import socket
from contextlib import aclosing

import pytest
from aiohttp import web

from livecache.venues.venue import (
    Broken,
    Event,
    FeedFailure,
    Heard,
)

from .loopback import Gone, InstantClock, Names, ServerConnection, feed_server, raw_server, rest_server
from .scripted_feed import feed_of, numbered, subscriptions, take, told


def test_a_server_that_is_down_is_a_failure_each_try_until_it_is_up() -> None:
    async def script(connection: ServerConnection, number: int) -> None:
        await connection.send(numbered("heartbeats", 0))
        await connection.wait_closed()

    async def scenario() -> None:
        async with feed_server(script) as url:
            port = int(url.rpartition(":")[2])
        feed = feed_of(url)
        async with asyncio.timeout(30), aclosing(feed.events()) as stream:
            for _ in range(3):
                assert await anext(stream) == FeedFailure(
                    f"127.0.0.1:{port} refuses connections", unconnected=True
                )
            async with feed_server(script, port=port):
                events = [await anext(stream)]
                while isinstance(events[-1], FeedFailure):
                    events.append(await anext(stream))
                assert isinstance(events[-1], Heard)

    asyncio.run(scenario())


def test_an_answer_that_is_no_websocket_is_a_failure() -> None:
    async def decline(request: web.Request) -> web.Response:
        return web.Response(status=503, text="no")

    async def scenario() -> list[Event]:
        async with rest_server(decline) as (url, _):
            return await take(feed_of(url.replace("http", "ws")), 1)

    (failure,) = asyncio.run(scenario())
    assert isinstance(failure, FeedFailure)
    assert "answered HTTP 503" in failure.message


def test_a_closed_connection_is_not_used() -> None:
    """A server that hangs up at once, before anything was subscribed, is a break like any other."""

    async def script(connection: ServerConnection, number: int) -> None:
        if number < 3:
            connection.cut()
            raise Gone
        await connection.send(numbered("heartbeats", 0))
        await connection.wait_closed()

    events = told(script, 3)
    assert [isinstance(event, Broken | FeedFailure) for event in events] == [True, True, False]


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"\xff\xfe\x00" * 1000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        b"HTTP/1.1 301 Moved\r\nLocation: ws://a..b\r\nContent-Length: 0\r\n\r\n",
    ],
)
def test_whatever_answers_a_handshake_is_a_failure_and_never_an_exception(said: bytes) -> None:
    """A load balancer that hangs up in the handshake once ended the whole service."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(said)
        await writer.drain()
        writer.write_eof()
        await reader.read()

    async def scenario() -> tuple[list[Event], int]:
        async with raw_server(talk) as port:
            return await take(feed_of(f"ws://127.0.0.1:{port}"), 2), port

    events, port = asyncio.run(scenario())
    for event in events:
        assert isinstance(event, FeedFailure)
        assert f"127.0.0.1:{port}" in event.message
        assert len(event.message) <= 300


def test_a_handshake_that_hangs_is_given_up() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(1000):
            pass

    async def scenario() -> list[Event]:
        async with raw_server(talk) as port:
            return await take(feed_of(f"ws://127.0.0.1:{port}", open_timeout_s=0.2), 2)

    for event in asyncio.run(scenario()):
        assert isinstance(event, FeedFailure)
        assert event.message.endswith("within 0.2 s")


def test_a_server_that_speaks_no_tls_is_named_as_such() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(5)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()

    async def scenario() -> list[Event]:
        async with raw_server(talk) as port:
            return await take(feed_of(f"wss://127.0.0.1:{port}"), 1)

    (failure,) = asyncio.run(scenario())
    assert isinstance(failure, FeedFailure)
    assert "no TLS with 127.0.0.1" in failure.message and "ws://" in failure.message


def test_a_name_that_cannot_be_resolved_is_a_failure_each_try_until_it_can(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """At the start and while running: the feed goes on by itself once the network is back."""
    names = Names(monkeypatch, socket.EAI_NONAME)

    async def script(connection: ServerConnection, number: int) -> None:
        await subscriptions(connection, 2)
        await connection.send(numbered("heartbeats", 0))
        if number > 1:
            await connection.wait_closed()

    async def scenario() -> None:
        clock = InstantClock()
        async with feed_server(script) as url:
            port = url.rpartition(":")[2]
            stream = feed_of(f"ws://venue.example:{port}", clock=clock).events()
            told = f"the name of venue.example:{port} cannot be resolved: is the network up?"
            failure = FeedFailure(told, unconnected=True)
            async with asyncio.timeout(30), aclosing(stream):
                assert [await anext(stream) for _ in range(3)] == [failure] * 3
                names.down = False
                assert isinstance(await anext(stream), Heard)
                names.down = True
                assert isinstance(await anext(stream), Broken)
                assert await anext(stream) == failure
                names.down = False
                assert isinstance(await anext(stream), Heard)

    asyncio.run(scenario())


def test_an_outage_of_minutes_is_no_storm_of_attempts() -> None:
    """One attempt at a time, half a second apart at first and half a minute in the end."""

    async def scenario() -> list[float]:
        async with feed_server(quiet) as url:
            port = url.rpartition(":")[2]
        clock = InstantClock()
        await take(feed_of(f"ws://127.0.0.1:{port}", clock=clock), 16)
        return clock.sleeps

    async def quiet(connection: ServerConnection, number: int) -> None:
        await connection.wait_closed()

    waits = asyncio.run(scenario())
    # Half of each wait is random; here that half is nothing.
    assert waits == [min(0.25 * 2**attempt, 15.0) for attempt in range(len(waits))]
    assert sum(waits[:12]) > 90
