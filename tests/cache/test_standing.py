"""What a reader is told of a product that the venue does not know, or that does not trade."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import fakeredis
import pytest

from livecache import NotListed, NotReady, NotTraded, Reader, Stale

from .support import BTC, ETH, STEP, T0, state
from .test_reader import put

UNKNOWN = "unknown: Coinbase does not know WRONG-USD: correct venues.coinbase.symbols"
HALTED = "halted: Coinbase lists BTC-USD as delisted; its newest candle opened at 2025-07-21T00:45Z"


@pytest.fixture
def client() -> Iterator[Any]:
    with fakeredis.FakeRedis() as fake:
        yield fake


@pytest.fixture
def reader(client: Any) -> Reader:
    return Reader(client=client)


def nothing(reason: str) -> Any:
    return state(
        0,
        0,
        0,
        ready=False,
        reason=reason,
        contiguous_from=0,
        settled_through=0,
        known_through=0,
    )


def test_a_symbol_that_the_venue_does_not_know_is_an_error_of_its_own(client: Any, reader: Reader) -> None:
    put(client, nothing(UNKNOWN), [])
    with pytest.raises(NotListed, match="Coinbase does not know WRONG-USD: correct"):
        reader.candles("BTC-USD", "5m", 1)
    (answer,) = reader.many([("BTC-USD", "5m", 1)]).values()
    assert isinstance(answer, NotListed) and isinstance(answer, NotReady)


def test_a_delisted_symbol_is_read_as_long_as_its_candles_are_new_and_then_named(
    client: Any, reader: Reader
) -> None:
    gone = state(0, 10, 10, ready=False, reason=UNKNOWN)
    put(client, gone, range(10))
    candles = reader.candles("BTC-USD", "5m", 5)
    assert candles.standing == "unknown" and "unknown" in repr(candles)
    put(client, gone, range(10), now=T0 + 20 * STEP)
    with pytest.raises(NotListed) as caught:
        reader.candles("BTC-USD", "5m", 5)
    assert isinstance(caught.value.__cause__, Stale), "it still says how far it lags"


def test_waiting_ends_at_once_where_only_unknown_symbols_are_missing(client: Any, reader: Reader) -> None:
    put(client, state(0, 10, 10), range(10), series=ETH)
    put(client, nothing(UNKNOWN), [])
    began = time.monotonic()
    with pytest.raises(NotListed, match="1 of 2 series"):
        reader.wait_ready([("ETH-USD", "5m", 5), ("BTC-USD", "5m", 5)], timeout=60)
    assert time.monotonic() - began < 30, "waiting would bring nothing"


def test_waiting_goes_on_for_what_may_come_though_a_symbol_is_unknown(client: Any, reader: Reader) -> None:
    put(client, nothing("warming up: nothing fetched yet"), [], series=ETH)
    put(client, nothing(UNKNOWN), [])
    with pytest.raises(NotReady, match="warming up") as caught:
        reader.wait_ready([("BTC-USD", "5m", 5), ("ETH-USD", "5m", 5)], timeout=0.2)
    assert not isinstance(caught.value, NotListed)


def test_a_halted_product_is_read_and_told_as_halted(client: Any, reader: Reader) -> None:
    put(client, state(0, 130, 130, ready=False, reason=HALTED), range(10))
    candles = reader.candles("BTC-USD", "5m", 5)
    assert candles.standing == "halted" and "halted" in repr(candles)
    put(client, state(0, 10, 10), range(10))
    assert reader.candles("BTC-USD", "5m", 5).standing == ""


@pytest.mark.parametrize("empty", ["skip", "carry", "null"])
def test_no_candle_older_than_a_limit_is_the_readers_choice(client: Any, reader: Reader, empty: Any) -> None:
    """Ten candles, and then ten hours in which nothing was traded."""
    put(client, state(0, 130, 130, reason=HALTED, ready=False), range(10), now=T0 + 130 * STEP + 1000)
    ten_hours = 120 * 300
    options: Any = {"empty": empty, "at_least": 1}
    assert reader.candles("BTC-USD", "5m", 130, newest_within=ten_hours + 60, **options)
    with pytest.raises(NotTraded, match=r"2025-07-21T00:45.*nothing was traded within 3600 s.*delisted"):
        reader.candles("BTC-USD", "5m", 5, newest_within=3600, **options)
    (answer,) = reader.many([("BTC-USD", "5m", 5)], newest_within=3600).values()
    assert isinstance(answer, NotTraded) and isinstance(answer, Stale)


def test_the_bucket_in_progress_is_a_newer_candle(client: Any, reader: Reader) -> None:
    put(client, state(0, 20, 20, forming=20), [*range(10), 20])
    with pytest.raises(NotTraded):
        reader.candles("BTC-USD", "5m", 5, newest_within=60)
    assert reader.candles("BTC-USD", "5m", 5, newest_within=60, forming=True)[-1].time == T0 + 20 * STEP


def test_a_limit_that_is_no_number_of_seconds_is_refused(reader: Reader) -> None:
    for wrong in (-1, float("nan")):
        with pytest.raises(ValueError, match="newest_within"):
            reader.candles(BTC.symbol, "5m", 5, newest_within=wrong)
