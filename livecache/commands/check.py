"""`livecache check`: is what is stored what it should be? The rules are in `livecache.quality`."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from ..config.schema import Config
from ..errors import ConfigError
from ..model.series import SeriesId
from ..model.timeframe import Timeframe
from ..quality.check import Check, Rules
from ..quality.findings import Finding, Kind, Options
from ..quality.inspection import Inspector
from ..quality.report import TABLES, Report, as_csv, as_json, as_text
from ..quality.venue import Compared
from ..wire.advice import SETTINGS
from .reading import choose_series, connect, keyspace_of, venue_of

__all__ = ["FINDINGS_EXIT_CODE", "Wanted", "check"]

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
    with connect(config) as client:
        gathered = _gather(Inspector(client, keyspace_of(config)), config, wanted)
    compared = _compare(config, gathered, wanted) if wanted.against_venue else None
    now = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    report = gathered.report(checked_at=now, venue=compared)
    if wanted.output is not None:
        _write(report, wanted.output)
    if wanted.as_json:
        sys.stdout.write(as_json(report))
    elif wanted.csv_table is not None:
        sys.stdout.write(as_csv(report, wanted.csv_table))
    else:
        print("\n".join(as_text(report, verbose=wanted.verbose)))
    return 0 if report.clean else FINDINGS_EXIT_CODE


def _gather(inspector: Inspector, config: Config, wanted: Wanted) -> Check:
    """Read and judge all that is wanted."""
    rules = Rules(
        patience_ms=int(config.cache.max_lag * 1000),
        gap_buckets=wanted.gap_buckets,
        origin=config.venues[venue_of(config)].origin,
        options=wanted.options,
    )
    gathered = Check(inspector.keys, rules)
    announced = gathered.take_shared(inspector.shared())
    if not announced:
        message = f"no series is announced under the prefix {config.redis.prefix!r}"
        gathered.findings.append(Finding(Kind.ABSENT, message, "livecache run"))
    chosen = choose_series(announced, wanted.symbols, wanted.timeframes)
    gathered.take_names(inspector.names(), announced, complete=True)
    if not inspector.saw_all_names:
        gathered.take_names((), announced, complete=False)
    gathered.take_settings(inspector.settings(SETTINGS))
    doubtful = [symbol for symbol in _by_symbol(chosen) if not gathered.take_symbol(inspector.series(symbol))]
    if doubtful:
        time.sleep(_SECOND_LOOK_S)
        for symbol in doubtful:
            gathered.take_symbol(inspector.series(symbol))
    return gathered


def _by_symbol(series: Sequence[SeriesId]) -> Iterator[list[SeriesId]]:
    for _, group in groupby(series, key=lambda one: one.symbol):
        yield list(group)


def _compare(config: Config, gathered: Check, wanted: Wanted) -> Compared:
    from .venue_check import compare_with_venue

    venue = venue_of(config)
    return compare_with_venue(
        venue, config.venues[venue], os.environ, gathered, requests_most=wanted.requests_most
    )


def _write(report: Report, directory: Path) -> None:
    """All forms of the report, into a directory that is made if need be."""
    files = {f"{table}.csv": as_csv(report, table) for table in TABLES}
    files["report.json"] = as_json(report)
    files["report.txt"] = "\n".join([*as_text(report), ""])
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (directory / name).write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigError(
            f"{directory} cannot be written: {error.strerror}", "name another --output"
        ) from None
    print(f"written to {directory}: {', '.join(sorted(files))}", file=sys.stderr)
