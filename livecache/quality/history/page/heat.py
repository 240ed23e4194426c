"""Completeness as a heat map: a row for each series, a cell for each month, the worst first."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime

from ....model.series import SeriesId
from ..findings import NOTES, WARNINGS, Kind
from ..months import LATE_MS, MonthLine
from ..report import Report, SeriesLine
from .markup import Markup, el, joined

__all__ = ["LEGEND", "ROWS_MAX", "heat_map", "level_of", "title_of"]

ROWS_MAX = 1_000
"""Series in the map; the files hold all."""

_OPEN = 40  # rows that are shown at once
_COLUMNS_MAX = 180  # beyond, a cell is a year
_WIDE, _CELL_LEAST, _CELL_MOST, _HIGH = 840, 7, 64, 16
_NAMED = 4  # months in a row's description
_NAMED_FROM = 36  # pixels of a month, for its name

LEGEND = {
    "c": "complete",
    "e1": "nothing traded in less than half",
    "e2": "nothing traded in half or more",
    "a1": "absent, up to a tenth",
    "a2": "absent, more",
    "x": "cannot be",
    "m1": "missing, up to a twentieth",
    "m2": "missing, up to a half",
    "m3": "missing, more",
}
"""What the colours say, the worst last."""

_RANK = {shade: at for at, shade in enumerate(LEGEND)}


def _worst_first(lines: Iterable[SeriesLine]) -> list[SeriesLine]:
    """Those of which the most should be there and is not; a quiet market is no fault."""

    def rank(line: SeriesLine) -> tuple[object, ...]:
        return -(line.missing + line.absent) / line.expected, line.completeness_percent, line.series

    return sorted(lines, key=rank)


def title_of(series: SeriesId) -> str:
    """A series as people name it."""
    return f"{series.venue}:{series.symbol} {series.timeframe}"


def level_of(kind: Kind) -> str:
    """How bad it is, as the style has it."""
    return "note" if kind in NOTES else "warning" if kind in WARNINGS else "finding"


def heat_map(report: Report) -> Markup:
    """All series, by table rows: those that lack something are open, as many as one looks at."""
    lines = _worst_first(line for line in report.series if line.expected)
    if not lines:
        return el("p", "Nothing is expected of any series.")
    axis = _Axis(lines)
    lacks: defaultdict[SeriesId, dict[int, MonthLine]] = defaultdict(dict)
    for month in report.months:
        lacks[month.series][_month(month.month)] = month
    shown = lines[:ROWS_MAX]
    count = min(_OPEN, max(1, sum(line.completeness_percent < 100 for line in shown)))
    count = len(shown) if len(shown) <= _OPEN // 2 else count
    used = {"c", *map(_shade, report.months)}
    legend = [
        el("li", el("span", cls=f"swatch {each}"), f" {LEGEND[each]}") for each in LEGEND if each in used
    ]
    parts = [el("ul", *legend, cls="legend"), _table(shown[:count], axis, lacks)]
    if rest := shown[count:]:
        least = min(line.completeness_percent for line in rest)
        says = f"{len(rest):,} more, " + (
            "all complete" if least == 100 else f"{least:g} % and more complete"
        )
        parts.append(el("details", el("summary", says), _table(rest, axis, lacks)))
    if more := len(lines) - len(shown):
        parts.append(el("p", f"and {more:,} more, no less complete: series.csv has them all"))
    return joined(parts)


class _Axis:
    """Which months there are, and how wide a cell is."""

    def __init__(self, lines: Sequence[SeriesLine]) -> None:
        self.first = min(map(_first, lines))
        self.last = max(_month_of(line.end - 1) for line in lines)
        self.of = 1 if self.last - self.first < _COLUMNS_MAX else 12
        if self.of > 1:
            self.first, self.last = self.first // 12 * 12, self.last // 12 * 12 + 11
        self.columns = (self.last - self.first) // self.of + 1
        self.cell = min(_CELL_MOST, max(_CELL_LEAST, _WIDE // self.columns))

    def place(self, month: int) -> int:
        return (month - self.first) // self.of

    @property
    def few(self) -> bool:
        """Whether each month has room for its name; the row is then as wide as there is room."""
        return self.cell >= _NAMED_FROM

    def head(self) -> Markup:
        """Months by name where they are few, else years over their first months."""
        if self.few:
            names = [el("span", _name(month)) for month in range(self.first, self.last + 1)]
            return el("div", *names, cls="names", aria_hidden="true")
        every = 1 if self.cell * 12 // self.of >= 34 else 5
        januaries = [month for month in range(self.first, self.last + 1) if month % 12 == 0]
        years = [month for month in januaries if month // 12 % every == 0]
        labels = [el("text", str(at // 12), x=self.place(at) * self.cell + 1, y=11) for at in years]
        return _svg(self, labels, cls="axis", aria_hidden="true")


def _table(
    lines: Sequence[SeriesLine], axis: _Axis, lacks: Mapping[SeriesId, Mapping[int, MonthLine]]
) -> Markup:
    heads = ("Series", "Complete", "Missing", "Absent or empty")
    head = [
        el("th", each, scope="col", cls="" if not n else f"number{' wide' * (n > 1)}")
        for n, each in enumerate(heads)
    ]
    unit = "year, by its worst month" if axis.of > 1 else "month"
    head.append(el("th", el("span", f"by {unit}", cls="unseen"), axis.head(), scope="col"))
    rows = [_row(line, axis, lacks.get(line.series, {})) for line in lines]
    table = el(
        "table", el("thead", el("tr", *head)), el("tbody", *rows), cls="heat few" if axis.few else "heat"
    )
    return el("div", table, cls="scrolls", tabindex=0, role="region", aria_label="completeness by series")


def _row(line: SeriesLine, axis: _Axis, lacks: Mapping[int, MonthLine]) -> Markup:
    first, last = _first(line), _month_of(line.end - 1)
    shades = dict.fromkeys(range(axis.place(first), axis.place(last) + 1), "c")
    for at, month in lacks.items():
        place, shade = axis.place(at), _shade(month)
        shades[place] = max(shades.get(place, shade), shade, key=_RANK.__getitem__)
    name = title_of(line.series)
    worst = sorted(lacks.values(), key=lambda month: month.completeness_percent)[:_NAMED]
    told = ", ".join(f"{month.month} {month.completeness_percent:g} %" for month in worst)
    described = f"{name}: " + (f"{len(lacks)} months lack something: {told}" if lacks else "complete")
    cells = _svg(axis, [el("title", described), *_cells(shades, axis.cell)], role="img")
    empty = line.absent + line.empty
    return el(
        "tr",
        el("th", name, scope="row"),
        el("td", f"{line.completeness_percent:g} %", cls="number"),
        el("td", f"{line.missing:,}" if line.missing else "–", cls="number wide"),
        el("td", f"{empty:,}" if empty else "–", cls="number wide"),
        el("td", cells),
    )


def _cells(shades: Mapping[int, str], cell: int) -> list[Markup]:
    """A path for each shade, of runs: a series that lacks nothing is one rectangle, ten years or not."""
    runs: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)
    for place in sorted(shades):
        of = runs[shades[place]]
        if of and of[-1][1] == place:
            of[-1] = (of[-1][0], place + 1)
        else:
            of.append((place, place + 1))
    return [
        el(
            "path",
            cls=shade,
            d="".join(f"M{a * cell} 0h{(b - a) * cell - 1}v{_HIGH}H{a * cell}" for a, b in spans),
        )
        for shade, spans in runs.items()
    ]


def _shade(month: MonthLine) -> str:
    if month.missing:
        share = month.missing / month.expected
        return "m1" if share <= 0.05 else "m2" if share <= 0.5 else "m3"
    if month.absent:
        return "a1" if month.absent <= 0.1 * month.expected else "a2"
    if month.empty:
        return "e1" if month.empty < 0.5 * month.expected else "e2"
    return "x"


def _svg(axis: _Axis, inside: Sequence[Markup], **attributes: object) -> Markup:
    wide = axis.columns * axis.cell
    return el(
        "svg",
        *inside,
        width=wide,
        height=_HIGH,
        viewBox=f"0 0 {wide} {_HIGH}",
        preserveAspectRatio="none",
        **attributes,
    )


def _month(name: str) -> int:
    return int(name[:4]) * 12 + int(name[5:]) - 1


def _first(line: SeriesLine) -> int:
    return _month_of(line.start + (LATE_MS if line.calendar else 0))


def _month_of(time: int) -> int:
    at = datetime.fromtimestamp(time // 1000, UTC)
    return at.year * 12 + at.month - 1


def _name(month: int) -> str:
    return f"{month // 12 % 100:02}-{month % 12 + 1:02}"
