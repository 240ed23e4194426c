"""What a wish for years of candles comes to: jobs; days first, where these tell where minutes are."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

from ..equities.written import grid_text
from ..model.coverage import Span
from ..model.series import SeriesId
from ..model.timeframe import Timeframe
from ..model.traits import Traits
from .coarse import coarse_of, worth_it
from .store import PRIORITY, HistoryDatabase, HistoryStore, SeriesInfo, Want

__all__ = ["newest_of", "newest_session", "page_of", "series_of", "to_hear_of_splits", "wants_of"]

_REACH_BACK = 12
"""Buckets of what is known that are read again, for revisions."""


def series_of(store: HistoryStore, key: SeriesId, traits: Traits) -> SeriesInfo:
    """The series of that name, made if need be."""
    grid = traits.grid(key.timeframe)
    where = grid_text(key.timeframe, grid, traits.calendar, traits.calendar_through)
    made = store.series(key, create=True, grid_text=where)
    assert made is not None
    return made


def wants_of(
    store: HistoryStore,
    venue: str,
    traits: Traits,
    symbols: Sequence[str],
    timeframes: Sequence[Timeframe],
    span: Span,
    *,
    final: int | None = None,
    now: int = 0,
    force: bool = False,
    priority: int = PRIORITY,
) -> list[Want]:
    """What is wanted of each series over `span`.

    What ended after `final` (Unix ms) is not, unless a page that is asked for `now` shows it. Without
    `final` all of the span is.

    A timeframe that is bigger goes first, and days are asked for although nobody wants them where they tell
    in which of many pages there is nothing.
    """
    # Whoever adds up to a timeframe has to know where its buckets open.
    added_up = [own for own in traits.grids if any(traits.adds_up(each, own) for each in timeframes)]
    with store.writing():  # one transaction: thousands of series take a moment each
        for symbol in symbols:
            for own in {*timeframes, *added_up}:
                series_of(store, SeriesId(venue, symbol, own), traits)
    wants: dict[int, Want] = {}
    for timeframe in sorted(timeframes, key=lambda each: -each.ms):
        grid = traits.grid(timeframe)
        settled = grid.closed(span.end if final is None else min(span.end, final))
        shown = _shown(traits, timeframe, span.end, now) if final is not None else settled
        stretch = Span(grid.ceil(span.start), max(settled, shown))
        if stretch.start >= stretch.end:
            continue
        for symbol in symbols:
            series = series_of(store, SeriesId(venue, symbol, timeframe), traits)
            lacks = store.coverage(series.id).missing(*stretch)
            beyond = settled if settled < stretch.end else None
            wants[series.id] = Want(series.id, *stretch, force, priority, beyond)
            coarse = coarse_of(timeframe, traits)
            if coarse is None or not worth_it(lacks, timeframe, coarse, traits):
                continue
            days = series_of(store, SeriesId(venue, symbol, coarse), traits)
            first, last = traits.grid(coarse).floor(stretch.start), traits.grid(coarse).closed(settled)
            if days.id not in wants:
                wants[days.id] = Want(days.id, first, last, False, priority - 1)
    if traits.finals is not None:  # What reaches furthest hears first of a split.
        newest = max((want.end for want in wants.values()), default=0)
        wants = {n: w if w.end == newest else w._replace(priority=priority + 1) for n, w in wants.items()}
    return sorted(wants.values(), key=lambda want: want.priority)


def newest_of(
    store: HistoryStore,
    venue: str,
    traits: Traits,
    symbols: Sequence[str],
    timeframes: Sequence[Timeframe],
    *,
    final: int,
    now: int,
    priority: int = PRIORITY,
) -> list[Want]:
    """What is newer than what is known of each series, and the newest of that once more.

    Of one of which nothing is known it is the newest page.
    """
    wants: list[Want] = []
    with store.writing():  # one transaction: thousands of series take a moment each
        series_ids = [
            (symbol, timeframe, series_of(store, SeriesId(venue, symbol, timeframe), traits).id)
            for symbol, timeframe in product(symbols, timeframes)
        ]
    for symbol, timeframe, series in series_ids:
        grid = traits.grid(timeframe)
        known = store.coverage(series).clip(0, final)
        end = known.spans[-1].end if known else grid.closed(final)
        start = grid.far_back(end, _REACH_BACK if known else traits.deep_page(timeframe))
        of = store, venue, traits, [symbol], [timeframe], Span(start, now)
        wants += wants_of(*of, final=final, now=now, force=True, priority=priority)
    return sorted(wants, key=lambda want: want.priority)


def page_of(traits: Traits, timeframe: Timeframe) -> int:
    """Buckets in a page of years, with room for the session in progress where that tells of splits."""
    most = traits.deep_page(timeframe)
    return max(1, most - 1) if traits.finals else most


def newest_session(traits: Traits, timeframe: Timeframe, settled: int) -> Span:
    """The newest bucket that ended by the open before `settled`: its page tells of all splits until now."""
    assert traits.finals
    opened, grid = traits.finals.floor(settled), traits.grid(timeframe)
    return Span(grid.far_back(grid.closed(opened), 1), grid.closed(opened))


def to_hear_of_splits(
    store: HistoryDatabase, key: SeriesId, traits: Traits, settled: int, priority: int
) -> list[Want]:
    """A page of the newest session, unless one of the symbol has come since its open."""
    if traits.finals is None:
        return []
    opened = traits.finals.floor(settled)
    if any(a.last_update >= opened for a in store.assets() if (a.venue, a.symbol) == key[:2]):
        return []
    newest = newest_session(traits, key.timeframe, settled)
    return [Want(series_of(store, key, traits).id, *newest, True, priority)]


def _shown(traits: Traits, timeframe: Timeframe, until: int, now: int) -> int:
    """The end of the newest bucket that a page shows though it need not be final; 0 where none does."""
    if traits.finals is None or timeframe not in traits.shown_after_ms or not now:
        return 0
    return traits.grid(timeframe).closed(min(until, now - traits.shown_after_ms[timeframe]))
