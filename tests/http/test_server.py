"""The server's own work: answers, errors and limits, over real sockets."""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from typing import Any

import msgspec
import pytest
from aiohttp import web
from loguru import logger

from livecache.clock import SystemClock
from livecache.config.schema import Config, HttpConfig
from livecache.errors import ConfigError, Stale, UnknownSeries
from livecache.http import front, server
from livecache.http.answers import answer, decode
from livecache.http.front import HttpFront
from livecache.http.guard import Guard
from livecache.http.listen import bind, url_of
from livecache.http.route import PARTS, Requests
from livecache.http.routes import Route
from livecache.http.server import Server
from livecache.http.shapes.problem import TITLES, Problem
from livecache.http.watch.instance import Instance

from .support import Answer, ask

TOKEN = "0123456789abcdef-secret"
JSON: dict[str, Any] = {"Content-Type": "application/json"}
KNOWN: dict[str, Any] = {"Authorization": f"Bearer {TOKEN}"}


class Wish(msgspec.Struct):
    """A body as a route might take it."""

    symbol: str


async def fine(request: web.BaseRequest) -> web.Response:
    return answer({"fine": True})


async def broken(request: web.BaseRequest) -> web.Response:
    raise ZeroDivisionError("nobody thought of this")


async def hanging(request: web.BaseRequest) -> web.Response:
    await asyncio.get_running_loop().create_future()
    raise AssertionError


async def long(request: web.BaseRequest) -> web.Response:
    return web.Response(body=b"x" * 30_000_000)


async def parted(request: web.BaseRequest) -> web.Response:
    return answer(request[PARTS])


async def wishes(request: web.BaseRequest) -> web.Response:
    wish = await decode(request, Wish)
    errors: dict[str, Exception] = {
        "UNKNOWN": UnknownSeries("nobody fills it", "ask for another"),
        "STALE": Stale("overdue, see redis://user:s3cret@host/0"),
        "BAD": ConfigError("no such thing", "try that"),
    }
    if wish.symbol in errors:
        raise errors[wish.symbol]
    return answer({"wished": wish.symbol})


TABLE = (
    Route("GET", "/fine", fine, public=True),
    Route("GET", "/broken", broken, public=True),
    Route("GET", "/hanging", hanging, public=True),
    Route("GET", "/endless", hanging, public=True, endless=True),
    Route("GET", "/long", long, public=True),
    Route("POST", "/wishes", wishes),
    Route("GET", "/parts/{id}", parted, public=True),
    Route("DELETE", "/parts/{id}", parted, public=True),
    Route("POST", "/parts/{id}/again", parted, public=True),
)


@asynccontextmanager
async def serving(guard: Guard | None = None, stats: Requests | None = None) -> AsyncIterator[str]:
    """The URL of a running server of that table, on a free port."""
    sockets = bind("127.0.0.1", 0)
    guard = guard or Guard(None, loopback=True)
    running = asyncio.create_task(
        Server(TABLE, guard, Requests() if stats is None else stats, SystemClock()).run(sockets)
    )
    try:
        yield url_of(sockets)
    finally:
        began = time.monotonic()
        running.cancel()
        await asyncio.wait([running], timeout=20)
        assert running.cancelled()
        assert time.monotonic() - began < 4, "it must end within the service's five seconds"


async def asked(url: str, path: str, **options: Any) -> Answer:
    return await asyncio.to_thread(ask, url, path, **options)


def raw(url: str, sent: bytes = b"") -> socket.socket:
    """A connection that has sent just that."""
    host, port = url.removeprefix("http://").split(":")
    connection = socket.create_connection((host, int(port)), timeout=20)
    connection.sendall(sent)
    return connection


class Listening(logging.Handler):
    """Takes what libraries log."""

    def __init__(self, told: list[str]) -> None:
        super().__init__()
        self._told = told

    def emit(self, record: logging.LogRecord) -> None:
        self._told.append(f"{record.levelname} {record.getMessage()}")


@contextmanager
def logged() -> Iterator[list[str]]:
    """What is logged meanwhile, by us at any level, by libraries from INFO on: level and message."""
    told: list[str] = []
    library = Listening(told)
    library.setLevel(logging.INFO)
    logging.root.addHandler(library)
    handler = logger.add(
        lambda m: told.append(f"{m.record['level'].name} {m}"), level="TRACE", format="{message}"
    )
    try:
        yield told
    finally:
        logger.remove(handler)
        logging.root.removeHandler(library)


def test_what_is_not_served_is_said_in_json() -> None:
    async def main() -> None:
        stats = Requests()
        async with serving(stats=stats) as url:
            nowhere = await asked(url, "/no/such/thing")
            assert (nowhere.status, nowhere.content["detail"]) == (404, "there is nothing here")
            assert nowhere.content["kind"] == "not_found"
            assert "/fine" in nowhere.content["hint"]
            wrong = await asked(url, "/fine", method="POST")
            assert (wrong.status, wrong.headers["Allow"]) == (405, "GET")
            assert wrong.content["kind"] == "method_not_allowed"
            head = await asked(url, "/fine", method="HEAD")
            assert (head.status, head.content) == (200, "")
            assert head.headers["Server"] == "livecache"
            for number in range(100):
                await asked(url, f"/no/{number}")
        assert stats["other", "404"] == 101
        assert stats["/fine", "200"] == 1
        assert len(stats) == 3, "nobody can make more of them"

    asyncio.run(main())


def test_a_part_of_a_path_is_given_to_the_handler() -> None:
    async def main() -> None:
        stats = Requests()
        async with serving(stats=stats) as url:
            assert (await asked(url, "/parts/17")).content == {"id": "17"}
            assert (await asked(url, "/parts/a%20b", method="DELETE")).content == {"id": "a b"}
            wrong = await asked(url, "/parts/17", method="POST")
            assert (wrong.status, wrong.headers["Allow"]) == (405, "GET, DELETE")
            assert (await asked(url, "/parts/17/again", method="POST")).content == {"id": "17"}
            for path in ("/parts", "/parts/", "/parts/17/", "/parts/1/2/again", "/partsx/1"):
                assert (await asked(url, path)).status == 404, path
            for number in range(20):
                await asked(url, f"/parts/{number}")
        assert stats["/parts/{id}", "200"] == 22, "a route is one, whatever its parts"

    asyncio.run(main())


def test_a_failing_handler_is_told_once_and_harms_nobody() -> None:
    async def main() -> None:
        with logged() as told:
            async with serving() as url:
                for _ in range(5):
                    failed = await asked(url, "/broken")
                    assert (failed.status, failed.content["kind"]) == (500, "bug")
                    assert "nobody thought" not in str(failed.content), "that is for the log"
                assert (await asked(url, "/fine")).content == {"fine": True}
        warnings = [line for line in told if line.startswith("WARNING")]
        assert len(warnings) == 1 and "GET /broken failed: ZeroDivisionError: nobody thought" in warnings[0]
        assert any("Traceback" in line for line in told if line.startswith("DEBUG"))

    asyncio.run(main())


@pytest.mark.parametrize(
    ("body", "status", "error", "hint"),
    [
        (b'{"symbol":"BTC-USD"}', 200, None, None),
        (b'{"symbol":"UNKNOWN"}', 404, "nobody fills it", "ask for another"),
        (b'{"symbol":"STALE"}', 503, "overdue, see redis://user:***@host/0", ""),
        (b'{"symbol":"BAD"}', 400, "no such thing", "try that"),
        (b'{"symbol":1}', 400, "the body cannot be used: symbol: it has to be text", ""),
        (b"{", 400, "the body cannot be used: input data was truncated", ""),
        (b"[" * 60_000, 400, None, None),
        (b"x" * 70_000, 413, "Request Entity Too Large", ""),
    ],
)
def test_a_route_raises_what_cannot_be_answered(
    body: bytes, status: int, error: str | None, hint: str | None
) -> None:
    async def main() -> None:
        async with serving() as url:
            given = await asked(url, "/wishes", method="POST", body=body, **JSON)
        assert given.status == status
        if error is not None:
            told = msgspec.convert(given.content, Problem)
            assert given.headers["Content-Type"] == "application/problem+json"
            assert (told.status, told.detail, told.hint) == (status, error, hint)
            assert (told.type, told.title) == (f"urn:livecache:problem:{told.kind}", TITLES[told.kind])
            assert told.kind == {404: "unknown_series", 413: "too_long", 503: "stale"}.get(
                status, "bad_request"
            )

    asyncio.run(main())


def test_a_route_that_is_not_public_wants_the_token_and_never_logs_it() -> None:
    body = b'{"symbol":"BTC-USD"}'

    async def main() -> None:
        async with serving(Guard(TOKEN, loopback=False)) as url:
            for header in ({}, {"Authorization": "Bearer wrong"}):
                refused = await asked(url, "/wishes", method="POST", body=body, **JSON, **header)
                assert (refused.status, refused.headers["WWW-Authenticate"]) == (401, "Bearer")
                assert refused.content["kind"] == "unauthorized"
            given = await asked(url, "/wishes", method="POST", body=body, **JSON, **KNOWN)
            assert given.content == {"wished": "BTC-USD"}
            assert (await asked(url, "/fine")).status == 200, "what is public needs none"
        async with serving(Guard(None, loopback=False)) as url:
            closed = await asked(url, "/wishes", method="POST", body=body, **JSON, **KNOWN)
            assert (closed.status, closed.content["kind"]) == (403, "forbidden")
        async with serving() as url:
            page = await asked(
                url,
                "/wishes",
                method="POST",
                body=body,
                Content_Type="application/json",
                Origin="http://example.com",
            )
            assert page.status == 403

    with logged() as told:
        asyncio.run(main())
    assert told == []


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01\x00",  # somebody tries TLS
        b"GET /fine HTTP/9.9\r\n\r\n",
        b"GET /fine HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 10_000 + b"\r\n\r\n",
        b"GET /" + b"x" * 10_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /fine HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 100 + b"\r\n",
    ],
)
def test_what_is_no_request_is_refused_without_a_word_in_the_log(sent: bytes) -> None:
    async def main() -> None:
        async with serving() as url:
            with closing(raw(url, sent)) as client:
                reply = await asyncio.to_thread(client.recv, 1000)
                assert reply.startswith((b"HTTP/1.0 400", b"HTTP/1.1 400")), reply
                assert b"application/problem+json" in reply and b'"kind":"bad_request"' in reply
            assert (await asked(url, "/fine")).status == 200

    with logged() as told:
        asyncio.run(main())
    assert told == []


def test_a_client_that_sends_half_a_request_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "IDLE_S", 0.2)

    async def main() -> None:
        async with serving() as url:
            for sent in (
                b"",
                b"GET /fine HTTP/1.1\r\nHost:",
                b"GET /fine HTTP/1.1\r\nHost: a\r\n\r\nGET /fi",
            ):
                with closing(raw(url, sent)) as client:
                    await asyncio.to_thread(drained, client)

    asyncio.run(main())


def test_a_body_that_does_not_come_and_a_handler_that_hangs_are_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(server, "ANSWER_S", 0.2)
    head = b"POST /wishes HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    head += b"Content-Length: 20\r\n\r\n{"

    async def main() -> None:
        async with serving() as url:
            hanging = await asked(url, "/hanging")
            assert (hanging.status, hanging.content["kind"]) == (503, "timeout")
            with closing(raw(url, head)) as client:
                assert (await asyncio.to_thread(drained, client)).startswith(b"HTTP/1.1 503")

    asyncio.run(main())


def test_a_client_that_does_not_read_what_it_asked_for_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "ANSWER_S", 0.3)

    async def main() -> None:
        stats = Requests()
        async with serving(stats=stats) as url:
            with closing(raw(url, b"GET /long HTTP/1.1\r\nHost: a\r\n\r\n")) as client:
                async with asyncio.timeout(20):
                    while not stats:
                        await asyncio.sleep(0.01)
                try:
                    received = len(await asyncio.to_thread(drained, client))
                except ConnectionError:
                    received = 0
                assert received < 30_000_000

    asyncio.run(main())


def test_it_ends_in_time_whatever_its_clients_do() -> None:
    async def main() -> None:
        async with serving() as url:
            clients = [
                raw(url, b"GET /%s HTTP/1.1\r\nHost: a\r\n\r\n" % path)
                for path in (b"hanging", b"endless", b"long")
            ]
            clients += [raw(url), raw(url, b"GET /fine HT")]
            assert (await asked(url, "/fine")).status == 200
        for client in clients:
            client.close()

    asyncio.run(main())


def test_a_port_in_use_is_said_once_and_taken_when_it_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(front, "BIND_RETRY_S", 0.02)

    async def main() -> None:
        taken = bind("127.0.0.1", 0)
        config, clock = HttpConfig(listen=url_of(taken).removeprefix("http://")), SystemClock()
        with HttpFront(config, Instance(Config(), clock), clock, {}) as waiting:
            running = asyncio.create_task(waiting.run())
            await asyncio.sleep(0.1)
            assert waiting.url == "" and not running.done()
            for listening in taken:
                listening.close()
            async with asyncio.timeout(20):
                while not waiting.url:
                    await asyncio.sleep(0.01)
            assert (await asked(waiting.url, "/healthz")).status == 200
            running.cancel()
            await asyncio.wait([running])

    with logged() as told:
        asyncio.run(main())
    assert [line.split(" ")[0] for line in told] == ["WARNING", "INFO"]
    assert "in use" in told[0] and "LIVECACHE_HTTP_LISTEN" in told[0]


@pytest.mark.parametrize("listen", ["192.0.2.1:8787", "[2001:db8::1]:8787"])
def test_an_address_of_another_machine_is_an_error_at_the_start(listen: str) -> None:
    clock = SystemClock()
    with (
        pytest.raises(ConfigError, match=r"http\.listen: cannot listen on"),
        HttpFront(HttpConfig(listen=listen), Instance(Config(), clock), clock, {}),
    ):
        pass


@pytest.mark.parametrize("listen", ["off", ""])
def test_switched_off_it_listens_nowhere(listen: str) -> None:
    async def main() -> None:
        clock = SystemClock()
        with HttpFront(HttpConfig(listen=listen), Instance(Config(), clock), clock, {}) as nothing:
            await nothing.run()
            assert nothing.url == ""

    asyncio.run(main())


@pytest.mark.parametrize("listen", ["localhost:0", "[::1]:0", "127.0.0.1:0"])
def test_a_free_port_is_taken_and_told(listen: str) -> None:
    async def main() -> None:
        clock = SystemClock()
        with HttpFront(HttpConfig(listen=listen), Instance(Config(), clock), clock, {}) as serving:
            running = asyncio.create_task(serving.run())
            assert (await asked(serving.url, "/healthz")).content["role"] == "starting"
            running.cancel()
            await asyncio.wait([running])

    with logged() as told:
        asyncio.run(main())
    assert len(told) == 1 and "health and metrics at http://" in told[0]


def drained(client: socket.socket) -> bytes:
    """All that comes until the other end closes."""
    received = b""
    while chunk := client.recv(1_000_000):
        received += chunk
    return received
