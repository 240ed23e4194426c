"""The simulated Binance, asked as the venue's documentation says."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import pytest

from livecache.model.timeframe import Timeframe
from livecache.simulator import Faults, SeededMarket
from livecache.simulator.binance.exchange import Exchange
from livecache.simulator.binance.options import BinanceOptions, Outage
from livecache.simulator.face import Ask

from .support import StillClock

M1, H1, D1, W1, MN1 = Timeframe.M1, Timeframe.H1, Timeframe.D1, Timeframe.W1, Timeframe.MN1
NOW = 1_784_109_930_000  # 2026-07-15 10:05:30


class Bench:
    def __init__(self, **options: Any) -> None:
        self.clock = StillClock()
        self.market = SeededMarket(4)
        self.exchange = Exchange(
            self.market,
            self.clock.market(NOW),
            BinanceOptions(**options),
            faults=Faults(),
            host_clock=self.clock,
        )
        self.headers: Mapping[str, str] = {}

    def get(self, path: str, **query: object) -> tuple[int, Any]:
        asked = {name: [str(value)] for name, value in query.items()}
        answer = asyncio.run(self.exchange.handle(Ask("GET", path, asked, path)))
        assert answer is not None
        self.headers = answer.headers
        return answer.status, json.loads(answer.body) if answer.body[:1] in b"[{" else answer.body

    def klines(self, **query: object) -> list[Any]:
        status, body = self.get("/api/v3/klines", **{"symbol": "BTCUSDT", "interval": "1m", **query})
        assert status == 200, body
        return list(body)


def test_rows_are_oldest_first_both_bounds_inclusive_and_the_open_one_is_the_last() -> None:
    bench, start = Bench(), M1.floor(NOW) - 10 * M1.ms
    rows = bench.klines(startTime=start, endTime=start + 3 * M1.ms)
    assert [row[0] for row in rows] == [start + n * M1.ms for n in range(4)]
    assert all(len(row) == 12 and row[6] == row[0] + M1.ms - 1 for row in rows)
    assert bench.klines()[-1][0] == M1.floor(NOW) and len(bench.klines()) == 500
    assert len(bench.klines(limit=5_000)) == 1_000


def test_the_start_wins_where_there_is_more_than_the_limit() -> None:
    start = M1.floor(NOW) - 100 * M1.ms
    assert [row[0] for row in Bench().klines(startTime=start, endTime=NOW, limit=2)] == [start, start + M1.ms]


def test_weeks_begin_on_monday_months_on_their_first_and_history_with_the_listing() -> None:
    bench = Bench()
    for timeframe in (W1, MN1, Timeframe.M3, Timeframe.H8, D1):
        rows = bench.klines(interval=timeframe.value, limit=5)
        assert all(row[0] in timeframe.grid for row in rows), timeframe
        days = bench.market.candles("BTC-USD", D1, rows[0][0], rows[1][0], NOW)
        if timeframe is W1:
            assert float(rows[0][5]) == pytest.approx(sum(float(day.volume) for day in days))
    assert bench.klines(interval="1d", startTime=0, limit=1)[0][0] == 1_502_928_000_000


def test_refusals_have_the_venues_codes() -> None:
    bench = Bench()
    assert bench.get("/api/v3/klines", symbol="NOPE", interval="1m") == (
        400,
        {"code": -1121, "msg": "Invalid symbol."},
    )
    assert bench.get("/api/v3/klines", symbol="BTCUSDT", interval="7m")[1]["code"] == -1120
    assert bench.get("/api/v3/klines", interval="1m")[1]["code"] == -1102
    assert bench.get("/api/v3/exchangeInfo", symbols='["BTCUSDT","NOPE"]')[1]["code"] == -1121
    assert bench.get("/fapi/v1/time")[0] == 404


def test_weight_is_counted_by_the_minute_and_who_goes_on_is_banned_longer_each_time() -> None:
    bench = Bench(weight_a_minute=10, bans_after=2)
    for used in (2, 4, 6, 8, 10):
        bench.klines(limit=1)
        assert bench.headers["X-MBX-USED-WEIGHT-1M"] == str(used)
    for _ in range(2):
        assert bench.get("/api/v3/klines", symbol="BTCUSDT", interval="1m")[0] == 429
        assert bench.headers["Retry-After"] == "30"
    assert bench.get("/api/v3/time")[0] == 418
    assert bench.headers["Retry-After"] == "120" and bench.exchange.bans == 1
    bench.clock.now_s += 119
    assert bench.get("/api/v3/time")[0] == 418, "to the second"
    bench.clock.now_s += 2
    assert bench.get("/api/v3/time")[0] == 200


@pytest.mark.parametrize(("limit", "weight"), [(99, 1), (499, 2), (500, 5), (1000, 5), (1500, 10)])
def test_a_page_of_usdm_costs_by_its_limit(limit: int, weight: int) -> None:
    bench = Bench(api="usdm")
    bench.get("/fapi/v1/klines", symbol="BTCUSDT", interval="1m", limit=limit)
    assert bench.headers["X-MBX-USED-WEIGHT-1M"] == str(weight)


def test_in_an_outage_rows_are_absent_and_after_it_hours_lie_off_the_grid() -> None:
    begin = H1.floor(NOW) - 20 * H1.ms
    outage = Outage(begin + 28 * M1.ms, begin + 3 * H1.ms, begin + 6 * H1.ms)
    bench = Bench(outages=(outage,))
    minutes = bench.klines(startTime=begin, endTime=begin + 4 * H1.ms - 1, limit=1000)
    assert [row[0] for row in minutes if outage.begin <= row[0] < outage.end] == []
    hours = bench.klines(interval="1h", startTime=begin, endTime=begin + 7 * H1.ms, limit=100)
    assert hours[0][6] == outage.begin - 1, "the row before it ends early"
    opens = [(row[0] - begin) / H1.ms for row in hours]
    assert opens[0] == 0 and opens[-1] == 7 and [o for o in opens if o % 1] and not {1, 2, 3} & set(opens)
