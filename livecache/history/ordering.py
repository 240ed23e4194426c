"""What a wish for years of candles comes to: jobs; days first, where these tell where minutes are."""

from __future__ import annotations

from collections.abc import Sequence

from ..equities.written import grid_text
from ..model.coverage import Span
from ..model.series import SeriesId
from ..model.timeframe import Timeframe
from ..model.traits import Traits
from .coarse import coarse_of, worth_it
from .store import PRIORITY, HistoryStore, SeriesInfo, Want

__all__ = ["series_of", "wants_of"]


def series_of(store: HistoryStore, key: SeriesId, traits: Traits) -> SeriesInfo:
    """The series of that name, made if need be."""
    where = grid_text(key.timeframe, traits.grid(key.timeframe), traits.calendar)
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
    force: bool = False,
    priority: int = PRIORITY,
) -> list[Want]:
    """What is wanted of each series over `span`, which ends where candles are settled.

    A timeframe that is bigger goes first, and days are asked for although nobody wants them where they tell
    in which of many pages there is nothing.
    """
    for symbol in symbols:
        for own in traits.grids:  # whoever adds up to it has to know where its buckets open
            series_of(store, SeriesId(venue, symbol, own), traits)
    wants: dict[int, Want] = {}
    for timeframe in sorted(timeframes, key=lambda each: -each.ms):
        grid = traits.grid(timeframe)
        stretch = Span(grid.ceil(span.start), grid.closed(span.end))
        for symbol in symbols:
            series = series_of(store, SeriesId(venue, symbol, timeframe), traits)
            lacks = store.coverage(series.id).missing(*stretch)
            wants[series.id] = Want(series.id, *stretch, force, priority)
            coarse = coarse_of(timeframe, traits)
            if coarse is None or not worth_it(lacks, timeframe, coarse, traits):
                continue
            days = series_of(store, SeriesId(venue, symbol, coarse), traits)
            first, last = traits.grid(coarse).floor(stretch.start), traits.grid(coarse).closed(stretch.end)
            if days.id not in wants:
                wants[days.id] = Want(days.id, first, last, False, priority - 1)
    return sorted(wants.values(), key=lambda want: want.priority)
