"""Kin: what a symbol's other timeframes say of a bucket that a page shows no row for. Pure."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from decimal import Decimal

from ..model.coverage import Span
from ..model.policy import CONFIRM_MS
from ..model.rollup import same_volume
from ..model.timeframe import Timeframe
from .evidence import APART_MS, Kin, PageFacts
from .track import Track

__all__ = ["Kindred", "asking_bigger", "bigger_served", "hear_bigger", "holds_older"]


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
        self._newest = max(track.newest(), *page.rows, 0) if page else track.newest()
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
        return self._asked(bucket) if found is Kin.SILENT and self._track.witness else found

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
        volume, told = self._known(bucket, bigger.grid.end(bucket)), Decimal(held.volume)
        if volume is None:
            return Kin.SILENT
        if same_volume(volume, told):
            return Kin.CONFIRMS if settled and not likely else Kin.SILENT
        return Kin.DENIES if volume < told else Kin.SILENT

    def _known(self, start: int, end: int) -> Decimal | None:
        """The volume that is known within `[start, end)`; None if nobody has asked for some of it."""
        track, page = self._track, self._page
        volume = Decimal(0)
        for time in track.grid.opens(start, end):
            row = (page.rows.get(time) if page else None) or track.candle(time)
            if row is not None:
                volume += Decimal(row.volume)
            elif time > self._in_progress:
                break
            elif not (
                time in track.coverage or time in track.open or (page and page.start <= time < page.end)
            ):
                return None
        return volume

    def _asked(self, bucket: int) -> Kin:
        """What the page says that was asked for as a witness. Of what lies after all candles it says nothing:
        it may be as old as the page that it bears witness for.
        """
        assert self._track.witness is not None
        timeframe, page = self._track.witness
        grid = self._track.traits.grid(timeframe)
        start, end = grid.floor(bucket), grid.end(grid.floor(bucket))
        key = -timeframe.ms, start
        if start < page.start or end > page.end or start in page.rejected or bucket > self._newest:
            return Kin.SILENT
        if key not in self._said:
            row, volume = page.rows.get(start), self._known(start, end)
            if row is None:
                between = min(page.rows) < start < max(page.rows)
                self._said[key] = Kin.BEARS_OUT if between else Kin.SILENT
            elif volume is None or same_volume(volume, told := Decimal(row.volume)):
                self._said[key] = Kin.SILENT if volume is None else Kin.BEARS_OUT
            else:
                self._said[key] = Kin.DENIES if volume < told else Kin.SILENT
        return self._said[key]


def holds_older(tracks: Mapping[Timeframe, Track], track: Track) -> bool:
    """Whether a bigger timeframe has a candle from before the oldest run of the track began."""
    if not track.coverage:
        return False
    start = track.grid.ceil(track.coverage.spans[-1].start)
    bigger = (t for t in tracks.values() if t.width > track.width and t.settled)
    return any(min(t.settled) < t.grid.floor(start) for t in bigger)


def bigger_served(track: Track) -> list[Timeframe]:
    """The bigger timeframes that can be asked to bear witness, smallest first."""
    traits, own = track.traits, track.series.timeframe
    return [t for t in Timeframe if t in traits.served and traits.adds_up(own, t)]


def asking_bigger(track: Track, now: int) -> tuple[Timeframe, Span] | None:
    """Which page of which bigger timeframe may bear out, or refute, what pages had no row for.

    The smallest whose page holds the candles on both sides as well; if it brings nothing, the next one.
    """
    due = [t for t, told in track.open.items() if told.alone and told.others_again <= now]
    if not due:
        return None
    before = max((t for t in track.settled if t < min(due)), default=min(due))
    after = min((t for t in track.settled if t > max(due)), default=max(due))
    spans = []
    for timeframe in bigger_served(track):
        grid = track.traits.grid(timeframe)
        start, end = grid.floor(before), grid.end(grid.floor(after))
        fits = grid.count(start, end) <= track.traits.page(timeframe)
        if fits and start >= track.traits.oldest(timeframe, now):
            spans.append((timeframe, Span(start, end)))
    return spans[track.open[max(due)].asked_others // 2 % len(spans)] if spans else None


def hear_bigger(track: Track, timeframe: Timeframe, page: PageFacts) -> None:
    """Take a page that was asked for as a witness, if it has what is known of its times."""
    for bucket, told in track.open.items():
        if told.alone and page.start <= bucket < page.end:
            told.asked_others += 1
            told.others_again = page.heard + min(APART_MS << min(told.asked_others - 1, 6), CONFIRM_MS)
    grid, shown = track.traits.grid(timeframe), page.rows.keys() | page.rejected
    within = {grid.floor(t) for t in track.settled if page.start <= t < page.end}
    if page.rows and within and within <= shown:
        track.witness = timeframe, page
