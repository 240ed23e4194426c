"""What was found, kind by kind, what it means and what to do about it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from ..findings import Finding, Kind
from ..report import Report, commands
from .heat import level_of, title_of
from .markup import Markup, el, joined

__all__ = ["every_finding", "what_to_do"]

_COMMANDS_MAX = 20
_LISTED = 500

_MEANS = {
    Kind.DAMAGED: "What lies in the file is not what was written. It is put aside, and asked for again.",
    Kind.OHLCV: "A price is not positive, a volume below 0, or open and close are not within low and high.",
    Kind.MISALIGNED: "A candle opens where no bucket does.",
    Kind.ROLLUP: "The venue's own bigger candle is not the sum of its smaller ones.",
    Kind.MISSING: "Nobody has asked for these buckets, or in vain. Only what is missing is asked for.",
    Kind.ABSENT: "The calendar expects these sessions, and the venue shows none: a halt, or its defect.",
    Kind.SPLIT: "Prices move as by a split: not applied to what lies before, applied twice, or not told of.",
    Kind.VOLUME: "Next to no volume in a session, beside those around it.",
    Kind.OUTLIER: "A move that comes back at once, a long wick, or a move without volume. It may be so.",
    Kind.PEERS: "A move that no other venue shows at the time.",
    Kind.EMPTY: "Nothing was traded in these buckets, as the venue says. Of a quiet market that is sound.",
    Kind.UNREAD: "Candles where nothing is known, as after damage: nobody reads them before a page does.",
    Kind.CONVERTED: "Read before a split, and converted to today's shares: the next fill reads it again.",
    Kind.UNKNOWN: "Beyond the day that the calendar is sure of: nothing is expected, and nothing missing.",
}


def what_to_do(report: Report) -> Markup:
    """Each kind that was found, what fails a check first."""
    kinds: defaultdict[Kind, list[Finding]] = defaultdict(list)
    for one in (*report.findings, *report.warnings, *report.notes):
        kinds[one.kind].append(one)
    if not kinds:
        return el("p", "Nothing: all that is expected is there, and nothing stands out.")
    failing = {one.kind for one in report.findings}
    return joined(
        _kind(kind, kinds[kind], commands(kinds[kind], report.series), fails=kind in failing)
        for kind in _MEANS
        if kind in kinds
    )


def _kind(kind: Kind, found: Sequence[Finding], mends: Sequence[str], *, fails: bool) -> Markup:
    of = len({one.series for one in found})
    many = f"{len(found):,} in {of:,} series" if of > 1 else f"{len(found):,} in {title_of(found[0].series)}"
    level = "finding" if fails else level_of(kind)
    head = el("h3", el("span", kind.value, cls=f"kind {level}"), f" {many}")
    worst = max(found, key=lambda one: one.end - one.start)
    such = f"Such as {title_of(worst.series)}: {worst.message}"
    parts = [head, el("p", _MEANS[kind]), el("p", such, cls="quiet")]
    if mends:
        more = len(mends) - _COMMANDS_MAX
        lines = [
            *mends[:_COMMANDS_MAX],
            *([f"# and {more:,} more: report.json has each"] if more > 0 else []),
        ]
        code = el("pre", el("code", "\n".join(lines)))
        few = len(lines) <= 3
        parts.append(code if few else el("details", el("summary", f"{len(mends):,} commands"), code))
    return el("div", *parts, cls="task")


def every_finding(report: Report) -> Markup:
    """One line for each, as many as one may look through."""
    found = [*report.findings, *report.warnings, *report.notes]
    rows = [
        el(
            "tr",
            el("td", el("span", one.kind.value, cls=f"kind {level_of(one.kind)}")),
            el("th", title_of(one.series), scope="row"),
            el("td", one.message),
        )
        for one in found[:_LISTED]
    ]
    head = el("tr", *(el("th", each, scope="col") for each in ("Kind", "Series", "What")))
    table = el("table", el("thead", head), el("tbody", *rows))
    more = f", the first {_LISTED}: findings.csv has all" if len(found) > _LISTED else ""
    return el(
        "details",
        el("summary", f"{len(found):,} findings and warnings{more}"),
        el("div", table, cls="scrolls", tabindex=0, role="region", aria_label="findings"),
    )
