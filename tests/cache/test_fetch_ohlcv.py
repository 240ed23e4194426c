"""ccxt's own call: its list of lists, its `since` and `limit`, and no hole that looks like a quiet market."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from livecache import NotReady, OutOfSync, Stale, UnknownSeries, UnknownTimeframe

from .either import either
from .support import BTC, STEP, T0, state
from .test_reader import ALIVE, put


def times(rows: Sequence[Sequence[float]]) -> list[int]:
    """Which buckets the rows are of."""
    return [int(row[0] - T0) // STEP for row in rows]


@pytest.fixture
def reader(kind: str, clean_valkey: str, store: Any) -> Any:
    put(store, state(0, 10, 10), range(10))
    with either(kind, clean_valkey) as opened:
        yield opened


def test_rows_are_ccxts_lists_of_closed_candles_oldest_first(reader: Any) -> None:
    rows = reader.fetch_ohlcv("BTC/USD", "5m")
    assert type(rows) is list and len(rows) == 10
    assert rows[0] == [T0, 100.0, 110.0, 90.0, 101.5, 2.5]
    assert {type(row) for row in rows} == {list}
    assert [type(number) for number in rows[0]] == [int] + [float] * 5
    assert times(rows) == list(range(10))


@pytest.mark.parametrize("symbol", ["BTC/USD", "BTC-USD"])
def test_both_forms_of_a_symbol_are_read(reader: Any, symbol: str) -> None:
    assert times(reader.fetch_ohlcv(symbol, "5m", None, 2)) == [8, 9]


@pytest.mark.parametrize(
    ("since", "limit", "expected"),
    [
        (None, 3, [7, 8, 9]),  # the newest
        (None, 50, list(range(10))),  # fewer is no error
        (T0 + 4 * STEP, None, [4, 5, 6, 7, 8, 9]),  # inclusive
        (T0 + 4 * STEP + 1, None, [5, 6, 7, 8, 9]),
        (T0 + 4 * STEP - 1, 2, [4, 5]),  # the first ones since then
        (T0 + 8 * STEP, 50, [8, 9]),
        (T0 - 50 * STEP, 3, [0, 1, 2]),  # older than what is kept
        (T0 + 10 * STEP, None, []),
        (0, None, list(range(10))),
        (datetime(2025, 7, 21, 0, 20, tzinfo=UTC), 1, [4]),
        ("2025-07-21T00:20:00Z", 1, [4]),
    ],
)
def test_since_and_limit_choose_as_ccxt_does(
    reader: Any, since: Any, limit: Any, expected: list[int]
) -> None:
    assert times(reader.fetch_ohlcv("BTC/USD", "5m", since, limit)) == expected
    assert times(reader.fetch_ohlcv("BTC/USD", "5m", since=since, limit=limit, params={})) == expected


def test_the_bucket_in_progress_is_the_last_row_on_request(kind: str, clean_valkey: str, store: Any) -> None:
    put(store, state(0, 10, 10, forming=10), range(11))
    forming = {"forming": True}
    with either(kind, clean_valkey) as reader:
        assert times(reader.fetch_ohlcv("BTC/USD", "5m", None, 2)) == [8, 9]
        assert times(reader.fetch_ohlcv("BTC/USD", "5m", None, 2, forming)) == [8, 9, 10]
        assert times(reader.fetch_ohlcv("BTC/USD", "5m", T0 + 8 * STEP, None, forming)) == [8, 9, 10]
        assert times(reader.fetch_ohlcv("BTC/USD", "5m", T0, 2, forming)) == [0, 1], "it is not next to these"
        put(store, state(0, 10, 10, forming=10), range(10))
        assert times(reader.fetch_ohlcv("BTC/USD", "5m", None, 2, forming)) == [8, 9], "nothing traded yet"
        put(store, state(0, 10, 10, forming=10), range(11), feed="down")
        with pytest.raises(OutOfSync):
            reader.fetch_ohlcv("BTC/USD", "5m", None, 2, forming)


def test_settled_rows_only_for_who_asks(kind: str, clean_valkey: str, store: Any) -> None:
    put(store, state(0, 8, 10), range(10))
    with either(kind, clean_valkey) as reader:
        assert times(reader.fetch_ohlcv("BTC/USD", "5m", None, 2, {"settled": True})) == [6, 7]


# --- holes


def test_a_hole_in_what_is_asked_for_is_an_error(kind: str, clean_valkey: str, store: Any) -> None:
    put(store, state(5, 10, 10), [0, 1, 2, 5, 6, 7, 8, 9])
    with either(kind, clean_valkey) as reader:
        for since, limit in ((None, None), (None, 8), (None, 6), (T0, None), (T0, 1), (T0 + 2 * STEP, 3)):
            with pytest.raises(NotReady, match="a hole: not all is known between 2025-07-21T00:15Z and"):
                reader.fetch_ohlcv("BTC/USD", "5m", since, limit)
        assert times(reader.fetch_ohlcv("BTC/USD", "5m", None, 5)) == [5, 6, 7, 8, 9]
        assert times(reader.fetch_ohlcv("BTC/USD", "5m", T0 + 6 * STEP, 2)) == [6, 7]


def test_a_since_within_a_hole_is_an_error_too(kind: str, clean_valkey: str, store: Any) -> None:
    put(store, state(5, 10, 10), [0, 1, 2, 5, 6, 7, 8, 9])
    with either(kind, clean_valkey) as reader:
        for since in (T0 + 3 * STEP, T0 + 3 * STEP + 1, T0 + 4 * STEP):
            with pytest.raises(NotReady, match="a hole: not all is known between 2025-07-21T00:15Z and"):
                reader.fetch_ohlcv("BTC/USD", "5m", since)
        for since in (T0 + 4 * STEP + 1, T0 + 5 * STEP):
            assert times(reader.fetch_ohlcv("BTC/USD", "5m", since)) == [5, 6, 7, 8, 9], "what opens after it"


def test_a_bucket_in_which_nothing_was_traded_is_no_hole(kind: str, clean_valkey: str, store: Any) -> None:
    put(store, state(0, 10, 10), [0, 1, 4, 5, 9])
    with either(kind, clean_valkey) as reader:
        assert times(reader.fetch_ohlcv("BTC/USD", "5m")) == [0, 1, 4, 5, 9]
        put(store, state(0, 10, 10), [])
        assert reader.fetch_ohlcv("BTC/USD", "5m") == []


def test_what_lies_before_the_end_of_the_search_is_no_hole(kind: str, clean_valkey: str, store: Any) -> None:
    short = state(5, 10, 10, ready=False, reason="venue has only 5 of 60, searched back to 2025-07-21T00:25Z")
    put(store, short, [0, 5, 6, 7, 8, 9])
    with either(kind, clean_valkey) as reader:
        assert times(reader.fetch_ohlcv("BTC/USD", "5m")) == [5, 6, 7, 8, 9]


def test_what_no_read_gives_this_does_not_give_either(reader: Any, store: Any) -> None:
    with pytest.raises(UnknownSeries):
        reader.fetch_ohlcv("DOGE/USD", "5m")
    with pytest.raises(UnknownTimeframe):
        reader.fetch_ohlcv("BTC/USD", "45x")
    store.delete(ALIVE)
    with pytest.raises(Stale):
        reader.fetch_ohlcv("BTC/USD", "5m")
    put(store, state(0, 7, 7, closed_through=T0 + 10 * STEP), range(7))
    with pytest.raises(Stale):
        reader.fetch_ohlcv("BTC/USD", "5m", params={"max_lag": 0})
    assert times(reader.fetch_ohlcv("BTC/USD", "5m", params={"max_lag": 3600})) == list(range(7))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"limit": 0}, "limit is a number"),
        ({"limit": True}, "limit is a number"),
        ({"since": 1.5}, "since is a time"),
        ({"since": datetime(2025, 7, 21)}, "since has no time zone"),
        ({"params": {"until": T0}}, "params holds forming, settled, max_lag at most, not 'until'"),
        ({"params": {"price": "mark"}}, "not 'price'"),
        ({"params": {"forming": True, "settled": True}}, "never settled"),
        ({"symbol": None}, "symbol is a text"),
    ],
)
def test_what_would_be_passed_over_is_refused_by_name(reader: Any, arguments: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        reader.fetch_ohlcv(**{"symbol": "BTC/USD", "timeframe": "5m"} | arguments)


# --- symbols in another spelling


def put_symbols(store: Any, *symbols: str) -> None:
    """Series of these symbols, of which each has one candle more than the one before, from five on."""
    for n, symbol in enumerate(symbols, start=5):
        put(store, state(0, n, n), range(n), series=BTC._replace(symbol=symbol))


@pytest.mark.parametrize(
    ("there", "asked"),
    [
        ("T-USDT", "T/USDT"),
        ("T_USDT", "T/USDT"),
        ("T/USDT", "T-USDT"),
        ("BTC/USDT:USDT", "BTC-USDT-USDT"),
        ("BTCUSD", "BTC/USD"),  # where it has none of its own, there is nothing to compare
        ("BTC-USD", "BTCUSD"),
    ],
)
def test_a_symbol_in_another_spelling_is_found(
    kind: str, clean_valkey: str, store: Any, there: str, asked: str
) -> None:
    put_symbols(store, there)
    with either(kind, clean_valkey) as reader:
        assert len(reader.fetch_ohlcv(asked, "5m")) == 5


@pytest.mark.parametrize(
    ("there", "asked"),
    [
        ("T-USDT", "TUS/DT"),
        ("TUS-DT", "T/USDT"),
        ("A_BC", "AB-C"),
        ("BTC/USDT:USDT", "BTC/USDTUSDT"),
        ("BTC/USDT:USDT", "BTC/USDT"),
        ("BTC-USD", "BTC--USD"),
        ("BTC-USD", "BTCUSD/"),
    ],
)
def test_another_market_whose_letters_are_the_same_is_none_of_it(
    kind: str, clean_valkey: str, store: Any, there: str, asked: str
) -> None:
    put_symbols(store, there)
    with either(kind, clean_valkey) as reader, pytest.raises(UnknownSeries):
        reader.fetch_ohlcv(asked, "5m")


def test_where_the_base_tells_two_markets_apart_each_is_found(
    kind: str, clean_valkey: str, store: Any
) -> None:
    put_symbols(store, "T_USDT", "TUS_DT")
    with either(kind, clean_valkey) as reader:
        assert len(reader.fetch_ohlcv("T/USDT", "5m")) == 5
        assert len(reader.fetch_ohlcv("TUS/DT", "5m")) == 6
        with pytest.raises(UnknownSeries):
            reader.fetch_ohlcv("TUSDT", "5m")  # which may be either
