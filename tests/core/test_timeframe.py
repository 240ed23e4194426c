"""Buckets begin and end where the venue says."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from livecache.errors import UnknownTimeframe
from livecache.model.timeframe import Timeframe


@given(st.sampled_from(Timeframe), st.integers(0, 4_000_000_000_000))
def test_every_time_lies_in_exactly_one_bucket(timeframe: Timeframe, time: int) -> None:
    start = timeframe.floor(time)
    assert start <= time < start + timeframe.ms
    assert start % timeframe.ms == 0
    assert timeframe.ceil(time) in (start, start + timeframe.ms)
    assert timeframe.floor(start) == timeframe.ceil(start) == start
    assert timeframe.floor(start - 1) == start - timeframe.ms


def test_an_unknown_timeframe_is_named_with_a_near_one() -> None:
    with pytest.raises(UnknownTimeframe, match=r"'5min'.*did you mean 5m"):
        Timeframe.parse("5min")
    assert Timeframe.parse("4h") is Timeframe.H4
