"""Reading years: which file it is, what Redis adds to it, and what may be added up. Needs numpy."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

from ..equities.adjust import newest_split
from ..equities.written import grids_beside
from ..errors import HistoryChanged, Incomplete, RedisUnavailable, UnknownSeries
from ..history.answer.adjusting import Adjuster
from ..history.answer.history import History
from ..history.answer.seam import NOTHING, Ask, Seam, Source, gather, newest_close
from ..history.planner import holding
from ..history.store import Answer, HistoryDatabase, SeriesInfo
from ..model.coverage import Coverage, Span
from ..model.grid import Grid, SessionGrid
from ..model.naming import find_symbol, near_names
from ..model.series import SeriesId
from ..model.timeframe import TIME_MAX, Multiple, Timeframe, iso, readable
from ..read.asking import Time, whole_number
from ..read.reading import Core, Steps
from . import hot
from .history import Connections
from .hot import Filled
from .wish import Wish, wish_of

__all__ = ["SILENCE_MS", "Reading", "Silence", "Years", "wish_of"]

SILENCE_MS = 1_000 * 86_400_000
"""Where nothing was traded for so long, nothing was before. Markets have paused for two years and a half."""

_BATCH_MAX = 100_000_000
_EVER = Coverage([(0, TIME_MAX)])


class Silence(NamedTuple):
    """What lies before the oldest candle that is known of a symbol."""

    first: int
    """When that one opens, Unix ms."""
    unproven: Coverage
    """What of the `SILENCE_MS` before it is not known to be empty."""


@dataclass(frozen=True, slots=True)
class Years:
    """Reads both tiers. `drive` carries steps to Redis and back; a call blocks."""

    core: Core
    drive: Callable[[Steps[Any]], Any]
    place: Connections
    filled: Callable[[Core, set[str]], Steps[Filled]] = hot.filled
    """What is filled of these symbols."""

    def read(
        self, symbol: str, timeframe: str | Timeframe, start: Time, end: Time | None, **options: Any
    ) -> History:
        """See `Reader.history`."""
        wish = wish_of(start, end, **options)
        with self.place.opened() as store:
            reading = Reading(self, store, symbol, readable(timeframe), wish)
            return reading.answer(*reading.stretch())

    def batches(
        self,
        symbol: str,
        timeframe: str | Timeframe,
        start: Time,
        end: Time | None,
        *,
        rows: int,
        **options: Any,
    ) -> Iterator[History]:
        """See `Reader.history_batches`."""
        wish, rows = wish_of(start, end, **options), whole_number("rows", rows, _BATCH_MAX)
        return self._batches(symbol, readable(timeframe), wish, rows)

    def _batches(self, symbol: str, timeframe: Timeframe, wish: Wish, rows: int) -> Iterator[History]:
        with self.place.opened() as store:
            reading = Reading(self, store, symbol, timeframe, wish)
            start, end = reading.stretch()
            at, grid, told = start, reading.grid, None
            while at < end:
                upto = min(end, grid.end(grid.after(at, rows - 1)))
                part = reading.answer(at, upto)
                if reading.revised(start, at) or told not in (None, told := reading.adjuster.heeded):
                    raise HistoryChanged(
                        f"what was read before {iso(at)} has been revised meanwhile", "read it once more"
                    )
                yield part
                at = grid.ceil(upto)


class Reading:
    """One read: what there is of a symbol in both tiers."""

    def __init__(
        self, years: Years, store: HistoryDatabase | None, symbol: str, timeframe: Timeframe, wish: Wish
    ) -> None:
        self._core, self._drive, self._store, self._wish = years.core, years.drive, store, wish
        self._look_up = years.filled
        self._problem: RedisUnavailable | None = None
        self._infos: dict[SeriesId, SeriesInfo] = {}
        self._filled: set[SeriesId] = set()
        self._told: dict[str, hot.Told] = {}
        self._kept: dict[SeriesId, Coverage] = {}
        self.series = self._meant(symbol, timeframe)
        self.sources = self._all_sources()
        self.grid: Grid = self.sources[0].grid
        self.adjuster = self._adjusting()
        self._seam = Seam(self._adjusted(self._hot), self._adjusted(self._stored))

    def stretch(self) -> Span:
        """From the first to the last bucket that is wanted."""
        grid, start = self.grid, self.grid.ceil(self._wish.start)
        if self._wish.end is None:
            known = [self.known_of(source.series).spans[-1:] for source in self.sources]
            through = max((span.end for spans in known for span in spans), default=0)
            return Span(start, max(grid.closed(max(through, start)), grid.end(start)))
        end = grid.end(grid.floor(self._wish.end - 1))
        if end <= start:
            raise ValueError(
                f"start {self._wish.start} to end {self._wish.end} must hold the open of a bucket"
            )
        return Span(start, end)

    def answer(self, start: int, end: int) -> History:
        """What is known of it. Raises `Incomplete` where that is not all, and should be."""
        known, derived_from = gather(self._seam, self.sources, Span(start, end))
        if (now := self._adjusting()).actions != self.adjuster.actions:  # what is stored tells of a new one
            self.adjuster = now
            known, derived_from = gather(self._seam, self.sources, Span(start, end))
        missing = holding(self.grid, known.coverage.missing(start, end))
        if missing and self._wish.gaps == "raise":
            raise self._incomplete(known.coverage, Span(start, end), missing)
        carried = math.nan
        if self._wish.empty == "carry" and start in known.coverage and start not in known.rows.time[:1]:
            carried = newest_close(self.known, self.grid, start)
        return History(
            self.series,
            known,
            missing,
            grid=self.grid,
            empty=self._wish.empty,
            carried=carried,
            derived_from=derived_from,
            adjust=self._wish.adjust,
            split=newest_split(self.adjuster.actions),
        )

    def check_shares(self) -> None:
        """Raise `HistoryChanged` where only one tier has heard of a split: what either has is not joined to
        what the other one has beside it.
        """
        seam = Seam(self._hot, self._stored)
        for source in self.sources if isinstance(self.grid, SessionGrid) else ():
            if kept := self.kept(source.series):
                seam.read(source.series, kept.spans[0].start, kept.spans[-1].end)

    def revised(self, start: int, end: int) -> bool:
        """Whether stored candles of that stretch have been others since this reading began."""
        held = [info for source in self.sources if (info := self._infos.get(source.series))]
        assert self._store or not held
        return end > start and any(
            each.rev > info.rev
            for info in held
            for each in (self._store.revisions(info.id, start, end) if self._store else ())
        )

    @property
    def listed(self) -> int:
        """When its first candle opens, as far as that is known; else 0."""
        infos = [self._infos.get(source.series) for source in self.sources]
        return next((info.listed for info in infos if info and info.listed), 0)

    def version(self, start: int, end: int) -> tuple[bool, list[object]]:
        """Whether all of it is known, and what changes whenever `answer` would; nothing is decoded for it."""
        covered = Coverage([(start, min(end, self.listed))])
        told: list[object] = [self._wish, self.adjuster.actions, self.listed]
        days = self._infos.get(self.series._replace(timeframe=Timeframe.D1))
        if self._wish.adjust == "all" and days:
            told.append(days.rev)  # closes before dividends, wherever they are
        for source in self.sources:
            kept = self.kept(source.series).clip(start, end)
            if kept:
                told.append(self._ask(hot.mark(self._core, source.series, start, end), b""))
            covered |= kept
            if self._store and (info := self._infos.get(source.series)):
                version = self._store.version(info.id, start, end)
                told += [source.series, self._store.identity, version]
                covered |= version.coverage
            if covered.covers(start, end):
                break
        return covered.covers(start, end), told

    def silence(self, since: int) -> Silence | None:
        """What lies before the oldest candle of the symbol, of whichever timeframe, in both tiers.

        None where that opens before `since`, or nobody knows of one.
        """
        own = {key for key in (*self._infos, *self._filled) if key[:2] == self.series[:2]}
        store, infos = self._store, [info for key, info in self._infos.items() if key in own]
        stored = [store.first(info.id) for info in infos] if store else []
        first = min((time for time in stored if time is not None), default=TIME_MAX)
        if first < since:
            return None
        vouched, hot_ones = self._wish.vouched, [*own & self._filled]
        kept = self._ask(hot.kept(self._core, hot_ones, vouched=vouched), {}) if hot_ones else {}
        for series in [one for one, spans in kept.items() if spans and spans.spans[0].start < first]:
            older = self._ask(hot.known(self._core, series, 0, first, vouched=vouched), NOTHING)
            first = min([first, *older.rows.time[:1].tolist()])
        if self._problem or not since <= first < TIME_MAX:
            return None
        proving = {self.series._replace(timeframe=Timeframe.D1), *(each.series for each in self.sources)}
        known = [spans for one, spans in kept.items() if one in proving]
        if store:
            known += [store.coverage(info.id) for info in infos if info.key in proving]
        empty = Coverage(span for spans in known for span in spans)
        return Silence(first, empty.missing(max(0, first - SILENCE_MS), first))

    # --- what there is

    def _meant(self, symbol: str, timeframe: Timeframe) -> SeriesId:
        """The series, at the one venue that has the symbol. Raises `UnknownSeries`."""
        if not isinstance(symbol, str):
            raise ValueError(f"symbol is a text such as 'BTC-USD', not {symbol!r:.80}")
        # Of thousands of series only those that may be meant: it is done at each read.
        names = {text for part in (symbol, symbol.partition(":")[2]) for text in (part, part.upper())}
        if found := find_symbol(symbol, self._look(names)):
            return SeriesId(*found, timeframe)
        near = near_names(symbol, self._look(set()))
        hint = f"did you mean {' or '.join(near)}?" if near else f"livecache history fill --symbols {symbol}"
        raise UnknownSeries(f"{symbol}: no history of it is stored, and nobody fills it", self._hint(hint))

    def _look(self, names: set[str]) -> dict[str, set[str]]:
        """Look for series of these names in both tiers, or for all; their symbols by venue."""
        stored = self._store.all_series([*names]) if self._store else ()
        self._infos = {info.key: info for info in stored}
        self._filled, self._told = self._ask(self._look_up(self._core, names), (set(), {}))
        known: dict[str, set[str]] = {}
        for venue, name, _ in (*self._infos, *self._filled):
            known.setdefault(venue, set()).add(name)
        asked = self._core.asked_venue
        return known if asked is None else {asked: known.get(asked, set())}

    def _all_sources(self) -> list[Source]:
        """The series itself, and what adds up to it, the longest first. Raises `UnknownSeries`."""
        venue, symbol, timeframe = self.series
        there = {key.timeframe for key in (*self._infos, *self._filled) if key[:2] == (venue, symbol)}
        bound, told, sessions = self._told.get(venue, (None, {}, False))
        stored = [info for info in self._infos.values() if info.key.venue == venue and info.grid_text]
        if bound is None and any(isinstance(info.grid, SessionGrid) for info in stored):
            bound = Timeframe.D1  # an auction is in the day, and in no hour
        for text in {info.grid_text for info in stored}:
            told = {**told, **grids_beside(text)}
        grids = {**told, **{info.key.timeframe: info.grid for info in stored}}
        if sessions and (unknown := [t for t in there if t not in grids]):
            series = [SeriesId(venue, symbol, t) for t in unknown]
            grids |= self._ask(hot.sessions(self._core, series), {})
        found = []
        if timeframe in there and self._wish.source != "derived":
            found.append(Source(self.series, grids.get(timeframe, timeframe.grid), False))
        multiple = Multiple(timeframe.value)
        for smaller in multiple.sources if self._wish.source != "stored" else ():
            if smaller not in there or (bound and smaller.ms < bound.ms <= timeframe.ms):
                continue
            its = multiple.added_up(smaller, grids.get(smaller, smaller.grid), grids)
            if its and (not found or its.grid.agrees(found[0].grid)):
                found.append(Source(SeriesId(venue, symbol, smaller), its.grid, True))
        if not found:
            names = ", ".join(sorted({t.value for t in there}))
            raise UnknownSeries(
                f"{self.series}: it is not stored, and cannot be added up from what is ({names})",
                f"livecache history fill --symbols {symbol} --timeframe {timeframe.value}",
            )
        return found

    def kept(self, series: SeriesId) -> Coverage:
        """All that Redis has of it, as it was when this was asked first."""
        if series not in self._kept:
            there = [one.series for one in self.sources if one.series in self._filled]
            found = self._ask(hot.kept(self._core, there, vouched=self._wish.vouched), {}) if there else {}
            self._kept |= {one: found.get(one, Coverage()) for one in {series, *there}}
        return self._kept[series]

    def known_of(self, series: SeriesId) -> Coverage:
        """All that is known of it."""
        covered = self.kept(series)
        if self._store and (info := self._infos.get(series)):
            if self._wish.as_of is None:
                return covered | self._store.coverage(info.id, provisional=not self._wish.settled)
            return covered | self._store.read(info.id, 0, TIME_MAX, as_of=self._wish.as_of).coverage
        return covered

    # --- the tiers

    def _adjusting(self) -> Adjuster:
        """Closes before dividends are those of days, where there are any."""
        venue, symbol, _ = self.series
        days = SeriesId(venue, symbol, Timeframe.D1)
        info = self._infos.get(days)
        source = Source(days, info.grid, False) if info and info.rev else self.sources[0]
        raw = Seam(self._hot, self._stored)
        actions = self._store.actions(venue, symbol) if self._store else ()
        return Adjuster(self.series, self._wish.adjust, actions, partial(source.read, raw), source.grid)

    def _adjusted(self, ask: Ask) -> Ask:
        def read(series: SeriesId, start: int, end: int) -> Answer:
            answer = ask(series, start, end)
            return replace(answer, rows=self.adjuster(answer.rows))

        return read

    def known(self, start: int, end: int) -> Answer:
        """What both tiers know of it."""
        return gather(self._seam, self.sources, Span(start, end))[0]

    def _hot(self, series: SeriesId, start: int, end: int) -> Answer:
        if series not in self._filled or not self._kept.get(series, _EVER).clip(start, end):
            return NOTHING
        steps = hot.known(self._core, series, start, end, vouched=self._wish.vouched)
        found: Answer = self._ask(steps, NOTHING)
        return found

    def _stored(self, series: SeriesId, start: int, end: int) -> Answer:
        info = self._infos.get(series)
        if info is None or self._store is None:
            return NOTHING
        wish = self._wish
        answer = self._store.read(info.id, start, end, as_of=wish.as_of, provisional=not wish.settled)
        unlisted = Coverage([(start, min(end, info.listed or 0))])
        return replace(answer, coverage=answer.coverage | unlisted)

    def _ask(self, steps: Steps[Any], otherwise: Any) -> Any:
        """What Redis says, if it answers, and if the past is not asked for, of which it knows nothing."""
        if self._problem or self._wish.as_of is not None:
            return otherwise
        try:
            return self._drive(steps)
        except RedisUnavailable as error:
            self._problem = error
            return otherwise

    # --- why not

    def _incomplete(self, coverage: Coverage, wanted: Span, missing: Coverage) -> Incomplete:
        grid = self.grid
        want, have = grid.count(*wanted), sum(grid.count(*span) for span in coverage)
        shown = ", ".join(f"[{iso(start)}, {iso(end)})" for start, end in missing.spans[:3])
        more = f" and {len(missing.spans) - 3} more" if len(missing.spans) > 3 else ""
        since = iso(missing.spans[0].start)
        fill = (
            f"livecache history fill --symbols {self.series.symbol} --timeframe {self.series.timeframe.value}"
        )
        return Incomplete(
            f"{self.series}: {have} of {want} buckets are known, not those of {shown}{more}",
            self._hint(f'{fill} --since {since} asks for them; gaps="allow" reads without'),
            have=have,
            want=want,
            missing=missing.spans,
        )

    def _hint(self, hint: str) -> str:
        return f"{hint}; Redis could not be asked: {self._problem.message}" if self._problem else hint
