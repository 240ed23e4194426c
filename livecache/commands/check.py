"""`livecache check`: is what is stored what it should be? The rules are in `livecache.quality`."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from ..config.schema import Config, default_venues
from ..errors import ConfigError
from ..model.series import SeriesId
from ..model.timeframe import Timeframe
from ..quality.check import Check, Rules
from ..quality.findings import Finding, Flaw, Options
from ..quality.inspection import Inspector
from ..quality.report import TABLES, as_csv, as_json, as_text, together
from ..quality.venue import Compared
from ..venues.registry import settings_named
from ..wire.advice import SETTINGS
from .reading import choose_series, connect, keyspace_of, open_reader

__all__ = ["FINDINGS_EXIT_CODE", "Wanted", "check", "write_files", "write_forms"]

FINDINGS_EXIT_CODE = 7
"""What `livecache check` ends with if something is wrong with the data."""

_SECOND_LOOK_S = 1.0
"""After how long roll-ups that do not agree are read again: the writer may be between two calls."""


class Wanted(NamedTuple):
    """What to check, and how to tell it."""

    symbols: Sequence[str] | None = None
    timeframes: Sequence[Timeframe] | None = None
    gap_buckets: int = 1
    as_json: bool = False
    csv_table: str | None = None
    output: Path | None = None
    against_venue: bool = False
    requests_most: int = 1_000
    verbose: bool = False
    options: Options = Options()


def check(config: Config, wanted: Wanted) -> int:
    """Check what is stored and print the outcome; 0 if it is clean, else 7.

    Raises RedisUnavailable, UnknownSeries for names of which nothing is announced, and ConfigError for an
    output that cannot be written.
    """
    if wanted.csv_table is not None and wanted.csv_table not in TABLES:
        raise ConfigError(f"--csv knows no table {wanted.csv_table!r}", f"one of {', '.join(TABLES)}")
    now = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    with connect(config) as client:
        venues: Iterable[str] = config.venues
        if config.venues == default_venues():  # None is configured: what a demo, or somebody else, fills.
            with open_reader(config) as reader:
                venues = sorted({series.venue for series in reader.series()}) or venues
        inspectors = {venue: Inspector(client, keyspace_of(config, venue)) for venue in venues}
        gathered = _gathered(inspectors, config, wanted)
    reports = {}
    for venue, one in gathered.items():
        compared = _compare(config, venue, one, wanted) if wanted.against_venue else None
        reports[venue] = one.report(checked_at=now, venue=compared)
    report = together(reports) if len(inspectors) > 1 else reports.popitem()[1]
    if wanted.output is not None:
        forms = {f"{table}.csv": as_csv(report, table) for table in TABLES}
        write_forms(wanted.output, forms, as_json(report), as_text(report))
    if wanted.as_json:
        sys.stdout.write(as_json(report))
    elif wanted.csv_table is not None:
        sys.stdout.write(as_csv(report, wanted.csv_table))
    else:
        print("\n".join(as_text(report, verbose=wanted.verbose)))
    return 0 if report.clean else FINDINGS_EXIT_CODE


def _gathered(inspectors: Mapping[str, Inspector], config: Config, wanted: Wanted) -> dict[str, Check]:
    """Read and judge all that is wanted, of each venue that has any of it."""
    checks = {venue: Check(one.keys, _rules(config, venue, wanted)) for venue, one in inspectors.items()}
    there = {venue: check.take_shared(inspectors[venue].shared()) for venue, check in checks.items()}
    everything = [series for announced in there.values() for series in announced]
    chosen = choose_series(everything, wanted.symbols, wanted.timeframes)
    for venue, announced in there.items():
        if not announced:
            message = f"no series is announced under the prefix {config.redis.prefix!r}"
            checks[venue].findings.append(Finding(Flaw.ABSENT, message, "livecache run"))
        _gather(inspectors[venue], checks[venue], announced, [s for s in chosen if s.venue == venue])
    # Of a choice only those are told of that have any of it.
    some = {series.venue for series in chosen} if wanted.symbols is not None else checks
    return {venue: check for venue, check in checks.items() if venue in some}


def _rules(config: Config, venue: str, wanted: Wanted) -> Rules:
    return Rules(
        patience_ms=int(config.cache.max_lag * 1000),
        gap_buckets=wanted.gap_buckets,
        origin=config.venues[venue].origin if venue in config.venues else "",
        options=wanted.options,
    )


def _gather(
    inspector: Inspector, gathered: Check, announced: Sequence[SeriesId], chosen: Sequence[SeriesId]
) -> None:
    gathered.take_names(inspector.names(), announced, complete=True)
    if not inspector.saw_all_names:
        gathered.take_names((), announced, complete=False)
    gathered.take_settings(inspector.settings(SETTINGS))
    doubtful = [symbol for symbol in _by_symbol(chosen) if not gathered.take_symbol(inspector.series(symbol))]
    if doubtful:
        time.sleep(_SECOND_LOOK_S)
        for symbol in doubtful:
            gathered.take_symbol(inspector.series(symbol))


def _by_symbol(series: Sequence[SeriesId]) -> Iterator[list[SeriesId]]:
    for _, group in groupby(series, key=lambda one: one.symbol):
        yield list(group)


def _compare(config: Config, venue: str, gathered: Check, wanted: Wanted) -> Compared:
    from .venue_check import compare_with_venue

    return compare_with_venue(
        venue, settings_named(venue, config.venues), os.environ, gathered, requests_most=wanted.requests_most
    )


def write_forms(directory: Path, tables: Mapping[str, str], as_json: str, lines: Iterable[str]) -> None:
    """All forms of a report, into a directory that is made if need be. Raises ConfigError."""
    write_files(directory, {**tables, "report.json": as_json, "report.txt": "\n".join([*lines, ""])})


def write_files(directory: Path, files: Mapping[str, str], option: str = "--output") -> None:
    """Into a directory that is made if need be. Raises ConfigError, which names the option."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (directory / name).write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigError(
            f"{directory} cannot be written: {error.strerror}", f"name another {option}"
        ) from None
    print(f"written to {directory}: {', '.join(sorted(files))}", file=sys.stderr)
