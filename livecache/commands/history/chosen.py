"""Which of the stored series a command is about, and how they are named and laid out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from ...config.load import parse_timeframes
from ...errors import UnknownSeries
from ...model.naming import near_names, split_venue
from ...model.timeframe import iso

if TYPE_CHECKING:
    from ...history.store import HistoryStore, SeriesInfo

__all__ = ["chosen", "name_of", "print_table", "size_of", "span_of", "table_lines"]


def chosen(store: HistoryStore, symbols: str | None, timeframes: str | None) -> list[SeriesInfo]:
    """Those of these symbols and timeframes, by comma; None: of all. Raises UnknownSeries."""
    series = list(store.all_series())
    if timeframes is not None:
        wanted = set(parse_timeframes("--timeframe", timeframes))
        series = [each for each in series if each.key.timeframe in wanted]
    if symbols is None:
        return series
    known: dict[str, set[str]] = {}
    for each in series:
        known.setdefault(each.key.venue, set()).add(each.key.symbol)
    found: list[SeriesInfo] = []
    for text in filter(None, map(str.strip, symbols.split(","))):
        venue, symbol = split_venue(text, known)
        of_it = [each for each in series if each.key.symbol == symbol and venue in (None, each.key.venue)]
        if not of_it:
            near = near_names(text, known)
            hint = f"did you mean {' or '.join(near)}?" if near else "livecache history stats lists what is"
            raise UnknownSeries(f"{text}: no history of it is stored", hint)
        found += of_it
    return found


def name_of(series: SeriesInfo) -> str:
    """As it is told: with its venue, since a file may hold several."""
    venue, symbol, timeframe = series.key
    return f"{venue}:{symbol} {timeframe.value}"


def span_of(start: int, end: int) -> str:
    """A stretch of time, for people."""
    return f"{iso(start)} to {iso(end)}"


def size_of(number: int) -> str:
    """So many bytes, for people."""
    size, unit = float(number), "B"
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1_000 or unit == "GB":
            break
        size /= 1_000
    return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"


def print_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """The first column to the left, the others to the right."""
    for line in table_lines(head, rows):
        print(line)


def table_lines(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """The lines of such a table."""
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    for row in (head, *rows):
        first, *rest = [
            cell.rjust(width) if n else cell.ljust(width)
            for n, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield "  ".join((first, *rest)).rstrip()
