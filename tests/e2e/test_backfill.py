"""`livecache backfill`: fill once and end, for init containers and cron."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import redis

from livecache import Reader
from livecache.keys.keyspace import Keyspace
from livecache.model.timeframe import Timeframe
from livecache.simulator import Answer, Faults, RequestRecord

from .support import exchange, livecache, market_of

KEYS = Keyspace()
THREE = ("BTC-USD", "ETH-USD", "SOL-USD")


class OneGranularityFails(Faults):
    """The exchange has an internal error whenever one product is asked for one granularity."""

    def __init__(self, product: str, granularity: str) -> None:
        self._product = product
        self._granularity = granularity

    async def rest(self, request: RequestRecord, proceed: Callable[[], Awaitable[Answer]]) -> Answer | None:
        if (request.product, request.granularity) == (self._product, self._granularity):
            return Answer(503, b"<html><title>Service Unavailable</title></html>", "text/html")
        return await proceed()


def held(url: str, symbol: str, timeframe: str) -> int:
    """How many candles the set holds."""
    with redis.Redis.from_url(url) as client:
        return int(client.zcard(KEYS.candles(symbol, Timeframe(timeframe))))


def test_it_fills_everything_says_so_and_leaves_no_writer_behind(clean_valkey: str) -> None:
    with exchange(market_of(*THREE)) as venue:
        with livecache("backfill", env=venue.settings(clean_valkey)) as process:
            assert process.ended() == 0, process.story()
        assert process.output == ["15 of 15 series filled, 1500 settled candles, 12 requests, 0 refused"]
        assert len(venue.candle_requests) == 12
    for symbol in THREE:
        for timeframe in ("5m", "15m", "1h", "4h", "1d"):
            assert held(clean_valkey, symbol, timeframe) >= 100
    with redis.Redis.from_url(clean_valkey, decode_responses=True) as client:
        assert client.keys("*:alive") == client.keys("*:lease") == []
        assert {s["ready"] for s in map(client.hgetall, client.keys("*:state"))} == {"1"}


def test_timeframes_out_of_order_are_asked_for_in_priority_order(clean_valkey: str) -> None:
    with exchange(market_of(*THREE)) as venue:
        env = venue.settings(clean_valkey, VENUES_COINBASE_REQUESTS_PER_SECOND=4)
        chosen = ["--symbols", "ETH-USD,BTC-USD", "--timeframes", "1d,5m,1h"]
        with livecache("backfill", *chosen, env=env) as process:
            assert process.ended() == 0, process.story()
        assert [(r.granularity, r.product) for r in venue.candle_requests] == [
            ("FIVE_MINUTE", "ETH-USD"),
            ("FIVE_MINUTE", "BTC-USD"),
            ("ONE_HOUR", "ETH-USD"),
            ("ONE_HOUR", "BTC-USD"),
            ("ONE_DAY", "ETH-USD"),
            ("ONE_DAY", "BTC-USD"),
        ], "timeframes outer, symbols inner as they were given"
    assert held(clean_valkey, "SOL-USD", "5m") == held(clean_valkey, "BTC-USD", "15m") == 0
    with Reader(clean_valkey) as reader:
        assert len(reader.series()) == 15, "the others are configured all the same"


def test_a_configured_order_overrides_the_priority(clean_valkey: str) -> None:
    with exchange(market_of(*THREE)) as venue:
        env = venue.settings(
            clean_valkey, ["BTC-USD"], CACHE_TIMEFRAMES="1d,5m,1h", VENUES_COINBASE_REQUESTS_PER_SECOND=4
        )
        with livecache("backfill", "--timeframes", "5m,1h,1d", env=env) as process:
            assert process.ended() == 0, process.story()
        assert [r.granularity for r in venue.candle_requests] == ["ONE_DAY", "FIVE_MINUTE", "ONE_HOUR"]


def test_an_unknown_symbol_is_named_with_near_ones_and_the_others_are_filled(clean_valkey: str) -> None:
    with exchange(market_of(*THREE)) as venue:
        env = venue.settings(clean_valkey, ["BTC-USD", "ETH-UDS", "SOL-USD"])
        with livecache("backfill", env=env) as process:
            assert process.ended() == 1, process.story()
        told = process.event("unknown_symbol")
    assert told["level"] == "ERROR"
    assert "does not know ETH-UDS" in told["message"] and "did you mean ETH-USD" in told["message"]
    assert len(process.events("unknown_symbol")) == 1
    assert process.output[0].startswith("10 of 15 series filled, 1000 settled candles")
    failed = [line for line in process.output if "ETH-UDS" in line]
    assert len(failed) == 5 and all("did you mean ETH-USD" in line for line in failed)
    complete = process.event("backfill_complete")
    assert (complete["completed"], complete["errors"]) == (10, 5)
    assert process.errors == []
    assert held(clean_valkey, "SOL-USD", "1d") == 100


def test_a_series_that_fails_is_exit_code_1_and_the_others_are_filled(clean_valkey: str) -> None:
    with exchange(market_of(*THREE), faults=OneGranularityFails("ETH-USD", "ONE_HOUR")) as venue:
        with livecache("backfill", env=venue.settings(clean_valkey)) as process:
            assert process.ended(30.0) == 1, process.story()
        tries = [r for r in venue.candle_requests if (r.product, r.granularity) == ("ETH-USD", "ONE_HOUR")]
    assert len(tries) == 5
    assert process.output[0].startswith("14 of 15 series filled, ")
    failed = [line for line in process.output[1:] if "ETH-USD 1h" in line]
    assert len(failed) == 1 and "HTTP 503: Service Unavailable" in failed[0]
    assert held(clean_valkey, "ETH-USD", "4h") >= 60, "its parent is asked for by itself"
    assert process.errors == []
