"""What a store of history promises: candles, what is known of them, and the jobs that fill it.

A store is one database. All times are Unix ms, UTC, and every stretch of time is half-open. A store blocks
while it works, so it belongs in a thread of its own, and to that thread alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

from ..equities.written import Told, calendar_of, grid_of
from ..model.coverage import Coverage, Span
from ..model.grid import Grid
from ..model.series import SeriesId
from .records.jobs import (
    ACTIVE,
    PRIORITY,
    PRIORITY_READ,
    Job,
    JobState,
    JobStore,
    Lease,
    Order,
    Outcome,
    Want,
)
from .records.log import LogStore
from .records.past import Arrival, Revision, Version
from .records.symbols import AboutSymbol, SymbolStore

if TYPE_CHECKING:
    from ..model.candle import ExactCandle
    from .columns import Columns  # which needs numpy

__all__ = [
    "ACTIVE",
    "NONE",
    "PRIORITY",
    "PRIORITY_READ",
    "Answer",
    "Commit",
    "Damage",
    "HistoryDatabase",
    "HistoryStore",
    "Job",
    "JobState",
    "JobStore",
    "Lease",
    "Order",
    "Outcome",
    "SeriesInfo",
    "Stats",
    "Want",
]

NONE = Coverage()
"""No span."""


@dataclass(frozen=True, slots=True)
class SeriesInfo:
    """One series of a store. `id` is the store's own number for it."""

    id: int
    key: SeriesId
    grid_text: str = ""
    """Where its buckets lie, as `grid_text` has it, if not where its timeframe says."""
    listed: int | None = None
    """When its first candle opens, where that is known: before it there is nothing."""
    rev: int = 0
    """Grows by one with each commit that changes rows or coverage."""
    rows: int = 0

    @property
    def grid(self) -> Grid:
        """Where its buckets lie."""
        return grid_of(self.grid_text, self.key.timeframe)

    @property
    def calendar(self) -> Told | None:
        """The exchange in whose sessions they lie, if they do."""
        return calendar_of(self.grid_text)


class Commit(NamedTuple):
    """What a page changed, in rows. `revised` counts rows that differ from what was stored, or went."""

    rev: int
    inserted: int = 0
    revised: int = 0
    same: int = 0
    rejected: int = 0
    """Beside these: rows that could not be believed."""
    provisional: int = 0
    """Beside these: rows that are not final yet."""
    rescaled: int = 0
    """Beside these: rows that are the same but for a split."""
    news: tuple[tuple[str, str], ...] = ()
    """Of the symbol: names of events, each with what happened."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A snapshot of `[start, end)` of one series. A covered bucket without a row is known to be empty."""

    rows: Columns
    coverage: Coverage
    """What is known, within the stretch that was asked for."""
    rev: int
    """The series' revision."""
    block_rev: int
    """The largest revision of what was read: while it stays, these rows do."""
    provisional: Coverage = NONE
    """The part of the coverage that pages have shown, but that is not final; only where it was asked for."""
    converted: Coverage = NONE
    """What was read before a split, and is converted, not read again yet."""


@dataclass(frozen=True, slots=True)
class Stats:
    """How much there is of one series; nothing is decoded for it."""

    series: SeriesInfo
    rows: int
    first: int | None
    """Open of the oldest candle."""
    last: int | None
    coverage: Coverage
    bytes: int
    """Of its blocks."""
    revisions: int
    provisional: int = 0
    """Candles beside these that are not final."""


@dataclass(frozen=True, slots=True)
class Damage:
    """A block that cannot be believed, and the stretch of time that it stands for."""

    series: SeriesInfo
    block: int | None
    """None: rows are gone, and nobody knows which."""
    span: Span
    reason: str


class HistoryStore(Protocol):
    """Candles of many series, each with what is known of it."""

    def writing(self) -> AbstractContextManager[object]:
        """A transaction around what is done within: all of it is stored, or nothing."""

    def reading(self) -> AbstractContextManager[object]:
        """A transaction in which all is as it was at its first statement."""

    def series(self, key: SeriesId, *, create: bool = False, grid_text: str = "") -> SeriesInfo | None:
        """The series of that name; None where there is none, unless it is to be made.

        With `create` and a `grid_text` its buckets lie there from now on: a calendar learns of a closed day.
        """

    def info(self, series: int) -> SeriesInfo:
        """The series of that number. Raises LookupError."""

    def all_series(self, symbols: Sequence[str] = ()) -> Sequence[SeriesInfo]:
        """Every series, or those of these symbols; by venue, symbol and timeframe."""

    def list_since(self, series: int, listed: int) -> None:
        """Its first candle opens at `listed`."""

    def commit(
        self,
        series: int,
        rows: Columns,
        covered: Coverage,
        *,
        replace: Coverage = NONE,
        shown: Mapping[int, ExactCandle | None] | None = None,
        lease: Lease | None = None,
        rejected: int = 0,
        source: str = "page",
        told: AboutSymbol | None = None,
    ) -> Commit:
        """Store a page and what it proves, with its job's progress, in one transaction.

        Every row lies within `covered`. Stored rows within `replace` that the page lacks are taken out. What
        is not final yet is `shown`, by its opens: no candle where the page has none; it is no coverage. With
        a lease the job's counters grow, its lease is renewed and its failures are forgotten; `rejected`
        counts rows that could not be believed. What a page is `told` of its symbol may be that it was split:
        then what was read before is to be read again, by a job of its own, and until then converted.

        Raises `LeaseLost` if the job is another's by now, and `DamagedBlock`; nothing is changed then.
        """

    def read(
        self, series: int, start: int, end: int, *, as_of: int | None = None, provisional: bool = False
    ) -> Answer:
        """What is stored of `[start, end)`, or what was known of it at a time of the last ninety days.

        With `provisional` also candles that are not final yet, but not as of another time.

        Raises `DamagedBlock`, and `HistoryError` for an earlier time.
        """

    def version(self, series: int, start: int, end: int) -> Version:
        """What changes whenever `read` would answer something else; nothing is decoded for it."""

    def batches(self, series: int, start: int, end: int, rows: int = 500_000) -> Iterator[Answer]:
        """The same, oldest first, in answers of about so many rows.

        Raises `HistoryChanged` if what was passed is revised meanwhile.
        """

    def coverage(self, series: int, *, provisional: bool = False) -> Coverage:
        """All that is known of a series; with `provisional` also what is shown, but not final."""

    def first(self, series: int) -> int | None:
        """When the oldest candle opens that is stored of a series, in what is known or not; None: none is."""

    def stats(self, series: int | None = None) -> Sequence[Stats]:
        """How much there is, of one series or of all."""

    def changes(self, series: int, after: int) -> tuple[int, Coverage]:
        """The series' revision, and the stretches whose rows may have changed since the revision `after`."""

    def revisions(self, series: int, start: int, end: int) -> Sequence[Revision]:
        """What rows of `[start, end)` were before, the newest first; kept for ninety days."""

    def arrivals(self, series: int, start: int, end: int) -> Sequence[Arrival]:
        """When what of `[start, end)` became known, and by what, the oldest first."""

    def carry(
        self, series: int, rev: int, revisions: Sequence[Revision], arrivals: Sequence[Arrival]
    ) -> None:
        """Know from another store, whose revision was `rev`, what became known when, and what rows were.

        Only of a series that has not changed here yet; else nothing is done.
        """

    def uncover(self, series: int, spans: Coverage) -> None:
        """These are known no more, so they are missing; nobody reads their rows until a page brings them."""

    def drop(self, series: int, before: int) -> int:
        """Rows and coverage before that time go. Returns how many rows."""

    def verify(self, series: int | None = None) -> Iterator[Damage]:
        """Read every block, of one series or of all; what cannot be believed."""

    def heal(self, series: int | None = None) -> Sequence[Damage]:
        """Put aside what cannot be believed, and know its stretch no more: so it is fetched again."""

    def backup(self, path: Path) -> None:
        """Write a copy, whole and consistent, while others write. Raises `StoreUnusable`."""

    def vacuum(self) -> None:
        """Give unused room back to the file system."""

    def tidy(self) -> None:
        """Forget what is kept for a time only: revisions, jobs that are over, and the log."""

    def total_bytes(self) -> int:
        """Bytes of all that is stored, with what it takes to find it."""

    def check(self) -> None:
        """That it is ours, and that we understand it. Raises `StoreUnusable`."""

    @property
    def identity(self) -> tuple[object, ...]:
        """Which database it is: another one's revisions tell nothing of this one's."""

    @property
    def moved(self) -> bool:
        """Whether to open it anew: another one is at its place by now, or it cannot be reached this way."""

    def close(self) -> None:
        """Let go of the database."""


class HistoryDatabase(HistoryStore, JobStore, SymbolStore, LogStore, Protocol):
    """A store that keeps the jobs, what is known of symbols, and its log, too."""
