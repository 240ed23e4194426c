"""A check's outcome as a struct, and as JSON, CSV and plain text. Pure."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import msgspec

from ..model.timeframe import iso
from .findings import Finding
from .spans import GAPS_LISTED_MAX, Gap, Tally
from .stored import Examined
from .venue import Compared

__all__ = ["TABLES", "Report", "SeriesLine", "as_csv", "as_json", "as_text", "largest", "line_of", "together"]

_HEADER = "SERIES CANDLES FROM THROUGH SETTLED EMPTY PROVISIONAL PENDING MISSING COVERED FINDINGS"

_FINDINGS_SHOWN = 50
"""Findings in the text; the files hold all."""


class SeriesLine(msgspec.Struct, frozen=True):
    """One series in numbers. Times in Unix ms, `through` exclusive; buckets are closed ones."""

    symbol: str
    timeframe: str
    members: int
    oldest: int
    through: int
    settled: int
    empty: int  # settled, and proven to hold no candle
    provisional: int
    pending: int
    missing: int
    coverage_percent: float
    gaps: int
    largest_gap: int  # in buckets
    findings: int


class Report(msgspec.Struct):
    """All that a check has found. `gaps` are the largest ones, `gaps_in_all` says how many there are."""

    clean: bool
    checked_at: str
    prefix: str
    series: list[SeriesLine]
    findings: list[Finding]
    advice: list[Finding]
    gaps: list[Gap]
    gaps_in_all: int
    remedies: list[str]  # commands and words; the findings have each its own, here they are joined
    rollups_compared: int
    venue: Compared | None = None


def together(reports: Mapping[str, Report]) -> Report:
    """The reports of several venues, by their ids, as one: the symbols are `venue:SYMBOL` then."""
    first = next(iter(reports.values()))

    def named(venue: str, symbol: str) -> str:
        return f"{venue}:{symbol}" if symbol else ""

    def findings(of: Callable[[Report], list[Finding]]) -> list[Finding]:
        return [
            msgspec.structs.replace(one, symbol=named(venue, one.symbol), remedy=_of_venue(one.remedy, venue))
            for venue, report in reports.items()
            for one in of(report)
        ]

    parts = list(reports.items())
    gaps = [msgspec.structs.replace(g, symbol=named(venue, g.symbol)) for venue, r in parts for g in r.gaps]
    compared = [report.venue for report in reports.values() if report.venue is not None]
    return Report(
        clean=all(report.clean for report in reports.values()),
        checked_at=first.checked_at,
        prefix=first.prefix,
        series=[
            msgspec.structs.replace(line, symbol=named(venue, line.symbol))
            for venue, report in parts
            for line in report.series
        ],
        findings=findings(lambda report: report.findings),
        advice=list(dict.fromkeys(findings(lambda report: report.advice))),
        gaps=largest(gaps),
        gaps_in_all=sum(report.gaps_in_all for report in reports.values()),
        remedies=list(dict.fromkeys(_of_venue(one, venue) for venue, r in parts for one in r.remedies)),
        rollups_compared=sum(report.rollups_compared for report in reports.values()),
        venue=Compared.sum_of(compared) if compared else None,
    )


def _of_venue(remedy: str, venue: str) -> str:
    """The remedy, where it orders a repair, of that venue's symbol."""
    return re.sub(r"\blivecache repair (?=\S)", f"livecache repair {venue}:", remedy)


def largest(gaps: Iterable[Gap]) -> list[Gap]:
    """Those that are listed."""
    return sorted(gaps, key=lambda gap: (-gap.buckets, gap.symbol, gap.start))[:GAPS_LISTED_MAX]


def line_of(stored: Examined, tally: Tally, gaps: Sequence[Gap]) -> SeriesLine:
    """The line of one series."""
    return SeriesLine(
        symbol=stored.series.symbol,
        timeframe=stored.series.timeframe.value,
        members=stored.members,
        oldest=tally.start,
        through=tally.end,
        settled=tally.settled,
        empty=tally.empty,
        provisional=tally.provisional,
        pending=tally.pending,
        missing=tally.missing,
        coverage_percent=tally.coverage_percent,
        gaps=len(gaps),
        largest_gap=max((gap.buckets for gap in gaps), default=0),
        findings=sum(not finding.is_advice for finding in stored.findings),
    )


def as_json(report: Report) -> str:
    """The report as one JSON object."""
    return msgspec.json.format(msgspec.json.encode(report), indent=2).decode() + "\n"


TABLES = ("series", "findings", "gaps")
"""What there is as CSV."""


def as_csv(report: Report, table: str) -> str:
    """One of `TABLES` as CSV with a header; times both in Unix ms and to be read."""
    if table == "series":
        names = list(SeriesLine.__struct_fields__)
        rows = [msgspec.to_builtins(line) for line in report.series]
    elif table == "gaps":
        names = [*Gap.__struct_fields__, "from", "to"]
        rows = [_spelled(gap) for gap in report.gaps]
    else:
        names = [*Finding.__struct_fields__, "from", "to"]
        rows = [_spelled(finding) for finding in [*report.findings, *report.advice]]
    text = io.StringIO()
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _spelled(one: Gap | Finding) -> dict[str, object]:
    fields: dict[str, object] = msgspec.to_builtins(one)
    spelled = {"from": iso(one.start), "to": iso(one.end)} if one.end else {"from": "", "to": ""}
    return {**fields, **spelled}


def as_text(report: Report, *, verbose: bool = False) -> Iterator[str]:
    """The report as lines for people: one for each series and kind of finding, or `verbose`, one for each."""
    yield from _table(report)
    if report.findings:
        yield ""
        lines = [_line(one) for one in report.findings] if verbose else list(_folded(report.findings))
        yield from lines if verbose else lines[:_FINDINGS_SHOWN]
        if len(lines) > _FINDINGS_SHOWN and not verbose:
            yield f"and {len(lines) - _FINDINGS_SHOWN} more such lines: see --verbose, --json or --output"
        yield ""
        if report.remedies:
            yield "What would mend it:"
        yield from (f"  {remedy}" for remedy in report.remedies[:_FINDINGS_SHOWN])
        if len(report.remedies) > _FINDINGS_SHOWN:
            yield f"  and {len(report.remedies) - _FINDINGS_SHOWN} more: see --json"
        if without := sum(not finding.remedy for finding in report.findings):
            yield f"No command mends {without} of these: each says why."
    if report.advice:
        yield ""
        for finding in report.advice[:_FINDINGS_SHOWN]:
            remedy = f" ({finding.remedy})" if finding.remedy else ""
            yield f"note: {_name(finding)}{finding.message}{remedy}"
        if len(report.advice) > _FINDINGS_SHOWN:
            yield f"note: and {len(report.advice) - _FINDINGS_SHOWN} more"
    yield ""
    yield from _summary(report)


def _line(finding: Finding) -> str:
    return f"{finding.kind.value}: {_name(finding)}{finding.message}"


def _folded(findings: Sequence[Finding]) -> Iterator[str]:
    """A line for each series and kind: what one of them says, or how many there are and the largest."""
    groups: dict[tuple[str, str, str], list[Finding]] = {}
    for finding in findings:
        groups.setdefault((finding.symbol, finding.timeframe, finding.kind.value), []).append(finding)
    for (symbol, timeframe, kind), group in groups.items():
        spans = [finding for finding in group if finding.end]
        if len(group) == 1 or not symbol or not spans:
            yield from map(_line, group)
            continue
        largest = max(spans, key=lambda one: one.end - one.start)
        buckets = sum(one.buckets for one in spans)
        of = f"the largest from {iso(largest.start)} to {iso(largest.end)}"
        if len(spans) == buckets:
            of = f"from {iso(min(one.start for one in spans))} to {iso(max(one.end for one in spans))}"
        yield f"{kind}: {symbol} {timeframe}: {len(group):,} times, {buckets:,} buckets, {of}"


def _name(finding: Finding) -> str:
    return f"{finding.symbol} {finding.timeframe}: " if finding.symbol else ""


def _table(report: Report) -> Iterator[str]:
    if not report.series:
        yield f"no series under the prefix {report.prefix!r}: has `livecache run` been started?"
        return
    table = [_HEADER.split()]
    for line in report.series:
        numbers = (line.settled, line.empty, line.provisional, line.pending, line.missing)
        table.append(
            [
                f"{line.symbol} {line.timeframe}",
                str(line.members),
                iso(line.oldest) if line.oldest else "-",
                iso(line.through) if line.through else "-",
                *map(str, numbers),
                f"{line.coverage_percent:g} %",
                str(line.findings) if line.findings else "-",
            ]
        )
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
    for row in table:
        first, *rest = (
            text.ljust(w) if i == 0 else text.rjust(w)
            for i, (text, w) in enumerate(zip(row, widths, strict=True))
        )
        yield "  ".join([first, *rest]).rstrip()


def _summary(report: Report) -> Iterator[str]:
    if report.venue is not None:
        venue = report.venue
        yield (
            f"against the venue: {venue.same + venue.differ} settled buckets compared "
            f"in {venue.requests} requests, {venue.differ} differ"
            + (f", {venue.passed_over} too new to compare" if venue.passed_over else "")
            + (f", {venue.failures} requests failed" if venue.failures else "")
        )
    counts = Counter(finding.kind.value for finding in report.findings)
    what = ", ".join(f"{count} {kind}" for kind, count in counts.most_common())
    settled = sum(line.settled + line.empty for line in report.series)
    yield (
        f"{len(report.series)} series, {settled} settled buckets, "
        f"{report.rollups_compared} roll-ups compared: {what or 'clean'}"
    )
