"""What is wrong with a venue, a proxy or the network becomes an outcome, whatever it is and in time."""

from __future__ import annotations

import asyncio
import gzip
import socket
import tracemalloc

import pytest
from aiohttp import web

from livecache.venues.venue import FailureKind, FetchFailure

from .loopback import Names, payload, raw_server, rest_server
from .test_coinbase_rest import REQUEST, Outcome, client, failure_of, fetched, reply


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("0", 0),
        ("3", 3),
        (" 3 ", 3),
        ("-5", None),
        ("3.5", None),
        ("nan", None),
        ("1e9", None),
        ("soon", None),
        ("Wed, 15 Jul 2026 03:40:00 GMT", None),
        ("9" * 4000, 999_999_999),  # the limiter waits for 300 s at most, whoever asks
    ],
)
def test_an_absurd_retry_after_is_no_exception(header: str, seconds: float | None) -> None:
    (outcome,), _, _ = fetched(reply(payload("rest_rate_limit"), 429, Retry_After=header), REQUEST)
    assert failure_of(outcome).kind is FailureKind.REFUSED
    assert failure_of(outcome).retry_after_s == seconds


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_redirect_is_followed_anywhere(status: int) -> None:
    """A signature is for one host, and the API has no other addresses."""

    async def scenario() -> tuple[Outcome, int]:
        async with rest_server(reply(payload("rest_candles"))) as (elsewhere, seen):
            (outcome,), _, _ = await asyncio.to_thread(
                fetched, reply(b"", status, Location=f"{elsewhere}/candles"), REQUEST
            )
            return outcome, len(seen)

    outcome, followed = asyncio.run(scenario())
    assert failure_of(outcome).kind is FailureKind.BAD_REQUEST
    assert failure_of(outcome).status == status
    assert followed == 0


@pytest.mark.parametrize("status", [200, 502])
def test_a_body_that_never_ends_is_given_up_when_its_time_is_over(status: int) -> None:
    """It comes a byte at a time, so that no gap is long and no bound of bytes is reached."""

    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(status=status)
        await response.prepare(request)
        while True:
            await response.write(b" ")
            await asyncio.sleep(0.005)  # A fast machine sends more than is read of a refusal.

    (outcome,), _, _ = fetched(endless, REQUEST, timeout_s=0.2)
    assert failure_of(outcome).kind is FailureKind.TIMEOUT


def test_a_body_without_end_that_comes_fast_is_cut_at_its_bound() -> None:
    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b" " * 65_536)

    (outcome,), _, _ = fetched(endless, REQUEST)
    assert failure_of(outcome).kind is FailureKind.MALFORMED
    assert failure_of(outcome).message == "an answer of more than 8388608 bytes"


def test_a_bomb_is_measured_by_what_it_unpacks_to_and_never_unpacked_whole() -> None:
    bomb = gzip.compress(b" " * (200 * 1024 * 1024))
    tracemalloc.start()
    try:
        (outcome,), _, _ = fetched(reply(bomb, Content_Encoding="gzip"), REQUEST)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert failure_of(outcome).message == "an answer of more than 8388608 bytes"
    assert peak < 64 * 1024 * 1024


@pytest.mark.parametrize(
    "said",
    [
        b'HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{"candles":[',
        b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nc\r\n{"candles":[\r\n',
        b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 500\r\n\r\n<html>",
        b"HTTP/1.1 200 OK\r\nX-Padding: " + b"x" * 100_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: br\r\nContent-Length: 4\r\n\r\nabcd",
        b"\x00" * 1000,
    ],
)
def test_a_reset_or_nonsense_is_a_failure_of_the_page_and_of_the_time_and_of_the_list(said: bytes) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(said)
        await writer.drain()
        # Closed so, the kernel sends a reset instead of an orderly end.
        linger = b"\x01\x00\x00\x00\x00\x00\x00\x00"
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)

    async def scenario() -> list[object]:
        async with asyncio.timeout(30), raw_server(talk) as port:
            rest = client(f"http://127.0.0.1:{port}", timeout_s=2.0)
            try:
                return [await rest.fetch(REQUEST), await rest.time(), await rest.products()]
            finally:
                await rest.aclose()

    for outcome in asyncio.run(scenario()):
        assert isinstance(outcome, FetchFailure)
        assert outcome.kind in (FailureKind.NETWORK, FailureKind.MALFORMED)
        assert len(outcome.message) <= 200


def test_a_name_that_cannot_be_resolved_is_said_and_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A failure is not remembered: the request after the network is back goes through."""
    names = Names(monkeypatch, socket.EAI_AGAIN)

    async def scenario() -> list[int | FetchFailure]:
        async with rest_server(reply(payload("rest_time"))) as (url, _), asyncio.timeout(30):
            rest = client(f"http://venue.example:{url.rpartition(':')[2]}")
            try:
                failed = await rest.time()
                names.down = False
                return [failed, await rest.time()]
            finally:
                await rest.aclose()

    for variable in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(variable, raising=False)
    failed, time = asyncio.run(scenario())
    assert isinstance(failed, FetchFailure)
    assert failed.kind is FailureKind.NETWORK
    assert "cannot be resolved: is the network up?" in failed.message
    assert time == 1784086811584


def test_a_server_that_speaks_no_tls_is_a_failure_that_says_so() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(5)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()

    async def scenario() -> int | FetchFailure:
        async with raw_server(talk) as port, asyncio.timeout(30):
            rest = client(f"https://127.0.0.1:{port}")
            try:
                return await rest.time()
            finally:
                await rest.aclose()

    failed = asyncio.run(scenario())
    assert isinstance(failed, FetchFailure)
    assert failed.kind is FailureKind.NETWORK
    assert "no TLS with 127.0.0.1" in failed.message and "was http:// meant" in failed.message
    assert isinstance(failed.cause, Exception)
