"""Which buckets are meant, and whether anything is to be had before them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

from ...equities.adjust import Adjust
from ...errors import ConfigError
from ...model.coverage import Coverage, Span
from ...model.grid import Grid, SessionGrid
from ...reader.reader import MAX_LAG_S

if TYPE_CHECKING:
    from ...history.answer.history import History

__all__ = ["Ask", "Bounds", "Ends", "Window", "bounds_of", "whole"]

Ends = Literal["", "listing", "reach", "silence"]


class Ask(NamedTuple):
    """A stretch of one series: `[start, end)`, or the newest `limit` buckets that end by `before`.

    Times are Unix ms. Without an end it goes as far as anything is known, and so it does without `before`.
    """

    symbol: str
    timeframe: str
    start: int | None = None
    end: int | None = None
    before: int | None = None
    limit: int = 500
    adjust: Adjust = "splits"
    fill: bool = True
    timeout_s: float = 2.0
    partial: bool = False


class Bounds(NamedTuple):
    """The buckets that are meant, and what lies around them."""

    span: Span
    """From the open of the first to the end of the last of them; empty where there are none."""
    next_before: int | None
    """What to ask for by `before` to go on where this one begins. None: nothing is to be had before it."""
    ends: Ends
    """Why that is so: it was not listed yet, the venue tells of nothing older, or for years
    nothing was traded before the oldest candle that is known. "" where it is not.
    """
    old: bool
    """Whether the live service has done with all of it, and nobody changes it any more."""


_NONE = Coverage()


@dataclass(frozen=True, slots=True)
class Window:
    """What is known of the buckets that were meant."""

    history: History
    bounds: Bounds
    listed: int | None
    """When its first candle opens, where that is known."""
    job: int | None = None
    """What fetches the part that is missing, if anything does."""
    unproven: Coverage = _NONE
    """Days to ask for: were they and what lies before them empty for years, it would end here."""

    @property
    def span(self) -> Span:
        """From the open of the first bucket that is meant to the end of the last."""
        return self.bounds.span

    @property
    def next_before(self) -> int | None:
        """See `Bounds`."""
        return self.bounds.next_before

    @property
    def ends(self) -> Ends:
        """See `Bounds`."""
        return self.bounds.ends


def whole(grid: Grid, known: Coverage) -> Coverage:
    """The buckets of which all is known."""
    return Coverage((grid.ceil(start), grid.closed(end)) for start, end in known)


def bounds_of(
    grid: Grid,
    ask: Ask,
    *,
    known: Coverage,
    kept: Coverage,
    listed: int,
    oldest: int,
    final: int,
    now: int,
    silent: int = 0,
) -> Bounds:
    """What is meant of the buckets that are `known` somewhere, `kept` by the live service, and `listed`; 0:
    nobody knows. Before `silent` nothing was traded for years, nor is anything known; 0: nobody knows.

    A venue tells of nothing before `oldest`; 0: of all. What has ended by `final` is so at `now`; 0: nobody
    says. All are Unix ms. Where what is known ends long before that, the rest is meant, too. Raises
    ConfigError.
    """
    now = known.spans[-1].end if known else now
    begins, quiet = _bucket(grid, listed), _bucket(grid, silent)
    reach = grid.ceil(min(oldest, known.spans[0].start if known else now)) if oldest else 0
    first = max(begins, reach, quiet)
    newest = final if final > now and final - grid.due(now) > MAX_LAG_S * 1000 else now
    span = _span(grid, ask, now) if ask.start is not None else _newest(grid, ask, newest, first)
    more = span.start > first and grid.far_back(span.start, 1) < span.start
    ends: Ends = "reach" if reach > begins else "listing" if begins else ""
    ends = "silence" if quiet > max(begins, reach) else ends
    done = kept.spans[0].start if kept else now - _DAY_MS
    # Of shares a split changes all that was before it.
    old = span.start < span.end <= done and not isinstance(grid, SessionGrid)
    return Bounds(span, span.start if more else None, ends if span.start <= first else "", old)


def _bucket(grid: Grid, time: int) -> int:
    """The one that holds it; 0 where none does."""
    return grid.floor(time) if time and grid.count(0, time + 1) else 0


def _span(grid: Grid, ask: Ask, now: int) -> Span:
    """The buckets that open in what is asked for. Raises ConfigError."""
    assert ask.start is not None
    start = grid.ceil(ask.start)
    end = grid.closed(max(now, start)) if ask.end is None else grid.end(grid.floor(ask.end - 1))
    buckets = grid.count(start, end)
    if ask.end is None and not buckets:
        return Span(start, start)
    if not 0 < buckets <= ask.limit:
        told = f"[{ask.start}, {end if ask.end is None else ask.end}) holds the opens of {buckets} buckets"
        raise ConfigError(told, f"ask for 1 to {ask.limit} of them")
    return Span(start, end)


def _newest(grid: Grid, ask: Ask, now: int, first: int) -> Span:
    """The newest buckets that end by then, but for those before `first`."""
    by = now if ask.before is None else min(ask.before, now)
    if not grid.count(0, by + 1):  # before the first session that the calendar knows
        return Span(by, by)
    end = grid.closed(by)
    start = max(0, min(max(grid.far_back(end, ask.limit), first), end))
    return Span(start, max(start, end))


_DAY_MS = 86_400_000
