"""Small servers on loopback that a test scripts, and a clock whose sleeps take no time."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

__all__ = ["CAPTURES", "InstantClock", "Names", "feed_server", "payload", "raw_server", "rest_server"]

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
    answer: Callable[[web.Request], Awaitable[web.StreamResponse]],
) -> AsyncIterator[tuple[str, list[web.Request]]]:
    """An HTTP server that answers every GET by `answer`. Yields its URL, and the requests it gets."""
    requests: list[web.Request] = []

    async def handle(request: web.Request) -> web.StreamResponse:
        requests.append(request)
        return await answer(request)

    app = web.Application()
    app.router.add_get("/{path:.*}", handle)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
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


@asynccontextmanager
async def feed_server(
    script: Callable[[ServerConnection, int], Awaitable[None]], *, port: int = 0
) -> AsyncIterator[str]:
    """A websocket server that runs `script(connection, number)` for each connection, the first being 1."""
    number = 0

    async def handle(connection: ServerConnection) -> None:
        nonlocal number
        number += 1
        try:
            await script(connection, number)
        except ConnectionClosed:
            return  # The feed under test has hung up.

    async with serve(handle, "127.0.0.1", port, ping_interval=None, close_timeout=0.2) as server:
        yield f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"
