"""REST and the feed go through the environment's proxy, both the same way, and never show its password."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web
from loguru import logger

from livecache.venues.coinbase.settings import CoinbaseSettings
from livecache.venues.coinbase.venue import CoinbaseVenue
from livecache.venues.net.network import Proxy, proxy_for
from livecache.venues.venue import Event, FailureKind, FeedFailure, FetchFailure, Heard

from ..e2e.gate import gate
from ..e2e.servers import certificates
from .loopback import InstantClock, ServerConnection, feed_server, payload, raw_server, rest_server
from .scripted_feed import feed_of, numbered, take
from .test_coinbase_rest import client

LOGIN = f"Basic {base64.b64encode(b'me@work:s3:cret').decode()}"


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http", "https", "all", "no", "ws", "wss"):
        monkeypatch.delenv(f"{name}_proxy", raising=False)
        monkeypatch.delenv(f"{name.upper()}_PROXY", raising=False)


@pytest.mark.parametrize(
    ("environment", "url", "proxy"),
    [
        ({}, "wss://venue.test", None),
        ({"HTTPS_PROXY": "http://p:3128"}, "wss://venue.test/x?y", Proxy("p", 3128)),
        ({"HTTPS_PROXY": "http://p:3128"}, "https://venue.test", Proxy("p", 3128)),
        ({"HTTPS_PROXY": "http://p:3128"}, "ws://venue.test", None),
        ({"http_proxy": "http://p"}, "ws://venue.test", Proxy("p", 80)),
        ({"HTTPS_PROXY": "p:3128"}, "wss://venue.test", Proxy("p", 3128)),
        ({"ALL_PROXY": "http://[::1]:3128/"}, "wss://venue.test", Proxy("::1", 3128)),
        ({"all_proxy": "http://a:1", "https_proxy": "http://b:2"}, "wss://venue.test", Proxy("b", 2)),
        ({"HTTPS_PROXY": "http://me%40work:s3%3Acret@p:1"}, "wss://v.test", Proxy("p", 1, LOGIN)),
        ({"HTTPS_PROXY": "http://p:1", "NO_PROXY": "other, .test"}, "wss://venue.test", None),
        ({"HTTPS_PROXY": "http://p:1", "NO_PROXY": "venue.test:443"}, "wss://venue.test", None),
        ({"HTTPS_PROXY": "http://p:1", "NO_PROXY": "venue.test:444"}, "wss://venue.test", Proxy("p", 1)),
        ({"ALL_PROXY": "http://p:1", "no_proxy": "*"}, "https://venue.test", None),
        ({"ALL_PROXY": "http://p:1"}, "ws://127.0.0.1:8788", None),
        ({"ALL_PROXY": "http://p:1"}, "ws://localhost:8788", None),
        ({"ALL_PROXY": "socks5://p:1080"}, "wss://venue.test", None),
        ({"HTTPS_PROXY": "http://p:none"}, "wss://venue.test", None),
        ({"HTTPS_PROXY": ""}, "wss://venue.test", None),
        ({"HTTPS_PROXY": "http://u:2", "https_proxy": "http://l:1"}, "wss://venue.test", Proxy("l", 1)),
        ({"HTTPS_PROXY": "HTTP://p:1"}, "wss://venue.test", Proxy("p", 1)),
        ({"HTTPS_PROXY": ' "http://p:1" '}, "wss://venue.test", Proxy("p", 1)),
        ({"HTTPS_PROXY": "https://p:1"}, "wss://venue.test", None),
    ],
)
def test_the_proxy_is_the_environments(
    environment: dict[str, str], url: str, proxy: Proxy | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    found = proxy_for(url)
    assert found == proxy
    assert "cret" not in repr(found)


@pytest.mark.parametrize(
    ("without", "url"),
    [
        ("*", "wss://venue.test"),
        ("other,*", "wss://venue.test"),
        (" * ", "wss://venue.test"),
        ("venue.test", "wss://api.venue.test"),
        ("*.venue.test", "wss://api.venue.test"),
        (".VENUE.test.", "wss://api.venue.test"),
        ("other venue.test", "wss://venue.test"),
        ("other;venue.test:443", "wss://venue.test"),
        ("10.0.0.0/8", "wss://10.1.2.3"),
        ("169.254.0.0/16, 10.1.2.3/8", "https://10.2.3.4:8443"),
        ("10.1.2.3", "wss://10.1.2.3"),
        ("fd00::/8", "wss://[fd00::1]"),
        ("[fd00::1]", "wss://[fd00::1]"),
        ("[fd00::1]:443", "wss://[fd00::1]"),
    ],
)
@pytest.mark.parametrize("name", ["NO_PROXY", "no_proxy"])
def test_what_is_to_be_reached_without_is_said_as_other_tools_take_it(
    without: str, url: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALL_PROXY", "http://p:1")
    assert proxy_for(url) == Proxy("p", 1)
    monkeypatch.setenv(name, without)
    assert proxy_for(url) is None


@pytest.mark.parametrize(
    ("without", "url"),
    [
        ("nue.test", "wss://venue.test"),
        ("api.venue.test", "wss://venue.test"),
        ("venue.test:8443", "wss://venue.test"),
        ("10.0.0.0/8", "wss://venue.test"),
        ("10.0.0.0/8", "wss://11.1.2.3"),
        ("fd00::/8", "wss://10.1.2.3"),
        (". , ;", "wss://venue.test"),
        ("10.0.0.0/99", "wss://10.1.2.3"),
    ],
)
def test_what_is_another_is_reached_through_it_all_the_same(
    without: str, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALL_PROXY", "http://p:1")
    monkeypatch.setenv("NO_PROXY", without)
    assert proxy_for(url) == Proxy("p", 1)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("socks5://me:s3cret@p:1080", "of the kind socks5"),
        ("HTTPS://me:s3cret@p:443", "of the kind https"),
        ("http://me:s3cret@p:none", "no host and port"),
        ("http://me:s3cret@[::1", "no host and port"),
        ("http://p:3128", ""),
        ("", ""),
    ],
)
def test_a_proxy_that_cannot_be_used_is_told_once_and_its_password_is_not(
    given: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALL_PROXY", given)
    lines: list[str] = []
    handler = logger.add(lambda message: lines.append(message.record["message"]), level="WARNING")
    config = CoinbaseSettings(rest_url="https://venue.test", ws_url="wss://venue.test")
    try:
        clock = InstantClock()
        CoinbaseVenue(config, key=None, name="coinbase", now=lambda: None, clock=clock, jitter=lambda: 0.0)
    finally:
        logger.remove(handler)
    assert len(lines) == bool(told) and all(told in line and "s3cret" not in line for line in lines)


class Way:
    """A proxy that leads whoever asks for it by CONNECT to one port of this machine."""

    def __init__(self, answer: bytes = b"HTTP/1.1 200 Connection established\r\nVia: p\r\n\r\n") -> None:
        self.answer = answer
        self.asked: list[list[str]] = []
        self.port = 0
        self.leads_to = 0

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        self.asked.append(head.decode().splitlines())
        writer.write(self.answer)
        if self.answer[9:12] != b"200":
            return
        there, out = await asyncio.open_connection("127.0.0.1", self.leads_to)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(pump(reader, out))
            tasks.create_task(pump(there, writer))


async def pump(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    try:
        while data := await source.read(65536):
            target.write(data)
            await target.drain()
    except OSError:
        pass
    finally:
        target.close()


@asynccontextmanager
async def proxied(monkeypatch: pytest.MonkeyPatch, way: Way, login: str = "") -> AsyncIterator[None]:
    async with raw_server(way.talk) as port:
        way.port = port
        monkeypatch.setenv("ALL_PROXY", f"http://{login}127.0.0.1:{port}")
        yield


async def script(connection: ServerConnection, _: int) -> None:
    await connection.send(numbered("heartbeats", 0))
    await connection.wait_closed()


async def answer(_: web.Request) -> web.Response:
    return web.Response(body=payload("rest_time"))


def test_the_feed_and_rest_go_through_it_and_it_is_told_user_and_password(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def scenario() -> None:
        way = Way()
        async with proxied(monkeypatch, way, "me%40work:s3%3Acret@"):
            async with feed_server(script) as url:
                way.leads_to = int(url.rpartition(":")[2])
                (event,) = await take(feed_of("ws://venue.test"), 1)
                assert isinstance(event, Heard)
            async with rest_server(answer) as (url, _):
                way.leads_to = int(url.rpartition(":")[2])
                rest = client("http://venue.test:8080")
                assert await rest.time() == 1784086811584
                assert await rest.time() == 1784086811584, "over the same connection"
                await rest.aclose()
        assert [lines[0] for lines in way.asked] == [
            "CONNECT venue.test:80 HTTP/1.1",
            "CONNECT venue.test:8080 HTTP/1.1",
        ]
        assert all(f"Proxy-Authorization: {LOGIN}" in lines for lines in way.asked)

    asyncio.run(scenario())


def test_inside_there_is_tls_and_it_is_the_venues(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    made = certificates(tmp_path)

    async def scenario() -> tuple[Event, Event]:
        way = Way()
        async with proxied(monkeypatch, way), feed_server(script) as url:
            with gate(int(url.rpartition(":")[2]), made.server_context) as secured:
                way.leads_to = secured.port
                (distrusted,) = await take(feed_of("wss://127.0.0.1"), 1)
                monkeypatch.setenv("SSL_CERT_FILE", str(made.ca))
                (misnamed,) = await take(feed_of("wss://venue.test"), 1)
                (event,) = await take(feed_of("wss://127.0.0.1"), 1)
                assert isinstance(event, Heard)
                return distrusted, misnamed

    monkeypatch.setattr("livecache.venues.net.network.is_loopback", lambda _: False)
    distrusted, misnamed = asyncio.run(scenario())
    for event in (distrusted, misnamed):
        assert isinstance(event, FeedFailure) and "certificate" in event.message, "TLS ends at the venue"


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", "wants user and password"),
        (b"HTTP/1.1 403 Forbidden\r\n\r\n", "it answered 403 Forbidden"),
        (b"HTTP/1.1 503 no way\r\n\r\n", "it answered 503 no way"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", "it answered SSH-2.0"),
        (b"", "does not answer as a proxy does"),
        (b"HTTP/1.1 200", "does not answer as a proxy does"),
        (b"x" * 100_000, "does not answer as a proxy does"),
    ],
)
def test_a_proxy_that_leads_nowhere_is_named_and_its_password_is_not(
    said: bytes, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines: list[str] = []
    handler = logger.add(lambda message: lines.append(str(message)), level=0)

    async def scenario() -> tuple[Event, object, int]:
        way = Way(said)
        async with proxied(monkeypatch, way, "me:s3cret@"):
            (event,) = await take(feed_of("ws://venue.test"), 1)
            rest = client("http://venue.test")
            outcome = await rest.time()
            await rest.aclose()
            return event, outcome, way.port

    try:
        event, outcome, port = asyncio.run(scenario())
    finally:
        logger.remove(handler)
    assert isinstance(event, FeedFailure) and isinstance(outcome, FetchFailure)
    assert outcome.kind is FailureKind.NETWORK
    for message in (event.message, outcome.message):
        assert told in message and f"the proxy 127.0.0.1:{port}" in message and "venue.test" in message
    assert "s3cret" not in "".join([*lines, event.message, outcome.message, repr(outcome.cause)])


def test_a_proxy_that_hangs_is_named_and_not_the_venue(monkeypatch: pytest.MonkeyPatch) -> None:
    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async def scenario() -> tuple[Event, object, int]:
        async with raw_server(hang) as port:
            monkeypatch.setenv("ALL_PROXY", f"http://127.0.0.1:{port}")
            (event,) = await take(feed_of("ws://venue.test", open_timeout_s=3.0), 1)
            rest = client("http://venue.test", timeout_s=3.0)
            outcome = await rest.time()
            await rest.aclose()
            return event, outcome, port

    event, outcome, port = asyncio.run(scenario())
    assert isinstance(event, FeedFailure) and isinstance(outcome, FetchFailure)
    for message in (event.message, outcome.message):
        assert f"no whole answer from the proxy 127.0.0.1:{port} within 2.7 s" in message


def test_a_proxy_whose_name_no_host_can_have_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> tuple[Event, object]:
        (event,) = await take(feed_of("ws://venue.test"), 1)
        rest = client("http://venue.test")
        outcome = await rest.time()
        await rest.aclose()
        return event, outcome

    monkeypatch.setenv("ALL_PROXY", f"http://{'x' * 70}..y:1")
    event, outcome = asyncio.run(scenario())
    assert isinstance(event, FeedFailure) and isinstance(outcome, FetchFailure)
    assert "..y:1 cannot be reached" in event.message and "..y:1 cannot be reached" in outcome.message


def test_a_proxy_that_is_away_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "http://me:s3cret@127.0.0.1:9")
    (event,) = asyncio.run(take(feed_of("ws://venue.test"), 1))
    assert isinstance(event, FeedFailure)
    assert "the proxy 127.0.0.1:9 refuses connections" in event.message
