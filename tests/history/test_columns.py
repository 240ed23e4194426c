"""A column holds the very numbers that the texts say, as decimals and as doubles, whatever their length."""

from __future__ import annotations

from decimal import Decimal
from random import Random

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from livecache.history.columns import Columns, Decimals, concat, merge, within
from livecache.model.candle import ExactCandle
from livecache.model.coverage import Coverage

from .drawing import WIDTH, candles, numbers


def assert_same(column: Decimals, texts: list[str]) -> None:
    assert list(map(Decimal, column.texts())) == list(map(Decimal, texts))
    assert column.floats().tolist() == list(map(float, texts))


@settings(deadline=None)
@given(st.lists(numbers, max_size=20))
@example(["0.1", "123456789012345", "0.0000000000001"])  # together more digits than a double tells apart
@example(["5398867186243.64698"])  # whose double is another one if the integer is rounded first
@example(["9007199254740993", "2305843009213693951.5", "0." + "0" * 35 + "1"])
@example(["0." + "0" * 36])  # more zeros than an int64 has digits
@example(["99999.99999999", "7225", "7225.00", "1e-7", "0.00000010"])
@example(["9999999999999999999999999999", "0.000000000000000000000000000000000001"])
def test_numbers_come_back_equal_as_decimals_and_as_doubles(texts: list[str]) -> None:
    column = Decimals.of(texts)
    assert_same(column, texts)
    assert_same(column.least(), texts)
    assert_same(column.at(column.scale + 20), texts)


@settings(deadline=None)
@given(st.lists(numbers, min_size=1, max_size=8), st.lists(numbers, min_size=1, max_size=8))
def test_columns_differ_where_their_decimals_do(before: list[str], after: list[str]) -> None:
    pairs = list(zip(before, after, strict=False))
    differ = Decimals.of([a for a, _ in pairs]).differ(Decimals.of([b for _, b in pairs]))
    assert differ.tolist() == [Decimal(a) != Decimal(b) for a, b in pairs]


@pytest.mark.parametrize("text", ["nan", "inf", "", "1.2.3", "-", "Infinity", "1e", "x" * 30])
def test_what_is_no_number_is_refused(text: str) -> None:
    with pytest.raises((ValueError, ArithmeticError)):
        Decimals.of(["1.5", text])


@settings(deadline=None)
@given(candles(off_grid=True), st.integers())
def test_candles_come_back_in_order_however_they_were_given(drawn: list[ExactCandle], seed: int) -> None:
    shuffled = drawn[:]
    Random(seed).shuffle(shuffled)
    back = Columns.of(shuffled).candles()
    assert len(back) == len(drawn)
    assert all(a.equals(b) for a, b in zip(back, drawn, strict=True))


def test_of_two_candles_of_one_time_the_later_one_counts() -> None:
    first, second = ExactCandle(60_000, *"11111"), ExactCandle(60_000, *"22222")
    assert Columns.of([first, second]).candles() == [second]


@settings(deadline=None)
@given(candles(), candles())
def test_rows_over_others_are_what_a_dict_makes_of_them(
    old: list[ExactCandle], new: list[ExactCandle]
) -> None:
    apart = new[0].time // WIDTH * WIDTH - old[0].time // WIDTH * WIDTH
    if len(old) % 4:  # mostly in the same block
        new = [msgspec.structs.replace(row, time=row.time - apart) for row in new]
    if len(new) % 4 == 0:  # some of them as they were
        new = sorted({row.time: row for row in (*new, *old[::2])}.values())
    before, after = {row.time: row for row in old}, {row.time: row for row in new}
    merged = merge(Columns.of(old), Columns.of(new))
    expected = before | after
    assert merged.rows.time.tolist() == sorted(expected)
    assert all(row.equals(expected[row.time]) for row in merged.rows.candles())
    assert sorted(merged.inserted.tolist()) == sorted(after.keys() - before.keys())
    changed = {old[at].time for at in merged.changed.tolist()}
    assert changed == {t for t in before.keys() & after.keys() if not before[t].equals(after[t])}
    start = new[0].time
    assert merged.rows.clip(start, 1 << 60).time.tolist() == [t for t in sorted(expected) if t >= start]


@given(st.lists(st.integers(0, 90)), st.lists(st.tuples(st.integers(0, 90), st.integers(0, 90)), max_size=6))
def test_times_lie_within_a_coverage_if_it_says_so(times: list[int], spans: list[tuple[int, int]]) -> None:
    coverage, rows = Coverage(spans), Columns.of(ExactCandle(t, *"11111") for t in times)
    assert within(rows.time, coverage).tolist() == [t in coverage for t in sorted(set(times))]


def test_nothing_is_a_value_too() -> None:
    nothing = concat([])
    assert len(nothing) == 0 and nothing.candles() == []
    assert len(merge(nothing, nothing).rows) == 0
    assert Decimals.of([]).least().floats().tolist() == []
