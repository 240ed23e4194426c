"""Yahoo itself is asked by curl_cffi: the same bounds, proxies and failures as all that is asked here."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web
from curl_cffi.requests.exceptions import DNSError

from livecache.clock import SystemClock
from livecache.errors import ConfigError
from livecache.venues.net.http import Answer, HttpSource
from livecache.venues.net.network import NO_NETWORK, unreachable
from livecache.venues.venue import FailureKind, FetchFailure
from livecache.venues.yahoo.browser import CurlSource
from tests.venues.loopback import raw_server, rest_server
from tests.venues.yahoo import venue_of

Serve = Callable[[web.Request], Awaitable[web.StreamResponse]]


def got(serve: Serve, *, timeout_s: float = 20.0, times: int = 1, **more: Any) -> tuple[list[Any], list[Any]]:
    """What comes of some requests, and the requests as they arrived."""

    async def main() -> tuple[list[Any], list[Any]]:
        async with rest_server(serve) as (url, requests):
            source = CurlSource(url, clock=SystemClock(), timeout_s=timeout_s)
            try:
                return [
                    await source.get("candles", "/v8/%5EGSPC", {"a": "1,2"}, decode=lambda a: a, **more)
                    for _ in range(times)
                ], requests
            finally:
                await source.aclose()

    return asyncio.run(main())


async def fine(request: web.Request) -> web.StreamResponse:
    return web.Response(text="there", headers={"Retry-After": "7", "Set-Cookie": "A3=d; Path=/"})


def test_it_looks_like_a_browser_and_keeps_its_cookies() -> None:
    (first, _), requests = got(fine, times=2)
    assert isinstance(first, Answer)
    assert (first.status, first.body, first.headers["retry-after"]) == (200, b"there", "7")
    assert "Chrome" in requests[0].headers["User-Agent"] and "Accept-Language" in requests[0].headers
    assert requests[0].path == "/v8/^GSPC" and requests[0].query["a"] == "1,2"
    assert [request.headers.get("Cookie") for request in requests] == [None, "A3=d"]


def test_nothing_is_redirected() -> None:
    async def consent(request: web.Request) -> web.StreamResponse:
        raise web.HTTPFound("/consent")

    (failure,), requests = got(consent)
    assert isinstance(failure, FetchFailure) and failure.status == 302
    assert len(requests) == 1


def test_an_answer_is_bounded() -> None:
    sent = 0

    async def endless(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b"x" * 65_536)
            sent += 65_536

    (failure,), _ = got(endless, body_bytes=100_000)
    assert isinstance(failure, FetchFailure) and failure.kind is FailureKind.MALFORMED
    assert "more than 100000 bytes" in failure.message and sent < 64_000_000


def test_a_request_is_bounded_in_time() -> None:
    async def never(request: web.Request) -> web.StreamResponse:
        await asyncio.Event().wait()
        raise AssertionError

    (failure,), _ = got(never, timeout_s=0.2)
    assert isinstance(failure, FetchFailure) and failure.kind is FailureKind.TIMEOUT
    assert "within 0.2 s" in failure.message


def test_where_nobody_is_that_is_said_in_plain_words() -> None:
    async def main() -> tuple[Any, int, CurlSource]:
        async with raw_server(lambda reader, writer: asyncio.sleep(0)) as port:
            pass
        source = CurlSource(f"http://127.0.0.1:{port}", clock=SystemClock(), timeout_s=20.0)
        try:
            return await source.get("candles", "/", decode=lambda answer: answer), port, source
        finally:
            await source.aclose()

    failure, port, source = asyncio.run(main())
    assert isinstance(failure, FetchFailure) and failure.kind is FailureKind.NETWORK
    where = f"127.0.0.1:{port}"
    assert failure.message.startswith(f"{where} cannot be reached: Failed to connect to {where}")
    assert "curl" not in failure.message and "\n" not in failure.message
    assert source.stats.requests["candles", FailureKind.NETWORK] == 1
    unresolved = source._plainly(DNSError("curl: (6) Could not resolve host: x"))
    assert unreachable("x", unresolved, 1.0).endswith(NO_NETWORK)


def test_it_goes_by_the_proxy_that_is_named_and_no_secret_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    heard = bytearray()

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.extend(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()

    async def main() -> Any:
        async with raw_server(refuse) as port:
            monkeypatch.setenv("https_proxy", f"http://me:hush@127.0.0.1:{port}")
            source = CurlSource("https://query2.finance.yahoo.com", clock=SystemClock(), timeout_s=20.0)
            try:
                return await source.get("candles", "/", decode=lambda answer: answer)
            finally:
                await source.aclose()

    failure = asyncio.run(main())
    assert heard.startswith(b"CONNECT query2.finance.yahoo.com:443") and b"Basic bWU6aHVzaA==" in heard
    assert isinstance(failure, FetchFailure) and "hush" not in failure.message


def test_only_yahoo_itself_is_asked_so(monkeypatch: pytest.MonkeyPatch) -> None:
    for url in ("http://127.0.0.1:9", "https://notyahoo.com", "https://yahoo.com.example"):
        assert type(venue_of(url)._http) is HttpSource
    for url in ("https://query1.finance.yahoo.com", "https://query2.finance.yahoo.com"):
        assert type(venue_of(url)._http) is CurlSource
    monkeypatch.setitem(sys.modules, "curl_cffi", None)
    assert type(venue_of("http://127.0.0.1:9")._http) is HttpSource
    with pytest.raises(ConfigError) as raised:
        venue_of("https://query2.finance.yahoo.com")
    assert raised.value.hint == "pip install 'livecache[yahoo]'"
