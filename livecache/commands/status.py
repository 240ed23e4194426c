"""`livecache status`: every series in a line."""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ..cache.reading import SeriesView
from ..config import Config
from ..core.series import SeriesId
from .reading import duration, open_reader, utc

__all__ = ["Row", "row_of", "show_status"]

_COLOURS = {"ready": "green", "short": "cyan", "warming": "yellow", "lagging": "yellow"}


@dataclass(frozen=True, slots=True)
class Row:
    """One series as the table shows it."""

    series: SeriesId
    state: str  # ready, short (the venue has no more), stale, warming, lagging, hole, failing or damaged
    count: int
    settled_through: int  # Unix ms, 0 while nothing is settled
    lag_ms: int | None  # how far that is behind the last bucket to close; None while nothing is settled
    reason: str
    feed: str  # up, down, or "" where nobody vouches


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


def row_of(view: SeriesView) -> Row:
    """What the table shows of a series."""
    feed = view.alive.feed if view.alive else ""
    if view.record is None:
        state, reason = ("damaged", view.damage) if view.damage else ("warming", "nothing written yet")
        return Row(view.series, state, view.members, 0, None, reason, feed)
    stored = view.record.state
    # While somebody vouches, the venue's clock counts; a simulated one may be far from this host's.
    now = view.alive.time if view.alive else max(stored.closed_through, int(time.time() * 1000))
    through = stored.settled_through
    lag = max(0, view.series.timeframe.floor(now) - through) if through else None
    state, reason = _state(stored.ready, stored.reason, vouched=view.alive is not None)
    if view.members != view.record.count:
        state, reason = "damaged", f"{view.members} of {view.record.count} candles are left"
    return Row(view.series, state, view.members, through, lag, reason, feed)


def _state(ready: bool, reason: str, *, vouched: bool) -> tuple[str, str]:
    if not vouched:
        reason = f"nobody vouches for it now{': ' if reason else ''}{reason}"
    if ready:
        return ("ready" if vouched else "stale"), reason
    if not vouched or reason.startswith("venue has only"):
        return ("short" if vouched else "stale"), reason
    word = reason.partition(":")[0]
    return (word if word in ("failing", "hole", "lagging") else "warming"), reason


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
