"""`livecache status`: how the series stand, those in trouble first, on one screen however many there are."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from ...config.render import Loaded
from ...config.schema import Config
from ...errors import ConfigError
from ...model.series import SeriesId
from ...read.standing import Row, row_of
from .. import terminal
from ..reading import choose_series, duration, open_reader, shown, utc
from ..who import Who, line, who

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from ...model.timeframe import Timeframe

__all__ = [
    "STATES",
    "Layout",
    "Row",
    "Wanted",
    "as_object",
    "in_trouble",
    "layout",
    "look",
    "matrix",
    "rich_table",
    "row_of",
    "show_status",
    "states_of",
    "summary",
    "trouble_first",
]

STATES = (
    *("damaged", "stale", "failing", "hole", "lagging", "unknown", "halted", "warming", "short", "ready"),
)
"""Every state, the worst first."""

TROUBLE = "trouble"
"""What stands for all states but the last two."""

_COLOURS = {"ready": "green", "short": "cyan", "warming": "yellow", "lagging": "yellow", "halted": "yellow"}

_NARROW = 76  # columns that a whole line needs, but for its reason
_REASON = 40  # columns of a reason that are worth more than the rarer columns beside it
_PIPE_WIDTH = 240
_PIPE_ROWS = 24
_AROUND = 4  # lines of a screen that are no row of a table: who, heading, summary, the shell's next prompt


class Wanted(NamedTuple):
    """Which series, and in which form. None: all."""

    symbols: Sequence[str] | None = None
    timeframes: Sequence[Timeframe] | None = None
    states: Sequence[str] | None = None
    everything: bool = False
    short: bool = False
    as_json: bool = False

    @property
    def chosen(self) -> bool:
        """Whether some were chosen: those are all shown."""
        return self.everything or any(
            part is not None for part in (self.symbols, self.timeframes, self.states)
        )


def show_status(loaded: Loaded, wanted: Wanted) -> None:
    """Print the table, or one JSON object. Raises RedisUnavailable, or UnknownSeries for a wrong name."""
    table = look(loaded.config, wanted)
    if wanted.short:
        print("".join(f"{_name(row)} {row.state}\n" for row in table), end="")
        return
    told = who(loaded, dict.fromkeys(row.series.venue for row in table))
    if wanted.as_json:
        print(json.dumps(as_object(table, told), indent=2))
    elif table or wanted.chosen:
        _print_screen(table, told, wanted)
    else:
        print(line(told))
        print(f"no series under the prefix {loaded.config.redis.prefix!r} yet: start `livecache run`")


def look(config: Config, wanted: Wanted) -> list[Row]:
    """The chosen series as they stand now, in the configured order. Raises as `show_status`."""
    # Each by a reader of its own: an embedded server has another port when it comes back.
    with open_reader(config) as reader:
        there = reader.series()
        chosen = choose_series(there, wanted.symbols, wanted.timeframes)
        rows = [_named(row_of(view), there) for view in reader.states(chosen)] if chosen else []
    return [row for row in rows if wanted.states is None or row.state in wanted.states]


def _named(row: Row, there: Sequence[SeriesId]) -> Row:
    """The row, its symbol with the venue where there are several."""
    return replace(row, series=row.series._replace(symbol=shown(row.series, there)))


def states_of(text: str | None) -> list[str] | None:
    """The states of a list with commas; None if none is given. Raises ConfigError for what is none."""
    if text is None:
        return None
    names = [name.strip().lower() for name in text.split(",") if name.strip()]
    for name in names:
        if name not in (*STATES, TROUBLE):
            raise ConfigError(f"--state knows no state {name!r}", f"one of {', '.join(STATES)}, or {TROUBLE}")
    return [state for state in STATES if state in names or (TROUBLE in names and state not in STATES[-2:])]


def in_trouble(row: Row) -> bool:
    """Whether somebody should look at it."""
    return row.state not in STATES[-2:]


def trouble_first(table: Sequence[Row]) -> list[Row]:
    """The worst first; among equals as it was."""
    return sorted(table, key=lambda row: STATES.index(row.state) if in_trouble(row) else len(STATES))


def summary(table: Sequence[Row]) -> str:
    """All of it in one line."""
    counts = Counter(row.state for row in table)
    states = ", ".join(f"{count} {name}" for name, count in counts.most_common())
    feeds = Counter(row.feed or "not vouched for" for row in table)
    feed = ", ".join(name if len(feeds) == 1 else f"{count} {name}" for name, count in feeds.most_common())
    return f"{len(table)} series: {states or 'none'}; feed: {feed or 'none'}"


def as_object(table: Sequence[Row], told: Who | None = None) -> dict[str, Any]:
    """The table as `--json` gives it. Times are Unix ms."""
    service = {"service": told.as_object()} if told else {}
    return {"summary": summary(table), **service, "series": [_json(row) for row in table]}


def _json(row: Row) -> dict[str, Any]:
    rest = asdict(row)
    del rest["series"]
    venue, symbol, timeframe = row.series
    return {"venue": venue, "symbol": symbol, "timeframe": timeframe.value, **rest}


def _name(row: Row) -> str:
    return f"{row.series.symbol} {row.series.timeframe}"


def rich_table(table: Sequence[Row], width: int, *, wrap: bool = False) -> Table:
    """The table for so many columns, a line a series unless long reasons may `wrap`.

    Where columns are few, reasons are cut in any case. The rarer columns are left out there, and where they
    would leave next to nothing of a reason.
    """
    from rich.markup import escape
    from rich.table import Table

    few = width < _NARROW
    heads, rows, room = _columns(table, width, narrow=few)
    if room < min(_REASON, max((len(row.reason) for row in table), default=0)):
        heads, rows, room = _columns(table, width, narrow=True)
    shown = Table(box=None, pad_edge=False, header_style="bold")
    for name in heads:
        shown.add_column(name, no_wrap=name != "REASON", justify="right" if name in heads[2:-1] else "left")
    for (*cells, reason), row in zip(rows, table, strict=True):
        # rich would narrow the other columns too: so a reason is cut here, to what they leave.
        if (few or not wrap) and len(reason) > room:
            reason = f"{reason[: room - 1]}…"
        cells[1] = _coloured(row.state, cells[1])
        shown.add_row(*cells, escape(reason))
    return shown


def _columns(table: Sequence[Row], width: int, *, narrow: bool) -> tuple[list[str], list[list[str]], int]:
    """The headings, the cells of each row, and how many columns are left for its reason."""
    heads = ["SERIES", "STATE", *([] if narrow else ["COUNT", "SETTLED THROUGH (UTC)"]), "LAG", "REASON"]
    rows = [_cells(row, narrow=narrow) for row in table]
    widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)][:-1]
    return heads, rows, max(1, width - sum(widths) - 2 * len(widths))


def _coloured(state: str, text: str) -> str:
    return f"[{_COLOURS.get(state, 'red')}]{text}[/]"


def _cells(row: Row, *, narrow: bool) -> list[str]:
    lag = "-" if row.lag_ms is None else duration(row.lag_ms)
    numbers = [lag] if narrow else [str(row.count), utc(row.settled_through), lag]
    return [_name(row), row.state, *numbers, row.reason]


# --- one screen


class Layout(NamedTuple):
    """What of a large table is shown, and what is only counted."""

    trouble: Sequence[Row]
    more_trouble: Sequence[Row]
    matrix: Sequence[Sequence[Row]]  # a symbol's series each
    more: Sequence[Row]  # of the symbols that are not in the matrix


def layout(table: Sequence[Row], room: int) -> Layout:
    """So many lines at most: those in trouble on half of them, then symbols, those with any trouble first.

    Pure. A line that counts what is left out is one of them.
    """
    trouble = [row for row in trouble_first(table) if in_trouble(row)]
    shown = trouble if len(trouble) <= room // 2 else trouble[: max(1, room // 2 - 1)]
    room -= len(shown) + (len(shown) < len(trouble)) + bool(shown)  # and a line between the two
    symbols: dict[str, list[Row]] = {}
    for row in table:
        symbols.setdefault(row.series.symbol, []).append(row)
    ordered = sorted(symbols.values(), key=lambda rows: all(row.state == "ready" for row in rows))
    fits = len(ordered) if len(ordered) < room else max(0, room - 2)
    return Layout(
        shown, trouble[len(shown) :], ordered[:fits], [row for rows in ordered[fits:] for row in rows]
    )


def matrix(symbols: Sequence[Sequence[Row]], timeframes: Sequence[str], tick: str) -> Table:
    """A line a symbol, a column a timeframe: a tick where it is ready, else its state."""
    from rich.table import Table

    shown = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("SYMBOL", *timeframes):
        shown.add_column(name, no_wrap=True)
    for rows in symbols:
        states = {row.series.timeframe.value: row.state for row in rows}
        cells = [_coloured(state, tick if state == "ready" else state) for state in states.values()]
        by_timeframe = dict(zip(states, cells, strict=True))
        shown.add_row(rows[0].series.symbol, *(by_timeframe.get(name, "-") for name in timeframes))
    return shown


def _print_screen(table: Sequence[Row], told: Who, wanted: Wanted) -> None:
    from rich.console import Console

    # Into a pipe goes the whole line, however long; a terminal wraps it.
    on_terminal = terminal.is_terminal()
    console = Console(width=None if on_terminal else _PIPE_WIDTH, highlight=False)
    around = [line(told, console.width if on_terminal else None), summary(table)]
    wrapped = sum((len(text) - 1) // console.width for text in around)
    room = max(8, (console.height if on_terminal else _PIPE_ROWS) - _AROUND - wrapped)
    print(around[0])
    if wanted.chosen or len(table) <= room:
        if table:
            console.print(rich_table(trouble_first(table), console.width, wrap=True))
    else:
        _print_folded(layout(table, room), table, console)
    print(around[1])


def _print_folded(shown: Layout, table: Sequence[Row], console: Console) -> None:
    ellipsis, tick = ("…", "✓") if terminal.can_show("…✓") else ("...", "ok")
    if shown.trouble:
        console.print(rich_table(shown.trouble, console.width))
    if shown.more_trouble:
        counted, rest = _counted(shown.more_trouble), f": --state {TROUBLE} lists them"
        fits = len(f"{ellipsis} and {counted}{rest}") <= console.width
        print(f"{ellipsis} and {counted if fits else f'{len(shown.more_trouble)} more'}{rest}")
    if shown.matrix:
        timeframes = sorted({row.series.timeframe for row in table}, key=lambda timeframe: timeframe.ms)
        if shown.trouble:
            print()
        console.print(matrix(shown.matrix, [one.value for one in timeframes], tick))
    if shown.more:
        symbols = len({row.series.symbol for row in shown.more})
        name = "symbol" if symbols == 1 else "symbols"
        counted, rest = f", {_counted(shown.more)}", ": --all lists every series"
        fits = len(f"{ellipsis} and {symbols} more {name}{counted}{rest}") <= console.width
        print(f"{ellipsis} and {symbols} more {name}{counted if fits else ''}{rest}")


def _counted(rows: Sequence[Row]) -> str:
    counts = Counter(row.state for row in rows)
    return ", ".join(f"{count} {state}" for state, count in counts.most_common())
