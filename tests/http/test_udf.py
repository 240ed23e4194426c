"""`/udf/…` as TradingView's adapter asks it, over a store that a test has filled.

What is answered is held against the document's schema, and row by row against the store.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from typing import Any

import jsonschema
import pytest
import redis

from livecache.config.schema import Config
from livecache.http.api.openapi import document
from livecache.model.timeframe import Timeframe
from livecache.venues.settings import SessionSettings

from ..cache.test_sessions import D1, H1, M5, filled
from ..cache.test_sessions import put as put_sessions
from ..core.test_calendar import ms
from .api import Served, served
from .filling import NOW, fill
from .support import ask
from .udf_adapter import Adapter, Bar, Meta

STEP = Timeframe.M5.ms
THROUGH = NOW - NOW % STEP
CLOSES = [100 + n % 7 / 4 for n in range(200)]


@pytest.fixture
def store(clean_valkey: str) -> Iterator[Any]:
    with redis.Redis.from_url(clean_valkey) as client:
        fill(client, "BTC-USD", "5m", CLOSES, forming=107.25, provisional=3)
        fill(client, "BTC-USD", "1d", CLOSES[:90])
        fill(client, "ETH-USD", "5m", [None if n % 3 else 7.5 for n in range(60)])
        for symbol in ("BTC-USD", "ETH-USD"):
            client.persist(f"livecache:{{coinbase:{symbol}}}:alive")
        yield client


@pytest.fixture
def adapter(store: Any, clean_valkey: str) -> Iterator[Adapter]:
    with served(clean_valkey) as server:
        adapter = Adapter(server.url)
        yield adapter
        adapter.close()
        for path in adapter.asked:
            as_the_document_says(server, path)


described = cache(document)


def as_the_document_says(server: Served, path: str) -> None:
    answer = ask(server.url, path)
    told = described()
    responses = told["paths"][path.partition("?")[0]]["get"]["responses"]
    kind = "application/json" if answer.status < 400 else "application/problem+json"
    schema = responses[str(answer.status)]["content"][kind]["schema"]
    jsonschema.validate(answer.content, schema | {"components": told["components"]})


def row(n: int) -> Bar:
    """What `fill` wrote of the bucket so many before the last closed one, 0 being that one."""
    close, before = CLOSES[-1 - n], CLOSES[max(-2 - n, -len(CLOSES))]
    return Bar(THROUGH - (n + 1) * STEP, before, max(before, close), min(before, close), close, 2.5)


def test_a_chart_opens(adapter: Adapter) -> None:
    told = adapter.configuration
    assert told["supports_search"] and not told["supports_group_request"] and told["supports_time"]
    assert {"1", "5", "60", "240", "1D", "1W", "1M"} <= {*told["supported_resolutions"]}
    assert abs(adapter.server_time() - time.time()) < 60
    (found,) = adapter.search("btc")
    assert (found["symbol"], found["full_name"], found["type"]) == ("BTC-USD", "coinbase:BTC-USD", "crypto")
    symbol = adapter.resolve(found["full_name"])
    assert symbol is not None
    assert (symbol["name"], symbol["ticker"]) == ("BTC-USD", "coinbase:BTC-USD")
    assert (symbol["timezone"], symbol["session"]) == ("Etc/UTC", "24x7")
    # 100.25 has two places, and 2.5 of volume one.
    assert (symbol["minmov"], symbol["pricescale"], symbol["volume_precision"]) == (1, 100, 1)
    assert symbol["has_intraday"] and symbol["has_daily"] and symbol["has_weekly_and_monthly"]
    assert {"5", "15", "60", "1D"} <= {*symbol["supported_resolutions"]} and "1" not in symbol[
        "supported_resolutions"
    ]
    assert {"5", "15", "60"} <= {*symbol["intraday_multipliers"]}


def test_each_resolution_that_is_promised_can_be_had(adapter: Adapter) -> None:
    symbol = adapter.resolve("coinbase:BTC-USD")
    assert symbol
    for resolution in symbol["supported_resolutions"]:
        bars, _ = adapter.bars(symbol, resolution, 0, NOW // 1000 + 60, 3)
        assert bars, resolution


def test_a_symbol_is_known_whatever_its_letters_and_others_are_not(adapter: Adapter) -> None:
    for name in ("BTC-USD", "btc-usd", "COINBASE:BTC-USD", "coinbase:btc-usd"):
        found = adapter.resolve(name)
        assert found and found["ticker"] == "coinbase:BTC-USD", name
    assert adapter.resolve("DOGE-USD") is None
    assert adapter.search("DOGE") == [] and adapter.search("", exchange="other") == []
    assert [one["symbol"] for one in adapter.search("")] == ["BTC-USD", "ETH-USD"]


def test_a_chart_that_scrolls_back_is_given_each_bar_once_to_the_last(adapter: Adapter) -> None:
    """The library asks for `countBack` bars before the oldest that it has, until there is no data."""
    symbol, end, shown = {"ticker": "coinbase:BTC-USD"}, NOW // 1000 + 300, list[Bar]()
    for _ in range(9):
        bars, meta = adapter.bars(symbol, "5", end - 90 * 300, end, 83)
        if meta.no_data:
            break
        shown, end = bars + shown, bars[0].time // 1000
    assert meta == Meta(True, None)
    assert shown[:-1] == [row(n) for n in reversed(range(200))]
    assert shown[-1] == Bar(THROUGH, CLOSES[-1], 107.25, CLOSES[-1], 107.25, 2.5), "the bucket in progress"


def test_without_countback_it_is_all_since_from(adapter: Adapter) -> None:
    """As adapters asked before there was a countback; `to` is not inclusive, `from` is."""
    symbol, end = {"ticker": "coinbase:BTC-USD"}, THROUGH // 1000
    bars, _ = adapter.bars(symbol, "5", end - 10 * 300, end - 300)
    assert bars == [row(n) for n in reversed(range(1, 10))]


def test_the_newest_two_come_every_ten_seconds(adapter: Adapter) -> None:
    bars = adapter.pulse({"ticker": "coinbase:BTC-USD"}, "5", NOW // 1000)
    assert [bar.time for bar in bars] == [THROUGH - STEP, THROUGH]


def test_days_are_at_midnight(adapter: Adapter) -> None:
    bars, _ = adapter.bars({"ticker": "BTC-USD"}, "1D", 0, NOW // 1000, 300)
    assert len(bars) == 90 and all(bar.time % Timeframe.D1.ms == 0 for bar in bars)


def test_a_bucket_in_which_nothing_was_traded_is_no_bar(adapter: Adapter) -> None:
    bars, _ = adapter.bars({"ticker": "ETH-USD"}, "5", 0, NOW // 1000, 40)
    assert len(bars) == 20
    assert {later.time - bar.time for bar, later in pairwise(bars)} == {3 * STEP}


def test_what_is_refused_says_why_where_a_chart_looks(adapter: Adapter, clean_valkey: str) -> None:
    with pytest.raises(ValueError, match="nobody fills this series"):
        adapter.bars({"ticker": "coinbase:DOGE-USD"}, "5", 0, NOW // 1000, 9)
    with pytest.raises(ValueError, match="resolution"):
        adapter.bars({"ticker": "BTC-USD"}, "1S", 0, NOW // 1000, 9)
    with pytest.raises(ValueError, match="1m"):
        adapter.bars({"ticker": "BTC-USD"}, "1", 0, NOW // 1000, 9)


def test_who_has_no_token_is_told_so_as_a_chart_reads_it(store: Any, clean_valkey: str) -> None:
    with served(clean_valkey, token="0123456789abcdef") as server:
        for name in ("config", "symbols?symbol=BTC-USD", "search", "history", "time"):
            answer = ask(server.url, f"/udf/{name}")
            assert (answer.status, answer.content["s"], answer.content["kind"]) == (
                401,
                "error",
                "unauthorized",
            )
        adapter = Adapter(server.url, {"Authorization": "Bearer 0123456789abcdef"})
        assert adapter.resolve("BTC-USD")
        adapter.close()


def test_nobody_vouching_is_an_error_and_no_end_of_data(store: Any, adapter: Adapter) -> None:
    store.delete("livecache:{coinbase:BTC-USD}:alive")
    with pytest.raises(ValueError, match="vouch"):
        adapter.bars({"ticker": "BTC-USD"}, "5", 0, NOW // 1000, 9)


def test_unknown_parameters_are_passed_over(adapter: Adapter) -> None:
    """Adapters send more with each year: currencyCode, unitId, firstDataRequest."""
    told = adapter.send(
        "history",
        {
            "symbol": "BTC-USD",
            "resolution": "5",
            "to": NOW // 1000,
            "countback": 2,
            "firstDataRequest": "true",
            "currencyCode": "USD",
        },
    )
    assert told["s"] == "ok" and len(told["t"]) == 2


def test_an_exchange_that_closes_has_its_hours_and_days_of_trading(clean_valkey: str) -> None:
    with redis.Redis.from_url(clean_valkey) as client:
        venue = filled((M5, H1, D1), "2026-11-29T12:00", candles=200)
        put_sessions(venue, client)
        client.persist("livecache:{coinbase:X-USD}:alive")
    config = Config(venues={"coinbase": SessionSettings(calendar="XNYS")})
    with served(clean_valkey, config=config, traits=venue.timeline.traits) as server:
        adapter = Adapter(server.url)
        symbol = adapter.resolve("X-USD")
        assert symbol and symbol["type"] == "stock"
        assert (symbol["timezone"], symbol["session"]) == ("America/New_York", "0930-1600:23456")
        assert "20261126" in symbol["session_holidays"]
        assert "0930-1300:" in symbol["corrections"] and "20261127" in symbol["corrections"]
        assert "120" in symbol["supported_resolutions"] and "1W" not in symbol["supported_resolutions"]
        for resolution in symbol["supported_resolutions"]:
            assert adapter.bars(symbol, resolution, 0, ms("2026-11-30") // 1000, 3)[0], resolution
        days, _ = adapter.bars(symbol, "1D", 0, ms("2026-11-30") // 1000, 3)
        assert [bar.time for bar in days] == [ms("2026-11-24"), ms("2026-11-25"), ms("2026-11-27")]
        # It asks for what is before its oldest bar, by the bar's own time.
        older, _ = adapter.bars(symbol, "1D", 0, days[0].time // 1000, 2)
        assert [bar.time for bar in older] == [ms("2026-11-20"), ms("2026-11-23")]
        hours, _ = adapter.bars(symbol, "60", 0, ms("2026-11-27T15:30") // 1000, 2)
        assert [bar.time for bar in hours] == [ms("2026-11-25T20:30"), ms("2026-11-27T14:30")]
        for path in adapter.asked:
            as_the_document_says(server, path)
        adapter.close()


def test_of_several_venues_each_has_its_own(store: Any, clean_valkey: str) -> None:
    fill(store, "BTC-USD", "5m", [7.0] * 50, venue="other")
    fill(store, "ETH-EUR", "5m", [8.0] * 50, venue="other")
    store.persist("livecache:{other:BTC-USD}:alive")
    with served(clean_valkey, venues=("coinbase", "other")) as server:
        adapter = Adapter(server.url)
        assert [one["value"] for one in adapter.configuration["exchanges"]] == ["", "coinbase", "other"]
        assert [one["ticker"] for one in adapter.search("btc")] == ["coinbase:BTC-USD", "other:BTC-USD"]
        assert [one["ticker"] for one in adapter.search("", exchange="other")] == [
            *("other:BTC-USD", "other:ETH-EUR"),
        ]
        assert adapter.resolve("BTC-USD") is None, "which of them?"
        assert "coinbase:BTC-USD or other:BTC-USD" in adapter.send("symbols", {"symbol": "btc-usd"})["errmsg"]
        symbol, alone = adapter.resolve("OTHER:btc-usd"), adapter.resolve("ETH-EUR")
        assert symbol and alone and alone["ticker"] == "other:ETH-EUR"
        (bar,), _ = adapter.bars(symbol, "5", 0, THROUGH // 1000, 1)
        assert bar.close == 7.0
        adapter.close()
