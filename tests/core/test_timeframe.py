"""Buckets begin and end where the venue says."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from livecache.errors import UnknownTimeframe
from livecache.model.timeframe import Timeframe, iso, readable


@given(st.sampled_from([t for t in Timeframe if t.ms <= Timeframe.D1.ms]), st.integers(0, 4_000_000_000_000))
def test_every_time_lies_in_exactly_one_bucket(timeframe: Timeframe, time: int) -> None:
    start = timeframe.floor(time)
    assert start <= time < start + timeframe.ms
    assert start % timeframe.ms == 0
    assert timeframe.ceil(time) in (start, start + timeframe.ms)
    assert timeframe.floor(start) == timeframe.ceil(start) == start
    assert timeframe.floor(start - 1) == start - timeframe.ms


def test_weeks_begin_on_monday_and_months_on_their_first_day() -> None:
    leap_day = 1_709_164_800_000  # 2024-02-29T00:00Z, a Thursday
    assert iso(Timeframe.W1.floor(leap_day)) == "2024-02-26T00:00Z"
    assert iso(Timeframe.MN1.floor(leap_day)) == "2024-02-01T00:00Z"
    assert iso(Timeframe.MN1.ceil(leap_day)) == "2024-03-01T00:00Z"


def test_they_are_listed_by_length() -> None:
    assert list(Timeframe) == sorted(Timeframe, key=lambda timeframe: timeframe.ms)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("5min", "5m"),
        ("1H", "1h"),
        ("24h", "1d"),
        ("7d", "1w"),
        ("1Min", "1m"),
        ("1 minute", "1m"),
        ("1 Month", "1M"),
        ("4hour", "4h"),
        ("3M", "1M"),
        ("30d", "1w"),
        ("5M", "1M"),
        ("5x", "5m"),
    ],
)
def test_an_unknown_timeframe_is_named_with_a_near_one(written: str, meant: str) -> None:
    with pytest.raises(UnknownTimeframe, match=rf"'{written}'.*did you mean {meant}\?"):
        Timeframe.parse(written)


@pytest.mark.parametrize(("written", "meant"), [("60m", "1h"), ("1D", "1d"), ("1wk", "1w"), ("1mo", "1M")])
def test_what_venues_call_otherwise_is_the_same_timeframe(written: str, meant: str) -> None:
    assert Timeframe.parse(written) is readable(written) is Timeframe(meant)


@pytest.mark.parametrize("written", ["", "x", "99999999999999999999m", "1\N{ARABIC-INDIC DIGIT ONE}h", "m"])
def test_what_resembles_none_is_told_with_all_there_are(written: str) -> None:
    with pytest.raises(UnknownTimeframe, match=r"one of 1m, 3m, 5m.*1w, 1M"):
        Timeframe.parse(written)


def test_a_minute_is_no_month() -> None:
    assert Timeframe.parse("1m") is Timeframe.M1 and Timeframe.parse("1M") is Timeframe.MN1
