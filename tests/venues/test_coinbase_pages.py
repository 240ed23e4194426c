"""Bodies of Coinbase's REST answers, and its complaints in every shape."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from livecache.model.candle import rejection
from livecache.model.timeframe import Timeframe
from livecache.venues.coinbase.pages import decode_page, decode_products, decode_time, refusal
from livecache.venues.rows import DecodedPage
from livecache.venues.venue import FailureKind, FetchFailure, PageRequest, Product
from tests.sizes import examples

from .loopback import CAPTURES, PAYLOADS, payload
from .test_coinbase_messages import damaged, json_values

# The payload holds rows of 03:40, 03:45, 03:55 and, as the inclusive bound brings it, 04:00.
REQUEST = PageRequest("BTC-USD", Timeframe.M5, 1784086800000, 1784088000000)
NOW = 1784088300000
POISON: tuple[object, ...] = (
    *(
        "NaN",
        "nan",
        "Infinity",
        "-inf",
        "-1",
        "",
        "soon",
        "1,5",
        "1_000",
        "0x10",
        "\uff12",
        "1" * 5000,
        "--1",
        "1e",
    ),
    *(None, True, [], {}, -3.5),
)


def page(change: Callable[[list[Any]], None] = lambda rows: None) -> DecodedPage:
    body = msgspec.json.decode(payload("rest_candles"))
    change(body["candles"])
    decoded = decode_page(REQUEST, msgspec.json.encode(body), NOW)
    assert isinstance(decoded, DecodedPage)
    return decoded


def times(decoded: DecodedPage) -> list[int]:
    return [row.time for row in decoded.page.rows]


def test_rows_come_oldest_first_and_only_those_that_were_asked_for() -> None:
    decoded = page()
    assert times(decoded) == [1784086800000, 1784087100000, 1784087700000]
    assert decoded.page.rows[-1].member() == "[1784087700000,64520.01,64589.41,64500.11,64580.55,12.34567891]"
    assert decoded == DecodedPage(decoded.page, ())


def test_a_row_that_is_there_twice_is_one_and_what_it_may_have_replaced_is_in_doubt() -> None:
    def repeat(rows: list[Any]) -> None:
        rows.insert(1, {**rows[1]})
        rows.append({**rows[-1]})

    decoded = page(repeat)
    assert times(decoded) == [1784086800000, 1784087100000, 1784087700000]
    assert decoded.page.rejected == {1784087400000}, "the one that has no row beside it"


def test_of_two_different_rows_for_one_bucket_neither_is_believed() -> None:
    decoded = page(lambda rows: rows.insert(1, {**rows[1], "volume": "12.4"}))
    assert times(decoded) == [1784086800000, 1784087100000]
    assert decoded.page.rejected == {1784087400000, 1784087700000}


def test_a_row_that_cannot_be_believed_leaves_its_bucket_in_doubt() -> None:
    def spoil(rows: list[Any]) -> None:
        rows[1]["high"] = "0.1"

    decoded = page(spoil)
    assert times(decoded) == [1784086800000, 1784087100000]
    assert decoded.page.rejected == {1784087700000}
    assert len(decoded.rejected) == 1


@pytest.mark.parametrize("start", [None, "soon", "9" * 5000, -300, "1784087701.5", [], True])
def test_a_row_without_a_credible_time_leaves_what_lies_between_its_neighbours_in_doubt(
    start: object,
) -> None:
    def spoil(rows: list[Any]) -> None:
        rows[1]["start"] = start

    decoded = page(spoil)
    assert times(decoded) == [1784086800000, 1784087100000]
    assert decoded.page.rejected == {1784087400000, 1784087700000}


@pytest.mark.parametrize("start", ["1784087701", 1784087999, "1784087701.0"])
def test_a_row_off_the_grid_costs_the_bucket_that_it_lies_in(start: object) -> None:
    decoded = page(lambda rows: rows[1].update(start=start))
    assert times(decoded) == [1784086800000, 1784087100000]
    assert decoded.page.rejected == {1784087700000}


@pytest.mark.parametrize("start", ["1784087100", "1784086500", "1784091300", 0])
def test_a_row_under_another_rows_time_makes_no_bucket_empty(start: object) -> None:
    """03:55 comes as 03:45, as one before the page, and as one after it."""
    decoded = page(lambda rows: rows[1].update(start=start))
    assert 1784087700000 in decoded.page.rejected
    assert 1784086800000 in times(decoded)


def set_of(**fields: object) -> Callable[[list[Any]], None]:
    return lambda rows: rows[1].update(fields)


@pytest.mark.parametrize(
    "spoil",
    [
        *(set_of(**{name: value}) for name in ("open", "volume") for value in POISON),
        lambda rows: rows[1].pop("close"),
        set_of(open="64500.00"),  # below low
        set_of(close="64589.42"),  # above high
        set_of(low="0", open="0"),
        set_of(high="1e999999999"),
        set_of(volume="1e-999999999"),
    ],
)
def test_every_form_of_a_row_that_cannot_be_believed_costs_its_own_bucket(
    spoil: Callable[[list[Any]], None],
) -> None:
    decoded = page(spoil)
    assert times(decoded) == [1784086800000, 1784087100000]
    assert decoded.page.rejected == {1784087700000}
    assert decoded.page.reasons[1784087700000]
    assert decoded.page.spoiled == 1


@pytest.mark.parametrize("bare", [b"NaN", b"-Infinity", b"Infinity"])
def test_what_is_no_number_and_no_json_costs_its_own_bucket(bare: bytes) -> None:
    """As careless writers of JSON print it, without quotes."""
    body = msgspec.json.decode(payload("rest_candles"))
    body["candles"][1]["volume"] = "here"
    spoilt = msgspec.json.encode(body).replace(b'"here"', bare)
    decoded = decode_page(REQUEST, spoilt, NOW)
    assert isinstance(decoded, DecodedPage)
    assert times(decoded) == [1784086800000, 1784087100000]
    assert decoded.page.rejected == {1784087700000}


@pytest.mark.parametrize(
    ("written", "held"),
    [
        ("1E-10", "1E-10"),
        ("1e+05", "1e+05"),
        ("1.5E+13", "1.5E+13"),
        ("1e0000005", "1e0000005"),
        (12.25, "12.25"),
        (7, "7"),
        (".5", "0.5"),
        ("5.", "5"),
        ("+5", "5"),
        ("007.50", "7.50"),
    ],
)
def test_a_plain_number_is_believed_however_it_is_written(written: object, held: str) -> None:
    decoded = page(set_of(volume=written))
    assert decoded.rejected == ()
    assert decoded.page.rows[-1].volume == held
    assert msgspec.json.decode(decoded.page.rows[-1].member())[5] == float(held)


def test_a_row_in_the_future_of_the_venues_clock_is_rejected() -> None:
    decoded = decode_page(REQUEST, payload("rest_candles"), 1784087400000)
    assert isinstance(decoded, DecodedPage)
    assert times(decoded) == [1784086800000, 1784087100000]
    assert decoded.page.rejected == {1784087700000}


def test_an_empty_list_is_a_page() -> None:
    decoded = decode_page(REQUEST, b'{"candles":[]}', NOW)
    assert isinstance(decoded, DecodedPage)
    assert decoded.page.rows == ()


@pytest.mark.parametrize(
    "body", [b"", b"{}", b"[]", b'{"candles":null}', b"<html><title>Sign in</title></html>", b'{"candles":[']
)
def test_another_200_than_a_page_is_malformed(body: bytes) -> None:
    failure = decode_page(REQUEST, body, NOW)
    assert isinstance(failure, FetchFailure)
    assert failure.kind is FailureKind.MALFORMED


def test_products_resolve_to_the_id_that_their_feed_carries() -> None:
    assert decode_products(payload("rest_products")) == {
        "BTC-USD": Product("BTC-USD"),
        "BTC-USDC": Product("BTC-USD"),
        "USDT-USDC": Product("USDT-USDC"),
    }


def test_one_odd_product_does_not_hide_the_others() -> None:
    assert decode_products(b'{"products":[{"product_id":5},{"product_id":"A-B"},null]}') == {
        "A-B": Product("A-B")
    }


@pytest.mark.parametrize(
    ("told", "halted"),
    [
        ({"status": "online"}, ""),
        (
            {"status": "delisted", "trading_disabled": True, "view_only": True},
            "delisted, trading disabled, view only",
        ),
        ({"status": "offline"}, "offline"),
        ({"status": "Online"}, ""),
        ({"is_disabled": True}, "disabled"),
        ({"auction_mode": True}, "in auction"),
        ({"cancel_only": True}, "cancel only"),
        ({"post_only": "true"}, "post only"),
        ({"limit_only": True}, ""),
        ({"status": None, "view_only": None, "trading_disabled": "no", "cancel_only": 7}, ""),
        ({"status": "a; b\nc"}, "a, b c"),
    ],
)
def test_a_product_that_is_listed_and_cannot_trade_says_why(told: dict[str, object], halted: str) -> None:
    body = msgspec.json.encode({"products": [{"product_id": "A-B", **told}]})
    assert decode_products(body) == {"A-B": Product("A-B", halted)}


def test_the_time_is_read_in_milliseconds() -> None:
    assert decode_time(payload("rest_time")) == 1784086811584
    assert isinstance(decode_time(b'{"epochMillis":"soon"}'), FetchFailure)


HTML = b"<!DOCTYPE html><html><head><title>502 Bad\nGateway</title></head><body>cloudflare</body></html>"


@pytest.mark.parametrize(
    ("status", "body", "signed", "kind", "gist"),
    [
        (
            429,
            payload("rest_rate_limit"),
            False,
            FailureKind.REFUSED,
            "rate_limit_exceeded: Too many requests",
        ),
        (429, b"", False, FailureKind.REFUSED, "HTTP 429"),
        (418, b"I'm a teapot", False, FailureKind.BANNED, "HTTP 418: I'm a teapot"),
        (401, b"Unauthorized\n", False, FailureKind.REFUSED, "HTTP 401: Unauthorized"),
        (401, b"Unauthorized\n", True, FailureKind.UNAUTHORIZED, "Unauthorized"),
        (403, b"", True, FailureKind.UNAUTHORIZED, "HTTP 403"),
        (403, b"<p>blocked</p>", False, FailureKind.BAD_REQUEST, "HTTP 403: blocked"),
        (404, payload("rest_not_found"), False, FailureKind.UNKNOWN_SYMBOL, "Product NOPE-USD not supported"),
        (404, b"<title>no such page</title>", False, FailureKind.BAD_REQUEST, "no such page"),
        (400, payload("rest_too_wide"), False, FailureKind.PAGE_TOO_LONG, "less than 350"),
        (400, payload("rest_bad_granularity"), False, FailureKind.UNSUPPORTED_TIMEFRAME, "granularity"),
        (400, b'{"error":"INVALID_ARGUMENT"}', False, FailureKind.BAD_REQUEST, "INVALID_ARGUMENT"),
        (400, b"[1]", False, FailureKind.BAD_REQUEST, "[1]"),
        (410, b"\xff\xfe", False, FailureKind.BAD_REQUEST, "HTTP 410"),
        (302, b"", False, FailureKind.BAD_REQUEST, "HTTP 302"),
        (500, payload("rest_generic"), False, FailureKind.SERVER, "something broke"),
        (502, HTML, False, FailureKind.SERVER, "HTTP 502: 502 Bad Gateway"),
    ],
)
def test_each_complaint_has_its_kind_and_a_message_of_one_line(
    status: int, body: bytes, signed: bool, kind: FailureKind, gist: str
) -> None:
    failure = refusal(status, body, signed=signed)
    assert failure.kind is kind
    assert gist in failure.message
    assert "\n" not in failure.message
    assert failure.status == status


REST_PAYLOADS = [path.read_bytes() for path in sorted(PAYLOADS.glob("rest_*.json"))]
ANYTHING = st.one_of(st.binary(max_size=300), json_values.map(msgspec.json.encode), damaged(REST_PAYLOADS))


@settings(max_examples=examples(300), deadline=None)
@given(body=ANYTHING)
def test_any_bytes_give_a_page_to_be_believed_or_a_failure(body: bytes) -> None:
    decoded = decode_page(REQUEST, body, NOW)
    if isinstance(decoded, FetchFailure):
        assert len(decoded.message) <= 200
        return
    assert times(decoded) == sorted({row.time for row in decoded.page.rows})
    for row in decoded.page.rows:
        assert REQUEST.start <= row.time < REQUEST.end
        assert rejection(row, Timeframe.M5, NOW) is None
        assert row.time not in decoded.page.rejected
    assert bool(decoded.page.rejected) <= bool(decoded.rejected)
    assert decoded.page.spoiled == len(decoded.rejected)
    assert all(REQUEST.start <= time < REQUEST.end for time in decoded.page.rejected)


@settings(max_examples=examples(200), deadline=None)
@given(body=ANYTHING, status=st.sampled_from([400, 401, 404, 429, 500]))
def test_any_complaint_has_a_bounded_message(body: bytes, status: int) -> None:
    assert len(refusal(status, body, signed=False).message) <= 220
    decode_products(body)
    decode_time(body)


def test_a_captured_body_is_read_exactly() -> None:
    """A real answer of 2026-10-06, 9 s into a minute: 20 buckets, the newest not yet there."""
    captured = CAPTURES / "transcribed" / "rest_candles_ETH-USD_ONE_MINUTE_limit20_at_1791282309.json"
    if not captured.exists():
        pytest.skip(f"no captures at {CAPTURES}")
    body = captured.read_bytes()
    wire = msgspec.json.decode(body)["candles"]
    request = PageRequest("ETH-USD", Timeframe.M1, 1791281100000, 1791282360000)
    decoded = decode_page(request, body, 1791282309000)
    assert isinstance(decoded, DecodedPage)
    assert decoded.rejected == ()
    assert [(str(row.time // 1000), row.volume) for row in decoded.page.rows] == [
        (row["start"], row["volume"]) for row in reversed(wire)
    ]
