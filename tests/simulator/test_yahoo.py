"""The simulated Yahoo, asked as its users ask it."""

from __future__ import annotations

import struct
from datetime import date
from typing import Any

import pytest

from livecache.equities.action import Action
from livecache.model.candle import ExactCandle
from livecache.model.timeframe import Timeframe
from livecache.simulator.yahoo.exchange import CHART
from livecache.simulator.yahoo.market import shortest

from .shares import DAY, NEW_YORK, NOON, SHARES, Bench, ms

M1, M15, H1, D1 = Timeframe.M1, Timeframe.M15, Timeframe.H1, Timeframe.D1
TRADED = [share.symbol for share in SHARES if share.symbol not in ("GONE", "OLD")]


def rows_of(result: dict[str, Any], timeframe: Timeframe) -> list[ExactCandle]:
    """A chart read as simply as can be: by the buckets of its times, the last of two, no nulls."""
    grid, told = NEW_YORK.grid(timeframe), {}
    (quote,) = result["indicators"]["quote"]
    for n, stamp in enumerate(result.get("timestamp", ())):
        time, prices = grid.floor(stamp * 1000), [quote[name][n] for name in ("open", "high", "low", "close")]
        if None not in prices and stamp * 1000 < grid.end(time):
            opened, high, low, close = map(shortest, prices)
            told[time] = ExactCandle(time, opened, high, low, close, str(quote["volume"][n]))
    return [*told.values()]


@pytest.mark.parametrize("symbol", TRADED)
@pytest.mark.parametrize("timeframe", [D1, H1, M15])
def test_a_chart_tells_the_truth(symbol: str, timeframe: Timeframe) -> None:
    bench, end = Bench(), ms("2026-07-14")
    start = end - (300 if timeframe is D1 else 20) * DAY
    result = bench.chart(symbol, start, end, timeframe.value)
    rows = bench.truth.settled(symbol, timeframe, start, end)
    assert rows_of(result, timeframe) == rows and rows
    for name in ("open", "close"):
        for number in filter(None, result["indicators"]["quote"][0][name]):
            assert struct.unpack("f", struct.pack("f", number))[0] == number, "floats of 32 bits"


def test_the_start_is_inclusive_and_the_end_exclusive() -> None:
    bench = Bench()
    first, last = ms("2026-07-06"), ms("2026-07-10")
    assert bench.chart("AAPL", first, last)["timestamp"] == [
        ms(f"2026-07-{day:02d}") // 1000 for day in (6, 7, 8, 9)
    ]
    assert len(bench.chart("AAPL", first + 1000, last + 1000)["timestamp"]) == 4
    empty = bench.chart("AAPL", ms("2026-07-10", "17:00"), ms("2026-07-13") - 1000)
    assert "timestamp" not in empty and empty["indicators"]["quote"] == [{}]
    assert empty["meta"]["symbol"] == "AAPL"


def test_the_newest_day_bears_the_time_of_its_last_trade_and_is_15_minutes_late() -> None:
    bench = Bench()
    result = bench.chart("AAPL", NOON - 5 * DAY, NOON)
    assert result["timestamp"][-2:] == [ms("2026-07-14") // 1000, NOON // 1000 - 900]
    assert result["meta"]["regularMarketTime"] == NOON // 1000 - 900
    evening = Bench(ms("2026-07-15", "20:00"))
    assert evening.chart("AAPL", NOON - DAY, NOON)["timestamp"][-1] == ms("2026-07-15", "16:00") // 1000 + 1
    morning = Bench(ms("2026-07-16", "09:44")).chart("AAPL", NOON - 5 * DAY, NOON + DAY)
    assert morning["timestamp"][-1] == ms("2026-07-15", "16:00") // 1000 + 1, "nobody sees the new one yet"
    assert Bench(ms("2026-07-15", "09:40")).truth.final_through() == ms("2026-07-14")


def test_the_live_row_may_follow_what_was_asked_for() -> None:
    bench = Bench(oddities=("live row",))
    days = bench.chart("AAPL", ms("2026-07-06"), ms("2026-07-08"))
    assert days["timestamp"] == [*(ms(d) // 1000 for d in ("2026-07-06", "2026-07-07")), NOON // 1000 - 900]
    hours = bench.chart("AAPL", ms("2026-07-13"), ms("2026-07-14"), "1h")
    assert len(hours["timestamp"]) == 8 and hours["timestamp"][-1] == NOON // 1000 - 900
    assert hours["indicators"]["quote"][0]["volume"][-1] == 0


def test_a_bucket_in_progress_is_followed_by_its_last_price() -> None:
    result = Bench().chart("AAPL", ms("2026-07-15"), NOON, "1h")
    assert result["timestamp"] == [
        *(ms("2026-07-15", clock) // 1000 for clock in ("09:30", "10:30", "11:30")),
        NOON // 1000 - 900,
    ]
    (quote,) = result["indicators"]["quote"]
    assert quote["volume"][-1] == 0 and quote["close"][-1] == quote["close"][-2] == quote["open"][-1]


def test_a_halt_is_told_by_nulls_an_unscheduled_close_by_nothing() -> None:
    bench = Bench(closed=[date(2026, 7, 8)])
    start, end = ms("2026-07-07"), ms("2026-07-13")
    result = bench.chart("HALT", start, end)
    days = ["2026-07-07", "2026-07-09", "2026-07-10"]
    assert result["timestamp"] == [ms(day) // 1000 for day in days]
    assert [close is None for close in result["indicators"]["quote"][0]["close"]] == [False, True, False]
    assert result["indicators"]["adjclose"][0]["adjclose"][1] is None
    assert bench.chart("HALT", start, end, "1h")["indicators"]["quote"][0]["volume"].count(None) == 7
    assert bench.truth.absent("HALT", D1, start, end) == [ms("2026-07-08"), ms("2026-07-09")]
    assert bench.truth.absent("AAPL", D1, start, end) == [ms("2026-07-08")]
    assert [opened for opened, _ in bench.truth.sessions(start, end)] == [ms(day) for day in days]


def test_on_a_half_day_the_closing_print_is_a_row_at_the_end() -> None:
    bench = Bench(ms("2024-12-02", "12:00"))
    result = bench.chart("AAPL", ms("2024-11-29"), ms("2024-12-02"), "1h")
    assert [stamp * 1000 for stamp in result["timestamp"]] == [
        ms("2024-11-29", clock) for clock in ("09:30", "10:30", "11:30", "12:30", "13:00")
    ]
    assert result["indicators"]["quote"][0]["volume"][-1] == 0
    (((period),),) = result["meta"]["tradingPeriods"]
    assert (period["end"] - period["start"], period["gmtoffset"], period["timezone"]) == (
        12_600,
        -18_000,
        "EST",
    )


def test_splits_and_dividends_are_told_as_of_now() -> None:
    bench = Bench()
    start, end = NOON - 365 * DAY, ms("2026-07-15")
    events = bench.chart("SPLIT", start, end)["events"]
    splits = [(int(at) * 1000, each["splitRatio"]) for at, each in events["splits"].items()]
    assert splits == [(ms("2026-03-02"), "3:2"), (ms("2026-06-15"), "4:1")]
    actions = bench.truth.actions("SPLIT", start, end)
    assert [a for a in actions if a.kind == "split"] == [
        Action(ms("2026-03-02"), "split", "3/2"),
        Action(ms("2026-06-15"), "split", "4/1"),
    ]
    paid = [a for a in actions if a.kind == "dividend"]
    assert len(paid) == 4
    assert {a.time // 1000: float(a.value) for a in paid} == {
        each["date"]: each["amount"] for each in events["dividends"].values()
    }
    before = Bench(ms("2026-06-12", "18:00"))
    then = [a for a in before.truth.actions("SPLIT", start, end) if a.kind == "dividend"]
    known = [a for a in paid if a.time <= then[-1].time]
    assert [float(a.value) for a in then] == pytest.approx([4 * float(a.value) for a in known], abs=2e-6)
    assert "events" not in bench.chart("MSFT", start, end)


def test_closes_are_adjusted_by_each_dividend_since() -> None:
    bench = Bench()
    start, end = NOON - 300 * DAY, ms("2026-07-15")
    result = bench.chart("AAPL", start, end)
    (quote,), (told,) = result["indicators"]["quote"], result["indicators"]["adjclose"]
    closes, adjusted = quote["close"], told["adjclose"]
    assert closes[-1] == adjusted[-1]
    for at, each in result["events"]["dividends"].items():
        n = result["timestamp"].index(int(at))
        drop = 1 - each["amount"] / closes[n - 1]
        assert adjusted[n - 1] / closes[n - 1] == pytest.approx(drop * adjusted[n] / closes[n], rel=1e-6)
    truth = bench.truth.adjusted("AAPL", start, end)
    assert [*truth.values()] == pytest.approx(adjusted, rel=1e-6)


def test_what_is_settled_and_what_provisional() -> None:
    start = ms("2026-07-13")

    def known(day: str, clock: str) -> tuple[list[int], list[int]]:
        truth = Bench(ms(day, clock)).truth
        told = (truth.settled, truth.provisional)
        settled, provisional = ([row.time for row in of("AAPL", D1, start, NOON + DAY)] for of in told)
        return settled, provisional

    first, second = ms("2026-07-13"), ms("2026-07-14")
    assert known("2026-07-14", "16:14") == ([first], [])
    assert known("2026-07-14", "16:15") == ([first], [second])
    assert known("2026-07-15", "09:44") == ([first], [second])
    assert known("2026-07-15", "09:45") == ([first, second], [])


def test_symbols_that_are_unknown_delisted_renamed_or_new() -> None:
    bench = Bench()
    window = {"period1": ms("2026-06-01") // 1000, "period2": NOON // 1000}
    gone = (404, "No data found, symbol may be delisted")
    assert bench.refusal("NOPE", **window) == bench.refusal("GONE", **window) == gone
    assert bench.chart("OLD", NOON - 5 * DAY, NOON)["meta"]["symbol"] == "AAPL"
    listed = bench.chart("IPO", ms("2026-06-01"), NOON)
    assert listed["timestamp"][0] * 1000 == ms("2026-06-05")
    assert listed["meta"]["firstTradeDate"] * 1000 == ms("2026-06-05")
    early = {"period1": ms("2026-05-01") // 1000, "period2": ms("2026-06-01") // 1000}
    assert bench.refusal("IPO", **early)[0] == 400
    assert bench.truth.absent("IPO", D1, ms("2026-06-01"), NOON) == []
    assert bench.chart("^GSPC", NOON - 5 * DAY, NOON)["meta"]["instrumentType"] == "INDEX"


def test_what_is_too_far_back_or_too_long_is_refused_by_its_limit() -> None:
    bench, now = Bench(), NOON // 1000
    far = bench.refusal("AAPL", interval="1m", period1=now - 31 * 86_400, period2=now - 30 * 86_400)
    assert far[0] == 422 and far[1].endswith("must be within the last 30 days.")
    long = bench.refusal("AAPL", interval="1m", period1=now - 9 * 86_400, period2=now)
    assert long[0] == 422 and "Only 8 days worth of 1m" in long[1]
    hours = bench.refusal("AAPL", interval="1h", period1=now - 731 * 86_400, period2=now)
    assert hours[1].startswith("1h data not available") and "730 days" in hours[1]
    narrow = Bench(span_days={"1m": 7}).refusal("AAPL", interval="1m", period1=now - 8 * 86_400, period2=now)
    assert "Only 7 days" in narrow[1]
    assert bench.refusal("AAPL", interval="7m", period1=now - 9, period2=now)[0] == 422
    assert bench.refusal("AAPL", interval="1d", period1=now, period2=now - 9)[0] == 400


def test_half_hours_are_answered_by_hours() -> None:
    result = Bench().chart("AAPL", ms("2026-07-13"), ms("2026-07-14"), "30m")
    assert len(result["timestamp"]) == 7 and result["meta"]["dataGranularity"] == "1h"


def test_a_range_may_be_asked_for_in_place_of_times() -> None:
    bench = Bench()
    for asked, count in (("1d", 1), ("5d", 5), ("1mo", 21), ("1y", 252), ("ytd", 134)):
        _, body = bench.get(CHART + "AAPL", range=asked, interval="1d")
        assert abs(len(body["chart"]["result"][0]["timestamp"]) - count) <= 1, asked


def test_a_crumb_is_for_the_cookie_and_good_for_a_while() -> None:
    bench = Bench()
    assert bench.get("/v1/test/getcrumb")[0] == 401
    assert bench.get("/")[0] == 404
    bench.cookie = bench.headers["Set-Cookie"].partition(";")[0]
    status, crumb = bench.get("/v1/test/getcrumb")
    assert status == 200
    assert bench.get(CHART + "AAPL", range="5d", crumb=crumb)[0] == 200
    bench.clock.now_s += 3_600
    status, body = bench.get(CHART + "AAPL", range="5d", crumb=crumb)
    assert status == 401 and body["finance"]["error"]["description"] == "Invalid Crumb"
    assert bench.get(CHART + "AAPL", range="5d")[0] == 200, "without one it answers, too"


def test_who_asks_too_fast_is_refused_without_a_time_and_who_goes_on_is_banned() -> None:
    bench = Bench(requests_per_second=2, bans_after=3, ban_s=60.0)
    for _ in range(2):
        assert bench.get(CHART + "AAPL", range="5d")[0] == 200
    for _ in range(3):
        assert bench.get(CHART + "AAPL", range="5d") == (429, "Too Many Requests\r\n")
        assert "Retry-After" not in bench.headers
    bench.clock.now_s += 0.5
    assert bench.get(CHART + "AAPL", range="5d")[0] == 999
    bench.clock.now_s += 59
    assert bench.get(CHART + "MSFT", range="5d")[0] == 999, "whatever is asked"
    assert (bench.face.exchange.while_banned, bench.face.exchange.bans) == (1, 1)
    bench.clock.now_s += 2
    assert bench.get(CHART + "AAPL", range="5d")[0] == 200
    statuses = [record.status for record in bench.face.requests if record.product == "AAPL"]
    assert statuses == [200, 200, 429, 429, 429, 999, 200]


def test_an_hour_may_have_a_limit_and_a_refusal_a_time() -> None:
    bench = Bench(requests_per_hour=3, retry_after_s=40)
    statuses = []
    for _ in range(4):
        bench.clock.now_s += 600
        statuses.append(bench.get(CHART + "AAPL", range="5d")[0])
    assert statuses == [200, 200, 200, 429] and bench.headers["Retry-After"] == "40"
    bench.clock.now_s += 1_801
    assert bench.get(CHART + "AAPL", range="5d")[0] == 200
