"""The server itself: aiohttp's, bounded in every way, and a table of routes.

aiohttp's own application is not used: its router, its middlewares and its way of ending do more than is
needed here, and none of them bounds what a client may hold on to.
"""

from __future__ import annotations

import asyncio
import logging
import re
import socket
from collections.abc import Sequence
from typing import Any

from aiohttp import web

from ..clock import Clock
from ..errors import LivecacheError
from ..quiet import logger
from ..repeats import Repeats
from .allowance import client_of
from .answers import of_error, refusal
from .guard import Guard
from .listen import BACKLOG
from .origins import SHARED, Origins
from .route import MAY_ORDER, PARTS, Handler, Requests, Route

__all__ = ["Server"]

CLIENTS_MOST = 512
CLIENTS_OF_ADDRESS_MOST = 256
BODY_BYTES_MOST = 64 * 1024
HEADERS_MOST = 64
HEADER_BYTES_MOST = 8 * 1024  # of each, and of the request's line
ANSWER_S = 10.0  # to read a body, and to make and send the answer; a client that does not read is cut off
IDLE_S = 15.0  # between two requests, and until the first has come
STOP_S = 0.5  # for requests under way at the end; then as long again for their handlers to be cancelled

_HEADERS = {"Server": "livecache", "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


class Server:
    """Answers requests until cancelled."""

    def __init__(
        self,
        table: Sequence[Route],
        guard: Guard,
        requests: Requests,
        clock: Clock,
        origins: Origins | None = None,
    ) -> None:
        self._guard = guard
        self._origins = origins or Origins()
        self._requests = requests
        self._repeats = Repeats(clock)
        self._routes = {(route.method, route.path): route for route in table}
        self._patterns = [(_pattern(route.path), route) for route in table if "{" in route.path]
        shown = (route.path for route in table if not route.path.startswith("/page/"))
        self._paths = list(dict.fromkeys(shown))

    async def run(self, sockets: Sequence[socket.socket]) -> None:
        """Serve on these, which listen already; closes them at the end."""
        runner = web.ServerRunner(_Clients(self._handle), shutdown_timeout=STOP_S)
        await runner.setup()
        try:
            for listening in sockets:
                await web.SockSite(runner, listening, backlog=BACKLOG).start()
            await asyncio.get_running_loop().create_future()  # For ever.
        finally:
            await runner.cleanup()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """One request: never raises but for a cancellation."""
        method = "GET" if request.method == "HEAD" else request.method
        route = self._routes.get((method, request.path)) or self._parted(method, request)
        response: web.StreamResponse
        if route is None:
            response = self._preflight(request) or self._nowhere(request)
        elif route.endless:
            response = await self._ask(route, request)
        else:
            response = await self._in_time(route, request)
        self._requests[route.path if route else "other", str(response.status)] += 1
        return response

    async def _in_time(self, route: Route, request: web.BaseRequest) -> web.StreamResponse:
        response = _told(route, refusal(503, "no answer in time"))
        try:
            async with asyncio.timeout(ANSWER_S):
                response = await self._ask(route, request)
                await response.prepare(request)
                await response.write_eof()
        except TimeoutError:
            if response.prepared and request.transport is not None:
                request.transport.abort()  # It does not read what it asked for.
        except ConnectionError:
            pass  # It has gone. The library, which sends what was not sent, finds that out too.
        return response

    async def _ask(self, route: Route, request: web.BaseRequest) -> web.StreamResponse:
        """What the route answers, or why it does not; a bug in it is told, and the cache goes on."""
        response: web.StreamResponse | None
        request[SHARED] = shared = {} if route.orders else self._origins.headers(request)
        try:
            response = self._refused(route, request)
            if response is None:
                response = await route.handler(request)
        except LivecacheError as error:
            response = of_error(error)
        except web.HTTPException as error:
            response = refusal(error.status, error.reason)
        except (TimeoutError, ConnectionError):
            raise
        except Exception as error:
            message = f"{route.method} {route.path} failed: {type(error).__name__}: {error}"
            if self._repeats.log("http_failed", route.path, message):
                logger.bind(event="http_failed").opt(exception=error).debug("{}: the traceback", message)
            response = refusal(500, "this is a bug; the log says more")
        response = _told(route, response)
        if not response.prepared:
            for name, value in _HEADERS.items():
                response.headers.setdefault(name, value)
            for name, value in shared.items():
                response.headers[name] = f"{told}, {value}" if (told := response.headers.get(name)) else value
        return response

    def _refused(self, route: Route, request: web.BaseRequest) -> web.Response | None:
        if route.public:
            return None
        refused = self._guard.refuses_request(request.headers.get, orders=route.orders)
        if refused is None:
            request[MAY_ORDER] = self._guard.refuses_request(request.headers.get, orders=True) is None
            return None
        return refusal(*refused, {"WWW-Authenticate": "Bearer"} if refused.status == 401 else None)

    def _parted(self, method: str, request: web.BaseRequest) -> Route | None:
        """The route of whose path parts are given."""
        for pattern, route in self._patterns:
            if route.method == method and (found := pattern.fullmatch(request.path)):
                request[PARTS] = found.groupdict()
                return route
        return None

    def _preflight(self, request: web.BaseRequest) -> web.Response | None:
        """Where a browser asks for the page of another site; None if it does not, or is not to have it."""
        route = self._routes.get(("GET", request.path)) or self._parted("GET", request)
        asked = request.method == "OPTIONS" and route is not None and not route.orders
        response = self._origins.preflight(request) if asked else None
        if response is not None:
            response.headers.update(_HEADERS)
        return response

    def _nowhere(self, request: web.BaseRequest) -> web.Response:
        allowed = [route.method for route in self._routes.values() if route.path == request.path]
        allowed += [route.method for pattern, route in self._patterns if pattern.fullmatch(request.path)]
        if allowed:
            allow = {"Allow": ", ".join(allowed)}
            return refusal(405, f"{request.method} is not for this", headers=_HEADERS | allow)
        return refusal(404, "there is nothing here", f"there are {', '.join(self._paths)}", headers=_HEADERS)


def _told(route: Route, response: web.StreamResponse) -> web.StreamResponse:
    return route.retold(response) if route.retold and response.status >= 400 else response


def _pattern(path: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\\{(\w+)\\}", r"(?P<\1>[^/]+)", re.escape(path)))


class _Connection(web.RequestHandler):
    """One connection. What is no request is refused as everything is."""

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        if request.writer.output_size > 0:
            raise ConnectionError("an answer has begun")
        told = f"HTTP/1.1, of {HEADERS_MOST} headers of {HEADER_BYTES_MOST // 1024} KB at most"
        response = refusal(status, "this is no request", told, _HEADERS)
        response.force_close()
        return response


class _Clients(web.Server):
    """The connections: so many at most, and nothing of them in the log."""

    def __init__(self, handler: Any) -> None:
        super().__init__(self._busy_with(handler), request_factory=_request)
        self._loop = asyncio.get_running_loop()
        # Its complaints about what clients send are no news to whoever runs this.
        self._logger = logging.Logger("livecache.http", level=logging.CRITICAL + 1)
        self._busy: set[Any] = set()

    def __call__(self) -> web.RequestHandler:
        return _Connection(
            self,
            loop=self._loop,
            access_log=None,  # type: ignore[arg-type]
            logger=self._logger,
            keepalive_timeout=IDLE_S,
            lingering_time=STOP_S,
            max_line_size=HEADER_BYTES_MOST,
            max_field_size=HEADER_BYTES_MOST,
            max_headers=HEADERS_MOST,
            auto_decompress=False,  # A body of a few bytes could become any number of them.
        )

    def connection_made(self, handler: Any, transport: asyncio.Transport) -> None:
        super().connection_made(handler, transport)
        client = client_of(_address(handler))
        alike = [each for each in self.connections if client_of(_address(each)) == client]
        for connections, most in ((alike, CLIENTS_OF_ADDRESS_MOST), (self.connections, CLIENTS_MOST)):
            if len(connections) > most:
                # Who has asked for nothing yet gives way, lest idle clients keep an orchestrator's probe out.
                idle = (each for each in connections if each not in self._busy)
                next(idle, handler).force_close()
                return

    def _busy_with(self, handler: Handler) -> Handler:
        async def handle(request: web.BaseRequest) -> web.StreamResponse:
            self._busy.add(request.protocol)
            try:
                return await handler(request)
            finally:
                self._busy.discard(request.protocol)

        return handle


def _address(handler: Any) -> str | None:
    return handler.peername[0] if isinstance(handler.peername, tuple) else None


def _request(message: Any, payload: Any, protocol: Any, writer: Any, task: Any) -> web.BaseRequest:
    loop = asyncio.get_running_loop()
    return web.BaseRequest(message, payload, protocol, writer, task, loop, client_max_size=BODY_BYTES_MOST)
