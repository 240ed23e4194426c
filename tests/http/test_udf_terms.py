"""The words of UDF: resolutions, times of bars, hours of exchanges, digits.

What the protocol says stands in TradingView's documentation, "UDF" and "Symbology".
"""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from livecache.equities.calendar import Calendar
from livecache.errors import ConfigError
from livecache.http.udf.terms import Bars, decimals, hours_of, named, resolution_of, timeframe_of
from livecache.model.grid import DAY_MS
from livecache.model.timeframe import Timeframe, readable

from ..core.test_calendar import ms
from ..core.test_calendar import named as calendar

NEW_YORK, SYDNEY = calendar("XNYS"), calendar("XASX")


@pytest.mark.parametrize(
    ("resolution", "timeframe"),
    [
        *(("1", "1m"), ("5", "5m"), ("45", "45m"), ("60", "1h"), ("240", "4h"), ("90", "90m")),
        *(("1440", "1d"), ("D", "1d"), ("1D", "1d"), ("W", "1w"), ("1W", "1w"), ("3D", "3d")),
        *(("M", "1M"), ("1M", "1M"), ("12M", "12M")),
    ],
)
def test_a_resolution_is_minutes_or_days_weeks_and_months(resolution: str, timeframe: str) -> None:
    assert timeframe_of(resolution) == timeframe


@pytest.mark.parametrize("resolution", ["", "0", "5m", "1S", "1T", "100R", "-5", "1H", "D1", "٥", "1 D"])
def test_anything_else_is_none(resolution: str) -> None:
    with pytest.raises(ConfigError, match="resolution"):
        timeframe_of(resolution)


@pytest.mark.parametrize("timeframe", Timeframe)
def test_each_timeframe_has_a_resolution_that_leads_back_to_it(timeframe: Timeframe) -> None:
    assert readable(timeframe_of(resolution_of(timeframe))) == timeframe


def test_a_day_is_named_by_midnight_utc_of_the_day_on_which_it_is_traded() -> None:
    """UDF, note 1: daily bars are 00:00 UTC of the trading day, not when the session starts."""
    days = Bars(True, NEW_YORK)
    assert days.time(ms("2026-11-27T14:30")) * 1000 == ms("2026-11-27")
    # Sydney opens on the evening before, as UTC has it.
    assert Bars(True, SYDNEY).time(ms("2026-11-29T23:00")) * 1000 == ms("2026-11-30")
    assert Bars(True).time(ms("2026-11-27T08:00")) * 1000 == ms("2026-11-27")
    assert Bars(False, NEW_YORK).time(ms("2026-11-27T14:30")) * 1000 == ms("2026-11-27T14:30")


def test_a_month_is_named_by_its_first_trading_day() -> None:
    """UDF, note 1.1."""
    months = NEW_YORK.grid(Timeframe.MN1)
    opens = months.opens(ms("2026-08-01"), ms("2026-12-01"))
    times = [Bars(True, NEW_YORK).time(opening) * 1000 for opening in opens]
    assert times == [ms("2026-08-03"), ms("2026-09-01"), ms("2026-10-01"), ms("2026-11-02")]


@given(
    st.sampled_from([None, NEW_YORK, SYDNEY]),
    st.sampled_from([Timeframe.D1, Timeframe.W1, Timeframe.MN1]),
    st.integers(ms("2024-01-03"), ms("2026-11-27")).map(lambda time: time // 1000),
)
def test_bars_before_a_time_are_those_whose_own_time_is_before_it(
    exchange: Calendar | None, timeframe: Timeframe, seconds: int
) -> None:
    """So a chart that asks for what is before its oldest bar is given neither that one nor misses any."""
    bars = Bars(True, exchange)
    grid = exchange.grid(timeframe) if exchange else timeframe.grid
    opens = grid.opens(seconds * 1000 - 70 * DAY_MS, seconds * 1000 + 70 * DAY_MS)
    bound = bars.bound(seconds)
    assert [o for o in opens if o < bound] == [o for o in opens if bars.time(o) < seconds]


def test_what_a_chart_reckons_before_1970_is_the_beginning() -> None:
    """A library that asks for 300 bars of a month reckons back to before the epoch."""
    assert Bars(True).bound(-3e9) == 0
    assert Bars(False).bound(1_700_000_000.25) == 1_700_000_001_000


def test_the_hours_of_an_exchange_are_its_usual_ones_with_holidays_and_half_days_beside() -> None:
    """Symbology: session `HHMM-HHMM:days`, Sunday being 1; `session_holidays`; `corrections`."""
    told = hours_of(NEW_YORK, ms("2026-11-30"))
    assert (told.timezone, told.session) == ("America/New_York", "0930-1600:23456")
    closed = told.holidays.split(",")
    assert {"20261126", "20261225", "20250109", "20010911"} <= {*closed}
    assert all(date.fromisoformat(day).weekday() < 5 for day in closed)
    _, days = next(one for one in told.corrections.split(";") if one.startswith("0930-1300")).split(":")
    assert {"20261127", "20261224"} <= {*days.split(",")}
    assert "20261127" not in closed and "20261130" not in told.corrections


def test_hours_that_have_changed_are_corrections_of_the_days_before() -> None:
    told = hours_of(calendar("XTKS"), ms("2026-11-30"))
    assert told.session == "0900-1530:23456"
    before = next(one for one in told.corrections.split(";") if one.startswith("0900-1500:"))
    assert "20240105" in before and "20250106" not in told.corrections


@pytest.mark.parametrize(
    ("numbers", "places"),
    [
        ([], 0),
        ([100.0, 5], 0),
        ([76381.7, 76396.23, 100.0], 2),
        ([0.00001234], 8),
        ([1e-7, 2.5e-07], 8),
        ([1e22], 0),
        ([1 / 3], 12),
    ],
)
def test_a_price_scale_holds_the_longest_price(numbers: list[float], places: int) -> None:
    assert decimals(numbers) == places


def test_a_search_finds_what_begins_so_first() -> None:
    known = [("a", "WBTC-USD"), ("a", "BTC-USD"), ("b", "BTC-EUR"), ("b", "ETH-BTC"), ("a", "ETH-USD")]
    assert named(known, "btc", 9) == [("b", "BTC-EUR"), ("a", "BTC-USD"), ("a", "WBTC-USD"), ("b", "ETH-BTC")]
    assert named(known, "b:eth", 9) == [("b", "ETH-BTC")]
    assert named(known, "", 2) == [("b", "BTC-EUR"), ("a", "BTC-USD")]
    assert named(known, "doge", 9) == []
