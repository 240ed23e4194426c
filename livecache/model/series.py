"""What names a series, and what the timeline says has changed in it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

import msgspec

from .candle import ExactCandle
from .coverage import Coverage, Span
from .grid import Grid, read_grid
from .timeframe import Timeframe

__all__ = [
    "FIRST_VENUE",
    "SHORT",
    "Change",
    "Changes",
    "Close",
    "Kind",
    "SeriesId",
    "SeriesState",
    "Stored",
    "Update",
]

FIRST_VENUE = "coinbase"
"""The only venue that 0.1 and 0.2 knew: whose candles lie in a Redis that does not tell."""

SHORT = "venue has only"
"""How the reason begins of a series of which the venue has too little."""


class SeriesId(NamedTuple):
    """One series: a symbol's candles of one timeframe at one venue; "" for none, where several have it."""

    venue: str
    symbol: str
    timeframe: Timeframe

    def __str__(self) -> str:
        name = f"{self.symbol}:{self.timeframe}"
        return f"{self.venue}:{name}" if self.venue else name


class Kind(StrEnum):
    """What happened to a bucket."""

    FORMING = "forming"
    CLOSED = "closed"
    SETTLED = "settled"
    REVISED = "revised"


@dataclass(frozen=True, slots=True)
class SeriesState:
    """What vouches for a series. All times are Unix ms of the venue's clock; `…_through` are exclusive ends.

    `contiguous_from <= settled_through <= known_through <= closed_through`; all zero while nothing is known.
    """

    ready: bool
    reason: str  # why not ready; when ready, which hole lies further back, or ""
    contiguous_from: int
    settled_through: int
    known_through: int
    closed_through: int
    coverage: Coverage
    history_from: int  # where the search for more history stopped; 0 if it has not
    forming: int  # open time of the bucket in progress if the feed vouches for it, else 0
    grid: str = ""  # where its buckets lie, as `Grid.text` has it, if not where its timeframe says

    def grid_of(self, timeframe: Timeframe) -> Grid:
        """Where its buckets lie. Raises ValueError for what no venue has of that timeframe."""
        return read_grid(self.grid, timeframe.ms) if self.grid else timeframe.grid

    @property
    def short(self) -> bool:
        """Whether the venue has too little: it is not ready, and waiting for it would not help."""
        return self.reason.startswith(SHORT)


class Update(NamedTuple):
    """A message for the series' `updates` channel."""

    kind: Kind
    candle: ExactCandle


class Close(NamedTuple):
    """An entry for the `closes` stream. `candle` None: proven empty. `replaced`: what readers saw before."""

    kind: Kind
    series: SeriesId
    time: int
    candle: ExactCandle | None
    replaced: ExactCandle | None


class Change(msgspec.Struct, frozen=True):
    """What one series needs in Redis now.

    `members` maps a bucket's open time to its candle, or to None where the bucket holds none any more. If
    `whole`, `members` is all there is and replaces the set; else only these buckets are touched. After that
    everything before `keep_from` is trimmed.
    """

    series: SeriesId
    whole: bool
    members: dict[int, ExactCandle | None]
    keep_from: int
    state: SeriesState | None  # None: as it was last taken; never None in a `whole` change
    updates: tuple[Update, ...] = ()


class Changes(msgspec.Struct, frozen=True):
    """One flush: what changed since the last one. `closes` go out before the candles they announce."""

    series: tuple[Change, ...] = ()
    closes: tuple[Close, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.series or self.closes)


class Stored(msgspec.Struct, frozen=True):
    """One series as an earlier run left it in Redis, decoded and validated, its origin already checked."""

    series: SeriesId
    candles: tuple[ExactCandle, ...]  # oldest first; settled only where coverage says so
    coverage: Coverage
    history_from: int
    known: Span | None = None  # what readers were told to be known without a gap
    ready: bool = False  # … and whether they were told that it is ready
    standing: str = ""  # "unknown: …" or "halted: …" where that was what they were told
