"""What a client may hold on to and ask for, and that none is harmed by another that goes to its limits."""

from __future__ import annotations

import asyncio
import gzip
import http.client
import json
import random
import socket
import string
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
import redis

from livecache.clock import SystemClock
from livecache.config.schema import Config
from livecache.http import server as limits
from livecache.http.allowance import ADDRESSES_MOST, Addresses, Allowance, client_of
from livecache.http.route import Requests, Route
from livecache.http.routes import routes
from livecache.http.shapes.problem import MEDIA_TYPE
from livecache.http.watch.instance import Instance
from livecache.http.watch.repair import PATH as REPAIR

from ..cache.support import state
from ..cache.test_reader import KEYS, put
from .api import Served, served
from .support import ask
from .test_server import asked, drained, raw, serving

HERE, THERE = "127.0.0.1", "127.0.0.2"

several = pytest.mark.skipif(sys.platform == "darwin", reason="macOS has one loopback address")


def connected(url: str, address: str = HERE) -> socket.socket:
    """A connection from that address."""
    to = urlsplit(url)
    return socket.create_connection((to.hostname, to.port), timeout=20, source_address=(address, 0))


def status_from(url: str, path: str, address: str) -> int:
    to = urlsplit(url)
    connection = http.client.HTTPConnection(to.hostname or "", to.port, 20, source_address=(address, 0))
    with closing(connection):
        connection.request("GET", path)
        return connection.getresponse().status


def answered(client: socket.socket) -> bool:
    """Whether a request over it is answered."""
    try:
        client.sendall(b"GET /fine HTTP/1.1\r\nHost: a\r\n\r\n")
        return client.recv(100).startswith(b"HTTP/1.1 200")
    except OSError:
        return False


# --- how often


def test_an_allowance_refills_with_time_and_never_beyond_its_most() -> None:
    allowance = Allowance(10, 20)
    assert [allowance.take(0.0) for _ in range(21)] == [True] * 20 + [False]
    assert [allowance.take(0.5) for _ in range(6)] == [True] * 5 + [False]
    assert sum(allowance.take(1e9) for _ in range(100)) == 20


def test_each_address_has_its_own_and_so_many_are_remembered() -> None:
    addresses = Addresses(1, 2)
    assert [addresses.take("10.0.0.1", 0.0) for _ in range(3)] == [True, True, False]
    assert addresses.take("10.0.0.2", 0.0), "that one's is its own"
    for number in range(ADDRESSES_MOST - 1):
        addresses.take(f"11.0.{number // 256}.{number % 256}", 0.0)
    assert addresses.take("10.0.0.1", 0.0), "it was forgotten"


def test_an_address_of_version_six_counts_as_its_network() -> None:
    assert client_of("2001:db8::1") == client_of("2001:db8::ffff:1") != client_of("2001:db8:0:1::1")
    assert client_of("fe80::1%eth0") == client_of("fe80::2%eth0")
    assert client_of("10.0.0.1") != client_of("10.0.0.2")
    assert client_of(None) == client_of("") == ""


@several
def test_who_asks_too_often_is_told_to_wait_and_nobody_else(clean_valkey: str) -> None:
    with served(clean_valkey, per_s=20.0) as server:
        answers = [ask(server.url, "/openapi.json", If_None_Match="*") for _ in range(60)]
        while answers[-1].status != 429:  # on a machine so slow that it refills meanwhile
            answers.append(ask(server.url, "/openapi.json", If_None_Match="*"))
        assert [answer.status for answer in answers[:40]] == [304] * 40
        refused = next(answer for answer in answers if answer.status == 429)
        assert (refused.content["kind"], refused.headers["Retry-After"]) == ("too_many", "1")
        assert status_from(server.url, "/openapi.json", THERE) == 200
        assert ask(server.url, "/healthz").status != 429, "probes are not counted"


# --- how many


@several
def test_clients_that_only_wait_make_room_for_who_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "CLIENTS_MOST", 40)
    monkeypatch.setattr(limits, "CLIENTS_OF_ADDRESS_MOST", 25)

    async def main() -> None:
        async with serving() as url:
            with ExitStack() as stack:
                there = [stack.enter_context(closing(connected(url, THERE))) for _ in range(15)]
                here = [stack.enter_context(closing(connected(url))) for _ in range(25)]
                assert (await asked(url, "/fine")).status == 200
                cut = await asyncio.to_thread(drained, here[0])
                assert cut == b"", "of who has too many the oldest goes"
                assert await asyncio.to_thread(answered, there[0]), "and none of anybody else's"
                third = stack.enter_context(closing(connected(url, "127.0.0.3")))
                assert await asyncio.to_thread(answered, third)

    asyncio.run(main())


# --- how slowly, and how much


@pytest.mark.parametrize(
    "head", [b"GET /fine HTTP/1.1\r\nX: ", b"POST /wishes HTTP/1.1\r\nHost: 127.0.0.1\r\n"]
)
def test_headers_that_trickle_are_given_up(head: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "IDLE_S", 0.5)

    def trickle(url: str) -> float:
        began = time.monotonic()
        with closing(raw(url, head)) as client:
            client.settimeout(0.05)
            while time.monotonic() - began < 20:
                try:
                    client.sendall(b"x")
                    if not client.recv(1):
                        break
                except TimeoutError:
                    continue
                except OSError:
                    break
        return time.monotonic() - began

    async def main() -> None:
        async with serving() as url:
            assert await asyncio.to_thread(trickle, url) < 10

    asyncio.run(main())


def test_a_body_that_trickles_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "ANSWER_S", 0.5)
    head = b"POST /wishes HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    head += b"Content-Length: 60000\r\n\r\n"

    def trickle(url: str) -> bytes:
        with closing(raw(url, head)) as client:
            client.settimeout(0.05)
            for _ in range(400):
                try:
                    client.sendall(b" ")
                    return client.recv(100)
                except TimeoutError:
                    continue
        return b""

    async def main() -> None:
        async with serving() as url:
            assert (await asyncio.to_thread(trickle, url)).startswith(b"HTTP/1.1 503")

    asyncio.run(main())


def test_a_body_without_an_end_and_one_that_unpacks_to_any_size_are_refused() -> None:
    head = b"POST /wishes HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    bomb = gzip.compress(b" " * 30_000_000)
    packed = b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%b" % (len(bomb), bomb)

    def told(url: str, sent: bytes) -> bytes:
        with closing(raw(url)) as client:
            client.sendall(sent)
            return client.recv(1_000)

    async def main() -> None:
        async with serving() as url:
            endless = head + b"Transfer-Encoding: chunked\r\n\r\n" + 2 * chunk
            assert (await asyncio.to_thread(told, url, endless)).startswith(b"HTTP/1.1 413")
            assert (await asyncio.to_thread(told, url, head + packed)).startswith(b"HTTP/1.1 400")

    asyncio.run(main())


# --- whatever is sent


class Sender:
    """Random requests to every route there is, sensible ones among them; the same for the same seed."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        clock = SystemClock()
        table = routes(Instance(Config(), clock), Requests(), clock)
        # Repairs and metrics want more of a service than this one has.
        self._routes: Sequence[Route] = [
            r for r in table if not r.endless and r.path not in (REPAIR, "/metrics")
        ]

    def request(self) -> tuple[str, str, bytes | None, dict[str, str]]:
        """Method, path, body and headers."""
        draw, route = self._random, self._random.choice(self._routes)
        path = route.path.replace("{id}", quote(self._value()[:200], safe=""))
        if draw.random() < 0.05:
            path += quote(self._value()[:200])
        query = "&".join(f"{self._name()}={quote(self._value())}" for _ in range(draw.randrange(5)))
        method = (
            route.method if draw.random() < 0.9 else draw.choice(["PUT", "PATCH", "HEAD", "OPTIONS", "BREW"])
        )
        headers = {name: self._header() for name in draw.sample(_HEADERS, draw.randrange(3))}
        body = None
        if method == "POST":
            headers.setdefault("Content-Type", "application/json")
            body = self._body()
        return method, f"{path}?{query}" if query else path, body, headers

    def _name(self) -> str:
        return self._random.choice(_NAMES) if self._random.random() < 0.9 else quote(self._value()[:20])

    def _value(self) -> str:
        draw = self._random
        kind = draw.randrange(6)
        if kind < 3:
            return draw.choice(_VALUES)
        if kind == 3:
            return str(draw.choice([-1, 0, 1, 5_000, 5_001, 1 << 31, 1 << 47, 1 << 63, 1 << 200]))
        if kind == 4:
            return "".join(draw.choice(string.printable) for _ in range(draw.randrange(30)))
        return "".join(
            chr(draw.choice([0, 10, 0xE9, 0x2028, 0x1F600, 0xFFFF])) for _ in range(draw.randrange(9))
        )

    def _header(self) -> str:
        text = "".join(one for one in self._value() if one.isprintable() and ord(one) < 256)
        return text.encode("latin-1").decode("latin-1")

    def _body(self) -> bytes:
        draw = self._random
        if draw.random() < 0.2:
            return draw.randbytes(draw.randrange(200))
        told: Any = {self._random.choice(_NAMES): self._json(2) for _ in range(draw.randrange(5))}
        return json.dumps(told if draw.random() < 0.9 else self._json(3)).encode()

    def _json(self, depth: int) -> Any:
        draw = self._random
        kind = draw.randrange(7 if depth else 5)
        if kind < 2:
            return self._value()
        if kind == 2:
            return draw.choice([None, True, False, 0, -1, 1.5, 1e300, 1_771_588_815_000, 1 << 60])
        if kind < 5:
            return [self._value() for _ in range(draw.randrange(3))]
        if kind == 5:
            return [self._json(depth - 1) for _ in range(draw.randrange(3))]
        return {self._random.choice(_NAMES): self._json(depth - 1) for _ in range(draw.randrange(3))}


_HEADERS = [
    "Accept",
    "Accept-Encoding",
    "Authorization",
    "Content-Type",
    "Expect",
    "Idempotency-Key",
    "If-Modified-Since",
    "If-None-Match",
    "Last-Event-ID",
    "Origin",
    "Range",
    "X-Forwarded-For",
]

_NAMES = [
    "symbol",
    "timeframe",
    "limit",
    "from",
    "to",
    "before",
    "settled",
    "forming",
    "at_least",
    "fill",
    "partial",
    "timeout",
    "adjust",
    "format",
    "state",
    "order",
    "venue",
    "symbols",
    "timeframes",
    "force",
    "start",
    "end",
    "resolution",
    "countback",
    "query",
    "type",
    "exchange",
    "series",
    "after",
    "jobs",
]

_VALUES = [
    "",
    *[
        "BTC-USD",
        "coinbase:BTC-USD",
        "NO-USD",
        "5m",
        "1h",
        "7x",
        "1M",
        "45m",
        "true",
        "false",
        "nan",
        "inf",
        "2026-02-20T12:00:15Z",
        "2026-02-20",
    ],
    *["1771588815000", "100", "0", "*", "json", "csv", "arrow", "splits", "none", "failed"],
]


@pytest.fixture
def full(clean_valkey: str, tmp_path: Path) -> Iterator[Served]:
    with redis.Redis.from_url(clean_valkey) as store:
        put(store, state(0, 99, 100, forming=100), range(101))
        store.persist(KEYS.alive("BTC-USD"))
    with served(clean_valkey, history=tmp_path / "history.db") as running:
        yield running


def bombarded(server: Served, seed: int, count: int) -> None:
    """None of so many requests is a bug, and whatever is refused is a problem."""
    sender, to = Sender(seed), urlsplit(server.url)
    connection = http.client.HTTPConnection(to.hostname or "", to.port, timeout=60)
    with closing(connection):
        for number in range(count):
            method, path, body, headers = sender.request()
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            told = response.read()
            assert response.status != 500, (seed, number, method, path, body, headers, told)
            probe = path.startswith(("/healthz", "/startupz", "/readyz", "/udf/"))
            if response.status >= 400 and method != "HEAD" and not probe:
                assert response.headers.get_content_type() == MEDIA_TYPE, (
                    method,
                    path,
                    response.status,
                    told,
                )


def test_whatever_is_sent_is_no_bug(full: Served) -> None:
    bombarded(full, seed=18, count=500)


@pytest.mark.long
def test_ten_thousand_requests_of_any_kind_are_no_bug(full: Served) -> None:
    for seed in range(20):
        bombarded(full, seed, count=500)
