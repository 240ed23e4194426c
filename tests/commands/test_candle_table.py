"""Candles as rows of numbers: all five of them on eighty columns, aligned where somebody looks."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence

import pytest
import redis

from livecache.commands.look.candle_table import Columns, table_lines
from livecache.commands.look.chart import ROWS, VOLUME_ROWS, height_of
from livecache.commands.look.stored import Bucket, BucketKind
from livecache.model.candle import ExactCandle

from ..e2e.screen import on_a_terminal
from .support import fill

TEN_PAST = 1_795_936_200_000  # 2026-11-29 07:10


def bucket(position: int, numbers: Sequence[str] | None, kind: BucketKind = BucketKind.SETTLED) -> Bucket:
    time = TEN_PAST + position * 300_000
    return Bucket(time, kind, ExactCandle(time, *numbers) if numbers else None)


BITCOIN = [
    bucket(0, ("76349.5", "76396.23", "76344.9", "76355", "0.18176271")),
    bucket(1, None, BucketKind.EMPTY),
    bucket(2, ("76355", "76413.28", "76350", "76413.28", "12.5"), BucketKind.FORMING),
]


def test_a_pipe_gets_the_venues_own_digits() -> None:
    assert table_lines(BITCOIN) == [
        "    OPEN TIME (UTC)     OPEN      HIGH      LOW     CLOSE      VOLUME",
        "2026-11-29 07:10:00  76349.5  76396.23  76344.9     76355  0.18176271  settled",
        "2026-11-29 07:15:00        -         -        -         -           -  empty",
        "2026-11-29 07:20:00    76355  76413.28    76350  76413.28        12.5  in progress",
    ]


def test_all_five_numbers_fit_into_eighty_columns_with_their_digits_below_each_other() -> None:
    assert table_lines(BITCOIN, 80) == [
        "        UTC      OPEN      HIGH       LOW     CLOSE      VOLUME",
        "11-29 07:10  76349.50  76396.23  76344.90  76355.00  0.18176271  s",
        "11-29 07:15         -         -         -         -           -  e",
        "11-29 07:20  76355.00  76413.28  76350.00  76413.28        12.5  f",
        "s settled  e empty  f in progress",
    ]


def test_a_wide_terminal_gets_whole_times_and_a_narrow_one_closes() -> None:
    wide = table_lines(BITCOIN, 120)
    assert wide[1].startswith("2026-11-29 07:10:00  76349.50") and wide[1].endswith("  settled")
    narrow = table_lines(BITCOIN, 40)
    assert narrow[1] == "11-29 07:10  76355.00  0.18176271  s"
    assert max(map(len, narrow)) <= 40


def test_the_letters_of_the_kinds_are_all_different() -> None:
    assert len({kind.value[0] for kind in BucketKind}) == len(BucketKind)


def test_no_digit_is_made_up_where_a_price_is_no_plain_number() -> None:
    odd = [bucket(0, ("1e-7", "0.5", "-1", "2", "3"))]
    assert table_lines(odd, 100)[1].split()[2:7] == ["1e-7", "0.5", "-1.0", "2.0", "3"]


def test_what_happens_fits_into_eighty_columns_too() -> None:
    columns = Columns()
    first = columns.line(TEN_PAST, "settled", ("76349.5", "76396.23", "76344.9", "76355", "0.18176271"), 80)
    assert first == "11-29 07:10  settled  76349.50  76396.23  76344.90  76355.00  0.18176271"
    bare = Columns().line(TEN_PAST, "settled", ("76349.5", "76396.23", "76344.9", "76355", "0.1"))
    assert bare == "2026-11-29 07:10:00  settled      76349.5  76396.23  76344.9  76355  0.1"


@pytest.mark.parametrize("lines", range(1, 40))
def test_a_chart_is_as_high_as_there_is_room(lines: int) -> None:
    rows, volume_rows = height_of(lines)
    assert 4 <= rows <= ROWS and 1 <= volume_rows <= VOLUME_ROWS
    assert rows + volume_rows + 3 <= max(lines, 8)


def test_the_head_of_a_series_is_still_to_be_seen_on_24_lines(store: redis.Redis) -> None:
    fill(store)
    env = {name: os.environ[name] for name in ("LIVECACHE_REDIS_URL", "LIVECACHE_REDIS_PREFIX")}
    with on_a_terminal("show", "BTC-USD", "5m", env=env, columns=80, rows=24) as screen:
        assert screen.ended() == 0, screen.shown
        lines = screen.shown.splitlines()
    assert len(lines) <= 23, "and the prompt"
    assert lines[0] == "BTC-USD 5m at coinbase: ready, 71 candles"
    assert max(map(len, lines)) <= 80
    assert len([line for line in lines if re.match(r"\S* \d\d:\d\d(:00)? +1\d\d", line)]) >= 3
    assert any("┤" in line for line in lines)
