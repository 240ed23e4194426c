"""Where the gaps lie in time: a bar for each series that has some."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from ....model.series import SeriesId
from ....model.timeframe import iso
from ..findings import Gap, Kind
from ..report import Report, SeriesLine
from .heat import title_of
from .markup import Markup, el, joined, number

__all__ = ["gaps_in_time"]

_ROWS_MAX = 24
_RECTS_MAX = 200  # of one series
_LISTED = 100
_WIDE, _HIGH, _LEAST = 1_000, 14, 2.5
_SHADES = {Kind.MISSING: "m2", Kind.ABSENT: "a2", Kind.EMPTY: "e2", Kind.UNKNOWN: "u"}


def gaps_in_time(report: Report) -> Markup:
    """The longest gaps of the series that have the most of them, and a table of these."""
    of: defaultdict[SeriesId, list[Gap]] = defaultdict(list)
    for gap in report.gaps:
        of[gap.series].append(gap)
    lines = {line.series: line for line in report.series if line.series in of and line.end}
    worst = sorted(lines.values(), key=lambda line: _lost(of[line.series]), reverse=True)[:_ROWS_MAX]
    if not worst:
        return el("p", "There are none.")
    start, end = min(line.start for line in worst), max(line.end for line in worst)
    marks = [start, (start + end) // 2, end - 1]
    axis = el("div", *(el("span", iso(mark)[:10]) for mark in marks), cls="ends")
    rows = [
        el(
            "tr",
            el("th", title_of(line.series), scope="row"),
            el("td", _bar(line, of[line.series], start, end), cls="bar"),
        )
        for line in worst
    ]
    head = el("tr", el("th", "Series", scope="col"), el("th", axis, scope="col"))
    table = el("table", el("thead", head), el("tbody", *rows), cls="times")
    return joined([table, _listed(report)])


def _lost(gaps: Sequence[Gap]) -> tuple[int, int]:
    """Buckets that should be there, and all."""
    all_of_them = sum(gap.buckets for gap in gaps)
    return all_of_them - sum(gap.buckets for gap in gaps if gap.kind is Kind.EMPTY), all_of_them


def _bar(line: SeriesLine, gaps: Sequence[Gap], start: int, end: int) -> Markup:
    def x(time: int) -> float:
        return _WIDE * (time - start) / max(1, end - start)

    def rect(a: int, b: int, shade: str, *inside: str) -> Markup:
        wide = max(_LEAST, x(b) - x(a))
        left = min(x(a), _WIDE - wide)
        return el("rect", *inside, cls=shade, x=number(left), y=0, width=number(wide), height=_HIGH)

    longest = sorted(gaps, key=lambda gap: -gap.buckets)[:_RECTS_MAX]
    rects = [rect(gap.start, gap.end, _SHADES[gap.kind], el("title", _said(gap))) for gap in longest]
    what = f"{title_of(line.series)}: {len(gaps)} gaps, the longest: {_said(longest[0])}"
    return el(
        "svg",
        *(el("title", what), rect(line.start, line.end, "c"), *rects),
        viewBox=f"0 0 {_WIDE} {_HIGH}",
        preserveAspectRatio="none",
        role="img",
    )


def _said(gap: Gap) -> str:
    return f"{gap.buckets:,} {gap.kind.value}, {iso(gap.start)} to {iso(gap.end)}"


def _listed(report: Report) -> Markup:
    heads = ("Series", "Kind", "Buckets", "From", "To")
    head = el("tr", *(el("th", each, scope="col") for each in heads))
    rows = [
        el(
            "tr",
            el("th", title_of(gap.series), scope="row"),
            el("td", gap.kind.value),
            el("td", f"{gap.buckets:,}", cls="number"),
            el("td", iso(gap.start)),
            el("td", iso(gap.end)),
        )
        for gap in report.gaps[:_LISTED]
    ]
    shown = len(rows)
    says = f"The {shown} longest of {report.gaps_in_all:,}" if report.gaps_in_all > shown else "All of them"
    table = el("table", el("thead", head), el("tbody", *rows))
    return el(
        "details",
        el("summary", says),
        el("div", table, cls="scrolls", tabindex=0, role="region", aria_label="gaps"),
    )
