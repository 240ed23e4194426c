"""Bodies of Deribit's answers: the documented ones, and others of every shape."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from livecache.model.candle import ExactCandle
from livecache.model.timeframe import Timeframe
from livecache.venues.deribit.answers import decode_page, decode_products, decode_time, refused
from livecache.venues.deribit.settings import DeribitSettings
from livecache.venues.deribit.traits import traits_of
from livecache.venues.net.http import Answer
from livecache.venues.venue import FailureKind, FetchFailure, Page, PageRequest, Product

START = 1_767_225_600_000  # 2026-01-01
M1, D1 = Timeframe.M1, Timeframe.D1
NAMES = ("ticks", "open", "high", "low", "close", "volume", "status")
NOW = START + 10 * M1.ms
REQUEST = PageRequest("BTC-PERPETUAL", M1, START, START + 4 * M1.ms)
DOCUMENTED = Path(__file__).parents[3] / "shared" / "data" / "venues" / "deribit.json"


def answer(body: object, status: int = 200, headers: dict[str, str] | None = None) -> Answer:
    return Answer(status, body if isinstance(body, bytes) else json.dumps(body).encode(), headers or {})


def result(text: str) -> Answer:
    return answer(b'{"jsonrpc":"2.0","id":1,"usIn":1,"usOut":2,"result":' + text.encode() + b"}")


def columns(*rows: str) -> Answer:
    """An answer with these rows: tick, open, high, low, close and volume, as they stand in it."""
    parts = [row.split() for row in rows]
    names = ("ticks", "open", "high", "low", "close", "volume")
    lists = {name: ",".join(part[i] for part in parts) for i, name in enumerate(names)}
    return result('{"status":"ok",' + ",".join(f'"{n}":[{each}]' for n, each in lists.items()) + "}")


def page(told: Answer, request: PageRequest = REQUEST, now: int | None = NOW) -> Page:
    found = decode_page(request, traits_of(1_000, 0.5).grid(request.timeframe), told, now)
    assert not isinstance(found, FetchFailure), found
    told_page, rejected = found
    assert told_page.spoiled == len(rejected)
    return told_page


def documented() -> Any:
    if not DOCUMENTED.is_file():
        pytest.skip(f"no documented answers at {DOCUMENTED}")
    return json.loads(DOCUMENTED.read_text())["cases"]["http"]


def test_digits_stay_as_they_came_whatever_a_float_would_make_of_them() -> None:
    told = page(
        columns(
            f"{START} 87451.0 87456.5 87451.0 87456.50 3.6680847969999992",
            f"{START + M1.ms} 0.00001 1.0e-5 0.000010 1E-5 123456789012345678.123456789",
        )
    )
    assert [row.numbers for row in told.rows] == [
        ("87451.0", "87456.5", "87451.0", "87456.50", "3.6680847969999992"),
        ("0.00001", "1.0e-5", "0.000010", "1E-5", "123456789012345678.123456789"),
    ]


def test_the_documented_page_is_what_it_says_and_a_flat_row_is_among_it() -> None:
    told = page(answer(documented()["chart"]["body"]))
    assert [row.time for row in told.rows] == [START + n * M1.ms for n in range(4)]
    assert [row.flat for row in told.rows] == [False, False, True, False]
    assert told.rows[0].member() == f"[{START},87451.0,87456.5,87451.0,87456.5,2.94375216]"


def test_the_documented_answers_mean_what_they_are_called() -> None:
    cases = documented()
    assert page(answer(cases["nothing there"]["body"])).rows == ()
    days = PageRequest("BTC-PERPETUAL", D1, 1_767_168_000_000, 1_767_168_000_000 + 2 * D1.ms)
    told = page(answer(cases["daily: ticks at 08:00 UTC"]["body"]), days, days.end)
    assert [row.time % D1.ms for row in told.rows] == [8 * Timeframe.H1.ms] * 2
    assert decode_products(answer(cases["instruments"]["body"])) == {
        "BTC-PERPETUAL": Product("BTC-PERPETUAL", listed=1_534_167_754_000)
    }
    assert decode_time(answer(cases["time"]["body"])) == 1_767_225_660_000
    kinds = {
        "too many": (FailureKind.REFUSED, 1.0),
        "unknown instrument": (FailureKind.UNKNOWN_SYMBOL, None),
        "bad parameter": (FailureKind.UNSUPPORTED_TIMEFRAME, None),
    }
    for name, (kind, wait_s) in kinds.items():
        failure = refused(answer(cases[name]["body"], cases[name]["status"]))
        assert (failure.kind, failure.retry_after_s) == (kind, wait_s), name


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (10028, FailureKind.REFUSED),
        (13019, FailureKind.UNKNOWN_SYMBOL),
        (13020, FailureKind.UNKNOWN_SYMBOL),
        (10040, FailureKind.SERVER),
        (10041, FailureKind.SERVER),
        (11051, FailureKind.SERVER),
        (11050, FailureKind.BAD_REQUEST),
        (99999, FailureKind.BAD_REQUEST),
    ],
)
def test_a_code_says_what_it_is_whatever_status_it_comes_with(code: int, kind: FailureKind) -> None:
    body = {"jsonrpc": "2.0", "error": {"code": code, "message": "why_not"}}
    failure = refused(answer(body, 400))
    assert failure.kind is kind and failure.message == f"why not ({code})"
    told = decode_page(REQUEST, M1.grid, answer(body), NOW)
    assert isinstance(told, FetchFailure)
    assert told.kind is kind


@pytest.mark.parametrize("wait", [None, "soon", -1, True, [], 1e400, 10**400])
def test_a_wait_that_is_none_is_not_taken_for_one(wait: object) -> None:
    body = {"error": {"code": 10028, "message": "too_many_requests", "data": {"wait": wait}}}
    told = refused(answer(json.dumps(body).replace("Infinity", "1e400").encode(), 429, {"Retry-After": "3"}))
    assert told.kind is FailureKind.REFUSED and told.retry_after_s == 3.0


def test_columns_of_different_lengths_are_no_page_for_nobody_knows_which_row_lacks_what() -> None:
    ragged = {name: [1, 2] for name in NAMES[:6]} | {"low": [1]}
    told = decode_page(REQUEST, M1.grid, answer({"result": ragged}), NOW)
    assert isinstance(told, FetchFailure) and told.kind is FailureKind.MALFORMED
    assert "2, 2, 2, 1, 2, 2" in told.message


@pytest.mark.parametrize("told", ["{}", '{"status":"ok"}', '{"trades":[]}', '{"status":"ok","ticks":null}'])
def test_an_answer_of_another_kind_is_no_page_without_candles(told: str) -> None:
    found = decode_page(REQUEST, M1.grid, result(told), NOW)
    assert isinstance(found, FetchFailure) and found.kind is FailureKind.MALFORMED


@pytest.mark.parametrize("ticks", ["", ',"ticks":null', ',"ticks":[],"open":[]', ',"ticks":[],"open":null'])
def test_where_the_venue_says_that_it_has_no_data_there_is_none_whatever_the_columns_are(ticks: str) -> None:
    assert page(result(f'{{"status":"no_data"{ticks}}}')).rows == ()


GOOD = [f"{START + n * M1.ms} 10.0 12.0 9.0 11.0 1.5" for n in range(4)]


@pytest.mark.parametrize("message", [None, 7, ["too_many_requests"]])
def test_words_that_are_no_text_do_not_hide_what_the_code_says(message: object) -> None:
    told = refused(answer({"error": {"code": 10028, "message": message, "data": {"wait": 3}}}, 400))
    assert (told.kind, told.message, told.retry_after_s) == (FailureKind.REFUSED, "(10028)", 3.0)


@pytest.mark.parametrize("number", ["null", '"NaN"', "-1", "true", "[]", "{}", "1e99", '""', "0"])
@pytest.mark.parametrize("column", range(1, 5))
def test_a_row_that_cannot_be_believed_costs_its_own_bucket(number: str, column: int) -> None:
    parts = GOOD[1].split()
    parts[column] = number
    told = page(columns(GOOD[0], " ".join(parts), *GOOD[2:]))
    assert told.rejected == {START + M1.ms} and told.spoiled == 1
    assert [row.time for row in told.rows] == [START, START + 2 * M1.ms, START + 3 * M1.ms]


@pytest.mark.parametrize("tick", ["null", '"x"', str(START + 61_000), str(START), "-5", "1.5"])
def test_a_row_whose_time_cannot_be_believed_leaves_the_bucket_between_its_neighbours_in_doubt(
    tick: str,
) -> None:
    told = page(columns(GOOD[0], f"{tick} 10.0 12.0 9.0 11.0 1.5", *GOOD[2:]))
    assert START + M1.ms in told.rejected
    assert {row.time for row in told.rows} <= {START, START + 2 * M1.ms, START + 3 * M1.ms}


def test_rows_of_outside_are_dropped_and_cost_nothing() -> None:
    before, after = (f"{START + n * M1.ms} 10.0 12.0 9.0 11.0 1.5" for n in (-1, 4))
    told = page(columns(before, *GOOD, after))
    assert [row.time for row in told.rows] == [START + n * M1.ms for n in range(4)]
    assert told.rejected == frozenset()


def test_an_instrument_that_is_not_active_is_halted_and_what_cannot_be_read_is_left_out() -> None:
    listed = [
        {"instrument_name": "BTC-PERPETUAL", "is_active": True},
        {"instrument_name": "OLD-PERPETUAL", "is_active": False},
        {"instrument_name": "ODD-PERPETUAL", "is_active": "?", "creation_timestamp": "?"},
        {"instrument_name": ""},
        {"name": 5},
        7,
    ]
    told = decode_products(answer({"result": listed}))
    assert not isinstance(told, FetchFailure)
    assert {name: product.halted for name, product in told.items()} == {
        "BTC-PERPETUAL": "",
        "OLD-PERPETUAL": "not active",
        "ODD-PERPETUAL": "",
    }


json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.floats(allow_nan=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(NAMES), json_values) | json_values, st.binary(max_size=40))
def test_no_body_raises(value: Any, noise: bytes) -> None:
    readers: tuple[Callable[[Answer], object], ...] = (
        lambda told: decode_page(REQUEST, M1.grid, told, NOW),
        decode_products,
        decode_time,
    )
    for body in (msgspec.json.encode({"result": value}), msgspec.json.encode({"error": value}), noise):
        for read in readers:
            read(answer(body))
        assert isinstance(refused(answer(body, 400)), FetchFailure)


@given(st.lists(st.sampled_from([*GOOD, "null 1 1 1 1 1", "5 1 1 1 1 1"]), max_size=8))
def test_whatever_rows_come_each_bucket_is_there_once_and_in_order(rows: list[str]) -> None:
    told = page(columns(*rows))
    times = [row.time for row in told.rows]
    assert times == sorted(set(times)) and not told.rejected & set(times)
    assert all(isinstance(row, ExactCandle) for row in told.rows)


@pytest.mark.parametrize(
    "symbol",
    [
        "BTC-PERPETUAL",
        "BTC_USDC-PERPETUAL",
        "ETH_USDC",
        "BTC-25DEC26",
        "XRP_USDC-25DEC26-0d625-C",
        "BTC-25DEC26-100000-P",
    ],
)
def test_instruments_are_named_as_the_venue_names_them(symbol: str) -> None:
    assert DeribitSettings().symbol_problem(symbol) is None


@pytest.mark.parametrize(
    ("wrong", "meant"),
    [
        ("btc-perpetual", "BTC-PERPETUAL"),
        ("BTC/USD", "BTC-PERPETUAL"),
        ("BTC/USD:BTC", "BTC-PERPETUAL"),
        ("btc/usdc:usdc", "BTC_USDC-PERPETUAL"),
        ("ETH/USDC", "ETH_USDC"),
    ],
)
def test_a_name_as_others_write_it_is_explained(wrong: str, meant: str) -> None:
    problem = DeribitSettings().symbol_problem(wrong)
    assert problem is not None and f"did you mean {meant}?" in problem[1]


def test_a_name_without_end_is_no_name_and_is_told_so_at_once() -> None:
    assert DeribitSettings().symbol_problem("BTC-" + "0d0" * 100_000 + "!") == (
        "a name of 300005 characters",
        "they look like BTC-PERPETUAL",
    )
