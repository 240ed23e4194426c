"""Coverage: which spans of buckets are settled. The one idea that everything else is computed from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

__all__ = ["Coverage", "Span"]


class Span(NamedTuple):
    """A half-open stretch of time, `start <= t < end`, in Unix ms."""

    start: int
    end: int


_NEVER = Span(1 << 99, 1 << 99)


class Coverage:
    """An immutable set of disjoint, non-adjacent, non-empty spans, oldest first.

    Every operation returns a new value, in one pass over the spans. There are mostly one, or a few after
    trouble, and thousands in the history of a thin market.
    """

    __slots__ = ("spans",)

    spans: tuple[Span, ...]

    def __init__(self, spans: Iterable[tuple[int, int]] = ()) -> None:
        merged: list[Span] = []
        for start, end in sorted(s for s in spans if s[0] < s[1]):
            if merged and start <= merged[-1].end:
                merged[-1] = Span(merged[-1].start, max(merged[-1].end, end))
            else:
                merged.append(Span(start, end))
        self.spans = tuple(merged)

    def __iter__(self) -> Iterator[Span]:
        return iter(self.spans)

    def __bool__(self) -> bool:
        return bool(self.spans)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Coverage) and self.spans == other.spans

    def __hash__(self) -> int:
        return hash(self.spans)

    def __repr__(self) -> str:
        return f"Coverage({[tuple(s) for s in self.spans]})"

    def __contains__(self, time: int) -> bool:
        # No generator: it is asked of every candle that the feed sends.
        for start, end in self.spans:  # noqa: SIM110
            if start <= time < end:
                return True
        return False

    def __or__(self, other: Coverage) -> Coverage:
        return Coverage((*self.spans, *other.spans))

    def add(self, start: int, end: int) -> Coverage:
        """These spans and `[start, end)`."""
        if start >= end:
            return self
        before: list[Span] = []
        after: list[Span] = []
        for span in self.spans:
            if span.end < start:
                before.append(span)
            elif end < span.start:
                after.append(span)
            else:
                start, end = min(start, span.start), max(end, span.end)
        grown = object.__new__(Coverage)  # in order already: it is done for every bucket of a page
        grown.spans = (*before, Span(start, end), *after)
        return grown

    def remove(self, start: int, end: int) -> Coverage:
        """These spans without `[start, end)`."""
        kept: list[tuple[int, int]] = []
        for span in self.spans:
            kept.append((span.start, min(span.end, start)))
            kept.append((max(span.start, end), span.end))
        return Coverage(kept)

    def clip(self, start: int, end: int) -> Coverage:
        """What of these spans lies within `[start, end)`."""
        return Coverage((max(s.start, start), min(s.end, end)) for s in self.spans)

    def covers(self, start: int, end: int) -> bool:
        """Whether all of `[start, end)` lies in these spans."""
        if start >= end:
            return True
        for first, last in self.spans:  # noqa: SIM110 - as above, of each of their roll-ups
            if first <= start and end <= last:
                return True
        return False

    def missing(self, start: int, end: int) -> Coverage:
        """What of `[start, end)` these spans lack."""
        return Coverage([(start, end)]).without(self)

    def without(self, other: Coverage) -> Coverage:
        """These spans less the other's."""
        kept: list[tuple[int, int]] = []
        holes = iter(other.spans)
        hole, beyond = next(holes, _NEVER)
        for start, end in self.spans:
            while beyond <= start:
                hole, beyond = next(holes, _NEVER)
            while hole < end:
                if start < hole:
                    kept.append((start, hole))
                start = beyond
                if start >= end:
                    break  # it may reach into the next span
                hole, beyond = next(holes, _NEVER)
            if start < end:
                kept.append((start, end))
        less = object.__new__(Coverage)  # in order already
        less.spans = tuple(map(Span._make, kept))
        return less

    def span_of(self, time: int) -> Span | None:
        """The span that holds `time`, or None."""
        return next((s for s in self.spans if s.start <= time < s.end), None)
