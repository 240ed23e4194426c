"""The report of a fill: a line a series, and a total."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path

from ...errors import ConfigError
from ...history.tally import Line
from ...model.budget import Hour
from ...model.timeframe import iso

__all__ = ["draw", "percent", "print_report", "total_of", "write_report"]

_WHOLE = ("succeeded", "there already")
_DRAWN_EVERY_S = 0.5
_COLUMNS = [field.name for field in fields(Line)]


def total_of(lines: Sequence[Line]) -> dict[str, object]:
    """What all of them come to."""
    failed = [line for line in lines if line.error]
    return {
        "series": len(lines),
        "successful": sum(line.state in _WHOLE for line in lines),
        "failed": len(failed),
        "inserted": sum(line.inserted for line in lines),
        "skipped": sum(line.skipped for line in lines),
        "same": sum(line.same for line in lines),
        "revised": sum(line.revised for line in lines),
        "rejected": sum(line.rejected for line in lines),
        "provisional": sum(line.provisional for line in lines),
        "requests": sum(line.requests for line in lines),
        **_when(lines),
        "failed_symbols": sorted({line.symbol for line in failed}),
    }


def _when(lines: Sequence[Line]) -> dict[str, object]:
    """From when to when it was worked on, and for how long."""
    began, ended = (
        min((each.began for each in lines), default=0),
        max((each.ended for each in lines), default=0),
    )
    told = {"began": iso(began) if began else "", "ended": iso(ended) if ended else ""}
    return told | {"seconds": round(max(0, ended - began) / 1000, 3)}


def _as_object(lines: Sequence[Line], hours: Mapping[str, Hour]) -> dict[str, object]:
    venues = {
        venue: {"requests_this_hour": hour.requests, "requests_per_hour": hour.most}
        for venue, hour in hours.items()
    }
    return {"series": [asdict(line) for line in lines], "total": total_of(lines), "venues": venues}


def _spent(hours: Mapping[str, Hour]) -> Iterator[str]:
    """What is used of each hourly limit."""
    for venue, (requests, most) in hours.items():
        if most:
            yield f"{venue}: {requests:,} of {most:,} requests this hour"


def print_report(lines: Sequence[Line], hours: Mapping[str, Hour], *, as_json: bool) -> None:
    """To stdout, as a table or as one JSON object."""
    if as_json:
        print(json.dumps(_as_object(lines, hours)))
        return
    if not lines:
        return
    print("\n".join(_table(lines)))
    total = total_of(lines)
    print(
        f"{total['successful']} of {total['series']} series filled, {total['inserted']:,} candles new, "
        f"{total['requests']:,} requests"
        + (f", {total['rejected']:,} rows rejected" if total["rejected"] else "")
        + (f", {total['provisional']:,} provisional until the next open" if total["provisional"] else "")
    )
    for spent in _spent(hours):
        print(spent)


async def draw(lines: Callable[[], Sequence[Line]], hours: Callable[[], Mapping[str, Hour]]) -> None:
    """Show how far all are, below the log on stderr, until cancelled; where that is no terminal, nothing."""
    if not sys.stderr.isatty():
        return
    # Imported here: a log file wants no table.
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    console = Console(stderr=True)
    with Live(console=console, auto_refresh=False, transient=True, redirect_stdout=False) as live:
        while True:
            # Those under way first, as many as the terminal shows.
            spent = [*_spent(hours())]
            room = max(1, console.height - 4 - len(spent))
            shown = sorted(lines(), key=lambda line: line.state != "filling")[:room]
            text = "\n".join((*_table(shown), *spent)) if shown else ""
            live.update(Text(text, no_wrap=True, overflow="ellipsis"), refresh=True)
            await asyncio.sleep(_DRAWN_EVERY_S)


def _table(lines: Sequence[Line]) -> Iterator[str]:
    width = max(len(line.name) for line in lines)
    yield f"{'':{width}}  {'new':>11} {'same':>11} {'revised':>8} {'there':>8} {'requests':>8} {'time':>8}"
    for line in lines:
        yield (
            f"{line.name:{width}}  {line.inserted:>11,} {line.same:>11,} {line.revised:>8,} "
            f"{percent(line.completeness):>8} {line.requests:>8,} {line.seconds:>6.1f} s"
        )
        if line.error:
            yield f"{'':{width}}  failed: {line.error}"


def write_report(lines: Sequence[Line], hours: Mapping[str, Hour], path: Path) -> None:
    """Into a file: JSON where it is called so, else CSV. Raises ConfigError where it cannot be written."""
    if path.suffix == ".json":
        text = json.dumps(_as_object(lines, hours), indent=1)
    else:
        table = io.StringIO()
        writer = csv.DictWriter(table, _COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(line) for line in lines)
        text = table.getvalue()
    try:
        path.write_text(text)
    except OSError as error:
        raise ConfigError(f"--report {path}: {error.strerror}", "name a file that can be written") from None
    print(f"report in {path}", file=sys.stderr)


def percent(share: float) -> str:
    """Never "100" for less than all."""
    return "100 %" if share >= 100 else f"{min(share, 99.99):.2f} %"
