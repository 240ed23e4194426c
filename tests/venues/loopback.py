"""Small servers on loopback that a test scripts, and a clock whose sleeps take no time."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from aiohttp import WSMsgType, web

__all__ = [
    "CAPTURES",
    "Gone",
    "InstantClock",
    "Names",
    "ServerConnection",
    "accepted",
    "feed_server",
    "frame",
    "payload",
    "raw_server",
    "rest_server",
]

PAYLOADS = Path(__file__).parent / "payloads"
CAPTURES = Path(__file__).parents[3] / "shared" / "data" / "ws_captures"


def payload(name: str) -> bytes:
    """One of the hand-checked payloads."""
    return (PAYLOADS / f"{name}.json").read_bytes().strip()


class Names:
    """Resolves venue.example to loopback; while it is `down`, fails with that error of getaddrinfo's."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, error: int) -> None:
        self.down = True
        self._error = error
        self._resolve = socket.getaddrinfo
        monkeypatch.setattr(socket, "getaddrinfo", self._look_up)

    def _look_up(self, host: str, *arguments: Any, **more: Any) -> Any:
        if host != "venue.example":
            return self._resolve(host, *arguments, **more)
        if self.down:
            raise socket.gaierror(self._error, "it cannot be resolved")
        return self._resolve("127.0.0.1", *arguments, **more)


class InstantClock:
    """A `Clock` whose sleeps are over at once, and are remembered."""

    def __init__(self) -> None:
        self.time = 1_000.0
        self.sleeps: list[float] = []

    def monotonic(self) -> float:
        return self.time

    def wall(self) -> float:
        return 1_784_086_800.0 + self.time

    async def sleep(self, seconds: float) -> None:
        until = self.time + seconds
        self.sleeps.append(seconds)
        await asyncio.sleep(0)
        self.time = max(self.time, until)


@asynccontextmanager
async def rest_server(
    answer: Callable[[web.Request], Awaitable[web.StreamResponse]], *, port: int = 0, cancelling: bool = True
) -> AsyncIterator[tuple[str, list[web.Request]]]:
    """An HTTP server that answers every request by `answer`. Yields its URL, and the requests it gets.

    `cancelling`: `answer` is cancelled when the client goes.
    """
    requests: list[web.Request] = []

    async def handle(request: web.Request) -> web.StreamResponse:
        requests.append(request)
        return await answer(request)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(app, handler_cancellation=cancelling, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port)
    await site.start()
    try:
        host, port = runner.addresses[0][:2]
        yield f"http://{host}:{port}", requests
    finally:
        await runner.cleanup()


@asynccontextmanager
async def raw_server(
    talk: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> AsyncIterator[int]:
    """A TCP server for what no proper server does. `talk` gets each connection; yields the port."""

    async def serve_one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await talk(reader, writer)
        finally:
            writer.transport.abort()

    server = await asyncio.start_server(serve_one, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


def accepted(request: bytes, *, deflate: bool = False) -> bytes:
    """The answer to a handshake."""
    lines = (line.partition(b": ") for line in request.split(b"\r\n"))
    key = next(value for name, _, value in lines if name.lower() == b"sec-websocket-key")
    accept = base64.b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
    extension = b"Sec-WebSocket-Extensions: permessage-deflate\r\n" if deflate else b""
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"%bSec-WebSocket-Accept: %b\r\n\r\n" % (extension, accept)
    )


def frame(kind: int, data: bytes, *, fin: bool = True, bits: int = 0) -> bytes:
    """A frame as a server writes it."""
    head = kind | bits | (0x80 if fin else 0)
    if len(data) < 126:
        return bytes([head, len(data)]) + data
    if len(data) < 65536:
        return bytes([head, 126]) + len(data).to_bytes(2, "big") + data
    return bytes([head, 127]) + len(data).to_bytes(8, "big") + data


class Gone(Exception):
    """The other end has hung up."""


class ServerConnection:
    """The server's end of a websocket, by another library than the one under test."""

    def __init__(self, websocket: web.WebSocketResponse, transport: asyncio.Transport) -> None:
        self._websocket = websocket
        self._transport = transport
        self._received: asyncio.Queue[str | None] = asyncio.Queue()
        self._closed = asyncio.Event()
        self._ponged = asyncio.Event()

    async def send(self, message: str | bytes) -> None:
        try:
            if isinstance(message, str):
                await self._websocket.send_str(message)
            else:
                await self._websocket.send_bytes(message)
        except ConnectionError:
            raise Gone from None

    async def recv(self) -> str:
        """The next message."""
        message = await self._received.get()
        if message is None:
            self._received.put_nowait(None)
            raise Gone
        return message

    async def __aiter__(self) -> AsyncIterator[str]:
        while True:
            try:
                yield await self.recv()
            except Gone:
                return

    async def arrived(self) -> None:
        """Return once what was sent has arrived."""
        self._ponged.clear()
        await self._websocket.ping()
        await self._ponged.wait()

    async def close(self, code: int = 1000, reason: str = "") -> None:
        await self._websocket.close(code=code, message=reason.encode())

    async def wait_closed(self) -> None:
        await self._closed.wait()

    def cut(self) -> None:
        """End it without a word."""
        self._transport.abort()

    async def read(self) -> None:
        """Take what comes, until the end."""
        async for message in self._websocket:
            if message.type is WSMsgType.PING:
                await self._websocket.pong(message.data)
            elif message.type is WSMsgType.PONG:
                self._ponged.set()
            else:
                self._received.put_nowait(message.data)
        self._closed.set()
        self._received.put_nowait(None)


@asynccontextmanager
async def feed_server(
    script: Callable[[ServerConnection, int], Awaitable[None]], *, port: int = 0
) -> AsyncIterator[str]:
    """A websocket server that runs `script(connection, number)` for each connection, the first being 1."""
    number = 0

    async def handle(request: web.Request) -> web.StreamResponse:
        nonlocal number
        number = here = number + 1
        websocket = web.WebSocketResponse(timeout=0.2, autoping=False)
        await websocket.prepare(request)
        assert request.transport is not None
        connection = ServerConnection(websocket, request.transport)
        async with asyncio.TaskGroup() as tasks:
            reading = tasks.create_task(connection.read(), name="reading")
            with suppress(Gone):  # The feed under test has hung up.
                await script(connection, here)
            await websocket.close()
            reading.cancel()
        return websocket

    async with rest_server(handle, port=port, cancelling=False) as (url, _):
        yield url.replace("http", "ws")
