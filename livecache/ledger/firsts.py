"""How long the pages are by which a symbol is warmed up. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from ..model.timeframe import Timeframe
from ..proof.track import Track

__all__ = ["first_pages"]

_SPARE = 3
"""Buckets more than are wanted: the newest may not be settled yet, and at both ends some are cut."""

_Children = Mapping[Timeframe, Timeframe | None]


def first_pages(tracks: Mapping[Timeframe, Track], children: _Children) -> dict[Timeframe, int]:
    """Buckets of the page that each series is warmed up by; `tracks` are a symbol's, smallest first.

    Each row has to be read, so it is no longer than it has to be: where as few pages fill all series as make
    them ready, it brings what is wanted, of its own and of the bigger ones that it fills. Else it is as long
    as can be, for some of these are made ready by it.
    """
    full, filling = _fewest(tracks, children, {t: track.policy.candles for t, track in tracks.items()})
    _, readying = _fewest(tracks, children, {t: track.policy.min_candles for t, track in tracks.items()})
    return full if filling <= readying else {t: track.page for t, track in tracks.items()}


def _fewest(
    tracks: Mapping[Timeframe, Track], children: _Children, wanted: Mapping[Timeframe, int]
) -> tuple[dict[Timeframe, int], int]:
    """How long pages have to be that bring so many candles of each series, and how few of them do."""
    firsts: dict[Timeframe, int] = {}
    asked: set[Timeframe] = set()
    for timeframe, track in tracks.items():
        count = _SPARE + (_forming(timeframe, children) if track.working else wanted[timeframe])
        count = min(count, track.page)
        way: dict[Timeframe, int] = {}  # from itself down to what might bring it
        source: Timeframe | None = timeframe
        while source is not None and (length := count * timeframe.ms // source.ms) <= tracks[source].page:
            way[source] = length
            source = None if source in asked else children[source]
        if asked.isdisjoint(way):
            asked.add(timeframe)
            way = {timeframe: count}
        for each, length in way.items():
            firsts[each] = max(length, firsts.get(each, 0))
    return firsts, len(asked)


def _forming(timeframe: Timeframe, children: _Children) -> int:
    """Buckets of a series that a bigger one in progress is made of, where that is all it is for."""
    return max((t.ms // timeframe.ms for t, child in children.items() if child is timeframe), default=0)
