"""`livecache history verify`, `backup`, `vacuum` and `drop`: what keeps the file sound and small."""

from __future__ import annotations

import json
from pathlib import Path

from ...errors import StoreUnusable
from ...model.timeframe import iso
from .asking import time_of
from .chosen import chosen, name_of, size_of, span_of
from .opened import Place, open_history

__all__ = ["DAMAGED_EXIT_CODE", "backup", "drop", "vacuum", "verify"]

DAMAGED_EXIT_CODE = 7


def verify(place: Place, symbols: str | None, timeframes: str | None, *, heal: bool, as_json: bool) -> int:
    """Read every block, and print what cannot be believed; with `heal` it is put aside. 7 if any is left."""
    with open_history(place, writes=heal) as store:
        series = chosen(store, symbols, timeframes)
        look = store.heal if heal else store.verify
        found = [damage for each in series for damage in look(each.id)]
    if as_json:
        told = [
            {"series": name_of(each.series), "from": each.span[0], "to": each.span[1], "reason": each.reason}
            for each in found
        ]
        print(json.dumps({"series": len(series), "damaged": told, "healed": heal}))
    else:
        for each in found:
            reason = each.reason.rpartition(" is damaged: ")[2]
            print(f"{name_of(each.series)} {span_of(*each.span)}: {reason}")
        many = f"{len(found)} blocks of {len(series)} series"
        if not found:
            print(f"{len(series)} series: nothing is damaged")
        elif heal:
            print(f"{many} are put aside: livecache history fill asks for them again")
        else:
            print(f"{many} are damaged; --heal puts them aside, so that they are asked for again")
    return DAMAGED_EXIT_CODE if found and not heal else 0


def backup(place: Place, copy: Path, *, as_json: bool) -> None:
    """Write a whole and consistent copy, beside whoever writes."""
    if not copy.absolute().parent.is_dir():
        raise StoreUnusable(f"there is no directory {copy.absolute().parent}", "make it first")
    with open_history(place, writes=True) as store:
        store.backup(copy)
    size = copy.stat().st_size
    print(json.dumps({"path": str(copy), "bytes": size}) if as_json else f"{size_of(size)} in {copy}")


def vacuum(place: Place, *, as_json: bool) -> None:
    """Give unused room back."""
    with open_history(place, writes=True) as store:
        before = store.total_bytes()
        store.vacuum()
        after = store.total_bytes()
    if as_json:
        print(json.dumps({"path": str(place), "before": before, "bytes": after}))
    else:
        print(f"{size_of(after)} in {place}, {size_of(max(0, before - after))} less")


def drop(
    place: Place, symbols: str | None, timeframes: str | None, *, before: str, yes: bool, as_json: bool
) -> None:
    """List what lies before a time; with `yes` it is taken out."""
    edge = time_of("--before", before) or 0
    gone: dict[str, int] = {}
    with open_history(place, writes=yes) as store:
        for each in chosen(store, symbols, timeframes):
            first = store.stats(each.id)[0].first
            if yes:
                rows = store.drop(each.id, edge)
            else:
                held = () if first is None else store.batches(each.id, first, edge)
                rows = sum(len(part.rows) for part in held)
            if rows:
                gone[name_of(each)] = rows
    if as_json:
        print(json.dumps({"before": edge, "dropped": yes, "candles": gone}))
        return
    for name, rows in gone.items():
        print(f"{'dropped' if yes else 'would drop'} {rows:,} candles of {name}")
    if not gone:
        print(f"nothing lies before {iso(edge)}")
    elif yes:
        print("livecache history vacuum gives the room back")
    else:
        print(f"--yes drops what lies before {iso(edge)}, for good")
