"""Yahoo's chart as a page: which bucket a row is of, which rows count, and with which digits."""

from __future__ import annotations

import json
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from livecache.equities.action import Action
from livecache.equities.calendar import calendar_named
from livecache.model.timeframe import Timeframe
from livecache.venues.net.http import Answer
from livecache.venues.rows import DecodedPage
from livecache.venues.venue import FailureKind, FetchFailure, PageRequest
from livecache.venues.yahoo.answers import chart_of
from livecache.venues.yahoo.digits import number_text
from livecache.venues.yahoo.hours import hours_of
from livecache.venues.yahoo.pages import decode_page
from tests.venues.yahoo import (
    CASES,
    NEW_YORK,
    SESSIONS,
    at,
    body_of,
    chart,
    decoded,
    request_of,
    row_of,
    wide,
)

WEEK = request_of("2024-11-04", "2024-11-09")
DAYS = list(SESSIONS.opens(WEEK.start, WEEK.end))
MORNING = request_of("2024-11-04", "2024-11-05", Timeframe.H1)
HOURS = list(NEW_YORK.grids[Timeframe.H1].opens(MORNING.start, MORNING.end))


def case(name: str) -> dict[str, Any]:
    if not CASES.exists():
        pytest.skip("the real data is not here")
    told = chart_of(
        Answer(200, json.dumps(json.loads(CASES.read_text())["cases"][name]["body"]).encode(), {})
    )
    assert isinstance(told, dict)
    return told


def opens(told: DecodedPage) -> list[int]:
    return [row.time for row in told.page.rows]


# --- digits


@given(st.floats(width=32, min_value=2**-30, max_value=2**24))
def test_a_number_that_came_through_32_bits_is_told_by_the_fewest_digits(number: float) -> None:
    """As numpy tells them, which has such numbers."""
    text = number_text(number)
    assert text is not None and "e" not in text
    assert Decimal(text) == Decimal(np.format_float_positional(np.float32(number), unique=True))


@given(st.decimals(min_value="0.0000001", max_value=10**9, places=7))
def test_a_number_of_other_digits_keeps_its_own(number: Decimal) -> None:
    told = float(number)
    text = number_text(told)
    assert text is not None and "e" not in text
    if wide(told) != told:
        assert float(text) == told


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (187.14999389648438, "187.15"),
        (222.91, "222.91"),
        (1e-7, "0.0000001"),
        (224.0, "224"),
        (9007199254740993, "9007199254740993"),
        (-37.630001068115234, "-37.63"),
        (float("nan"), None),
        (float("inf"), None),
        (True, None),
        ("1", None),
        (None, None),
    ],
)
def test_digits(number: object, text: str | None) -> None:
    assert number_text(number) == text


# --- where a row belongs


def test_a_clock_change_a_dividend_and_a_live_row() -> None:
    told = decoded(
        case("daily, across the clock change, dividend, live last row"),
        request_of("2024-11-01", "2024-11-07"),
    )
    assert opens(told) == [at(f"2024-11-0{day}") for day in ("1T13:30", "4T14:30", "5T14:30", "6T14:30")]
    assert told.page.rows[0].numbers == ("220.97", "225.35", "220.27", "222.91", "65276700")
    assert told.page.actions == (Action(at("2024-11-05T14:30"), "dividend", "0.25"),)
    about = told.page.about
    assert about is not None
    assert (about.exchange, about.currency, about.calendar, about.name) == (
        *("NasdaqGS", "USD", "XNYS"),
        "Apple Inc.",
    )
    assert about.listed == 345_479_400_000


def test_a_halted_day_is_absent_and_nothing_is_in_doubt() -> None:
    told = decoded(case("daily, a halted day: nulls"), request_of("2024-11-01", "2024-11-06"))
    assert opens(told) == [at("2024-11-01T13:30"), at("2024-11-05T14:30")]
    assert not told.page.rejected and not told.rejected


def test_today_twice_is_today_once_and_the_later_of_both() -> None:
    told = decoded(
        case("daily, today twice (row of the session and a live row)"), request_of("2024-11-01", "2024-11-08")
    )
    assert opens(told)[-1] == at("2024-11-06T14:30") and len(opens(told)) == 4
    assert told.page.rows[-1].volume == "4100"
    assert not told.page.rejected


def test_a_split_is_an_action_of_its_session() -> None:
    told = decoded(case("split"), request_of("2020-08-28", "2020-09-01"))
    assert told.page.actions == (Action(at("2020-08-31T13:30"), "split", "4/1"),)
    assert told.page.rows[0].numbers[:4] == ("126.0125", "126.4425", "124.5775", "124.8075")


@pytest.mark.parametrize(
    ("name", "timeframe"),
    [
        ("intraday, early close 2024-11-29, one post-market row though not asked for", Timeframe.H1),
        (
            "intraday, closing-auction print as a row at tradingPeriods.end, volume 0 (yfinance PR#2806)",
            Timeframe.M15,
        ),
    ],
)
def test_what_is_stamped_at_the_close_or_later_is_none_of_a_half_day_s_buckets(
    name: str, timeframe: Timeframe
) -> None:
    told = decoded(case(name), request_of("2024-11-29", "2024-11-30", timeframe))
    assert max(opens(told)) < at("2024-11-29T18:00")
    assert not told.rejected and not told.page.rejected


def test_an_answer_without_rows_is_an_empty_page_that_says_what_the_symbol_is() -> None:
    told = decoded(case("empty but fine"), WEEK)
    assert told.page.rows == () and told.page.about is not None and not told.rejected


@pytest.mark.parametrize("hour", ["00:00", "09:30", "12:34:56", "16:00:01", "22:00", "23:00"])
def test_a_day_is_found_by_its_local_date_whatever_its_stamp(hour: str) -> None:
    """22:00 and 23:00 are midnights of the next day, where a clock change was reckoned wrongly."""
    day = "2024-11-04" if hour in ("22:00", "23:00") else "2024-11-05"
    stamp = at(f"{day}T{hour}") + 5 * 3_600_000  # New York is five hours behind
    told = decoded(chart([row_of(DAYS[0]), row_of(stamp, 200.0), row_of(DAYS[2])]), WEEK)
    assert opens(told) == DAYS[:3]
    assert told.page.rows[1].open == "200"


def test_a_row_after_the_request_is_left_out() -> None:
    """Yahoo adds one of the last trade, whatever was asked for."""
    told = decoded(chart([*map(row_of, DAYS), row_of(at("2024-11-11T15:12:13"))]), WEEK)
    assert opens(told) == DAYS


def test_a_last_trade_before_the_open_is_not_the_day_before() -> None:
    """Asked in the early morning the newest row bears a time at which the exchange is closed."""
    early = at("2024-11-05T13:00:07")
    rows = [*map(row_of, HOURS), row_of(early, 150.0)]
    two_days = request_of("2024-11-04", "2024-11-06", Timeframe.H1)
    told = decoded(chart(rows, regularMarketTime=early // 1000), two_days, now=at("2024-11-05T13:00:30"))
    assert opens(told) == HOURS
    assert [row.open for row in told.page.rows] == ["100.25"] * len(HOURS)


def test_the_last_trade_is_of_the_bucket_in_progress() -> None:
    trade = HOURS[2] + 17 * 60_000 + 13_000
    rows = [*map(row_of, HOURS[:2]), row_of(trade, 300.0, 5)]
    told = decoded(chart(rows, regularMarketTime=trade // 1000), MORNING, now=trade + 1000)
    assert opens(told) == HOURS[:3] and told.page.rows[-1].open == "300"


def test_beside_the_row_of_the_bucket_in_progress_the_last_trade_is_no_second_one() -> None:
    trade = HOURS[2] + 17 * 60_000 + 13_000
    rows = [*map(row_of, HOURS[:3]), row_of(trade, 300.0, 0)]
    told = decoded(chart(rows, regularMarketTime=trade // 1000), MORNING, now=trade + 1000)
    assert opens(told) == HOURS[:3] and told.page.rows[-1].open == "100.25"


def test_an_older_row_off_the_grid_costs_its_bucket_and_no_other() -> None:
    """As where an exchange breaks for lunch at another time than its calendar has it."""
    rows = [row_of(HOURS[0]), row_of(HOURS[1] + 1_800_000), *map(row_of, HOURS[2:])]
    told = decoded(chart(rows), MORNING)
    assert opens(told) == [HOURS[0], *HOURS[2:]]
    assert told.page.rejected == {HOURS[1]}


@pytest.mark.parametrize("volume", [0, None, 12])
def test_what_was_traded_before_the_open_and_after_the_close_is_left_out(volume: Any) -> None:
    rows = [row_of(HOURS[0] - 3_600_000, volume=volume), *map(row_of, HOURS)]
    told = decoded(chart([*rows, row_of(at("2024-11-04T22:00"), volume=volume)]), MORNING)
    assert opens(told) == HOURS
    assert not told.rejected


@pytest.mark.parametrize("timeframe", [Timeframe.D1, Timeframe.M15])
def test_a_row_of_a_day_without_a_session_is_rejected_with_the_reason(timeframe: Timeframe) -> None:
    """On 9 January 2025 New York was closed, which was announced ten days before."""
    request = request_of("2025-01-08", "2025-01-11", timeframe)
    days = list(NEW_YORK.grids[timeframe].opens(request.start, request.end))
    told = decoded(chart([row_of(days[0]), row_of(at("2025-01-09T14:30")), row_of(days[-1])]), request)
    assert opens(told) == [days[0], days[-1]]
    assert "no session of XNYS on 2025-01-09" in told.rejected[0].reason
    assert told.page.spoiled == 1 and not told.page.rejected


# --- which rows count


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        ((-37.63, 1.0, -40.32, -37.63, 5), "below zero"),
        ((0.0, 1.0, 0.0, 0.5, 5), "not positive"),
        ((None, 2.0, 1.0, 1.5, 5), "missing"),
        ((1.0, 2.0, 1.0, 1.5, None), "missing"),
        ((1.0, 2.0, 1.0, "1.5", 5), "no number"),
        ((3.0, 2.0, 1.0, 1.5, 5), "not within low and high"),
        ((1.0, 2.0, 1.0, 1.5, -5), "below zero"),
        ((1e40, 1e40, 1e40, 1e40, 5), "not a plain number"),
    ],
)
def test_a_row_that_cannot_be_believed_costs_its_own_day(spoil: tuple[Any, ...], reason: str) -> None:
    rows = [row_of(DAYS[0]), (DAYS[1] // 1000, *spoil), *map(row_of, DAYS[2:])]
    told = decoded(chart(rows), WEEK)
    assert opens(told) == [DAYS[0], *DAYS[2:]]
    assert told.page.rejected == {DAYS[1]} and reason in told.page.reasons[DAYS[1]]


def test_nan_costs_its_own_day() -> None:
    body = body_of(chart([row_of(DAYS[0]), row_of(DAYS[1], float("nan")), row_of(DAYS[2])]))
    assert "NaN" in body
    result = chart_of(Answer(200, body.encode(), {}))
    assert isinstance(result, dict)
    told = decoded(result, WEEK)
    assert opens(told) == [DAYS[0], DAYS[2]] and told.page.rejected == {DAYS[1]}


def test_rows_that_come_newest_first_are_as_good() -> None:
    rows = list(map(row_of, DAYS))
    assert decoded(chart(rows[::-1]), WEEK).page.rows == decoded(chart(rows), WEEK).page.rows


def test_a_row_without_a_time_costs_the_day_that_it_may_be_of() -> None:
    rows = [row_of(DAYS[0]), (None, *row_of(DAYS[1])[1:]), *map(row_of, DAYS[2:])]
    told = decoded(chart(rows), WEEK)
    assert opens(told) == [DAYS[0], *DAYS[2:]] and told.page.rejected == {DAYS[1]}


def test_of_two_rows_of_a_day_that_differ_neither_counts() -> None:
    rows = [row_of(DAYS[0]), row_of(DAYS[1]), row_of(DAYS[1], 200.0), *map(row_of, DAYS[2:])]
    told = decoded(chart(rows), WEEK)
    assert DAYS[1] not in opens(told) and told.page.rejected == {DAYS[1]}


def test_columns_of_unequal_length_are_no_page() -> None:
    """Nobody can tell which value is whose."""
    result = chart(list(map(row_of, DAYS)))
    del result["indicators"]["quote"][0]["close"][2]
    told = decode_page(WEEK, SESSIONS, NEW_YORK, result, None)
    assert isinstance(told, FetchFailure) and "unequal length" in told.message


# --- what else it tells


def test_an_action_is_of_the_session_of_its_day_and_a_bad_one_harms_nothing() -> None:
    events = {
        "splits": {
            "1": {"date": DAYS[1] // 1000, "numerator": 3.0, "denominator": 2.0},
            "2": {"date": DAYS[2] // 1000, "numerator": 0.0, "denominator": 1.0},
            "3": {"date": DAYS[3] // 1000, "numerator": 1.0, "denominator": 8.0},
            "4": {"date": at("2024-11-12T14:30") // 1000, "numerator": 2.0, "denominator": 1.0},
        },
        "dividends": {
            "1": {"date": DAYS[0] // 1000 + 90, "amount": wide(0.24)},
            "2": {"amount": 1.0},
            "3": 7,
        },
        "capitalGains": {"1": {"date": at("2024-11-03T05:00") // 1000, "amount": wide(1.5)}},
    }
    told = decoded(chart(list(map(row_of, DAYS)), events), WEEK)
    assert told.page.actions == (
        Action(DAYS[0], "dividend", "0.24"),
        Action(DAYS[0], "dividend", "1.5"),  # a Sunday's: it holds from the next session on
        Action(DAYS[1], "split", "3/2"),
        Action(DAYS[3], "split", "1/8"),
    )
    assert len(told.rejected) == 3 and opens(told) == DAYS and told.page.spoiled == 0


def test_a_ratio_is_told_in_lowest_terms() -> None:
    event = {"splits": {"1": {"date": DAYS[0] // 1000, "numerator": 1.5, "denominator": 1.0}}}
    (action,) = decoded(chart([row_of(DAYS[0])], event), WEEK).page.actions
    assert Fraction(action.value) == Fraction(3, 2) and action.value == "3/2"


def test_a_symbol_of_another_time_zone_is_refused_with_the_remedy() -> None:
    told = decode_page(
        WEEK, SESSIONS, NEW_YORK, chart([row_of(DAYS[0])], exchangeTimezoneName="Europe/London"), None
    )
    assert isinstance(told, FetchFailure) and told.kind is FailureKind.UNKNOWN_SYMBOL, "it is not asked on"
    assert "Europe/London" in told.message and "second venue" in told.message


def test_what_is_always_traded_has_days_of_utc() -> None:
    always = hours_of(calendar_named("24/7"))
    first = at("2024-11-02")  # a Saturday
    request = PageRequest("BTC-USD", Timeframe.D1, first, first + 3 * 86_400_000)
    rows = [row_of(first + day * 86_400_000) for day in range(2)]
    live = first + 2 * 86_400_000 + 22 * 3_600_000
    result = chart([*rows, row_of(live)], exchangeTimezoneName="UTC", regularMarketTime=live // 1000)
    told = decode_page(request, Timeframe.D1.grid, always, result, live)
    assert isinstance(told, DecodedPage)
    assert opens(told) == [first, first + 86_400_000, first + 2 * 86_400_000]
