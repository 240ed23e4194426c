"""Ways to Redis: TLS, sockets, users; and what is told where one is shut."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from redis.exceptions import NoPermissionError, ResponseError

from livecache import AccessDenied, AsyncReader, ConfigError, Reader, RedisUnavailable
from livecache.wire.connecting import client_for
from livecache.wire.refusals import hint_on, passes
from tests.e2e.gate import gate
from tests.e2e.servers import Certificates, certificates, server

from .support import state
from .test_reader import put


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return certificates(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def tls_port(clean_valkey: str, made: Certificates) -> Iterator[int]:
    """Ten candles of BTC in a server, and a port of it that speaks TLS."""
    with redis.Redis.from_url(clean_valkey) as client:
        put(client, state(0, 10, 10), range(10))
        port = client.connection_pool.connection_kwargs["port"]
    with gate(port, made.server_context) as way:
        yield way.port


def read(url: str) -> tuple[int, int]:
    """How many candles each of the two readers gets of five, however busy the machine is."""
    url += f"{'&' if '?' in url else '?'}socket_timeout=60&socket_connect_timeout=60"

    async def asynchronously() -> int:
        async with AsyncReader(url) as reader:
            return len(await reader.candles("BTC-USD", "5m", 5))

    with Reader(url) as reader:
        return len(reader.candles("BTC-USD", "5m", 5)), asyncio.run(asynchronously())


# --- TLS


def test_a_ca_in_the_url_is_believed(tls_port: int, made: Certificates) -> None:
    assert read(f"rediss://127.0.0.1:{tls_port}/0?ssl_ca_certs={made.ca}") == (5, 5)


def test_a_ca_in_the_environment_is_believed(
    tls_port: int, made: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(made.ca))
    assert read(f"rediss://127.0.0.1:{tls_port}/0") == (5, 5)


def test_a_server_whose_certificate_nobody_vouches_for_is_not_read(tls_port: int) -> None:
    with pytest.raises(RedisUnavailable, match="CERTIFICATE_VERIFY_FAILED") as caught:
        read(f"rediss://127.0.0.1:{tls_port}/0")
    assert "ssl_ca_certs=" in caught.value.hint

    async def asynchronously() -> None:
        async with AsyncReader(f"rediss://127.0.0.1:{tls_port}/0") as reader:
            await reader.candles("BTC-USD", "5m", 5)

    with pytest.raises(RedisUnavailable) as caught:
        asyncio.run(asynchronously())
    assert "ssl_ca_certs=" in caught.value.hint


def test_a_certificate_for_another_name_is_not_believed_unless_told(
    tls_port: int, made: Certificates
) -> None:
    url = f"rediss://localhost:{tls_port}/0?ssl_ca_certs={made.ca}"
    with pytest.raises(RedisUnavailable, match="CERTIFICATE_VERIFY_FAILED"):
        read(url)
    assert read(f"{url}&ssl_check_hostname=no") == (5, 5)


def test_a_client_shows_its_own_certificate_where_the_server_asks_for_one(
    clean_valkey: str, made: Certificates
) -> None:
    with redis.Redis.from_url(clean_valkey) as client:
        put(client, state(0, 10, 10), range(10))
        port = client.connection_pool.connection_kwargs["port"]
    context = made.server_context
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(made.ca)
    with gate(port, context) as way:
        url = f"rediss://127.0.0.1:{way.port}/0?ssl_ca_certs={made.ca}"
        assert read(f"{url}&ssl_certfile={made.certificate}&ssl_keyfile={made.key}") == (5, 5)
        with pytest.raises(RedisUnavailable):
            read(url)


def test_a_certificate_that_cannot_be_used_is_told_before_anything_connects(
    tmp_path: Path, made: Certificates
) -> None:
    nonsense = tmp_path / "nonsense.pem"
    nonsense.write_text("this is no certificate")
    for options, what in (
        (f"ssl_ca_certs={tmp_path}/gone.pem", "ssl_ca_certs cannot be read"),
        (f"ssl_ca_certs={nonsense}", "certificates cannot be used"),
        (f"ssl_certfile={made.certificate}", "certificates cannot be used"),
        (f"ssl_certfile={made.certificate}&ssl_keyfile={nonsense}", "certificates cannot be used"),
    ):
        with pytest.raises(ConfigError, match=what):
            Reader(f"rediss://127.0.0.1:1/0?{options}")
    Reader(f"rediss://127.0.0.1:1/0?ssl_certfile={made.certificate}&ssl_keyfile={made.key}").close()


def test_a_value_that_redis_py_cannot_use_is_told_without_it() -> None:
    with pytest.raises(ConfigError) as caught:
        Reader("redis://u:s3cret@host?socket_timeout=s3cret")
    assert "s3cret" not in str(caught.value)


# --- sockets


def test_candles_are_read_through_a_unix_socket() -> None:
    with server() as running:
        with running.client() as client:
            put(client, state(0, 10, 10), range(10))
        assert read(f"unix://{running.socket}") == (5, 5)
        assert read(f"unix://{running.socket}?db=0") == (5, 5)


def test_a_socket_that_is_not_there_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(RedisUnavailable, match="is it running"):
        read(f"unix://{tmp_path}/gone.sock")


# --- users


def test_a_wrong_password_is_access_denied_and_not_shown(clean_valkey: str) -> None:
    address = clean_valkey.removeprefix("redis://")
    with redis.Redis.from_url(clean_valkey) as admin:
        admin.execute_command("ACL", "SETUSER", "somebody", "on", ">right", "~*", "+@all")
        try:
            with pytest.raises(AccessDenied, match="does not let us in") as caught:
                read(f"redis://somebody:wr0ng@{address}")
        finally:
            admin.execute_command("ACL", "DELUSER", "somebody")
    assert "user and password" in caught.value.hint
    assert "wr0ng" not in str(caught.value)


def test_what_an_acl_refuses_may_be_allowed_later_also_from_within_a_script(clean_valkey: str) -> None:
    """Redis 7 and Valkey answer a script's forbidden command with an error of no class of its own."""
    with redis.Redis.from_url(clean_valkey) as admin:
        admin.execute_command("ACL", "SETUSER", "halfway", "on", "nopass", "~*", "+eval")
        port = admin.connection_pool.connection_kwargs["port"]
        with redis.Redis(port=port, username="halfway", password="") as client:
            refused: list[Exception] = []
            for command in (("GET", "a"), ("EVAL", "return redis.call('GET', KEYS[1])", 1, "a")):
                with pytest.raises(ResponseError) as caught:
                    client.execute_command(*command)
                refused.append(caught.value)
        admin.execute_command("ACL", "DELUSER", "halfway")
    assert isinstance(refused[0], NoPermissionError)
    assert not isinstance(refused[1], NoPermissionError)
    for error in refused:
        assert passes(error)
        assert "docs/redis.md" in hint_on(error)


# --- Sentinel, where there is none


def test_sentinels_that_do_not_answer_are_unavailable_by_their_addresses() -> None:
    with _silent() as one, _silent() as two:
        with pytest.raises(RedisUnavailable, match=rf"127.0.0.1:{one}, 127.0.0.1:{two}") as caught:
            read(f"redis+sentinel://127.0.0.1:{one},127.0.0.1:{two}/mymaster")
        assert "master's name" in caught.value.hint


def test_a_server_that_is_no_sentinel_is_told_and_may_become_one(clean_valkey: str) -> None:
    address = clean_valkey.removeprefix("redis://").partition("/")[0]
    client: Any = client_for(redis, f"redis+sentinel://{address}/mymaster")
    with contextlib.closing(client), pytest.raises(redis.ConnectionError, match="unknown command") as caught:
        client.ping()
    assert passes(caught.value)


@contextlib.contextmanager
def _silent() -> Iterator[int]:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        yield unused.getsockname()[1]
