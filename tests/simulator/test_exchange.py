"""The REST side, asked directly: shapes, bounds, refusals, the edge cache, the rate limit."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jwt
import pytest
from coinbase import jwt_generator

from livecache.model.timeframe import Timeframe
from livecache.simulator import (
    Answer,
    Exchange,
    Faults,
    KeyRing,
    RequestRecord,
    SeededMarket,
    ServerOptions,
    ThrowawayKey,
    throwaway_key,
)
from livecache.simulator.coinbase.exchange import API, GRANULARITIES
from livecache.simulator.face import Ask
from livecache.venues.coinbase.pages import GRANULARITIES as asked_for

from .support import NOW, StillClock

M5 = 300


class Bench:
    """An exchange under a clock that stands still; asks as a client would."""

    def __init__(self, options: ServerOptions | None = None, **more: Any) -> None:
        self.clock = StillClock()
        # A generous rate, for the tests that are not about it.
        self.options = options or ServerOptions(requests_per_second=1_000)
        self.market = SeededMarket(4)
        speed = more.pop("speed", 1.0)
        self.exchange = Exchange(
            self.market, self.clock.market(NOW, speed), self.options, host_clock=self.clock, **more
        )

    def get(self, url: str, authorization: str | None = None) -> Answer:
        parts = urlsplit(API + url)
        ask = Ask("GET", parts.path, parse_qs(parts.query), API + url, authorization)
        answer = asyncio.run(self.exchange.handle(ask))
        assert answer is not None
        return answer

    def json(self, url: str) -> Any:
        answer = self.get(url)
        assert answer.status == 200, answer
        return json.loads(answer.body)

    def starts(self, url: str) -> list[int]:
        return [int(c["start"]) for c in self.json(url)["candles"]]


def page(first: int, last: int, granularity: str = "FIVE_MINUTE", product: str = "BTC-USD") -> str:
    return f"/market/products/{product}/candles?start={first}&end={last}&granularity={granularity}"


BUCKET = NOW // 1000 // M5 * M5  # the 5m bucket in progress, in Unix seconds


def test_time_tells_the_markets_time_three_ways() -> None:
    assert Bench().json("/time") == {
        "iso": "2026-10-06T10:25:09Z",
        "epochSeconds": "1791282309",
        "epochMillis": "1791282309000",
    }


def test_candles_come_newest_first_as_strings_with_both_bounds_inclusive() -> None:
    bench = Bench()
    candles = bench.json(page(BUCKET - 3 * M5, BUCKET))["candles"]
    assert [int(c["start"]) for c in candles] == [BUCKET - i * M5 for i in range(4)]
    assert list(candles[0]) == ["start", "low", "high", "open", "close", "volume"]
    assert all(isinstance(text, str) for c in candles for text in c.values())
    # Bounds between two opens take only the opens within.
    assert bench.starts(page(BUCKET - 2 * M5 + 1, BUCKET - 1)) == [BUCKET - M5]


@pytest.mark.parametrize("granularity", GRANULARITIES)
def test_every_granularity_is_served_up_to_the_edge_and_refused_beyond(granularity: str) -> None:
    bench = Bench()
    step = GRANULARITIES[granularity].ms // 1000
    last = NOW // 1000 // step * step
    assert len(bench.starts(page(last - 349 * step, last, granularity))) == 350
    refused = bench.get(page(last - 350 * step, last, granularity))
    assert refused.status == 400
    assert json.loads(refused.body) == {
        "error": "INVALID_ARGUMENT",
        "error_details": (
            "start and end argument is invalid - number of candles requested should be less than 350 "
        ),
        "message": "start and end argument is invalid - number of candles requested should be less than 350 ",
    }


def test_the_edge_may_be_moved() -> None:
    bench = Bench(ServerOptions(max_buckets=349))
    assert bench.get(page(BUCKET - 348 * M5, BUCKET)).status == 200
    assert b"less than 349 " in bench.get(page(BUCKET - 349 * M5, BUCKET)).body


def test_a_granularity_may_be_unknown_missing_or_rejected() -> None:
    bench = Bench(ServerOptions(rejected_granularities=frozenset({"FOUR_HOUR"})))
    for name in ("", "ONE_WEEK", "5m", "FOUR_HOUR"):
        answer = bench.get(page(BUCKET, BUCKET, name))
        assert answer.status == 400
        assert json.loads(answer.body)["error_details"] == "granularity argument is invalid"
    assert bench.get(page(BUCKET, BUCKET, "SIX_HOUR")).status == 200


@pytest.mark.parametrize(("first", "last"), [("x", "1"), ("", "1"), ("-5", "1"), ("9", "3"), ("1e3", "2000")])
def test_bounds_that_are_no_window_are_refused(first: str, last: str) -> None:
    url = f"/market/products/BTC-USD/candles?start={first}&end={last}&granularity=ONE_DAY"
    assert Bench().get(url).status == 400


def test_without_a_window_the_newest_candles_come() -> None:
    url = "/market/products/BTC-USD/candles?granularity=ONE_MINUTE&limit=20"
    starts = Bench().starts(url)
    newest = NOW // 60_000 * 60
    assert starts == [newest - i * 60 for i in range(20)]


def test_the_newest_bucket_is_partial_or_left_out_or_behind() -> None:
    url = page(BUCKET - M5, BUCKET)
    partial, closed = Bench().json(url)["candles"]
    later = Bench()
    later.clock.now_s += 300
    final = later.json(url)["candles"]
    assert final[1] == closed
    assert final[0] != partial
    assert float(final[0]["volume"]) > float(partial["volume"])
    assert final[0]["open"] == partial["open"]
    assert Bench(ServerOptions(forming_bucket=False)).starts(url) == [BUCKET - M5]
    behind = Bench(ServerOptions(edge_lag_ms=60_000)).json(url)["candles"]
    assert [int(c["start"]) for c in behind] == [BUCKET - M5]
    assert float(behind[0]["volume"]) < float(closed["volume"])


def test_the_future_and_empty_buckets_are_absent() -> None:
    bench = Bench()
    assert bench.starts(page(BUCKET + M5, BUCKET + 9 * M5)) == []
    thin = bench.starts(page(BUCKET - 349 * M5, BUCKET, product="GRT-USD"))
    assert 30 < len(thin) < 120
    assert thin == sorted(thin, reverse=True)


def test_an_unknown_product_is_not_found() -> None:
    for url in (page(BUCKET, BUCKET, product="NOPE-USD"), "/market/products/NOPE-USD"):
        answer = Bench().get(url)
        assert answer.status == 404
        assert json.loads(answer.body) == {
            "error": "NOT_FOUND",
            "message": "Product NOPE-USD not supported",
        }
    assert Bench().get("/nonsense").status == 404


def test_an_alias_serves_the_same_candles_under_its_own_id() -> None:
    bench = Bench()
    window = (BUCKET - 20 * M5, BUCKET)
    assert bench.json(page(*window, product="BTC-USDC")) == bench.json(page(*window))
    listed = {p["product_id"]: p for p in bench.json("/market/products")["products"]}
    assert (listed["BTC-USD"]["alias"], listed["BTC-USD"]["alias_to"]) == ("", ["BTC-USDC"])
    assert (listed["BTC-USDC"]["alias"], listed["BTC-USDC"]["alias_to"]) == ("BTC-USD", [])
    assert bench.json("/market/products/BTC-USDC") == listed["BTC-USDC"]


def test_the_list_of_products_can_be_filtered() -> None:
    bench = Bench()
    everything = bench.json("/market/products")
    ids = [p["product_id"] for p in everything["products"]]
    assert everything["num_products"] == len(ids) == len(set(ids)) >= 27
    assert bench.json("/market/products?product_type=FUTURE")["products"] == []
    two = bench.json("/market/products?product_type=SPOT&product_ids=SOL-USD&product_ids=BTC-USD")
    assert {p["product_id"] for p in two["products"]} == {"BTC-USD", "SOL-USD"}
    assert [p["product_id"] for p in bench.json("/market/products?limit=2&offset=3")["products"]] == ids[3:5]
    btc = bench.json("/market/products/BTC-USD")
    assert (btc["status"], btc["product_type"], btc["price_increment"]) == ("online", "SPOT", "0.01")


@pytest.mark.parametrize("product", ["BTC-USD", "GRT-USD", "RAD-USD", "BTC-USDC"])
def test_the_ticker_shows_the_newest_hundred_trades_at_most(product: str) -> None:
    bench = Bench()
    trades = bench.json(f"/market/products/{product}/ticker?limit=500")["trades"]
    ids = [int(t["trade_id"]) for t in trades]
    assert ids == list(range(ids[0], ids[0] - 100, -1))
    assert {t["product_id"] for t in trades} == {product}
    assert len(bench.json(f"/market/products/{product}/ticker?limit=3")["trades"]) == 3
    assert bench.get(f"/market/products/{product}/ticker?limit=1001").status == 500


def test_the_edge_answers_an_address_alike_for_a_second() -> None:
    bench = Bench()
    url = page(BUCKET, BUCKET)
    first = bench.get(url)
    bench.clock.now_s += 0.9
    assert bench.get(url).body == first.body
    assert bench.get(url).headers["cf-cache-status"] == "HIT"
    other = bench.get(url + "&_=1")
    assert other.headers["cf-cache-status"] == "MISS"
    bench.clock.now_s += 20
    assert bench.get(url).body != first.body
    assert bench.exchange.counts.cached == 2


def test_in_a_fast_market_the_edge_forgets_sooner() -> None:
    """A page is never older than a second of market time."""
    bench = Bench(speed=60)
    bench.get("/time")
    bench.clock.now_s += 1 / 59
    assert bench.get("/time").headers["cf-cache-status"] == "MISS"


def test_refused_answers_are_not_cached() -> None:
    bench = Bench()
    url = page(BUCKET, BUCKET, "NONSENSE")
    assert [bench.get(url).headers["cf-cache-status"] for _ in range(2)] == ["MISS", "MISS"]


def test_more_requests_than_the_rate_in_any_second_are_refused() -> None:
    bench = Bench(ServerOptions())
    statuses = [bench.get("/time").status for _ in range(12)]
    assert statuses == [200] * 10 + [429] * 2
    refused = bench.get("/time")
    assert json.loads(refused.body)["errors"][0]["id"] == "rate_limit_exceeded"
    bench.clock.now_s += 0.99
    assert bench.get("/time").status == 429
    bench.clock.now_s += 0.02
    # Refused requests have not used up the new second.
    assert [bench.get("/time").status for _ in range(11)] == [200] * 10 + [429]
    assert bench.exchange.counts.refused == 5


def test_requests_spread_over_the_second_slide_the_window() -> None:
    bench = Bench(ServerOptions(requests_per_second=2))
    seen = []
    for wait in (0.0, 0.6, 0.3, 0.2, 0.3, 0.4):
        bench.clock.now_s += wait
        seen.append(bench.get("/time").status)
    assert seen == [200, 200, 429, 200, 429, 200]


def test_every_request_is_logged_with_what_it_asked_for() -> None:
    bench = Bench()
    bench.get(page(BUCKET - M5, BUCKET))
    bench.get(page(BUCKET, BUCKET, product="NOPE-USD"))
    bench.get("/time")
    first, second, third = bench.exchange.requests
    assert first == RequestRecord(
        at=1000.0,
        path=f"{API}/market/products/BTC-USD/candles",
        product="BTC-USD",
        granularity="FIVE_MINUTE",
        start=BUCKET - M5,
        end=BUCKET,
        status=200,
        timeframe=Timeframe.M5,
    )
    assert (second.product, second.status) == ("NOPE-USD", 404)
    assert (third.product, third.granularity, third.start, third.status) == ("", "", None, 200)
    assert bench.exchange.counts.requests == 3
    assert bench.exchange.counts.candle_requests == 2


def test_the_log_is_bounded_and_the_counts_are_not() -> None:
    bench = Bench(ServerOptions(requests_per_second=100, max_requests_logged=3))
    for _ in range(5):
        bench.get("/time")
    assert len(bench.exchange.requests) == 3
    assert bench.exchange.counts.requests == 5


def test_latency_passes_before_the_answer_but_not_before_the_log() -> None:
    bench = Bench(ServerOptions(latency_s=0.08))
    bench.get("/time")
    assert bench.clock.now_s == pytest.approx(1000.08)
    assert bench.exchange.requests[0].at == 1000.0


class Outage(Faults):
    """Replaces the first answer by an HTML page, and gives the others late and shortened."""

    def __init__(self, clock: StillClock) -> None:
        self.clock = clock
        self.seen = 0

    async def rest(self, request: RequestRecord, proceed: Callable[[], Awaitable[Answer]]) -> Answer | None:
        self.seen += 1
        if self.seen == 1:
            return Answer(502, b"<html>Bad gateway</html>", "text/html")
        answer = await proceed()
        await self.clock.sleep(3)
        return replace(answer, body=b"{")


def test_faults_may_replace_delay_and_change_an_answer() -> None:
    bench = Bench(ServerOptions())
    faulty = Exchange(
        bench.market,
        bench.clock.market(),
        host_clock=bench.clock,
        faults=Outage(bench.clock),
    )
    bench.exchange = faulty
    assert bench.get("/time").status == 502
    assert bench.get("/time").body == b"{"
    assert bench.clock.now_s == 1003
    assert [r.status for r in faulty.requests] == [502, 200]


# --- private endpoints


def private(product: str = "BTC-USD") -> str:
    return page(BUCKET - M5, BUCKET, product=product).replace("/market", "")


def signed(key: ThrowawayKey, path: str = "/products/BTC-USD/candles", method: str = "GET") -> str:
    uri = jwt_generator.format_jwt_uri(method, API + path)
    return "Bearer " + str(jwt_generator.build_rest_jwt(uri, key.name, key.secret))


@pytest.mark.parametrize("kind", ["ed25519", "ec"])
def test_a_request_signed_by_the_sdk_is_allowed(kind: str) -> None:
    key = throwaway_key(kind)
    bench = Bench(keys=KeyRing(key))
    answer = bench.get(private(), signed(key))
    assert answer.status == 200
    assert answer.body == bench.get(page(BUCKET - M5, BUCKET)).body
    assert "cf-cache-status" not in answer.headers


def test_a_request_is_unauthorized_unless_its_token_says_exactly_that_request() -> None:
    key, stranger = throwaway_key(), throwaway_key("ec")
    forged = ThrowawayKey(key.name, stranger.secret, stranger.public)
    bench = Bench(keys=KeyRing(key))
    for authorization in (
        None,
        "",
        "Bearer",
        "Bearer nonsense",
        "Basic " + signed(key).partition(" ")[2],
        signed(stranger),
        signed(forged),
        signed(key, "/products/ETH-USD/candles"),
        signed(key, method="POST"),
        "Bearer " + str(jwt_generator.build_ws_jwt(key.name, key.secret)),
    ):
        answer = bench.get(private(), authorization)
        assert (answer.status, answer.body, answer.content_type) == (401, b"Unauthorized", "text/plain")
    assert bench.exchange.counts.unauthorized == 10


def test_a_token_is_refused_before_its_time_after_it_and_when_it_lives_too_long() -> None:
    pair = throwaway_key("ec")
    ring = KeyRing(pair)
    uri = jwt_generator.format_jwt_uri("GET", API + "/products/BTC-USD/candles")
    template = jwt.decode(
        jwt_generator.build_rest_jwt(uri, pair.name, pair.secret), options={"verify_signature": False}
    )

    def allowed(**changes: Any) -> bool:
        claims = {name: value for name, value in (template | changes).items() if value is not None}
        token = jwt.encode(claims, pair.secret, algorithm="ES256", headers={"kid": pair.name})
        return ring.allows_rest(f"Bearer {token}", "GET", API + "/products/BTC-USD/candles")

    now = template["nbf"]
    assert allowed()
    assert not allowed(nbf=now + 60, exp=now + 180)
    assert not allowed(nbf=now - 180, exp=now - 60)
    assert not allowed(exp=now + 600)
    assert not allowed(exp=None)
    assert not allowed(iss="somebody")
    assert not allowed(sub="somebody")


def test_private_endpoints_have_a_rate_of_their_own() -> None:
    key = throwaway_key()
    bench = Bench(ServerOptions(), keys=KeyRing(key))
    token = signed(key)
    assert [bench.get(private(), token).status for _ in range(31)] == [200] * 30 + [429]
    assert bench.get("/time").status == 200


def test_a_key_shows_no_secret() -> None:
    key = throwaway_key()
    assert key.secret not in repr(key)


def test_it_serves_the_granularities_that_the_real_one_is_asked_for() -> None:
    assert {name: timeframe for timeframe, name in asked_for.items()} == GRANULARITIES
