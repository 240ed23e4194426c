"""`livecache check --history`: are the years that are stored what they should be?"""

from __future__ import annotations

import sys
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ...clock import SystemClock
from ...errors import ConfigError
from ...model.coverage import Span
from ..check import FINDINGS_EXIT_CODE, write_files, write_forms
from .asking import time_of
from .chosen import chosen
from .opened import Place, open_history

if TYPE_CHECKING:
    from ...history.store import HistoryDatabase
    from ...quality.history.report import Report

__all__ = ["Wanted", "check_history"]

_JOBS_MOST = 100_000


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to check, how strictly, and how to tell it."""

    symbols: str | None
    timeframes: str | None
    since: str | None
    until: str | None
    gap_buckets: int
    move: float
    wick: float
    peers: bool
    strict: bool
    top: int
    verbose: bool
    as_json: bool
    csv_table: str | None
    output: Path | None
    html: Path | None


def check_history(place: Place, wanted: Wanted) -> int:
    """Check what is stored and print the outcome: 0 if it is clean, else 7.

    Raises StoreUnusable, UnknownSeries for what is not stored, and ConfigError for an output that cannot be
    written.
    """
    with open_history(place) as store:
        from ...quality.history.report import TABLES, as_csv, as_json, as_text

        if wanted.csv_table is not None and wanted.csv_table not in TABLES:
            raise ConfigError(f"--csv knows no table {wanted.csv_table!r}", f"one of {', '.join(TABLES)}")
        report, page = _checked(store, str(place), wanted)
    if wanted.output is not None:
        others = {f"{table}.csv": as_csv(report, table) for table in TABLES}
        write_forms(wanted.output, others | {"report.html": page}, as_json(report), as_text(report))
    if wanted.html is not None:
        write_files(wanted.html.parent, {wanted.html.name: page}, "--html")
    if wanted.as_json:
        sys.stdout.write(as_json(report))
    elif wanted.csv_table is not None:
        sys.stdout.write(as_csv(report, wanted.csv_table))
    else:
        print("\n".join(as_text(report, verbose=wanted.verbose)))
    return 0 if report.clean else FINDINGS_EXIT_CODE


def _checked(store: HistoryDatabase, path: str, wanted: Wanted) -> tuple[Report, str]:
    """The report, and as a page if that is asked for."""
    from ...quality.history.check import Check
    from ...quality.history.findings import Rules

    since, until = (
        time_of(flag, text) for flag, text in (("--since", wanted.since), ("--until", wanted.until))
    )
    rules = Rules(wanted.gap_buckets, wanted.move, wanted.wick)
    check = Check(store, rules, since, until, *_unfinished(store))
    series = [
        each
        for each in chosen(store, wanted.symbols, wanted.timeframes)
        if each.rev or each.id in check.wanted
    ]
    for info in series:
        check.take(info)
    check.compare_timeframes(series)
    if wanted.peers:
        check.compare_venues(series)
    now = int(SystemClock().wall() * 1000)
    report = check.report(path=path, checked_at=now, top=wanted.top, strict=wanted.strict)
    if wanted.output is None and wanted.html is None:
        return report, ""
    from ...quality.history.excerpts import excerpts
    from ...quality.history.page.page import as_html

    around = excerpts(store, {info.key: info for info in series}, [*report.findings, *report.warnings])
    return report, as_html(report, around)


def _unfinished(store: HistoryDatabase) -> tuple[dict[int, Span], dict[int, str]]:
    """What was asked for and has not come, by series, and why it has not."""
    from ...history.store import ACTIVE, JobState

    spans: defaultdict[int, list[Span]] = defaultdict(list)
    failed: dict[int, str] = {}
    for job in store.jobs(states=[*ACTIVE, JobState.FAILED], limit=_JOBS_MOST):  # the newest first
        spans[job.want.series].append(Span(job.want.start, job.want.end))
        if job.state is JobState.FAILED:
            failed.setdefault(job.want.series, job.error[:200])
    wanted = {
        series: Span(min(span.start for span in each), max(span.end for span in each))
        for series, each in spans.items()
    }
    return wanted, failed
