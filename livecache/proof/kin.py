"""Kin: what a symbol's other timeframes say of a bucket that a page shows no row for. Pure."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from decimal import Decimal

from ..model.timeframe import Timeframe
from .evidence import Kin, PageFacts
from .track import Track

__all__ = ["Kindred", "holds_older"]


class Kindred:
    """The other tracks of a symbol as witnesses for one of them, while one page is read."""

    def __init__(
        self,
        tracks: Mapping[Timeframe, Track],
        timeframe: Timeframe,
        heard: int,
        page: PageFacts | None = None,
    ) -> None:
        self._track = track = tracks[timeframe]
        self._page = page
        self._in_progress = track.grid.floor(heard)
        adds_up = track.traits.adds_up
        self._smaller = [each for t, each in tracks.items() if adds_up(t, timeframe)]
        self._bigger = [each for t, each in tracks.items() if adds_up(timeframe, t)]
        self._held: dict[int, list[int]] = {}  # width of a smaller one → the buckets that it holds
        self._said: dict[tuple[int, int], Kin] = {}  # (width, bucket) of a bigger one → what it says

    def __call__(self, bucket: int) -> Kin:
        """What they say of that bucket."""
        if any(smaller.candle(t) for smaller in self._smaller for t in self._within(smaller, bucket)):
            return Kin.DENIES
        found = Kin.SILENT
        for bigger in self._bigger:
            said = self._ask(bigger, bigger.grid.floor(bucket))
            if said is Kin.DENIES:
                return said
            found = said if said is Kin.CONFIRMS else found
        return found

    def holds_more(self, bucket: int) -> bool:
        """Whether a smaller timeframe holds more of it than this one, or a bigger one than is known."""
        held = self._track.candle(bucket)
        if held is None:
            return self(bucket) is Kin.DENIES
        traded = (
            sum(Decimal(c.volume) for t in self._within(each, bucket) if (c := each.candle(t)) is not None)
            for each in self._smaller
        )
        return any(volume > Decimal(held.volume) for volume in traded)

    def _within(self, smaller: Track, bucket: int) -> Sequence[int]:
        """What it holds of that bucket: a month has 43,000 minutes, of which few are kept."""
        held = self._held.get(smaller.width)
        if held is None:
            held = self._held[smaller.width] = sorted({*smaller.settled, *smaller.provisional})
        end = self._track.grid.end(bucket)
        return held[bisect_left(held, bucket) : bisect_left(held, end)]

    def _ask(self, bigger: Track, bucket: int) -> Kin:
        """A bigger bucket that was fetched: does it hold more than what is known within it?"""
        key = bigger.width, bucket
        if key not in self._said:
            self._said[key] = self._compare(bigger, bucket)
        return self._said[key]

    def _compare(self, bigger: Track, bucket: int) -> Kin:
        held = bigger.settled.get(bucket)
        # What one witness alone stands behind confirms nobody.
        likely = bucket in bigger.likely
        settled = bucket in bigger.coverage and bucket not in bigger.derived
        if not settled and bigger.glimpse is not None and bigger.glimpse.time == bucket:
            held = bigger.glimpse  # in progress, or not settled yet
        elif not settled:
            return Kin.SILENT
        if held is None:
            return Kin.SILENT if bucket in bigger.presumed else Kin.CONFIRMS
        track, page = self._track, self._page
        volume = Decimal(0)
        for time in track.grid.opens(bucket, bigger.grid.end(bucket)):
            row = (page.rows.get(time) if page else None) or track.candle(time)
            if row is not None:
                volume += Decimal(row.volume)
            elif time > self._in_progress:
                break
            elif not (
                time in track.coverage or time in track.open or (page and page.start <= time < page.end)
            ):
                return Kin.SILENT  # Nobody has asked for that one.
        if volume < Decimal(held.volume):
            return Kin.DENIES
        return Kin.CONFIRMS if settled and not likely and volume == Decimal(held.volume) else Kin.SILENT


def holds_older(tracks: Mapping[Timeframe, Track], track: Track) -> bool:
    """Whether a bigger timeframe has a candle from before the oldest run of the track began."""
    if not track.coverage:
        return False
    start = track.grid.ceil(track.coverage.spans[-1].start)
    bigger = (t for t in tracks.values() if t.width > track.width and t.settled)
    return any(min(t.settled) < t.grid.floor(start) for t in bigger)
