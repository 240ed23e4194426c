"""What the service asks for by itself: what is missing of a series, before what the hot tier looks after."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from ...model.coverage import Coverage, Span
from ...model.series import SeriesId
from ...model.traits import Traits
from ..ordering import newest_session, series_of, wants_of
from ..store import NONE, HistoryDatabase, JobState, Want

if TYPE_CHECKING:
    from .service import Wishes

__all__ = ["wanted"]

_DAY_MS = 86_400_000


def wanted(
    store: HistoryDatabase,
    venue: str,
    traits: Traits,
    wishes: Wishes,
    *,
    now: int,
    settled: int,
    oldest: Mapping[SeriesId, int],
    host_now: int,
    unheard: Collection[str] = (),
) -> list[Want]:
    """The jobs to submit, the first first.

    `settled`: until then the venue's candles are final; `oldest`: from there on the live service looks after
    a series; `unheard` are symbols whose splits are to be asked for once more. One that is under way is not
    wanted twice; what could not be had, or was cancelled, within a day is not asked for again.
    """
    given_up = _given_up(store, venue, host_now)
    wants: dict[int, Want] = {}
    for timeframe in wishes.timeframes:
        since = wishes.since(timeframe)
        start = since if since > 0 else (now + since) // _DAY_MS * _DAY_MS
        stretch = Span(max(0, start), now)
        for want in wants_of(
            store, venue, traits, wishes.symbols, [timeframe], stretch, final=settled, now=now
        ):
            end = min(want.end, oldest.get(store.info(want.series).key, want.end))
            other = wants.get(want.series, want)
            wants[want.series] = want._replace(
                start=min(want.start, other.start),
                end=end,
                priority=min(want.priority, other.priority),
            )
    found = []
    for want in wants.values():
        missing = store.lacks(want._replace(end=max(want.start, want.end)))
        left = missing.without(given_up.get(want.series, NONE))
        if not left or store.busy(want.series):
            continue
        if left != missing:
            want = want._replace(start=left.spans[0].start, end=left.spans[-1].end)
        found.append(want)
    found += _to_hear_of_splits(store, venue, traits, wishes, settled, found, given_up, unheard)
    return sorted(found, key=lambda want: want.priority)


def _to_hear_of_splits(
    store: HistoryDatabase,
    venue: str,
    traits: Traits,
    wishes: Wishes,
    settled: int,
    found: Sequence[Want],
    given_up: Mapping[int, Coverage],
    unheard: Collection[str],
) -> Iterator[Want]:
    """Once a session a page of each symbol: where all else is copied, nothing would tell of a split."""
    if traits.finals is None or not wishes.timeframes:
        return
    timeframe = max(wishes.timeframes, key=lambda each: each.ms)
    opened, newest = traits.finals.floor(settled), newest_session(traits, timeframe, settled)
    asked = {store.info(want.series).key.symbol for want in found if want.end >= newest.end}
    heard = {each.symbol: each.last_update for each in store.assets() if each.venue == venue}
    for symbol in wishes.symbols:
        if symbol in asked or (heard.get(symbol, 0) >= opened and symbol not in unheard):
            continue
        series = series_of(store, SeriesId(venue, symbol, timeframe), traits)
        if Coverage([newest]).without(given_up.get(series.id, NONE)) and not store.busy(series.id):
            yield Want(series.id, *newest, force=True)


def _given_up(store: HistoryDatabase, venue: str, host_now: int) -> dict[int, Coverage]:
    """Of each series what jobs lacked that ended in vain within a day: a clock may have been set back."""
    lacks: dict[int, Coverage] = {}
    for job in store.jobs(states=(JobState.FAILED, JobState.CANCELLED), venue=venue):
        if abs((job.finished or 0) - host_now) < _DAY_MS:
            series = job.want.series
            lacks[series] = lacks.get(series, NONE) | store.missing(job.id).without(job.done)
    return lacks
