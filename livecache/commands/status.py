"""`livecache status`: every series in a line."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from ..cache.standing import Row, row_of
from ..config import Config
from .reading import duration, open_reader, utc

__all__ = ["Row", "row_of", "show_status"]

_COLOURS = {"ready": "green", "short": "cyan", "warming": "yellow", "lagging": "yellow"}


def show_status(config: Config, *, as_json: bool) -> None:
    """Print the table, or one JSON object. Raises RedisUnavailable."""
    with open_reader(config) as reader:
        table = [row_of(view) for view in reader.states()]
    if as_json:
        print(json.dumps({"summary": _summary(table), "series": [_json(row) for row in table]}, indent=2))
    elif table:
        _print_table(table)
        print(_summary(table))
    else:
        print(f"no series under the prefix {config.redis.prefix!r} yet: start `livecache run`")


def _summary(table: Sequence[Row]) -> str:
    counts = Counter(row.state for row in table)
    states = ", ".join(f"{count} {name}" for name, count in counts.most_common())
    feeds = Counter(row.feed or "not vouched for" for row in table)
    feed = ", ".join(name if len(feeds) == 1 else f"{count} {name}" for name, count in feeds.most_common())
    return f"{len(table)} series: {states or 'none'}; feed: {feed or 'none'}"


def _json(row: Row) -> dict[str, Any]:
    rest = asdict(row)
    del rest["series"]
    return {"symbol": row.series.symbol, "timeframe": row.series.timeframe.value, **rest}


def _print_table(table: Sequence[Row]) -> None:
    from rich.console import Console
    from rich.table import Table

    # Into a pipe goes the whole line, however long; a terminal wraps it.
    console = Console(width=None if sys.stdout.isatty() else 240, highlight=False)
    shown = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("SERIES", "STATE"):
        shown.add_column(name, no_wrap=True)
    for name in ("COUNT", "SETTLED THROUGH (UTC)", "LAG"):
        shown.add_column(name, no_wrap=True, justify="right")
    shown.add_column("REASON")
    for row in table:
        shown.add_row(
            f"{row.series.symbol} {row.series.timeframe}",
            f"[{_COLOURS.get(row.state, 'red')}]{row.state}[/]",
            str(row.count),
            utc(row.settled_through),
            "-" if row.lag_ms is None else duration(row.lag_ms),
            row.reason.replace("[", r"\["),
        )
    console.print(shown)
