"""A candle is believed only if it can be true."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from livecache.model.candle import ExactCandle, rejection
from livecache.model.timeframe import Timeframe

GOOD = ExactCandle(1_770_000_000_000, "2.5", "3", "2", "2.75", "10.5")
NOW = GOOD.time + 1


def test_a_plausible_candle_is_believed_and_keeps_its_digits() -> None:
    assert rejection(GOOD, Timeframe.M5, NOW) is None
    assert GOOD.member() == "[1770000000000,2.5,3,2,2.75,10.5]"


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"high": "2.6"}, "within"),
        ({"low": "2.6"}, "within"),
        ({"open": "3.01"}, "within"),
        ({"low": "0"}, "positive"),
        ({"low": "-1"}, "plain number"),
        ({"volume": "-0.1"}, "plain number"),
        ({"close": "NaN"}, "plain number"),
        ({"high": "Infinity"}, "plain number"),
        ({"open": "1_000"}, "plain number"),
        ({"open": " 2.5"}, "plain number"),
        ({"open": "２.5"}, "plain number"),
        ({"open": "02.5"}, "plain number"),
        ({"open": ""}, "plain number"),
        ({"volume": "1" * 40}, "plain number"),
        ({"volume": "1,1"}, "plain number"),
        ({"volume": "1e"}, "plain number"),
        ({"volume": "1e28"}, "absurdly"),
        ({"volume": "1e-37"}, "absurdly"),
        ({"volume": "1e999999999"}, "absurdly"),
        ({"low": "1e-999999999"}, "absurdly"),
        ({"time": GOOD.time + 1_000}, "not the open"),
        ({"time": GOOD.time + 300_000}, "future"),
        ({"time": 0}, "not the open"),
    ],
)
def test_a_candle_that_cannot_be_true_is_rejected_with_the_reason(change: dict[str, str], word: str) -> None:
    reason = rejection(replace(GOOD, **change), Timeframe.M5, NOW)
    assert reason is not None
    assert word in reason


@pytest.mark.parametrize(
    "volume", ["1E-10", "1e+05", "1.5E+13", "1e-007", "0e0", "0E+99", "12.5e12", "5e-36"]
)
def test_an_exponent_of_any_length_is_a_plain_number(volume: str) -> None:
    assert rejection(replace(GOOD, volume=volume), Timeframe.M5, NOW) is None
    assert float(volume) == msgspec.json.decode(replace(GOOD, volume=volume).member())[5]


@given(st.text(max_size=20))
def test_no_text_ever_breaks_the_check(text: str) -> None:
    rejection(replace(GOOD, close=text, volume=text), Timeframe.M5, NOW)


def test_candles_are_compared_by_value_not_by_digits() -> None:
    assert GOOD.equals(replace(GOOD, open="2.50", volume="10.500"))
    assert not GOOD.equals(replace(GOOD, volume="10.50000001"))
    assert replace(GOOD, volume="10.50000001").richer_than(GOOD)
    assert not replace(GOOD, volume="10.500").richer_than(GOOD)
