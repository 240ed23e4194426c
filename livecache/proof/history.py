"""Where the history of a series ends, at either end: how far pages go, and what that proves. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from enum import Enum

from ..model.coverage import Span
from ..model.grid import SessionGrid
from ..model.timeframe import Timeframe
from .evidence import ENDS_MS
from .kin import holds_older
from .track import Track

__all__ = [
    "End",
    "asked_once",
    "asked_run",
    "begins_later",
    "end_of_search",
    "final_edge",
    "history_ends",
    "next_edge",
    "note_ends",
    "oldest_to_be_had",
    "searched",
    "shown_edge",
    "waits_for_retry",
]


class End(Enum):
    """How a search for older candles has ended."""

    OPEN = "what lies further back is not proven"
    SEARCHED = "as far as it goes; there may be more"
    EXHAUSTED = "the venue has nothing older"


def final_edge(track: Track, now: int) -> int:
    """The end of the last bucket that a page asked for now could settle."""
    return track.grid.closed(track.traits.final_by(now, track.policy.settle_delay_ms))


def shown_edge(track: Track, now: int) -> int:
    """The end of the last bucket that a page asked for now tells of, though it may not be final yet."""
    if track.traits.finals is None:
        return final_edge(track, now)
    return max(final_edge(track, now), track.grid.closed(now - track.grid.late))


def next_edge(tracks: Collection[Track], now: int) -> int:
    """When a page of these, the smallest first, will settle or show what it could not now."""
    track = next(iter(tracks))
    delay, finals = track.policy.settle_delay_ms, track.traits.finals
    if finals is None:
        return track.grid.due(track.grid.closed(now - delay)) + delay
    shown = (each.grid.due(each.grid.closed(now - each.grid.late)) for each in tracks)
    return min(finals.after(now - delay) + delay, *shown)


def waits_for_retry(track: Track, now: int) -> bool:
    """Whether a page left the newest buckets open that are not worth asking for again yet."""
    told = track.open.get(track.grid.back(shown_edge(track, now)))
    return told is not None and told.again > now and not told.unusable


def oldest_to_be_had(track: Track, now: int) -> int:
    """The oldest bucket that a page asked for now can bring; 0 where nobody knows of an end."""
    oldest = track.traits.oldest(track.source, now)
    listed = track.grid.floor(track.listed) if track.listed else 0
    if isinstance(track.grid, SessionGrid):
        listed = max(listed, track.grid.openings[0])
    return max(track.grid.ceil(oldest), listed) if oldest else listed


def begins_later(track: Track, now: int) -> bool:
    """Whether no bucket has closed since the product was listed: there is nothing to be had yet."""
    return bool(track.listed) and track.grid.closed(now) <= track.grid.floor(track.listed)


def asked_run(track: Track, now: int) -> tuple[Span, int] | None:
    """The newest span that was asked for, settled or waiting, and how many candles there are in it.

    A row that cannot be believed is one: more pages of history would not make up for it.
    """
    waiting = track.waiting(now)
    if not waiting:
        return track.newest_settled_run()
    span = (track.coverage | waiting).spans[-1]
    rows = (
        *track.settled,
        *(t for t, told in track.open.items() if told.unusable and t not in track.settled),
    )
    return span, sum(1 for t in rows if span.start <= t < span.end)


def asked_once(track: Track, now: int) -> bool:
    """Whether the newest page was asked for only once or twice so far, and told nothing."""
    told = track.open.get(track.grid.back(shown_edge(track, now)))
    return told is not None and told.empty and told.tries <= 2


def searched(track: Track, now: int) -> bool:
    """Whether as many pages were asked for as a thin symbol is searched back, to whatever end."""
    run = asked_run(track, now)
    if run is None or run[1] >= track.policy.candles:
        return False
    if run[0].start <= oldest_to_be_had(track, now):
        return True
    pages = 1 + track.policy.widen_pages + track.policy.candles // track.page
    # Half a page of slack: the edge has moved on while the pages were read.
    return run[0].start <= track.grid.far_back(track.grid.closed(now), pages * track.page - track.page // 2)


def end_of_search(track: Track, now: int, *, denied: bool) -> End:
    """What the pages before the oldest candle prove. `denied`: a bigger timeframe has something older.

    The venue has nothing older if the page of the oldest candle itself shows nothing for a while before it
    and the page beyond agrees, or if three empty pages over two minutes do. That it keeps no more, or that
    nobody looks further, proves nothing.
    """
    if not track.coverage:
        return End.OPEN
    if track.coverage.spans[-1].start <= oldest_to_be_had(track, now):
        return End.SEARCHED
    bucket = first = track.grid.back(track.coverage.spans[-1].start)
    while (told := track.open.get(bucket)) is not None and not told.empty:
        bucket = track.grid.back(bucket)
    if told is None:
        return End.SEARCHED
    agreed = bucket < first or (told.pages >= 3 and told.last - told.first >= ENDS_MS)
    return End.EXHAUSTED if agreed and not denied else End.OPEN


def history_ends(track: Track, now: int) -> bool:
    """Whether the search for more candles has gone as far back as it may."""
    return searched(track, now) and end_of_search(track, now, denied=False) is not End.OPEN


def note_ends(tracks: Mapping[Timeframe, Track], heard: int) -> None:
    """Note of a symbol's tracks where their history ends now, and where it seemed to and does not."""
    for track in tracks.values():
        older = holds_older(tracks, track)
        if (track.exhausted and older) or _begins_before(track, track.history_from):
            track.resume_search()
        if not track.history_from and searched(track, heard):
            end = end_of_search(track, heard, denied=older)
            if end is not End.OPEN:
                track.history_from, track.end_asked = track.coverage.spans[-1].start, heard
                track.exhausted = end is End.EXHAUSTED
                track.state_dirty = True


def _begins_before(track: Track, end: int) -> bool:
    """Whether the newest run has a candle from before `end`, where history seemed to end; 0: it does not."""
    if not end or not track.coverage or track.coverage.spans[-1].start >= end:
        return False
    return any(track.coverage.spans[-1].start <= t < end for t in track.settled)
