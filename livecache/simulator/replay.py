"""A tape, played on a port of loopback: the pages and frames of a venue as they came, or faster."""

from __future__ import annotations

import asyncio
import json
from bisect import bisect_left
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from aiohttp import WSMsgType, web

from ..clock import Clock, SystemClock
from ..errors import LivecacheError
from ..tape import Recorded, asked, posted, read_tape

__all__ = ["Replay", "replay_forever"]

_TOLD_MOST = 20  # requests that are not on the tape


class Replay:
    """`async with Replay(lines) as replay: ...`: time begins with the first request or connection.

    A request is answered by what is on the tape for the same path, query and body, nearest in time; one that
    is not on it by 404. The connections of a feed are those of the tape, in their order; one more is refused.
    """

    def __init__(
        self,
        lines: Sequence[Recorded],
        *,
        speed: float = 1.0,
        port: int = 0,
        clock: Clock | None = None,
        announce: Callable[[str], None] = lambda line: None,
    ) -> None:
        self.unknown = 0
        """Requests and connections that are not on the tape."""
        self._speed = speed
        self._port = port
        self._clock = clock or SystemClock()
        self._announce = announce
        self._pages: dict[object, list[Recorded]] = {}
        self._feeds: dict[object, list[Recorded]] = {}
        for line in lines:
            if line.what == "page":
                self._pages.setdefault((line.which, line.posted), []).append(line)
            else:
                self._feeds.setdefault(line.which, []).append(line)
        for pages in self._pages.values():
            pages.sort(key=lambda line: line.at)
        self._waiting = iter(self._feeds.values())
        self._begins = min((line.at for line in lines), default=0)
        self._began_s: float | None = None
        self._sockets: set[web.WebSocketResponse] = set()
        self._runner: web.AppRunner | None = None

    @property
    def rest_url(self) -> str:
        """What `rest_url` of the venue is set to."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def ws_url(self) -> str:
        """What `ws_url` of the venue is set to."""
        return f"ws://127.0.0.1:{self._port}"

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._serve)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self._port)
        try:
            await site.start()
        except OSError as error:
            await self._runner.cleanup()
            told = f"cannot listen on 127.0.0.1:{self._port}: {error.strerror}"
            raise LivecacheError(told, "choose another port") from None
        self._port = self._runner.addresses[0][1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._runner is not None
        for socket in tuple(self._sockets):
            await socket.close(code=1001)
        await self._runner.cleanup()

    def _now(self) -> float:
        """Ms of the tape."""
        now_s = self._clock.monotonic()
        if self._began_s is None:
            self._began_s = now_s
        return self._begins + (now_s - self._began_s) * 1000 * self._speed

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        now = self._now()
        if request.headers.get("Upgrade", "").lower() == "websocket":
            frames = next(self._waiting, None)
            return await self._feed(request, frames) if frames else self._missing("one more connection")
        sent = None if request.method == "GET" else posted((await request.read()).decode(errors="replace"))
        pages = self._pages.get((asked(request.path_qs), sent))
        if pages is None:
            return self._missing(f"{request.method} {request.path_qs}")
        after = bisect_left(pages, now, key=lambda line: line.at)
        page = min(pages[max(0, after - 1) : after + 1], key=lambda line: abs(line.at - now))
        return web.Response(
            status=page.status, body=page.body, content_type="application/json", headers=page.headers
        )

    def _missing(self, what: str) -> web.Response:
        self.unknown += 1
        if self.unknown <= _TOLD_MOST:
            more = "; what follows is only counted" if self.unknown == _TOLD_MOST else ""
            self._announce(f"not on the tape: {what[:300]}{more}")
        told = {"error": f"not on the tape: {what[:300]}", "hint": "configure what was recorded"}
        return web.Response(status=404, body=json.dumps(told).encode(), content_type="application/json")

    async def _feed(self, request: web.Request, lines: Sequence[Recorded]) -> web.WebSocketResponse:
        """What came over one connection; where the tape has no end of it, it stays open and silent."""
        socket = web.WebSocketResponse(max_msg_size=1024 * 1024)
        await socket.prepare(request)
        self._sockets.add(socket)
        playing = asyncio.create_task(self._play(socket, lines), name="replay of a feed")
        try:
            async for message in socket:
                if message.type is WSMsgType.ERROR:
                    break
        finally:
            self._sockets.discard(socket)
            playing.cancel()
            with suppress(asyncio.CancelledError, ConnectionError):
                await playing
        return socket

    async def _play(self, socket: web.WebSocketResponse, lines: Sequence[Recorded]) -> None:
        for line in lines:
            ahead = line.at - self._now()
            if ahead > 0:
                await self._clock.sleep(ahead / 1000 / self._speed)
            if line.what == "close":
                await socket.close()
            elif line.what == "frame":
                try:
                    await socket.send_str(line.body.decode())
                except UnicodeDecodeError:
                    await socket.send_bytes(line.body)


async def replay_forever(
    path: Path, *, speed: float, port: int, announce: Callable[[str], None] = print
) -> None:
    """Play the tape until cancelled: `livecache simulator --replay`. Raises LivecacheError."""
    venue, lines, damage = read_tape(path)
    if damage:
        announce(f"{path}: {damage}")
    async with Replay(lines, speed=speed, port=port, announce=announce) as replay:
        announce(f"REST       {replay.rest_url}")
        announce(f"websocket  {replay.ws_url}")
        seconds = (lines[-1].at - lines[0].at) / 1000 if lines else 0
        announce(f"at speed {speed:g}: {len(lines)} lines of {seconds:g} s, from the first request on")
        announce("To use it, in config.toml, with what else was configured:")
        remark = "" if any(line.what == "open" for line in lines) else '  # not with kind = "ccxt": no feed'
        announce(f'[venues.{venue}]\nrest_url = "{replay.rest_url}"\nws_url = "{replay.ws_url}"{remark}')
        await asyncio.Event().wait()
