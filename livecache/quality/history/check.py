"""The whole check of stored years: every rule, series by series, a stretch at a time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from ...equities.scale import ratio_of
from ...history.columns import Columns, runs_of
from ...history.records.symbols import SymbolStore
from ...history.store import NONE, Answer, HistoryStore, SeriesInfo, Stats
from ...model.coverage import Coverage, Span
from ...model.grid import Grid, SessionGrid
from ...model.series import SeriesId
from ...model.timeframe import Timeframe, iso
from .candles import aligned, far_after, gap_finding, gaps_of, unsound
from .findings import NOTES, WARNINGS, Finding, Gap, Kind, Rules, few, fill_command
from .months import MonthLine, Months, percent
from .outliers import MARGIN_BUCKETS, outliers
from .peers import asset_of, compare_peers
from .report import Report, SeriesLine, largest
from .sessions import little_volume, splits
from .sums import compare_sums

__all__ = ["Check"]

_AT_ONCE = 200_000  # buckets that are judged together
_PARTS_AT_ONCE = 500_000


class Store(HistoryStore, SymbolStore, Protocol):
    """Candles, and what is known of their symbols."""


@dataclass(slots=True)
class _Read:
    """What the candles of a series say by themselves."""

    months: Months
    rows: int = 0
    first: int | None = None
    last: int | None = None
    nothing: Coverage = NONE
    """Known to hold no candle."""
    found: list[Finding] = field(default_factory=list)


@dataclass(slots=True)
class Check:
    """Reads a store, series by series, and gathers what is wrong."""

    store: Store
    rules: Rules
    since: int | None = None
    until: int | None = None
    wanted: Mapping[int, Span] = field(default_factory=dict)
    """What jobs that are not done want of a series, by its number."""
    failed: Mapping[int, str] = field(default_factory=dict)
    """Why the last of them failed, by the same."""
    lines: list[SeriesLine] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    months: list[MonthLine] = field(default_factory=list)
    _damaged: dict[int, Coverage] = field(default_factory=dict)
    _listed: dict[tuple[str, str], int] | None = None
    _sums: int = 0
    _assets: int = 0

    def report(self, *, path: str, checked_at: int, top: int, strict: bool = False) -> Report:
        """All that was found; with `strict` warnings count."""
        notes = [one for one in self.findings if one.kind in NOTES]
        judged = [one for one in self.findings if one.kind not in NOTES]
        findings = [one for one in judged if strict or not one.is_warning]
        warnings = [one for one in judged if not strict and one.is_warning]
        return Report(
            clean=not findings,
            checked_at=checked_at,
            path=path,
            series=self.lines,
            findings=findings,
            warnings=warnings,
            notes=notes,
            months=self.months,
            gaps=largest(self.gaps, top),
            gaps_in_all=len(self.gaps),
            sums_compared=self._sums,
            peers_compared=self._assets,
        )

    # --- each by itself

    def take(self, info: SeriesInfo) -> None:
        """Judge one series."""
        key, grid = info.key, info.grid
        damage = list(self.store.verify(info.id))
        self._damaged[info.id] = Coverage(each.span for each in damage if each.block is not None)
        found = [
            Finding(Kind.DAMAGED, key, each.reason, "livecache history verify --heal", *each.span)
            for each in damage
        ]
        (stats,) = self.store.stats(info.id)
        coverage, wanted = stats.coverage, self._stretch(info, stats)
        sure = self._sure(info, wanted)
        shown = self.store.coverage(info.id, provisional=True).without(coverage).clip(*sure)
        missing = coverage.missing(*sure).without(shown)
        read = self._read(info, wanted, sure)
        found += read.found
        beyond = coverage.without(Coverage([wanted]) if wanted.end else NONE)
        outside = 0 if damage or any(grid.count(*span) for span in beyond) else stats.rows - read.rows
        if outside > 0:
            many = f"{outside:,} candles lie where nothing is known, so nobody reads them"
            remedy = fill_command(key, *wanted) if wanted.end else ""
            found.append(Finding(Kind.UNREAD, key, many, remedy))
        gaps = gaps_of(key, grid, Kind.MISSING, missing)
        gaps += gaps_of(key, grid, Kind.UNKNOWN, coverage.missing(sure.end, wanted.end))
        gaps += gaps_of(key, grid, Kind.ABSENT if isinstance(grid, SessionGrid) else Kind.EMPTY, read.nothing)
        why = self.failed.get(info.id, "")
        found += filter(None, (gap_finding(gap, self.rules, why) for gap in gaps))
        self._told(found, gaps)
        self.months += read.months.lines(missing, read.nothing, shown)
        expected = grid.count(*sure) - _count(grid, shown) if sure.end else 0
        known, buckets = _count(grid, coverage.clip(*sure)), dict.fromkeys(Kind, 0)
        for gap in gaps:
            buckets[gap.kind] += gap.buckets
        self.lines.append(
            SeriesLine(
                series=key,
                calendar=info.calendar.name if info.calendar else "",
                rows=read.rows,
                provisional=stats.provisional,
                first=read.first,
                last=read.last,
                listed=self._since(info),
                start=wanted.start,
                end=wanted.end,
                expected=expected,
                known=known,
                absent=buckets[Kind.ABSENT],
                empty=buckets[Kind.EMPTY],
                missing=buckets[Kind.MISSING],
                unknown=buckets[Kind.UNKNOWN],
                complete=read.months.rows,
                known_percent=percent(known, expected),
                completeness_percent=percent(read.months.rows, expected),
                gaps=sum(gap.kind is Kind.MISSING for gap in gaps),
                longest_gap=max((gap.buckets for gap in gaps if gap.kind is Kind.MISSING), default=0),
                findings=sum(one.kind not in WARNINGS | NOTES for one in found),
                warnings=sum(one.kind in WARNINGS for one in found),
            )
        )

    def _read(self, info: SeriesInfo, wanted: Span, sure: Span) -> _Read:
        """What the candles of a stretch say by themselves."""
        key, grid = info.key, info.grid
        read, empty = _Read(Months(key, grid, sure)), list[Span]()
        for span, part in self._windows(info, wanted):
            inner, known = part.rows.clip(*span), part.coverage.clip(*span)
            if len(inner):
                read.first = int(inner.time[0]) if read.first is None else read.first
                read.last, read.rows = int(inner.time[-1]), read.rows + len(inner)
            in_buckets = aligned(inner, grid)
            empty += known.without(runs_of(inner.time[in_buckets], grid))
            read.found += unsound(key, inner, in_buckets, grid)
            read.months.add(inner.take(inner.sound() & in_buckets).clip(*sure).time)
            sound = part.rows.take(part.rows.sound())
            standing_out = self._standing_out(key, sound, part.coverage, grid)
            read.found += [one for one in standing_out if span.start <= one.start < span.end]
            for stretch in part.converted.clip(*span):
                many = f"{iso(stretch.start)} to {iso(stretch.end)} was read before a split, and is converted"
                read.found.append(
                    Finding(Kind.CONVERTED, key, f"{many} until it is read again", "", *stretch)
                )
        read.nothing = Coverage(empty).clip(*sure)
        return read

    def _standing_out(
        self, key: SeriesId, rows: Columns, coverage: Coverage, grid: Grid
    ) -> Iterator[Finding]:
        yield from outliers(key, rows, coverage, grid, self.rules)
        if isinstance(grid, SessionGrid):
            actions = self.store.actions(key.venue, key.symbol)
            known = {each.time: ratio_of(each) for each in actions if each.kind == "split"}
            yield from splits(key, rows, coverage, grid, known, self.rules)
            yield from little_volume(key, rows, grid)

    def _told(self, found: Iterable[Finding], gaps: Iterable[Gap]) -> None:
        self.findings += few(found)
        self.gaps += (gap for gap in gaps if gap.buckets >= self.rules.gap_buckets)

    def _stretch(self, info: SeriesInfo, stats: Stats) -> Span:
        """From where to where all should be known; two zeros where nobody has said so."""
        grid, spans = info.grid, [*stats.coverage, *filter(None, [self.wanted.get(info.id)])]
        start = min((span.start for span in spans), default=0) if self.since is None else self.since
        end = max((span.end for span in spans), default=0) if self.until is None else self.until
        listed = self._since(info) or 0
        # There may be candles of before: a venue can be wrong about that day.
        start = max(start, listed if stats.first is None else min(listed, stats.first))
        end = grid.closed(end) if spans else 0
        return Span(grid.ceil(start), end) if grid.count(start, end) else Span(0, 0)

    def _since(self, info: SeriesInfo) -> int | None:
        """When its first candle opens, or its symbol was listed, where that is known."""
        if self._listed is None:
            self._listed = {(each.venue, each.symbol): each.listed for each in self.store.assets()}
        known = (info.listed or 0, self._listed.get((info.key.venue, info.key.symbol), 0))
        return max(known) or None

    def _sure(self, info: SeriesInfo, wanted: Span) -> Span:
        """As much of it as the calendar is sure of."""
        through = info.calendar.through if info.calendar else 0
        if not through or wanted.end <= through:
            return wanted
        return Span(wanted.start, max(wanted.start, info.grid.closed(through)))

    def _windows(self, info: SeriesInfo, wanted: Span) -> Iterator[tuple[Span, Answer]]:
        """Stretch by stretch, without damaged blocks, and what is known of each and around it."""
        grid = info.grid
        for region in Coverage([wanted]).without(self._damaged[info.id]):
            for span in _cut(grid, region, _AT_ONCE):
                start = max(region.start, grid.far_back(span.start, MARGIN_BUCKETS))
                end = min(region.end, far_after(grid, span.end, MARGIN_BUCKETS))
                yield span, self.store.read(info.id, start, end)

    # --- several

    def compare_timeframes(self, series: Sequence[SeriesInfo]) -> None:
        """Each with the biggest smaller one of its symbol that adds up to it."""
        of_symbol: defaultdict[tuple[str, str], list[SeriesInfo]] = defaultdict(list)
        for info in series:
            of_symbol[info.key[:2]].append(info)
        for infos in of_symbol.values():
            for parent in infos:
                smaller = [one for one in infos if _adds_up(one, parent)]
                if smaller:
                    self._compare(parent, max(smaller, key=lambda one: one.key.timeframe.ms))

    def _compare(self, parent: SeriesInfo, child: SeriesInfo) -> None:
        found: list[Finding] = []
        parts = _PARTS_AT_ONCE * child.key.timeframe.ms // parent.key.timeframe.ms
        for span in self._shared([parent, child], parent.grid, max(1, parts)):
            own, smaller = (self.store.read(one.id, *span) for one in (parent, child))
            found += compare_sums(parent.key, own, parent.grid, child.key, smaller)
        self._sums += 1
        self._told(found, ())

    def compare_venues(self, series: Sequence[SeriesInfo]) -> None:
        """Series of one asset and timeframe at several venues with one another."""
        alike: defaultdict[tuple[object, ...], list[SeriesInfo]] = defaultdict(list)
        for info in series:
            alike[(*asset_of(info.key.symbol), info.key.timeframe, info.grid_text)].append(info)
        for infos in alike.values():
            if len({info.key.venue for info in infos}) > 1:
                self._compare_venues(infos)

    def _compare_venues(self, infos: Sequence[SeriesInfo]) -> None:
        grid, found = infos[0].grid, list[Finding]()
        for span in self._shared(infos, grid, _AT_ONCE):
            start, end = grid.far_back(span.start, MARGIN_BUCKETS), span.end
            parts = [(info.key, self._sound(info, start, end)) for info in infos]
            peers = [(key, part.rows, part.coverage) for key, part in parts]
            found += [one for one in compare_peers(peers, grid, self.rules) if one.start >= span.start]
        self._assets += 1
        for info in infos:
            self._told([one for one in found if one.series == info.key], ())

    def _sound(self, info: SeriesInfo, start: int, end: int) -> Answer:
        part = self.store.read(info.id, start, end)
        return replace(part, rows=part.rows.take(part.rows.sound()))

    def _shared(self, infos: Sequence[SeriesInfo], grid: Grid, most: int) -> Iterator[Span]:
        """Stretches, of so many buckets at most, of which all of these know something."""
        spans = [self.store.coverage(info.id).spans for info in infos]
        if not all(spans):
            return
        start = grid.ceil(max(max(each[0].start for each in spans), self.since or 0))
        end = grid.closed(min(min(each[-1].end for each in spans), self.until or spans[0][-1].end))
        damaged = Coverage(span for info in infos for span in self._damaged[info.id])
        for region in Coverage([(start, end)]).without(damaged):
            yield from _cut(grid, Span(grid.ceil(region.start), grid.closed(region.end)), most)


def _count(grid: Grid, spans: Coverage) -> int:
    return sum(grid.count(*span) for span in spans)


def _cut(grid: Grid, region: Span, most: int) -> Iterator[Span]:
    start = region.start
    while start < region.end:
        end = min(region.end, far_after(grid, start, most))
        yield Span(start, end)
        start = end


def _adds_up(smaller: SeriesInfo, bigger: SeriesInfo) -> bool:
    """Auctions are in an exchange's day, and in none of its hours."""
    day = Timeframe.D1.ms
    if isinstance(smaller.grid, SessionGrid) and smaller.key.timeframe.ms < day <= bigger.key.timeframe.ms:
        return False
    return smaller.grid != bigger.grid and smaller.grid.divides(bigger.grid)
