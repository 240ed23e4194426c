"""The candlestick chart, as somebody reads it off a terminal."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from livecache.commands.look.chart import ROWS, VOLUME_ROWS, Style, chart
from livecache.commands.look.stored import Bucket, BucketKind
from livecache.model.candle import ExactCandle

STEP = 300_000
BODIES = set("┃┇╻╹╽╿")
WICKS = set("│╷╵╽╿")
BARS = " ▁▂▃▄▅▆▇█"


def bucket(position: int, numbers: tuple[float, ...] | None, kind: BucketKind = BucketKind.SETTLED) -> Bucket:
    time = 1_760_000_100_000 // STEP * STEP + position * STEP
    candle = ExactCandle(time, *(f"{number:.8f}" for number in numbers)) if numbers else None
    return Bucket(time, kind, candle)


def market(*rows: tuple[float, ...]) -> list[Bucket]:
    """A settled bucket for each (open, high, low, close, volume)."""
    return [bucket(position, row) for position, row in enumerate(rows)]


def column(lines: list[str], position: int) -> str:
    """The cells of one candle, from the top."""
    return "".join(line[position] for line in lines[:ROWS])


@st.composite
def candles(draw: st.DrawFn) -> tuple[float, ...]:
    low = draw(st.floats(0.0001, 100_000))
    high = low * draw(st.floats(1, 1.5))
    opened, closed = (low + (high - low) * draw(st.floats(0, 1)) for _ in range(2))
    return opened, high, low, closed, draw(st.floats(0, 1e6))


columns = st.one_of(candles(), st.none())
markets = st.lists(columns, min_size=1, max_size=150).filter(any)


@given(markets, st.integers(40, 200), st.booleans())
def test_a_chart_fits_and_knows_only_ascii_where_it_must(
    rows: list[tuple[float, ...] | None], width: int, plain: bool
) -> None:
    buckets = [bucket(i, row, BucketKind.SETTLED if row else BucketKind.EMPTY) for i, row in enumerate(rows)]
    lines = chart(buckets, width=width, style=Style(ascii=plain))
    assert all(len(line) <= width for line in lines)
    assert all(line.isprintable() for line in lines)
    if plain:
        assert "".join(lines).isascii()
    assert len({line.index("┤") for line in lines if "┤" in line} if not plain else {0}) <= 1


@given(st.lists(candles(), min_size=1, max_size=40))
def test_a_column_is_one_stroke_with_its_body_in_it(rows: list[tuple[float, ...]]) -> None:
    """From the highest to the lowest price nothing is left out, and what is higher stands higher."""
    lines = chart(market(*rows), width=120)
    top, bottom = max(row[1] for row in rows), min(row[2] for row in rows)
    for position, (opened, high, low, closed, _) in enumerate(rows):
        cells = column(lines, position)
        inked = [row for row, cell in enumerate(cells) if cell != " "]
        assert inked == list(range(inked[0], inked[-1] + 1))
        bodies = [row for row, cell in enumerate(cells) if cell in BODIES]
        assert bodies == list(range(bodies[0], bodies[-1] + 1))
        if top > bottom * 1.001:
            rows_of = [(top - price) / (top - bottom) * ROWS for price in (high, low)]
            assert abs(inked[0] - rows_of[0]) <= 1.01
            assert abs(inked[-1] - rows_of[1]) <= 1.01
            ends = [
                (top - price) / (top - bottom) * ROWS for price in (max(opened, closed), min(opened, closed))
            ]
            assert abs(bodies[0] - ends[0]) <= 1.01
            assert abs(bodies[-1] - ends[1]) <= 1.01


@given(st.lists(candles(), min_size=1, max_size=40))
def test_whatever_was_traded_has_a_bar_and_more_never_has_less(rows: list[tuple[float, ...]]) -> None:
    lines = chart(market(*rows), width=120)
    bars = lines[ROWS : ROWS + VOLUME_ROWS]
    heights = [sum(BARS.index(line[position]) for line in bars) for position in range(len(rows))]
    volumes = [round(row[4], 8) for row in rows]
    assert [height > 0 for height in heights] == [volume > 0 for volume in volumes]
    by_volume = [height for _, height in sorted(zip(volumes, heights, strict=True))]
    assert by_volume == sorted(by_volume)
    assert max(heights) == (VOLUME_ROWS * 8 if max(volumes) else 0)


def test_a_chart_shows_bodies_and_wicks_to_the_half_row() -> None:
    rising, falling = (10.0, 22.0, 10.0, 16.0, 1.0), (22.0, 22.0, 10.0, 21.0, 1.0)
    lines = chart(market(rising, falling), width=40)
    assert column(lines, 0) == "││││││┃┃┃┃┃┃"
    assert column(lines, 1) == "┇│││││││││││"


def test_without_colour_a_falling_body_looks_other_than_a_rising_one() -> None:
    rising, falling = (10.0, 20.0, 10.0, 20.0, 1.0), (20.0, 20.0, 10.0, 10.0, 1.0)
    buckets = market(rising, falling)
    assert {line[:2] for line in chart(buckets, width=40)[:ROWS]} == {"┃┇"}
    assert {line[:2] for line in chart(buckets, width=40, style=Style(ascii=True))[:ROWS]} == {"O#"}


def test_colours_are_green_and_red_and_change_nothing_else() -> None:
    rising, falling = (10.0, 20.0, 10.0, 20.0, 1.0), (20.0, 20.0, 10.0, 15.0, 1.0)
    coloured = chart(market(rising, falling), width=40, style=Style(colour=True))
    assert coloured[0].startswith("\x1b[32m┃\x1b[0m\x1b[31m┃\x1b[0m")
    bare = [re.sub(r"\x1b\[\d*m", "", line) for line in coloured]
    assert [line.replace("┇", "┃") for line in chart(market(rising, falling), width=40)] == bare


def test_what_a_bucket_is_worth_stands_below_it() -> None:
    numbers = (10.0, 20.0, 10.0, 20.0, 1.0)
    kinds = [
        BucketKind.SETTLED,
        BucketKind.EMPTY,
        BucketKind.PROVISIONAL,
        BucketKind.MISSING,
        BucketKind.FORMING,
    ]
    without = (BucketKind.EMPTY, BucketKind.MISSING)
    buckets = [bucket(i, None if kind in without else numbers, kind) for i, kind in enumerate(kinds)]
    lines = chart(buckets, width=60)
    assert lines[ROWS] == " ·~?>"
    assert lines[-1] == "~ provisional  · nothing traded  > in progress  ? missing"
    assert {column(lines, 1), column(lines, 3)} == {" " * ROWS}
    plain = chart(buckets, width=60, style=Style(ascii=True))
    assert plain[ROWS] == " .~?>"


def test_the_newest_are_shown_where_not_all_fit() -> None:
    buckets = market(*[(10.0, 20.0, 10.0, 15.0, 1.0)] * 99, (10.0, 40.0, 10.0, 40.0, 1.0))
    lines = chart(buckets, width=40)
    assert len(lines[0]) <= 40
    assert lines[0].rstrip(" │┤").endswith("┃"), "the last candle reaches the top"


def test_the_axis_tells_prices_and_times() -> None:
    lines = chart(market(*[(100.0, 112.0, 100.0, 112.0, 2.5)] * 20), width=60)
    labels = [line.partition("┤ ")[2] for line in lines[:ROWS] if "┤" in line]
    assert labels == ["110.5", "107.5", "104.5", "101.5"]
    assert lines[ROWS].endswith("┤ 2.5 volume")
    assert lines[-1].startswith("10-09 08:55")


def test_a_flat_market_lies_in_the_middle() -> None:
    lines = chart(market((5.0, 5.0, 5.0, 5.0, 0.0)), width=40)
    assert column(lines, 0).strip() in ("╻", "╹")
    assert column(lines, 0).index(column(lines, 0).strip()) in (5, 6)


def test_of_nothing_there_is_no_chart() -> None:
    assert chart([], width=40) == []
    assert chart([bucket(0, None, BucketKind.EMPTY)], width=40) == []
