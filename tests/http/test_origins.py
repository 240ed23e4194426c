"""Pages of other sites: a browser lets them read what the answers say they may, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import redis

from livecache.config.schema import Config, HttpConfig

from .api import Served, StreamClient, served
from .filling import fill
from .support import Answer, ask

CHARTS, EVIL = "https://charts.example.com", "https://charts.example.com.evil.example"
PATHS = ("/api/v1/candles?symbol=BTC-USD&timeframe=5m", "/udf/config", "/api/v1/series", "/openapi.json")


@pytest.fixture
def server(clean_valkey: str) -> Iterator[Served]:
    with redis.Redis.from_url(clean_valkey) as client:
        fill(client, "BTC-USD", "5m", [100.0] * 120)
        client.persist("livecache:{coinbase:BTC-USD}:alive")
    config = Config(http=HttpConfig(origins=(CHARTS,)))
    with served(clean_valkey, config=config) as running:
        yield running


def preflight(server: Served, path: str, origin: str, method: str = "GET", **headers: str) -> Answer:
    """What a browser asks first, if a page of there wants to send a token along."""
    asked: dict[str, Any] = {"Origin": origin, "Access_Control_Request_Method": method, **headers}
    return ask(server.url, path, method="OPTIONS", **asked)


def shared_with(answer: Answer) -> str | None:
    return answer.headers.get("Access-Control-Allow-Origin")


@pytest.mark.parametrize("path", PATHS)
def test_a_site_that_is_named_may_read_and_no_other(server: Served, path: str) -> None:
    answer = ask(server.url, path, Origin=CHARTS)
    assert (answer.status, shared_with(answer)) == (200, CHARTS)
    assert "Origin" in answer.headers["Vary"] and answer.headers["Access-Control-Expose-Headers"] == "*"
    for origin in (EVIL, "null", "http://charts.example.com", f"{CHARTS}:444"):
        answer = ask(server.url, path, Origin=origin)
        assert (answer.status, shared_with(answer)) == (403, None), origin
        assert "Origin" in answer.headers["Vary"], "else a cache hands it to others"
    assert shared_with(ask(server.url, path)) is None


def test_what_is_refused_can_be_read_as_well(server: Served) -> None:
    answer = ask(server.url, "/udf/history?symbol=DOGE&resolution=5&to=9&countback=2", Origin=CHARTS)
    assert (answer.status, shared_with(answer)) == (404, CHARTS)


def test_a_stream_can_be_read(server: Served) -> None:
    client = StreamClient(server.url, "series=BTC-USD:5m", Origin=CHARTS)
    assert client.headers["Access-Control-Allow-Origin"] == CHARTS and client.event("state")
    client.close()


def test_a_browser_that_asks_before_is_told(server: Served) -> None:
    answer = preflight(server, PATHS[0], CHARTS, Access_Control_Request_Headers="authorization")
    assert (answer.status, answer.content, shared_with(answer)) == (204, "", CHARTS)
    assert "Authorization" in answer.headers["Access-Control-Allow-Headers"]
    assert {*answer.headers["Access-Control-Allow-Methods"].split(", ")} == {"GET", "HEAD"}
    assert "Access-Control-Allow-Private-Network" not in answer.headers
    private = preflight(server, PATHS[0], CHARTS, Access_Control_Request_Private_Network="true")
    assert private.headers["Access-Control-Allow-Private-Network"] == "true"


@pytest.mark.parametrize(
    ("path", "origin", "method"),
    [
        (PATHS[0], EVIL, "GET"),
        ("/api/v1/repair", CHARTS, "POST"),
        ("/api/v1/reload", CHARTS, "POST"),
        ("/api/v1/reload", CHARTS, "GET"),
        ("/no/such/thing", CHARTS, "GET"),
    ],
)
def test_whatever_else_it_asks_it_is_not_let(server: Served, path: str, origin: str, method: str) -> None:
    answer = preflight(server, path, origin, method)
    assert answer.status in (404, 405) and shared_with(answer) is None


def test_a_site_that_may_read_orders_nothing(server: Served) -> None:
    """Neither by what a page can send without asking before."""
    body = b'{"symbol": "BTC-USD", "timeframe": "5m"}'
    answer = ask(
        server.url, "/api/v1/repair", method="POST", body=body, Origin=CHARTS, Content_Type="application/json"
    )
    assert (answer.status, shared_with(answer)) == (403, None)


def test_where_there_is_a_token_a_page_needs_it(clean_valkey: str) -> None:
    token = "0123456789abcdef"
    config = Config(http=HttpConfig(origins=("*",)))
    with served(clean_valkey, config=config, token=token) as server:
        assert preflight(server, "/udf/config", EVIL).status == 204
        refused = ask(server.url, "/udf/config", Origin=EVIL)
        assert (refused.status, shared_with(refused)) == (401, EVIL)
        assert ask(server.url, "/udf/config", Origin=EVIL, Authorization=f"Bearer {token}").status == 200


def test_unless_somebody_is_named_nothing_is_said_of_it(clean_valkey: str) -> None:
    with served(clean_valkey) as server:
        answer = ask(server.url, "/udf/config")
        assert "Origin" not in answer.headers["Vary"] and shared_with(answer) is None
        assert preflight(server, "/udf/config", CHARTS).status == 405
