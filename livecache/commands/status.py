"""`livecache status`: every series in a line."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ..cache.standing import Row, row_of
from ..config import Config
from . import terminal
from .reading import duration, open_reader, utc

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["Row", "as_object", "rich_table", "row_of", "show_status", "summary"]

_COLOURS = {"ready": "green", "short": "cyan", "warming": "yellow", "lagging": "yellow", "halted": "yellow"}

_NARROW = 76  # columns that a whole line needs, but for its reason
_PIPE_WIDTH = 240


def show_status(config: Config, *, as_json: bool) -> None:
    """Print the table, or one JSON object. Raises RedisUnavailable."""
    with open_reader(config) as reader:
        table = [row_of(view) for view in reader.states()]
    if as_json:
        print(json.dumps(as_object(table), indent=2))
    elif table:
        _print_table(table)
        print(summary(table))
    else:
        print(f"no series under the prefix {config.redis.prefix!r} yet: start `livecache run`")


def summary(table: Sequence[Row]) -> str:
    """All of it in one line."""
    counts = Counter(row.state for row in table)
    states = ", ".join(f"{count} {name}" for name, count in counts.most_common())
    feeds = Counter(row.feed or "not vouched for" for row in table)
    feed = ", ".join(name if len(feeds) == 1 else f"{count} {name}" for name, count in feeds.most_common())
    return f"{len(table)} series: {states or 'none'}; feed: {feed or 'none'}"


def as_object(table: Sequence[Row]) -> dict[str, Any]:
    """The table as `--json` gives it. Times are Unix ms."""
    return {"summary": summary(table), "series": [_json(row) for row in table]}


def _json(row: Row) -> dict[str, Any]:
    rest = asdict(row)
    del rest["series"]
    return {"symbol": row.series.symbol, "timeframe": row.series.timeframe.value, **rest}


def rich_table(table: Sequence[Row], width: int, *, wrap: bool = False) -> Table:
    """The table for so many columns, a line a series unless long reasons may `wrap`.

    Where columns are few, reasons are cut in any case, and the rarer columns are left out.
    """
    from rich.markup import escape
    from rich.table import Table

    narrow = width < _NARROW
    shown = Table(box=None, pad_edge=False, header_style="bold")
    numbers = ["LAG"] if narrow else ["COUNT", "SETTLED THROUGH (UTC)", "LAG"]
    heads = ["SERIES", "STATE", *numbers, "REASON"]
    for name in heads:
        shown.add_column(name, no_wrap=name != "REASON", justify="right" if name in numbers else "left")
    rows = [_cells(row, narrow=narrow) for row in table]
    # rich would narrow the other columns too: so a reason is cut here, to what they leave.
    widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)][:-1]
    room = max(1, width - sum(widths) - 2 * len(widths))
    for (*cells, reason), row in zip(rows, table, strict=True):
        if (narrow or not wrap) and len(reason) > room:
            reason = f"{reason[: room - 1]}…"
        cells[1] = f"[{_COLOURS.get(row.state, 'red')}]{cells[1]}[/]"
        shown.add_row(*cells, escape(reason))
    return shown


def _cells(row: Row, *, narrow: bool) -> list[str]:
    lag = "-" if row.lag_ms is None else duration(row.lag_ms)
    numbers = [lag] if narrow else [str(row.count), utc(row.settled_through), lag]
    return [f"{row.series.symbol} {row.series.timeframe}", row.state, *numbers, row.reason]


def _print_table(table: Sequence[Row]) -> None:
    from rich.console import Console

    # Into a pipe goes the whole line, however long; a terminal wraps it.
    console = Console(width=None if terminal.is_terminal() else _PIPE_WIDTH, highlight=False)
    console.print(rich_table(table, console.width, wrap=True))
