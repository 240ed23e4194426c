"""Bodies of Binance's answers: the documented ones, and others of every shape."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from livecache.model.candle import ExactCandle
from livecache.model.grid import EpochGrid
from livecache.model.timeframe import Timeframe
from livecache.venues.binance.pages import decode_list, decode_page, decode_time, refusal
from livecache.venues.binance.settings import BinanceSettings
from livecache.venues.net.http import Answer
from livecache.venues.venue import FailureKind, FetchFailure, Page, PageRequest, Product

M1, H1, D1 = Timeframe.M1, Timeframe.H1, Timeframe.D1
NOW = 1_800_000_000_000
DOCUMENTED = Path(__file__).parents[3] / "shared" / "data" / "venues"


def documented(market: str, case: str) -> Answer:
    file = DOCUMENTED / f"binance_{market}.json"
    if not file.is_file():
        pytest.skip(f"no documented answers at {file}")
    found = next(each for name, each in json.loads(file.read_text())["cases"]["rest"].items() if case in name)
    body = found["text"].encode() if "text" in found else json.dumps(found["body"]).encode()
    return Answer(found["status"], body, found["headers"])


def page(body: bytes, timeframe: Timeframe, start: int, end: int, now: int | None = NOW) -> Page:
    request = PageRequest("BTCUSDT", timeframe, start, end)
    found = decode_page(request, timeframe.grid, body, now)
    assert not isinstance(found, FetchFailure), found
    return found[0]


def row(time: int, volume: str = "1.0", price: str = "2.0") -> list[Any]:
    flat = [time, price, price, price, price, volume, time + M1.ms - 1]
    return [*flat, "0", 1, "0", "0", "0"]


def test_a_documented_page_keeps_its_digits_and_the_bucket_in_progress() -> None:
    start = 1_767_225_600_000
    told = page(documented("spot", "ascending, last row open").body, M1, start, start + 2 * M1.ms)
    assert told.rows[0] == ExactCandle(
        *(start, "87420.01000000", "87455.00000000", "87410.00000000", "87450.99000000", "12.30451000")
    )
    assert [each.time for each in told.rows] == [start, start + M1.ms] and not told.rejected


def test_a_flat_row_is_told_as_such_for_it_proves_that_nothing_was_traded() -> None:
    start = 1_767_225_600_000
    told = page(documented("spot", "flat row").body, M1, start, start + 2 * M1.ms)
    assert [each.flat for each in told.rows] == [False, True]


def test_rows_off_the_grid_mark_their_bucket_each_and_the_page_proves_the_rest() -> None:
    start = 1_518_048_000_000
    told = page(documented("spot", "off the grid").body, H1, start, start + 80 * H1.ms)
    assert [each.time for each in told.rows] == [start, 1_518_321_600_000]
    assert told.rejected == {H1.floor(1_518_168_494_789), H1.floor(1_518_319_694_789)}
    assert told.spoiled == 2 and all("not the open" in why for why in told.reasons.values())


def test_an_absent_hour_is_absent() -> None:
    start = 1_606_715_940_000
    told = page(documented("spot", "rows are absent").body, M1, start, start + 62 * M1.ms)
    assert [each.time for each in told.rows] == [start, 1_606_719_600_000] and not told.rejected


@pytest.mark.parametrize(
    ("market", "case", "kind", "wait_s"),
    [
        ("spot", "too much weight", FailureKind.REFUSED, 17.0),
        ("spot", "banned", FailureKind.BANNED, 118.0),
        ("spot", "WAF", FailureKind.REFUSED, 300.0),
        ("spot", "country", FailureKind.BANNED, 3600.0),
        ("spot", "overloaded", FailureKind.SERVER, None),
        ("spot", "back end silent", FailureKind.SERVER, None),
        ("spot", "invalid symbol", FailureKind.UNKNOWN_SYMBOL, None),
        ("spot", "invalid interval", FailureKind.UNSUPPORTED_TIMEFRAME, None),
    ],
)
def test_a_refusal_is_told_by_kind_with_the_venues_words(
    market: str, case: str, kind: FailureKind, wait_s: float | None
) -> None:
    answer = documented(market, case)
    failure = refusal(answer, NOW)
    assert (failure.kind, failure.status, failure.retry_after_s) == (kind, answer.status, wait_s)
    assert failure.message.startswith(f"HTTP {answer.status}: ") and "{" not in failure.message


@pytest.mark.parametrize("said", [None, 7, ["Invalid symbol."]])
def test_words_that_are_no_text_do_not_hide_what_the_code_says(said: object) -> None:
    told = refusal(Answer(400, json.dumps({"code": -1121, "msg": said}).encode(), {}), NOW)
    assert told.kind is FailureKind.UNKNOWN_SYMBOL


def test_a_ban_that_tells_its_end_in_words_only_lasts_until_then() -> None:
    body = json.dumps({"code": -1003, "msg": f"IP banned until {NOW + 90_000}."}).encode()
    assert refusal(Answer(418, body, {}), NOW).retry_after_s == 90.0
    assert refusal(Answer(418, body, {"Retry-After": "0"}), NOW).retry_after_s == 90.0
    assert refusal(Answer(418, body, {"Retry-After": "7"}), NOW).retry_after_s == 7.0, "by no clock of ours"
    assert refusal(Answer(418, body, {}), NOW + 100_000).retry_after_s == 0.0
    told = refusal(Answer(429, body, {"Retry-After": "60"}), NOW)
    assert (told.kind, told.retry_after_s) == (FailureKind.BANNED, 60.0), "whatever its status is"


def test_who_is_to_wait_for_longer_than_any_limit_lasts_is_banned_whatever_the_status_is() -> None:
    body = json.dumps({"code": -1003, "msg": "Too much request weight used"}).encode()
    for status, wait, kind in (
        (429, "60", FailureKind.REFUSED),
        (429, "720", FailureKind.BANNED),
        (400, "60", FailureKind.REFUSED),
        (503, "720", FailureKind.BANNED),
        (403, "720", FailureKind.BANNED),
    ):
        told = refusal(Answer(status, body, {"Retry-After": wait}), NOW)
        assert (told.kind, told.retry_after_s) == (kind, float(wait)), status


def test_a_symbol_in_a_break_is_halted_and_the_list_tells_what_a_minute_may_cost() -> None:
    listed = decode_list(documented("spot", "exchangeInfo").body)
    assert not isinstance(listed, FetchFailure)
    assert listed.products == {"BTCUSDT": Product("BTCUSDT"), "LUNAUST": Product("LUNAUST", "break")}
    assert listed.weight_a_minute == 6000
    futures = decode_list(documented("usdm", "exchangeInfo").body)
    assert not isinstance(futures, FetchFailure) and futures.weight_a_minute == 2400
    assert futures.products == {"BTCUSDT": Product("BTCUSDT")}, (
        "its onboardDate is 17 days later than its first candle"
    )


def test_one_symbol_that_cannot_be_read_hides_no_other() -> None:
    listed = decode_list(b'{"symbols":[{"symbol":7},{"symbol":"\xe5\xb8\x81USDT","status":"TRADING"}]}')
    assert not isinstance(listed, FetchFailure)
    assert list(listed.products) == ["币USDT"] and listed.weight_a_minute is None


@pytest.mark.parametrize("status", ["", ',"status":null', ',"status":["TRADING"]'])
def test_a_symbol_whose_status_cannot_be_read_is_there(status: str) -> None:
    listed = decode_list(f'{{"symbols":[{{"symbol":"BTCUSDT"{status}}}]}}'.encode())
    assert not isinstance(listed, FetchFailure)
    assert listed.products == {"BTCUSDT": Product("BTCUSDT")}


@pytest.mark.parametrize("limit", ["null", '"6000"', "6000.5", "true", "0", "-1", "1" + "0" * 400])
def test_a_limit_that_cannot_be_read_says_nothing_and_hides_no_symbol(limit: str) -> None:
    weight = f'{{"rateLimitType":"REQUEST_WEIGHT","interval":"MINUTE","intervalNum":1,"limit":{limit}}}'
    for limits in (f"[null,{{}},{weight}]", limit):
        listed = decode_list(
            f'{{"symbols":[{{"symbol":"A","status":"TRADING"}}],"rateLimits":{limits}}}'.encode()
        )
        assert not isinstance(listed, FetchFailure), listed
        assert list(listed.products) == ["A"] and listed.weight_a_minute is None


def test_the_time_is_in_milliseconds() -> None:
    assert decode_time(b'{"serverTime":1767225661123}') == 1_767_225_661_123
    assert isinstance(decode_time(b'{"serverTime":"soon"}'), FetchFailure)


@pytest.mark.parametrize(
    "odd",
    [
        [None, "1", "1", "1", "1", "1"],
        {"t": 1},
        "row",
        [1_800_000],
        [D1.ms, "1", "1", "1", "NaN", "1"],
        [D1.ms, "1", "1", "1", None, "1"],
        [D1.ms, "3", "1", "2", "1", "1"],
        row(D1.ms, price="-1"),
        row(D1.ms - 1),
    ],
)
def test_a_row_that_cannot_be_believed_costs_the_bucket_it_was_meant_for(odd: object) -> None:
    start = D1.ms - 2 * M1.ms
    rows = [row(start), row(start + M1.ms), odd, row(D1.ms + M1.ms)]
    told = page(json.dumps(rows).encode(), M1, start, D1.ms + 2 * M1.ms)
    assert {each.time for each in told.rows} >= {start, D1.ms + M1.ms}
    assert told.rejected and told.rejected <= {D1.ms, D1.ms - M1.ms}


@pytest.mark.parametrize("odd", [None, [None] * 6, row(M1.ms + 7), row(M1.ms)])
def test_a_page_of_rows_that_cannot_be_believed_is_looked_at_once_and_not_row_by_row(odd: object) -> None:
    """Else one answer stops the service for minutes."""
    listed: list[int] = []

    class Watched(EpochGrid):
        def opens(self, start: int, end: int) -> range:
            found = super().opens(start, end)
            listed.extend(found)
            return found

    most = 1_000
    request = PageRequest("BTCUSDT", M1, M1.ms, (1 + most) * M1.ms)
    told = decode_page(request, Watched(M1.ms), json.dumps([odd] * most).encode(), NOW)
    assert not isinstance(told, FetchFailure)
    assert len(told.page.rows) <= 1 and told.page.spoiled >= most - 1
    assert len(listed) <= 3 * most


@pytest.mark.parametrize("number", ["2.z", "NaN", "sNaN", "", "-", "0x1", "1e999999999"])
@pytest.mark.parametrize("column", range(1, 6))
def test_a_row_that_is_there_twice_once_without_numbers_raises_nothing(number: str, column: int) -> None:
    rows = [row(n * M1.ms) for n in (1, 2, 3, 4)]
    odd = row(M1.ms)
    odd[column] = number
    rows.insert(2, odd)
    told = page(json.dumps(rows).encode(), M1, M1.ms, 5 * M1.ms)
    assert {each.time for each in told.rows} >= {2 * M1.ms, 3 * M1.ms, 4 * M1.ms}
    assert told.spoiled == 1 and M1.ms in told.rejected


def test_an_answer_of_more_rows_than_are_ever_asked_for_is_no_page() -> None:
    request = PageRequest("BTCUSDT", M1, M1.ms, 9 * M1.ms)
    told = decode_page(request, M1.grid, json.dumps([None] * 10_001).encode(), NOW)
    assert isinstance(told, FetchFailure) and told.kind is FailureKind.MALFORMED


def test_numbers_are_taken_as_they_stand_where_texts_are_wont_to_be() -> None:
    raw = b"[[60000,1.10,1.10,1.1,1.10,3.6680847969999992,119999]]"
    (only,) = page(raw, M1, M1.ms, 2 * M1.ms).rows
    assert only.numbers == ("1.10", "1.10", "1.1", "1.10", "3.6680847969999992")


@given(st.binary(max_size=80) | st.text(max_size=80).map(str.encode))
def test_nothing_that_may_come_raises(body: bytes) -> None:
    request = PageRequest("BTCUSDT", M1, M1.ms, 9 * M1.ms)
    for made in (b"[" + body + b"]", body):
        decode_page(request, M1.grid, made, NOW)
        decode_list(made), decode_time(made), refusal(Answer(400, made, {}), NOW)


@pytest.mark.parametrize("symbol", ["BTC-USDT", "btcusdt", "BTC/USDT", "btc_usdt"])
def test_another_way_to_write_a_symbol_is_explained(symbol: str) -> None:
    found = BinanceSettings(symbols=(symbol,)).symbol_problem(symbol)
    assert found is not None
    assert f"did you mean {symbol.upper().replace('-', '').replace('/', '')}?" in found[1]


def test_a_perpetual_as_ccxt_has_it_is_led_to_the_symbol() -> None:
    found = BinanceSettings(market="usdm").symbol_problem("BTC/USDT:USDT")
    assert found is not None and "did you mean BTCUSDT?" in found[1]


@pytest.mark.parametrize("symbol", ["BTCUSDT", "1000PEPEUSDT", "BTCUSDT_260327", "币安人生USDT"])
def test_symbols_are_as_the_venue_writes_them(symbol: str) -> None:
    assert list(BinanceSettings(symbols=(symbol,)).problems()) == []


def test_each_market_has_its_own_hosts_unless_others_are_given() -> None:
    hosts = {m: BinanceSettings(market=m).rest_url for m in ("spot", "usdm", "us")}
    assert hosts == {
        "spot": "https://data-api.binance.vision",
        "usdm": "https://fapi.binance.com",
        "us": "https://api.binance.us",
    }
    assert BinanceSettings(market="usdm", rest_url="http://here:1").rest_url == "http://here:1"


def test_a_week_opens_on_monday() -> None:
    """As in the venue's own example: 3 July 2017."""
    week, opened = Timeframe.W1, 1_499_040_000_000
    (only,) = page(json.dumps([row(opened)]).encode(), week, opened, opened + week.ms).rows
    assert only.time == opened
