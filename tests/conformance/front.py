"""What stands between a venue under test and its face, and fails on command: the same for every venue."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress

import aiohttp
from aiohttp import WSMsgType, web

__all__ = ["Front", "passing"]

Answer = Callable[[web.Request, web.Response], Awaitable[web.StreamResponse] | web.StreamResponse]


class Front:
    """HTTP and websocket at one address, passed on to the face but for what a test changes.

    `answer` makes another answer of the face's; `frame` says which frames come of one that the face sends.
    """

    def __init__(self, rest_url: str, ws_url: str) -> None:
        self.url = ""
        self.answer: Answer = lambda request, answer: answer
        self.frame: Callable[[str], Sequence[str]] = lambda text: (text,)
        self.asked: list[web.Request] = []
        self.connections = 0
        self._rest_url, self._ws_url = rest_url, ws_url
        self._sockets: list[web.WebSocketResponse] = []

    @property
    def ws_url(self) -> str:
        return self.url.replace("http", "ws")

    @property
    def open(self) -> int:
        """How many connections of the feed there are."""
        return len(self._sockets)

    async def say(self, text: str) -> None:
        """Send a frame of our own on every connection."""
        for socket in self._sockets:
            await socket.send_str(text)

    async def cut(self) -> None:
        """End every connection of the feed without a word."""
        for socket in self._sockets:
            with suppress(AttributeError):
                socket._req.transport.abort()  # type: ignore[union-attr]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        async with aiohttp.ClientSession(auto_decompress=False) as session:
            if request.headers.get("Upgrade", "").lower() == "websocket":
                return await self._pass_frames(request, session)
            self.asked.append(request)
            async with session.get(self._rest_url + request.path_qs) as there:
                answer = web.Response(
                    status=there.status, body=await there.read(), content_type=there.content_type
                )
            made = self.answer(request, answer)
            return await made if isinstance(made, Awaitable) else made

    async def _pass_frames(self, request: web.Request, session: aiohttp.ClientSession) -> web.StreamResponse:
        here = web.WebSocketResponse(autoping=True, timeout=0.2)
        await here.prepare(request)
        self.connections += 1
        self._sockets.append(here)

        async def up(there: aiohttp.ClientWebSocketResponse) -> None:
            async for message in here:
                if message.type is WSMsgType.TEXT:
                    await there.send_str(message.data)
            await there.close()

        try:
            async with (
                session.ws_connect(self._ws_url + request.path_qs.rstrip("/")) as there,
                asyncio.TaskGroup() as tasks,
            ):
                upward = tasks.create_task(up(there), name="up")
                with suppress(ConnectionError):
                    async for message in there:
                        for text in self.frame(message.data):
                            await here.send_str(text)
                upward.cancel()
        except* ConnectionError:
            pass
        finally:
            self._sockets.remove(here)
            await here.close()
        return here


@asynccontextmanager
async def passing(rest_url: str, ws_url: str) -> AsyncIterator[Front]:
    """A front before the face at these URLs."""
    front = Front(rest_url, ws_url)
    app = web.Application()
    app.router.add_get("/{path:.*}", front.handle)
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        front.url = "http://{}:{}".format(*runner.addresses[0][:2])
        yield front
    finally:
        await runner.cleanup()
