"""What a reader is asked for, and where it looks: what makes no sense is refused, and no password is told."""

from __future__ import annotations

import math
import socket
from pathlib import Path
from typing import Any

import fakeredis
import pytest

from livecache import ConfigError, Reader, RedisUnavailable, UnknownTimeframe
from livecache.reader.reader import resolve_url

from .support import T0, state
from .test_reader import put


@pytest.mark.parametrize(
    "arguments",
    [
        {"count": 0},
        {"count": -5},
        {"count": 10**9},
        {"count": 1.5},
        {"count": True},
        {"count": 5, "at_least": 6},
        {"count": 5, "at_least": 0},
        {"count": 5, "empty": "zero"},
        {"count": 5, "max_lag": -1},
        {"count": 5, "max_lag": math.nan},
        {"count": 5, "settled": True, "forming": True},
    ],
)
def test_arguments_that_make_no_sense_are_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"is a number|is 'skip'|never settled"):
        Reader(client=fakeredis.FakeRedis()).candles("BTC-USD", "5m", **arguments)


def test_what_makes_no_sense_is_refused_though_its_equal_was_read_before() -> None:
    with fakeredis.FakeRedis() as client:
        put(client, state(0, 10, 10), range(10))
        reader = Reader(client=client)
        for _ in range(2):
            assert len(reader.candles("BTC-USD", "5m", 1, max_lag=0)) == 1
            for count in (True, 1.0):
                with pytest.raises(ValueError, match="is a number"):
                    reader.candles("BTC-USD", "5m", count, max_lag=0)  # type: ignore[arg-type]


def test_names_that_make_no_sense_are_refused() -> None:
    reader = Reader(client=fakeredis.FakeRedis())
    with pytest.raises(UnknownTimeframe, match="5m"):
        reader.candles("BTC-USD", "5min", 1)
    with pytest.raises(ConfigError, match="symbol"):
        reader.candles("BTC USD", "5m", 1)
    with pytest.raises(ValueError, match="must hold the opens"):
        reader.range("BTC-USD", "5m", T0, T0)
    with pytest.raises(ConfigError, match="prefix"):
        Reader(client=fakeredis.FakeRedis(), prefix="a{b")


def test_the_address_is_the_argument_or_the_environment_or_the_embedded_servers(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("LIVECACHE_REDIS_URL", "redis://environment:1")
    assert resolve_url("redis://argument:1") == "redis://argument:1"
    assert resolve_url(None) == "redis://environment:1"
    with pytest.raises(ConfigError, match="write rediss://"):  # as the service says
        resolve_url("valkeys://host:1/2")
    monkeypatch.delenv("LIVECACHE_REDIS_URL")
    for name in ("HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_RUNTIME_DIR"):
        monkeypatch.setenv(name, str(tmp_path))
    with pytest.raises(RedisUnavailable):
        resolve_url(None)


def test_a_bad_address_is_told_without_its_password() -> None:
    for url in ("http://user:secret@host", "redis://user:secret@host:port"):
        with pytest.raises(ConfigError) as caught:
            Reader(url)
        assert "secret" not in str(caught.value) and caught.value.__cause__ is None


def test_a_server_that_does_not_answer_is_unavailable_with_a_hint() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"redis://127.0.0.1:{unused.getsockname()[1]}"
        with Reader(url) as reader, pytest.raises(RedisUnavailable, match="is it running"):
            reader.candles("BTC-USD", "5m", 1)
        with Reader(url) as reader, pytest.raises(RedisUnavailable):
            reader.many([("BTC-USD", "5m", 1), ("ETH-USD", "5m", 1)])
