"""`livecache ready`: may one start to read? And for an orchestrator: should this container live?"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...config.schema import Config
from ...keys.keyspace import holder_of
from ...model.naming import split_venue
from ...model.timeframe import Timeframe
from ...read.standing import left_warm, reasons_not_ready, row_of
from ..reading import choose_series, connect, find_series, keyspace_of, open_reader

if TYPE_CHECKING:
    from ...model.series import SeriesId

__all__ = ["check_ready", "meant_by"]

# What holds nothing back, and is told all the same.
_BESIDES = {
    "short": "of them as long as the venue has",
    "unknown": "of symbols that the venue does not know",
    "halted": "of symbols that are halted",
}


def check_ready(config: Config, names: Sequence[str] = (), *, health: bool, as_json: bool) -> int:
    """Print whether all is ready and what is not; 0 if ready, else 1. Raises RedisUnavailable.

    `names` are those of some series, as `meant_by` takes them: then only they count, and each has to be
    there, known and traded. Raises UnknownSeries for one that nobody fills.

    What the venue has too little of, does not know or has halted does not hold the others back. With
    `health`, it is enough that all was ready once and that a service lives: a venue's outage is no reason
    to restart a cache.
    """
    # Whoever names a symbol wants candles of it, and is not served by an exchange that knows none.
    require = "all" if names else config.cache.require
    with open_reader(config) as reader:
        chosen = meant_by(names, reader.series()) if names else None
        views = reader.states(chosen)
    table = [row_of(view) for view in views]
    reasons = reasons_not_ready(table, config.redis.prefix, require)
    there = {row.series.venue for row in table}
    if there and not names and len(config.venues) > 1:
        reasons += [f"{venue}: no series yet" for venue in config.venues if venue not in there]
    if health:
        written = _written(config)
        beside = [view for view in views if view.series.venue in written]
        if not written:
            reasons = ["no service holds the lease: it has ended, or not begun", *reasons]
        # A restart for one venue's sake would take the others away as well.
        elif _was_ready("\n".join([config.redis.prefix, *names]), now=not reasons) or left_warm(
            beside, require
        ):
            reasons = []
    counts = Counter(row.state for row in table)
    told = [f"{counts[state]} {words}" for state, words in _BESIDES.items() if counts[state]]
    if as_json:
        print(json.dumps({"ready": not reasons, "series": len(table), "reasons": reasons}))
    elif reasons:
        print("\n".join(["not ready:", *(f"  {reason}" for reason in reasons)]))
    elif health:
        print("healthy")
    else:
        print(f"ready: {len(table)} series" + (f", {', '.join(told)}" if told else ""))
    return 1 if reasons else 0


_TIMEFRAMES = frozenset(timeframe.value for timeframe in Timeframe)


def meant_by(names: Sequence[str], there: Sequence[SeriesId]) -> list[SeriesId]:
    """The series that words mean: symbols, timeframes, or both with a colon between, `BTC-USD:5m`.

    A symbol may be `venue:SYMBOL`.

    Symbols are combined with timeframes, whatever the order; without any of one kind, all there are. Raises
    UnknownSeries where nobody fills one of them, and UnknownTimeframe.
    """
    venues = {series.venue for series in there}
    pairs, words = [], []
    for name in names:
        symbol, colon, last = name.rpartition(":")
        # `venue:SYMBOL` is a symbol, of all its timeframes.
        if colon and (last in _TIMEFRAMES or split_venue(name, venues)[0] is None):
            pairs.append((symbol, last))
        else:
            words.append(name)
    symbols = [name for name in words if "-" in name or not name[:1].isdigit()]
    timeframes = [Timeframe.parse(name) for name in words if "-" not in name and name[:1].isdigit()]
    chosen = [find_series(there, symbol, timeframe) for symbol, timeframe in pairs]
    for symbol in symbols:
        if timeframes:
            chosen += [find_series(there, symbol, timeframe.value) for timeframe in timeframes]
        else:
            chosen += choose_series(there, [symbol], None)
    if timeframes and not symbols:
        chosen += choose_series(there, None, timeframes)
    return list(dict.fromkeys(chosen))


def _written(config: Config) -> set[str]:
    """The venues whose lease is held: unlike the alive keys, it lives on while a venue is silent."""
    with connect(config) as client:
        leases: dict[str, Any] = {
            venue: client.get(keyspace_of(config, venue).lease) for venue in config.venues
        }
    return {venue for venue, raw in leases.items() if holder_of(raw) is not None}


def _was_ready(what: str, *, now: bool) -> bool:
    """Whether all of it has been seen ready in this container; remembers it if it is so `now`.

    A file remembers, since health checks are processes of their own.
    """
    name = hashlib.sha256(f"{os.getuid()}\n{what}".encode()).hexdigest()[:16]
    mark = Path(tempfile.gettempdir()) / f"livecache-was-ready-{name}"
    if now:
        # A container without any place to write forgets: then every check counts by itself.
        with contextlib.suppress(OSError):
            mark.touch(mode=0o600)
    return now or mark.exists()
