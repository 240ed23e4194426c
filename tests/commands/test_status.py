"""The table of `livecache status` on terminals of several widths, and what `--watch` tells of changes."""

from __future__ import annotations

import io
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from livecache.commands.look.status import STATES, Row, in_trouble, layout, matrix, rich_table
from livecache.commands.look.watch_status import changes
from livecache.commands.who import Who, Writes, line
from livecache.model.series import SeriesId
from livecache.model.timeframe import Timeframe
from tests.sizes import examples

THROUGH = 1_771_589_100_000  # 2026-02-20T12:05Z


def row(symbol: str, state: str = "ready", reason: str = "") -> Row:
    return Row(SeriesId("coinbase", symbol, Timeframe.M5), state, 101, THROUGH, 300_000, reason, "up")


def printed(rows: list[Row], width: int, *, colour: bool = False) -> list[str]:
    out = io.StringIO()
    console = Console(
        file=out,
        width=width,
        highlight=False,
        force_terminal=colour,
        color_system="standard" if colour else None,
    )
    console.print(rich_table(rows, width))
    return [line.rstrip() for line in out.getvalue().splitlines()]


def test_a_wide_terminal_has_everything_in_one_line() -> None:
    reason = "warming up: 34 of 60 [since 12:00]"
    head, *lines = printed([row("BTC-USD"), row("ETH-USD", "warming", reason)], 120)
    assert head.split() == ["SERIES", "STATE", "COUNT", "SETTLED", "THROUGH", "(UTC)", "LAG", "REASON"]
    assert lines == [
        "BTC-USD 5m  ready      101    2026-02-20 12:05:00   5m",
        f"ETH-USD 5m  warming    101    2026-02-20 12:05:00   5m  {reason}",
    ]


def test_a_narrow_terminal_keeps_names_states_and_lag_whole() -> None:
    for width in (36, 60, 75):
        head, *lines = printed([row("BTC-USD"), row("VERY-LONG-USD", "hole", "x" * 200)], width)
        assert head.split() == ["SERIES", "STATE", "LAG", "REASON"]
        assert len(lines) == 2, "a line each"
        assert all(len(line) <= width for line in lines)
        assert lines[1].startswith("VERY-LONG-USD 5m  hole    5m  xx")
        assert lines[1].endswith("…")


def test_on_80_columns_a_reason_is_worth_more_than_what_is_settled() -> None:
    reason = "failing: HTTP 500: internal server error"
    head, line = printed([row("BTC-USD", "failing", reason)], 80)
    assert head.split() == ["SERIES", "STATE", "LAG", "REASON"] and line.endswith(reason)
    head, line = printed([row("BTC-USD", "lagging", "behind by 5m")], 80)
    assert "SETTLED" in head and line.endswith("behind by 5m"), "as long as there is room for both"
    assert "SETTLED" in printed([row("BTC-USD")], 80)[0]


def test_a_long_reason_wraps_only_where_it_may() -> None:
    rows = [row("BTC-USD", "hole", "something is missing " * 9)]
    assert len(printed(rows, 100)) == 2
    out = io.StringIO()
    Console(file=out, width=100).print(rich_table(rows, 100, wrap=True))
    assert out.getvalue().count("missing") == 9, "nothing of it is cut"


def test_colours_tell_good_from_bad() -> None:
    lines = printed([row("A-USD"), row("B-USD", "lagging"), row("C-USD", "damaged")], 120, colour=True)
    assert "\x1b[32mready\x1b[0m" in lines[1]
    assert "\x1b[33mlagging\x1b[0m" in lines[2]
    assert "\x1b[31mdamaged\x1b[0m" in lines[3]


STATE = st.sampled_from(STATES)


@settings(max_examples=examples(200), deadline=None, derandomize=True, database=None)
@given(st.lists(st.lists(STATE, min_size=1, max_size=7), max_size=60), st.integers(8, 60))
def test_the_folded_screen_fits_and_counts_whatever_it_leaves_out(
    symbols: list[list[str]], room: int
) -> None:
    frames = list(Timeframe)
    table = [
        replace(row(f"S{n}-USD", state), series=SeriesId("coinbase", f"S{n}-USD", timeframe))
        for n, states in enumerate(symbols)
        for state, timeframe in zip(states, frames, strict=False)
    ]
    shown = layout(table, room)
    trouble = [one for one in table if in_trouble(one)]
    assert sorted(map(repr, [*shown.trouble, *shown.more_trouble])) == sorted(map(repr, trouble))
    assert bool(shown.trouble) == bool(trouble), "some of it is seen in any case"
    told = [one for rows in shown.matrix for one in rows] + list(shown.more)
    assert sorted(map(repr, told)) == sorted(map(repr, table))
    worst = [STATES.index(one.state) for one in [*shown.trouble, *shown.more_trouble]]
    assert worst == sorted(worst)
    first = [all(one.state == "ready" for one in rows) for rows in shown.matrix]
    assert first == sorted(first), "symbols with anything else come first"
    lines = len(shown.trouble) + bool(shown.more_trouble) + bool(shown.trouble)
    lines += len(shown.matrix) + bool(shown.matrix) + bool(shown.more)
    assert lines <= room + 1


def test_the_matrix_has_a_line_a_symbol_and_a_column_a_timeframe() -> None:
    hourly = replace(row("A-USD", "hole"), series=SeriesId("coinbase", "A-USD", Timeframe.H1))
    out = io.StringIO()
    Console(file=out, width=80).print(
        matrix([[row("A-USD"), hourly], [row("B-USD", "short")]], ["5m", "1h"], "✓")
    )
    lines = [line.split() for line in out.getvalue().splitlines()]
    assert lines == [["SYMBOL", "5m", "1h"], ["A-USD", "✓", "hole"], ["B-USD", "short", "-"]]


def test_only_what_changes_is_told() -> None:
    before = [row("A-USD"), row("B-USD", "warming", "3 of 60"), row("GONE-USD")]
    after = [row("A-USD", "stale", "nobody vouches"), row("B-USD", "warming", "9 of 60"), row("NEW-USD")]
    assert list(changes(before, after)) == [
        "A-USD 5m ready -> stale: nobody vouches",
        "NEW-USD 5m ready",
        "GONE-USD 5m ready -> no longer configured",
    ]
    assert list(changes(after, after)) == []


def test_who_writes_fits_the_terminal_and_what_matters_less_is_left_out_first() -> None:
    under = ", under LIVECACHE_A, LIVECACHE_B, LIVECACHE_C, 4 more"
    writes = {"coinbase": Writes("host-123-abc", 0)}
    told = Who("0.2.0", writes, "127.0.0.1:6379/0", "livecache", f"config.toml{under}")
    whole = f"livecache 0.2.0: host-123-abc writes; 127.0.0.1:6379/0, prefix livecache; config.toml{under}"
    assert line(told) == line(told, len(whole)) == whole
    assert line(told, len(whole) - 1) == whole.replace(under, ", under others")
    assert line(told, 80) == whole.partition("; config.toml")[0]
    assert line(told, 50) == "livecache 0.2.0: host-123-abc writes"


def test_a_ban_is_told_however_narrow_the_terminal() -> None:
    until = 1_771_000_000_000
    writes = {"coinbase": Writes("host-123-abc", 0, until)}
    told = Who("0.2.0", writes, "127.0.0.1:6379/0", "livecache", "config.toml")
    for width in (None, 50):
        assert "writes, venue banned until 2026-02-13 16:26" in line(told, width)


def test_where_an_hours_requests_are_bounded_both_numbers_are_told() -> None:
    writes = {"stocks": Writes("host-123-abc", 0, 0, 1_234, 1_800)}
    told = Who("0.2.0", writes, "127.0.0.1:6379/0", "livecache", "config.toml")
    assert "host-123-abc writes, 1,234 of 1,800 requests this hour" in line(told)
    assert told.as_object()["requests_this_hour"] == 1_234
    writes = {"stocks": Writes("host-123-abc", 0, 0, 1_234, 0, 3)}
    assert "host-123-abc writes, 3 share the venue's budget" in line(replace(told, writes=writes))
    assert "this hour" not in line(replace(told, writes=writes))


def test_of_several_venues_it_is_told_who_writes_each() -> None:
    writes = {"coinbase": Writes("host-123-abc", 0), "toy": Writes("", 0)}
    told = Who("0.2.0", writes, "127.0.0.1:6379/0", "livecache", "config.toml")
    assert line(told, 70) == "livecache 0.2.0: coinbase: host-123-abc writes, toy: nobody writes"
    assert told.as_object()["venues"]["toy"] == {
        "instance": "",
        "since": 0,
        "banned_until": 0,
        "requests_this_hour": 0,
        "requests_per_hour": 0,
        "budget_members": 0,
    }
    one = replace(told, writes={"coinbase": writes["coinbase"]}).as_object()
    assert one["instance"] == "host-123-abc" and "venues" not in one
