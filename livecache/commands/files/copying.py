"""`livecache history copy`: from one store into another, of whichever kinds, as often as one likes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from ...errors import ConfigError, OutsideCalendar
from ...model.coverage import Coverage, Span
from ...model.grid import Grid
from ...model.timeframe import TIME_MAX
from ..history.chosen import chosen, name_of
from ..history.opened import Place, open_history
from .interrupted import goes_on

if TYPE_CHECKING:
    from ...history.records.symbols import AboutSymbol
    from ...history.store import HistoryDatabase, SeriesInfo

__all__ = ["Line", "copy", "copy_series"]

_AT_ONCE = 100_000  # buckets, in one transaction
_EVENT = "history_copied"


@dataclass(slots=True)
class Line:
    """What became of a series."""

    series: str
    inserted: int = 0
    revised: int = 0
    candles: int = 0
    """In the target, of what was known in the source when it began."""
    error: str = ""


def copy(source: Place, target: Place, symbols: str | None, timeframes: str | None, *, as_json: bool) -> int:
    """Copy what the target lacks of these series, and what has changed since; 1 where counts differ then.

    It may be ended at any instant: the next run goes by what is known in the target. Nothing is taken out of
    what is known there alone. Raises StoreUnusable, UnknownSeries and ConfigError.
    """
    if source == target:
        raise ConfigError(f"{source} is where from and where to", "name two histories")
    lines: list[Line] = []
    again = goes_on("the same command again goes on where it was")
    with again, open_history(source) as old, open_history(target, writes=True, create=True) as new:
        for info in chosen(old, symbols, timeframes):
            if info.rev:
                lines.append(line := copy_series(old, new, info, str(source)))
                if not as_json:
                    _tell(line)
    wrong = [line for line in lines if line.error]
    if as_json:
        told = [asdict(line) for line in lines]
        print(json.dumps({"from": str(source), "to": str(target), "series": told}))
    else:
        count = sum(line.candles for line in lines)
        also = f"; {len(wrong)} are not alike" if wrong else ""
        print(f"{len(lines)} series, {count:,} candles in {target}{also}")
    return 1 if wrong else 0


def _tell(line: Line) -> None:
    told = f"{line.inserted:,} new, {line.revised:,} revised, {line.candles:,} in all"
    print(f"{line.series}: {line.error or told}", flush=True)


def copy_series(old: HistoryDatabase, new: HistoryDatabase, info: SeriesInfo, name: str) -> Line:
    """Copy one series out of a store of that name."""
    line, number, wanted = Line(name_of(info)), info.id, old.coverage(info.id)
    its = new.series(info.key, create=True, grid_text=info.grid_text)
    assert its is not None
    if info.listed is not None:
        new.list_since(its.id, info.listed)
    past = old.revisions(number, 0, TIME_MAX), old.arrivals(number, 0, TIME_MAX)
    new.carry(its.id, info.rev, *past)
    there = new.coverage(its.id)
    marks = _Marks(new, its.id, [name, *map(str, old.identity), number])
    since = marks.newest() if there else info.rev
    if not there:  # What comes from now on is of this revision or a newer one.
        marks.note(info.rev)
    again = wanted
    if since is not None and since <= info.rev:
        again = old.changes(number, since)[1]
        again |= Coverage((start, end) for start, end, _ in old.version(number, 0, TIME_MAX).scales)
    told = _about(old, info)  # all of it, with each page
    for part in _parts(info.grid, wanted.without(there.without(again))):
        answer = old.read(number, *part)
        done = new.commit(
            its.id, answer.rows, answer.coverage, replace=answer.coverage, source="copy", told=told
        )
        line.inserted += done.inserted
        line.revised += done.revised
    if since != info.rev:
        marks.note(info.rev)
    counts = [_count(store, which, info.grid, wanted) for store, which in ((old, number), (new, its.id))]
    line.candles = counts[1]
    if counts[0] != counts[1]:
        line.error = f"{counts[0]:,} candles in the one, {counts[1]:,} in the other: copy it once more"
    return line


def _parts(grid: Grid, spans: Coverage) -> Iterator[Span]:
    """So much of them as goes into one transaction, in whole buckets."""
    for start, end in spans:
        at = start
        while at < end:
            try:
                upto = min(end, grid.end(grid.after(grid.ceil(at), _AT_ONCE - 1)))
            except OutsideCalendar:  # which ends before
                upto = end
            yield Span(at, upto)
            at = upto


def _count(store: HistoryDatabase, series: int, grid: Grid, wanted: Coverage) -> int:
    (stats,) = store.stats(series)
    # Rows are counted where they lie; only of more than is wanted, or less, they are read.
    if stats.coverage == wanted:
        return stats.rows
    return sum(len(store.read(series, *part).rows) for part in _parts(grid, wanted))


def _about(store: HistoryDatabase, info: SeriesInfo) -> AboutSymbol | None:
    """What its newest page told of the symbol, as a page of now would."""
    from ...history.records.symbols import AboutSymbol
    from ...venues.venue import Instrument

    venue, symbol, _ = info.key
    for asset in store.assets():
        if (asset.venue, asset.symbol) == (venue, symbol):
            about = Instrument(asset.exchange, asset.currency, asset.calendar, asset.listed, asset.name)
            return AboutSymbol(asset.last_update, tuple(store.actions(venue, symbol)), about)
    return None


@dataclass(frozen=True, slots=True)
class _Marks:
    """In the target's log: up to which revision of the source what is there is as it is in the source.

    Without one all is compared, which changes nothing that is alike.
    """

    store: HistoryDatabase
    series: int
    source: list[object]

    def newest(self) -> int | None:
        for entry in reversed(self.store.logged(series=self.series)):
            if entry.event == _EVENT and (told := json.loads(entry.detail))["from"] == self.source:
                return int(told["rev"])
        return None

    def note(self, rev: int) -> None:
        from ...clock import SystemClock
        from ...history.records.log import LogEntry

        now, detail = int(SystemClock().wall() * 1000), json.dumps({"from": self.source, "rev": rev})
        message = f"copied from {self.source[0]}"
        self.store.log([LogEntry(now, "INFO", _EVENT, message, series=self.series, detail=detail)])
