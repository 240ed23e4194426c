"""`livecache history stats`, `gaps`, `assets` and `log`: what is there, what is not, and what happened."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from ...model.coverage import Coverage
from ...model.grid import Grid
from ...model.timeframe import iso
from .asking import time_of
from .chosen import chosen, name_of, print_table, size_of
from .opened import Place, open_history
from .report import percent

if TYPE_CHECKING:
    from ...history.store import SeriesInfo, Stats

__all__ = ["assets", "gaps", "log", "stats"]


def stats(place: Place, symbols: str | None, timeframes: str | None, *, as_json: bool) -> None:
    """Print how much there is of each series."""
    with open_history(place) as store:
        found = [store.stats(each.id)[0] for each in chosen(store, symbols, timeframes) if each.rev]
        size = store.total_bytes()
    if as_json:
        told = {"path": str(place), "bytes": size, "series": [_stats(each) for each in found]}
        print(json.dumps(told))
        return
    if found:
        later = any(each.provisional for each in found)
        print_table(
            (
                *("SERIES", "CANDLES", "FROM", "THROUGH", "KNOWN", "GAPS", "SIZE", "REVISED"),
                *(["PROVISIONAL"] if later else []),
            ),
            [
                (
                    name_of(each.series),
                    f"{each.rows:,}",
                    *((iso(spans[0].start), iso(spans[-1].end)) if (spans := each.coverage.spans) else "--"),
                    percent(_share(each)),
                    f"{max(0, len(spans) - 1):,}",
                    size_of(each.bytes),
                    f"{each.revisions:,}",
                    *([f"{each.provisional:,}"] if later else []),
                )
                for each in found
            ],
        )
        print()
    rows = sum(each.rows for each in found)
    print(f"{len(found)} series, {rows:,} candles, {size_of(size)} in {place}")


def gaps(
    place: Place,
    symbols: str | None,
    timeframes: str | None,
    *,
    since: str | None,
    until: str | None,
    top: int | None,
    as_json: bool,
) -> int:
    """Print what is missing of each series; 1 if anything is.

    Between what is known of it first and last, else from `since` and to `until`.
    """
    start, end = (time_of(flag, text) for flag, text in (("--since", since), ("--until", until)))
    with open_history(place) as store:
        found = [
            (info, info.grid.count(*span), span)
            for info in chosen(store, symbols, timeframes)
            for span in _missing(info, store.coverage(info.id), start, end)
        ]
    buckets = sum(count for _, count, _ in found)
    shown = found if top is None else sorted(found, key=lambda gap: -gap[1])[:top]
    if as_json:
        told = [
            {**_named(info), "from": span[0], "to": span[1], "buckets": count} for info, count, span in shown
        ]
        print(json.dumps({"gaps": told, "total": {"gaps": len(found), "buckets": buckets}}))
        return 1 if found else 0
    if shown:
        rows = [(name_of(info), *map(iso, span), f"{count:,}") for info, count, span in shown]
        print_table(("SERIES", "FROM", "TO", "BUCKETS"), rows)
        print()
    more = f", the {len(shown)} longest of them above" if len(shown) < len(found) else ""
    print(
        f"{len(found)} gap{'s' * (len(found) != 1)}, {buckets:,} buckets{more}"
        if found
        else "nothing is missing"
    )
    return 1 if found else 0


def assets(place: Place, *, as_json: bool) -> None:
    """Print the symbols of which something is stored."""
    with open_history(place) as store:
        found = store.assets()
    if as_json:
        print(json.dumps({"assets": [asdict(each) for each in found]}))
        return
    if found:
        head = ("SYMBOL", "FIRST SEEN", "LAST UPDATE", "LISTED", "EXCHANGE", "CURRENCY", "CALENDAR", "NAME")
        print_table(
            head,
            [
                (
                    f"{each.venue}:{each.symbol}",
                    *(iso(each.first_seen), iso(each.last_update)),
                    iso(each.listed)[:10] if each.listed else "-",
                    *(text or "-" for text in (each.exchange, each.currency, each.calendar, each.name)),
                )
                for each in found
            ],
        )
        print()
    print(f"{len(found):,} symbol{'s' * (len(found) != 1)}")


def log(place: Place, *, job: int | None, count: int, as_json: bool) -> None:
    """Print the newest records of the store's log."""
    with open_history(place) as store:
        entries = store.logged(job=job, limit=count)
        names = {each.id: each for each in store.all_series()}
    if as_json:
        told = [asdict(each) | _named(names.get(each.series or 0)) for each in entries]
        print(json.dumps({"entries": told}))
        return
    for each in entries:
        series = names.get(each.series or 0)
        about = f" {name_of(series)}" if series else ""
        of_job = f" job {each.job}" if each.job is not None else ""
        print(f"{iso(each.at)} {each.level}{about}{of_job}: {each.message}")
        for line in each.detail.splitlines() if "\n" in each.detail else ():
            print(f"    {line}")
    if not entries:
        print("nothing is logged")


def _missing(info: SeriesInfo, known: Coverage, start: int | None, end: int | None) -> Coverage:
    """What is missing in whole buckets; before its listing nothing is."""
    grid: Grid = info.grid
    if not known and (start is None or end is None):
        return known
    first = known.spans[0].start if start is None else grid.ceil(max(start, info.listed or 0))
    return known.missing(first, known.spans[-1].end if end is None else grid.closed(end))


def _share(stats: Stats) -> float:
    """Per cent of the buckets between the first and the last that are known."""
    spans, grid = stats.coverage.spans, stats.series.grid
    if not spans:
        return 0.0
    whole = grid.count(spans[0].start, spans[-1].end)
    return 100 * sum(grid.count(*span) for span in spans) / max(1, whole)


def _named(info: SeriesInfo | None) -> dict[str, str]:
    if info is None:
        return {}
    venue, symbol, timeframe = info.key
    return {"venue": venue, "symbol": symbol, "timeframe": timeframe.value}


def _stats(stats: Stats) -> dict[str, object]:
    info = stats.series
    return {
        **_named(info),
        "candles": stats.rows,
        "first": stats.first,
        "last": stats.last,
        "listed": info.listed,
        "coverage": [list(span) for span in stats.coverage],
        "bytes": stats.bytes,
        "revision": info.rev,
        "revisions": stats.revisions,
        "provisional": stats.provisional,
    }
