"""The outcome of a check of years as a struct, and as JSON, CSV and plain text."""

from __future__ import annotations

import csv
import io
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from ...model.series import SeriesId
from ...model.timeframe import iso
from .findings import Finding, Gap, Kind, fill_command
from .months import MonthLine

__all__ = ["TABLES", "Report", "SeriesLine", "as_csv", "as_json", "as_text", "commands", "largest"]

_SHOWN = 50
"""Lines of findings in the text; the files hold all."""

_SYMBOLS_MAX = 50
"""Of one command."""


class SeriesLine(msgspec.Struct, frozen=True):
    """One series in numbers, from where it should be known to where. Times in Unix ms, `end` exclusive."""

    series: SeriesId
    calendar: str
    """Of the exchange in whose sessions its buckets lie, by name; "" where there is none."""
    rows: int
    provisional: int
    """Candles beside these that are not final yet, and not expected before."""
    first: int | None
    """Open of the oldest candle; None where there is none."""
    last: int | None
    listed: int | None
    start: int
    end: int
    expected: int
    """Buckets between these two, of which a calendar is sure."""
    known: int
    absent: int
    """Sessions, or buckets of them, of which the venue shows no candle."""
    empty: int
    """Known to hold no candle, where there are no sessions."""
    missing: int
    unknown: int
    """Beyond what the calendar is sure of."""
    complete: int
    """Expected buckets with a candle that can be."""
    known_percent: float
    completeness_percent: float
    gaps: int
    longest_gap: int
    """In buckets, of the missing ones."""
    findings: int
    warnings: int


class Report(msgspec.Struct):
    """All that a check has found. `gaps` are the longest ones, `gaps_in_all` says how many there are."""

    clean: bool
    checked_at: int
    path: str
    series: list[SeriesLine]
    findings: list[Finding]
    warnings: list[Finding]
    notes: list[Finding]
    """How far the judgement goes."""
    months: list[MonthLine]
    """Those in which something lacks; all others are complete."""
    gaps: list[Gap]
    gaps_in_all: int
    sums_compared: int
    """Series whose candles were compared with the sums of a smaller timeframe."""
    peers_compared: int
    """Assets that were compared over several venues."""


def commands(findings: Sequence[Finding], series: Iterable[SeriesLine]) -> list[str]:
    """What mends these, each once; what is missing of several series that should reach as far by one fill."""
    reach = {line.series: (line.start, line.end) for line in series}
    told: dict[str, None] = {}
    together: defaultdict[tuple[object, ...], list[Finding]] = defaultdict(list)
    for one in findings:
        if one.kind is Kind.MISSING and one.end:
            together[one.series.venue, one.series.timeframe, reach.get(one.series)].append(one)
    for one in findings:
        alike = together.get((one.series.venue, one.series.timeframe, reach.get(one.series)), [])
        if one.kind is not Kind.MISSING or not one.end:
            told |= {one.remedy: None} if one.remedy else {}
        elif one is alike[0]:
            # It asks for nothing that is there.
            start, end = min(gap.start for gap in alike), max(gap.end for gap in alike)
            symbols = sorted({gap.series.symbol for gap in alike})
            for at in range(0, len(symbols), _SYMBOLS_MAX):
                names = ",".join(symbols[at : at + _SYMBOLS_MAX])
                told[fill_command(one.series._replace(symbol=names), start, end)] = None
    return [*told]


def largest(gaps: Iterable[Gap], most: int) -> list[Gap]:
    """So many, the longest first; before what is known to be empty whatever should not be."""
    return sorted(gaps, key=lambda gap: (gap.kind is Kind.EMPTY, -gap.buckets, gap.series, gap.start))[:most]


def as_json(report: Report) -> str:
    """The report as one JSON object."""
    return msgspec.json.format(msgspec.json.encode(report), indent=2).decode() + "\n"


TABLES = ("series", "findings", "gaps", "ohlcv", "months")
"""What there is as CSV; `ohlcv` are the findings on candles that cannot be."""


def as_csv(report: Report, table: str) -> str:
    """One of `TABLES` as CSV with a header; times both in Unix ms and to be read."""
    rows: Sequence[SeriesLine | MonthLine | Gap | Finding]
    if table == "series":
        kind: type[msgspec.Struct] = SeriesLine
        rows = report.series
    elif table == "months":
        kind, rows = MonthLine, report.months
    elif table == "gaps":
        kind, rows = Gap, report.gaps
    else:
        found = [*report.findings, *report.warnings, *report.notes]
        kind, rows = Finding, [one for one in found if table == "findings" or one.kind is Kind.OHLCV]
    text = io.StringIO()
    names = ["venue", "symbol", "timeframe", *(name for name in kind.__struct_fields__ if name != "series")]
    spelled = ["from", "to"] if "start" in names else []
    writer = csv.DictWriter(text, [*names, *spelled], lineterminator="\n")
    writer.writeheader()
    writer.writerows(map(_spelled, rows))
    return text.getvalue()


def _spelled(one: SeriesLine | MonthLine | Gap | Finding) -> dict[str, object]:
    fields: dict[str, object] = msgspec.to_builtins(one)
    del fields["series"]
    venue, symbol, timeframe = one.series
    named = {"venue": venue, "symbol": symbol, "timeframe": timeframe.value}
    times = {} if isinstance(one, MonthLine) else {"from": iso(one.start), "to": iso(one.end)}
    return {**named, **fields, **times}


def as_text(report: Report, *, verbose: bool = False) -> Iterator[str]:
    """The report as lines for people: the rows and coverage of each series, and what was found.

    One line for each series and kind of finding, or `verbose`, one for each.
    """
    yield from _table(report.series)
    told = (("", report.findings), ("Worth a look:", report.warnings), ("To be known:", report.notes))
    for title, findings in told:
        lines = list(_lines(findings, verbose=verbose))
        if lines:
            yield ""
        if lines and title:
            yield title
        yield from lines if verbose else lines[:_SHOWN]
        if len(lines) > _SHOWN and not verbose:
            yield f"and {len(lines) - _SHOWN} more such lines: see --verbose, --json or --output"
    remedies = commands(report.findings, report.series)
    if remedies:
        yield ""
        yield "What would mend it:"
    yield from (f"  {remedy}" for remedy in remedies[:_SHOWN])
    if len(remedies) > _SHOWN:
        yield f"  and {len(remedies) - _SHOWN} more: see --json"
    yield ""
    yield _summary(report)


def _table(series: Sequence[SeriesLine]) -> Iterator[str]:
    if not series:
        yield "no series: livecache history fill makes some"
        return
    head = "SERIES CANDLES FROM THROUGH EXPECTED KNOWN COMPLETE MISSING GAPS LONGEST EMPTY FINDINGS WARNINGS"
    with_sessions = any(line.absent or line.calendar for line in series)
    table = [head.replace("EMPTY", "EMPTY ABSENT" if with_sessions else "EMPTY").split()]
    for line in series:
        numbers = [line.missing, line.gaps, line.longest_gap, line.empty, line.findings, line.warnings]
        if with_sessions:
            numbers.insert(4, line.absent)
        table.append(
            [
                f"{_name(line.series)}",
                f"{line.rows:,}",
                iso(line.start) if line.end else "-",
                iso(line.end) if line.end else "-",
                f"{line.expected:,}",
                f"{line.known_percent:g} %",
                f"{line.completeness_percent:g} %",
                *(f"{number:,}" if number else "-" for number in numbers),
            ]
        )
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for row in table:
        first, *rest = (
            text.rjust(width) if n else text.ljust(width)
            for n, (text, width) in enumerate(zip(row, widths, strict=True))
        )
        yield "  ".join([first, *rest]).rstrip()


def _lines(findings: Sequence[Finding], *, verbose: bool) -> Iterator[str]:
    if verbose:
        yield from (f"{one.kind}: {_name(one.series)}: {one.message}" for one in findings)
        return
    groups: dict[tuple[SeriesId, Kind], list[Finding]] = {}
    for one in findings:
        groups.setdefault((one.series, one.kind), []).append(one)
    for (series, kind), group in groups.items():
        spans = [one for one in group if one.end]
        longest = max(spans or group, key=lambda one: one.end - one.start)
        several = f"{len(group):,} times, such as " if len(group) > 1 else ""
        yield f"{kind}: {_name(series)}: {several}{longest.message}"


def _name(series: SeriesId) -> str:
    return f"{series.venue}:{series.symbol} {series.timeframe}"


def _summary(report: Report) -> str:
    told = (*report.findings, *report.warnings, *report.notes)
    counts = Counter(finding.kind.value for finding in told)
    what = ", ".join(f"{count:,} {kind}" for kind, count in counts.most_common())
    rows = sum(line.rows for line in report.series)
    compared = f", {report.sums_compared} compared with sums" if report.sums_compared else ""
    if provisional := sum(line.provisional for line in report.series):
        compared = f", {provisional:,} provisional ones beside them{compared}"
    if report.peers_compared:
        compared += f", {report.peers_compared} assets compared over venues"
    return f"{len(report.series)} series, {rows:,} candles{compared}: {what or 'clean'}"
