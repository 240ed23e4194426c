"""The REST client against a scripted server on loopback."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import jwt
import msgspec
import pytest
from aiohttp import web
from loguru import logger

from livecache.model.timeframe import Timeframe
from livecache.venues.coinbase.auth import ApiKey
from livecache.venues.coinbase.pages import GRANULARITIES
from livecache.venues.coinbase.settings import CoinbaseSettings
from livecache.venues.coinbase.venue import CoinbaseVenue
from livecache.venues.venue import FailureKind, FetchFailure, Page, PageRequest, Product

from .loopback import InstantClock, payload, raw_server, rest_server
from .test_coinbase_auth import NAME, PEM, PRIVATE

START = 1784086800000
UNSERVED = frozenset(map(Timeframe, ("3m", "8h", "12h", "1w", "1M")))


def unserved(rest: CoinbaseVenue) -> frozenset[Timeframe]:
    return frozenset(Timeframe).difference(rest.traits.served)


REQUEST = PageRequest("BTC-USD", Timeframe.M5, START, START + 4 * 300_000)
Outcome = Page | FetchFailure


@pytest.fixture
def logged() -> Iterator[list[dict[str, Any]]]:
    """What every log record during the test bears."""
    records: list[dict[str, Any]] = []
    sink = logger.add(lambda message: records.append(dict(message.record["extra"])))
    yield records
    logger.remove(sink)


class Started(InstantClock):
    """A clock that tells when each of these clients was made, of which its nonces come."""

    def wall(self) -> float:
        return 0.007


def client(
    url: str, *, timeout_s: float = 5.0, page_limit: int = 330, key: ApiKey | None = None
) -> CoinbaseVenue:
    config = CoinbaseSettings(rest_url=url, request_timeout=timeout_s, page_limit=page_limit)
    return CoinbaseVenue(
        config, key=key, name="coinbase", now=lambda: None, clock=Started(), jitter=lambda: 0.0
    )


def reply(body: bytes, status: int = 200, **headers: str) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def answer(request: web.Request) -> web.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return web.Response(body=body, status=status, headers=named)

    return answer


def fetched(
    answer: Callable[[web.Request], Awaitable[web.StreamResponse]],
    *requests: PageRequest,
    timeout_s: float = 5.0,
    page_limit: int = 330,
    key: ApiKey | None = None,
) -> tuple[list[Outcome], list[web.Request], CoinbaseVenue]:
    """What the requests brought one after the other, what the server saw, and the client."""

    async def scenario() -> tuple[list[Outcome], list[web.Request], CoinbaseVenue]:
        async with asyncio.timeout(30), rest_server(answer) as (url, seen):
            rest = client(url, timeout_s=timeout_s, page_limit=page_limit, key=key)
            try:
                return [await rest.fetch(request) for request in requests], seen, rest
            finally:
                await rest.aclose()

    return asyncio.run(scenario())


def failure_of(outcome: Outcome) -> FetchFailure:
    assert isinstance(outcome, FetchFailure)
    return outcome


def test_a_page_is_asked_for_by_both_bounds_in_seconds_the_last_inclusive() -> None:
    (page,), (seen,), _ = fetched(reply(payload("rest_candles")), REQUEST)
    assert isinstance(page, Page)
    assert [row.time for row in page.rows] == [START, START + 300_000, START + 900_000]
    assert seen.path == "/api/v3/brokerage/market/products/BTC-USD/candles"
    assert dict(seen.query) == {"start": "1784086800", "end": "1784087700", "granularity": "FIVE_MINUTE"}
    assert "Authorization" not in seen.headers


def test_a_window_that_was_asked_for_before_gets_a_url_that_no_cache_has_seen() -> None:
    fresh = REQUEST._replace(fresh=True)
    _, seen, _ = fetched(reply(payload("rest_candles")), REQUEST, fresh, fresh)
    assert [request.query.get("_") for request in seen] == [None, "7", "8"]


def test_with_a_key_the_private_endpoint_is_asked_with_a_signature() -> None:
    key = ApiKey(NAME, PEM)
    (page,), (seen,), _ = fetched(reply(payload("rest_candles")), REQUEST._replace(fresh=True), key=key)
    assert isinstance(page, Page)
    assert seen.path == "/api/v3/brokerage/products/BTC-USD/candles"
    token = seen.headers["Authorization"].removeprefix("Bearer ")
    claims = jwt.decode(token, PRIVATE.public_key(), algorithms=["ES256"])
    assert claims["uri"] == f"GET api.coinbase.com{seen.path}"
    assert "_" not in seen.query


def test_rejected_rows_are_counted_and_logged(logged: list[dict[str, Any]]) -> None:
    body = payload("rest_candles").replace(b'"high":"64589.41"', b'"high":"1"')
    (page,), _, _ = fetched(reply(body), REQUEST)
    assert isinstance(page, Page)
    assert page.rejected == {START + 900_000}
    assert [record["count"] for record in logged if record["event"] == "candles_rejected"] == [1]


def test_a_refusal_says_when_to_try_again_if_the_venue_does() -> None:
    plain, *_ = fetched(reply(payload("rest_rate_limit"), 429), REQUEST)[0]
    assert (failure_of(plain).kind, failure_of(plain).retry_after_s) == (FailureKind.REFUSED, None)
    timed, *_ = fetched(reply(b"", 429, Retry_After="3"), REQUEST)[0]
    assert failure_of(timed).retry_after_s == 3
    dated, *_ = fetched(reply(b"", 429, Retry_After="Wed, 15 Jul 2026 03:40:00 GMT"), REQUEST)[0]
    assert failure_of(dated).retry_after_s is None


def test_unauthorized_is_throttling_without_a_key_and_a_wrong_key_with_one() -> None:
    public, *_ = fetched(reply(b"Unauthorized", 401), REQUEST)[0]
    assert failure_of(public).kind is FailureKind.REFUSED
    private, *_ = fetched(reply(b"Unauthorized", 401), REQUEST, key=ApiKey(NAME, PEM))[0]
    assert failure_of(private).kind is FailureKind.UNAUTHORIZED


def test_html_bodies_become_one_line() -> None:
    body = b"<html><head><title>502 Bad Gateway</title></head>" + b"<p>x</p>" * 100_000
    (outcome,), _, _ = fetched(reply(body, 502), REQUEST)
    assert failure_of(outcome) == FetchFailure(FailureKind.SERVER, "HTTP 502: 502 Bad Gateway", 502)


def test_a_200_that_is_no_page_is_malformed() -> None:
    (outcome,), _, _ = fetched(reply(b"<title>Sign in to this network</title>"), REQUEST)
    assert failure_of(outcome).kind is FailureKind.MALFORMED
    assert "Sign in to this network" in failure_of(outcome).message


def test_a_redirect_is_not_followed() -> None:
    (outcome,), seen, _ = fetched(reply(b"", 302, Location="/elsewhere"), REQUEST)
    assert failure_of(outcome).status == 302
    assert len(seen) == 1


def test_the_page_limit_falls_when_the_venue_says_a_page_is_too_long(logged: list[dict[str, Any]]) -> None:
    async def answer(request: web.Request) -> web.Response:
        buckets = (int(request.query["end"]) - int(request.query["start"])) // 300 + 1
        if buckets > 300:
            return web.Response(body=payload("rest_too_wide"), status=400)
        return web.Response(body=b'{"candles":[]}')

    long = REQUEST._replace(end=START + 330 * 300_000)
    short = REQUEST._replace(end=START + 300 * 300_000)
    (first, second, third), seen, rest = fetched(answer, long, long, short)
    assert failure_of(first).kind is FailureKind.PAGE_TOO_LONG
    assert failure_of(second).kind is FailureKind.PAGE_TOO_LONG
    assert isinstance(third, Page)
    assert rest.traits.page(Timeframe.M5) == 300
    assert len(seen) == 2, "the second was known to be too long"
    assert [record["event"] for record in logged] == ["page_limit_lowered"]


def test_the_page_limit_falls_further_if_the_venue_insists() -> None:
    pages = [REQUEST._replace(end=START + buckets * 300_000) for buckets in (300, 150, 75)]
    outcomes, _, rest = fetched(reply(payload("rest_too_wide"), 400), *pages, page_limit=300)
    assert {failure_of(outcome).kind for outcome in outcomes} == {FailureKind.PAGE_TOO_LONG}
    assert rest.traits.page(Timeframe.M5) == 37


def test_a_timeframe_that_the_venue_does_not_serve_is_noted_once(logged: list[dict[str, Any]]) -> None:
    four_hours = PageRequest("BTC-USD", Timeframe.H4, 0, 4 * Timeframe.H4.ms)
    outcomes, seen, rest = fetched(reply(payload("rest_bad_granularity"), 400), four_hours, four_hours)
    assert {failure_of(outcome).kind for outcome in outcomes} == {FailureKind.UNSUPPORTED_TIMEFRAME}
    assert seen[0].query["granularity"] == "FOUR_HOUR"
    assert len(seen) == 1
    assert unserved(rest) == UNSERVED | {Timeframe.H4}
    assert [record["event"] for record in logged] == ["timeframe_unsupported"]


def test_five_minutes_are_never_given_up() -> None:
    (outcome,), _, rest = fetched(reply(payload("rest_bad_granularity"), 400), REQUEST)
    assert failure_of(outcome).kind is FailureKind.BAD_REQUEST
    assert unserved(rest) == UNSERVED


def test_a_symbol_is_quoted_in_the_path() -> None:
    (outcome,), (seen,), _ = fetched(reply(payload("rest_not_found"), 404), REQUEST._replace(symbol="a/b?c"))
    assert failure_of(outcome).kind is FailureKind.UNKNOWN_SYMBOL
    assert seen.raw_path.startswith("/api/v3/brokerage/market/products/a%2Fb%3Fc/candles?")


def test_a_server_that_hangs_is_given_up() -> None:
    async def hang(request: web.Request) -> web.Response:
        await asyncio.Event().wait()
        raise AssertionError

    (outcome,), _, _ = fetched(hang, REQUEST, timeout_s=0.1)
    assert failure_of(outcome).kind is FailureKind.TIMEOUT
    assert "within 0.1 s" in failure_of(outcome).message


def test_a_body_that_drips_is_given_up() -> None:
    async def drip(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b'{"candles":[')
        await asyncio.Event().wait()
        return response

    (outcome,), _, _ = fetched(drip, REQUEST, timeout_s=0.1)
    assert failure_of(outcome).kind is FailureKind.TIMEOUT


def test_a_body_without_end_is_cut() -> None:
    (outcome,), _, _ = fetched(reply(b" " * (9 * 1024 * 1024)), REQUEST)
    assert failure_of(outcome).kind is FailureKind.MALFORMED
    bomb = gzip.compress(b" " * (40 * 1024 * 1024))
    (outcome,), _, _ = fetched(reply(bomb, Content_Encoding="gzip"), REQUEST)
    assert failure_of(outcome).kind is FailureKind.MALFORMED


@pytest.mark.parametrize(
    ("said", "kinds"),
    [
        (b"", {FailureKind.NETWORK}),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{", {FailureKind.NETWORK}),
        (b"SSH-2.0-OpenSSH\r\n\r\n", {FailureKind.MALFORMED, FailureKind.NETWORK}),
        (b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", {FailureKind.MALFORMED, FailureKind.NETWORK}),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
            {FailureKind.MALFORMED, FailureKind.NETWORK},
        ),
        (
            b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nabcd",
            {FailureKind.NETWORK},
        ),
    ],
)
def test_a_connection_cut_in_the_middle_is_an_outcome(said: bytes, kinds: set[FailureKind]) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(said)
        await writer.drain()

    async def scenario() -> Outcome:
        async with raw_server(talk) as port:
            rest = client(f"http://127.0.0.1:{port}")
            try:
                return await rest.fetch(REQUEST)
            finally:
                await rest.aclose()

    failure = failure_of(asyncio.run(scenario()))
    assert failure.kind in kinds
    assert failure.cause is not None
    assert len(failure.message) <= 200


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://127.0.0.1:1", "127.0.0.1:1 refuses connections"),
        ("http://user:hunter2@127.0.0.1:1", "127.0.0.1:1 refuses connections"),
    ],
)
def test_an_unreachable_host_is_told_in_plain_words_without_secrets(url: str, words: str) -> None:
    async def scenario() -> tuple[int | FetchFailure, Outcome]:
        rest = client(url)
        try:
            return await rest.time(), await rest.fetch(REQUEST)
        finally:
            await rest.aclose()

    for outcome in asyncio.run(scenario()):
        assert isinstance(outcome, FetchFailure)
        assert outcome.kind is FailureKind.NETWORK
        assert words in outcome.message
        assert "hunter2" not in outcome.message


def test_this_machine_is_not_reached_through_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)
    (page,), _, _ = fetched(reply(payload("rest_candles")), REQUEST)
    assert isinstance(page, Page)


def test_the_time_and_the_products_are_read_without_a_signature() -> None:
    async def answer(request: web.Request) -> web.Response:
        name = "rest_time" if request.path.endswith("/time") else "rest_products"
        return web.Response(body=payload(name))

    async def scenario() -> None:
        async with rest_server(answer) as (url, seen):
            rest = client(url + "/", key=ApiKey(NAME, PEM))
            assert rest.origin == url
            assert await rest.time() == 1784086811584
            products = await rest.products()
            assert not isinstance(products, FetchFailure)
            assert products["BTC-USDC"] == Product("BTC-USD")
            await rest.products(["BTC-USD", "BTC-USDC"])
            assert seen.pop().query.getall("product_ids") == ["BTC-USD", "BTC-USDC"]
            assert [request.path for request in seen] == [
                "/api/v3/brokerage/time",
                "/api/v3/brokerage/market/products",
            ]
            assert all("Authorization" not in request.headers for request in seen)
            await rest.aclose()
            assert await rest.time() == 1784086811584, "a closed client opens again"
            await rest.aclose()

    asyncio.run(scenario())


def test_a_cancelled_fetch_is_cancelled() -> None:
    async def scenario() -> None:
        asked = asyncio.Event()

        async def hang(request: web.Request) -> web.Response:
            asked.set()
            await asyncio.Event().wait()
            raise AssertionError

        async with rest_server(hang) as (url, _):
            rest = client(url)
            fetching = asyncio.create_task(rest.fetch(REQUEST), name="fetch")
            await asyncio.wait_for(asked.wait(), 5)
            fetching.cancel()
            with pytest.raises(asyncio.CancelledError):
                await fetching
            await rest.aclose()

    asyncio.run(scenario())


def test_every_timeframe_that_is_served_has_the_venues_name() -> None:
    pages = [PageRequest("A-B", timeframe, 0, timeframe.ms) for timeframe in GRANULARITIES]
    _, seen, _ = fetched(reply(msgspec.json.encode({"candles": []})), *pages)
    assert [request.query["granularity"] for request in seen] == [
        "ONE_MINUTE",
        "FIVE_MINUTE",
        "FIFTEEN_MINUTE",
        "THIRTY_MINUTE",
        "ONE_HOUR",
        "TWO_HOUR",
        "FOUR_HOUR",
        "SIX_HOUR",
        "ONE_DAY",
    ]


def test_with_a_key_that_is_refused_candles_come_from_the_public_endpoint() -> None:
    """And with a fresh page's nonce, as without a key at all."""

    async def answer(request: web.Request) -> web.Response:
        if "Authorization" in request.headers:
            return web.Response(status=401, text="Unauthorized")
        return web.Response(body=payload("rest_candles"))

    async def scenario() -> None:
        async with rest_server(answer) as (url, seen):
            rest = client(url, key=ApiKey(NAME, PEM))
            assert failure_of(await rest.fetch(REQUEST)).kind is FailureKind.UNAUTHORIZED
            for _ in range(3):
                assert isinstance(await rest.fetch(REQUEST), Page)
            paths = [one.path.partition("/products")[0] for one in seen]
            assert paths == ["/api/v3/brokerage", *["/api/v3/brokerage/market"] * 3]
            await rest.aclose()

    asyncio.run(scenario())
