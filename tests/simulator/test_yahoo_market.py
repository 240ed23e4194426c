"""The market of shares: sessions, prices, volumes, splits and dividends."""

from __future__ import annotations

import struct
from datetime import date
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from livecache.model.candle import ExactCandle
from livecache.model.timeframe import Timeframe
from livecache.simulator.yahoo.market import ShareMarket, shortest
from livecache.simulator.yahoo.shares import Share, Split, default_shares
from livecache.simulator.yahoo.tickers import TICKERS
from tests.sizes import examples

from .shares import DAY, NEW_YORK, NOON, SHARES, ms

M1, M5, M15, H1, D1 = Timeframe.M1, Timeframe.M5, Timeframe.M15, Timeframe.H1, Timeframe.D1
MARKET = ShareMarket(NEW_YORK, SHARES)
SYMBOLS = [share.symbol for share in SHARES if share.symbol not in ("OLD", "GONE", "THIN")]


def floats(row: ExactCandle) -> tuple[float, ...]:
    return tuple(map(float, row.numbers))


def within(rows: list[ExactCandle], whole: ExactCandle) -> bool:
    _, high, low, _, _ = floats(whole)
    return all(low <= floats(row)[2] <= floats(row)[1] <= high for row in rows)


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_a_day_holds_its_minutes_but_its_volume_is_more_than_theirs(symbol: str) -> None:
    day_ms = ms("2026-07-10")
    (day,) = MARKET.candles(symbol, D1, day_ms, day_ms + 1, NOON)
    by_length = {t: MARKET.candles(symbol, t, day_ms, day_ms + DAY, NOON) for t in (M1, M5, M15, H1)}
    assert {t: len(rows) for t, rows in by_length.items()} == {M1: 390, M5: 78, M15: 26, H1: 7}
    for rows in by_length.values():
        assert within(rows, day)
        assert (rows[0].open, rows[-1].close) == (day.open, day.close)
        assert max(floats(row)[1] for row in rows) == float(day.high)
        assert min(floats(row)[2] for row in rows) == float(day.low)
    volumes = {sum(int(row.volume) for row in rows) for rows in by_length.values()}
    assert len(volumes) == 1, "smaller ones add up to bigger ones"
    assert 0.6 * int(day.volume) < volumes.pop() < 0.95 * int(day.volume), "auctions are in the day alone"
    for row in [day, *(row for rows in by_length.values() for row in rows)]:
        opened, high, low, close, volume = floats(row)
        assert 0 < low <= min(opened, close) <= max(opened, close) <= high and volume > 0


@given(st.sampled_from(SYMBOLS), st.sampled_from([M1, M5, H1, D1]), st.integers(0, 10 * DAY), st.data())
@settings(max_examples=examples(60), deadline=None)
def test_what_is_asked_for_in_two_parts_is_the_same(
    symbol: str, timeframe: Timeframe, back: int, data: st.DataObject
) -> None:
    start = NOON - 40 * DAY + back
    end = start + data.draw(st.integers(0, 5 * DAY))
    middle = data.draw(st.integers(start, end))
    whole = MARKET.candles(symbol, timeframe, start, end, NOON)
    parts = [MARKET.candles(symbol, timeframe, a, b, NOON) for a, b in ((start, middle), (middle, end))]
    assert whole == parts[0] + parts[1]
    assert all(row.time in NEW_YORK.grid(timeframe) and start <= row.time < end for row in whole)


def test_days_are_the_sessions_of_the_exchange_half_days_and_clock_changes_included() -> None:
    start, end = ms("2024-10-01"), ms("2025-02-03")
    rows = MARKET.candles("AAPL", D1, start, end, NOON)
    assert [row.time for row in rows] == list(NEW_YORK.sessions.opens(start, end))
    half = MARKET.candles("AAPL", H1, ms("2024-11-29"), ms("2024-12-02"), NOON)
    assert len(half) == 4, "09:30 to 13:00"
    assert NEW_YORK.session_on(date(2025, 1, 9)) is None


def test_an_exchange_may_be_closed_though_its_calendar_knows_nothing_of_it() -> None:
    market = ShareMarket(NEW_YORK, SHARES, closed=[date(2026, 7, 8)])
    rows = market.candles("AAPL", D1, ms("2026-07-07"), ms("2026-07-10"), NOON)
    assert [row.time for row in rows] == [ms("2026-07-07"), ms("2026-07-09")]


def test_in_a_session_volume_only_grows_and_the_range_only_widens() -> None:
    opened = ms("2026-07-15")
    for timeframe in (M5, H1, D1):
        before: tuple[float, ...] | None = None
        for seconds in range(1, 3_600, 97):
            (row,) = MARKET.candles("AAPL", timeframe, opened, opened + 1, opened + seconds * 1000)
            now = floats(row)
            if before:
                assert now[0] == before[0] and now[1] >= before[1] and now[2] <= before[2]
                assert now[4] >= before[4]
            before = now


def test_the_volume_of_a_day_is_short_until_the_next_session_opens() -> None:
    closed, reopened = ms("2026-07-14", "16:00"), ms("2026-07-15")
    short = 0
    for symbol in SYMBOLS:
        (evening,), (night,), (after,) = (
            MARKET.candles(symbol, D1, ms("2026-07-14"), closed, now)
            for now in (closed, reopened - 1, reopened)
        )
        assert evening == night and evening.numbers[:4] == after.numbers[:4]
        short += int(evening.volume) < int(after.volume)
    assert short == len(SYMBOLS)


@pytest.mark.parametrize(
    ("symbol", "day", "ratio"), [("SPLIT", "2026-06-15", 4.0), ("REVERSE", "2026-05-04", 1 / 8)]
)
def test_a_split_changes_all_that_is_older_by_its_ratio_and_nothing_else(
    symbol: str, day: str, ratio: float
) -> None:
    at = ms(day)
    for timeframe in (D1, H1):
        before, after = (
            MARKET.candles(symbol, timeframe, at - 20 * DAY, at, now) for now in (at - 1, at + 5 * DAY)
        )
        assert len(before) == len(after) > 10
        for old, new in zip(before[:-8], after[:-8], strict=True):
            assert [float(x) / ratio for x in old.numbers[:4]] == pytest.approx(floats(new)[:4], rel=1e-6)
            assert int(new.volume) == pytest.approx(int(old.volume) * ratio, rel=1e-4)
    rows = MARKET.candles(symbol, D1, at - 10 * DAY, at + 10 * DAY, NOON)
    moves = [float(b.open) / float(a.close) for a, b in pairwise(rows)]
    assert all(0.95 < move < 1.05 for move in moves), "as quoted there is no jump"


def test_a_split_may_come_overnight() -> None:
    market = ShareMarket(NEW_YORK, [Share("AAPL")])
    rows = market.candles("AAPL", D1, NOON - 9 * DAY, NOON, NOON)
    market.split("AAPL", Split(date(2026, 7, 16), 2))
    assert market.candles("AAPL", D1, NOON - 9 * DAY, NOON, NOON) == rows, "not before it holds"
    later = market.candles("AAPL", D1, NOON - 9 * DAY, ms("2026-07-15"), ms("2026-07-16"))
    assert [2 * float(row.close) for row in later] == pytest.approx([float(row.close) for row in rows[:-1]])


@given(st.floats(1e-4, 1e7, allow_nan=False))
def test_prices_are_the_shortest_texts_of_floats_of_32_bits(number: float) -> None:
    def narrow(text: str | float) -> float:
        return float(struct.unpack("f", struct.pack("f", float(text)))[0])

    text = shortest(number)
    assert narrow(text) == narrow(number) and "e" not in text
    if len(text.replace(".", "").strip("0")) > 6:
        digits = len(text.replace(".", "").strip("0"))
        assert narrow(f"{narrow(number):.{digits - 1}g}") != narrow(number) or digits == 6


def test_the_same_seed_makes_the_same_market_and_another_one_another() -> None:
    first, second, other = (ShareMarket(NEW_YORK, SHARES, seed=seed) for seed in (1, 1, 2))
    args = ("AAPL", D1, NOON - 30 * DAY, NOON, NOON)
    assert first.candles(*args) == second.candles(*args) != other.candles(*args)


def test_the_default_shares_have_each_peculiarity() -> None:
    shares = {share.symbol: share for share in default_shares(NOON, NEW_YORK.days)}
    assert set(TICKERS) < set(shares) and len(TICKERS) == 503
    market = ShareMarket(NEW_YORK, shares.values())
    session = market.session(NOON)
    assert market.splits("SPLIT")[0][0] < session
    assert [at - session for at, _ in market.splits("TONIGHT")] == [2]
    assert market.delisted("GONE", NOON) and not market.delisted("NEW", NOON)
    assert market.halts("HALT") and market.halts("HALT")[0] < session
    assert market.share("OLD").symbol == "NEW"
    assert market.listed("IPO") > NOON - 130 * DAY
    assert 100 < sum(1 for symbol in TICKERS if market.splits(symbol)) < 250
