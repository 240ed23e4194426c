"""What is stored: rows, what is known of them, and how much there is.

Rows are counted by blocks of 1,440 bucket lengths, wherever they lie: `blocks` tells how many of them each
has, and which revision changed it last.
"""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np

from ...equities.scale import stale
from ...errors import HistoryChanged, HistoryError, OutsideCalendar
from ...model.candle import ExactCandle
from ...model.coverage import Coverage
from ...model.grid import Grid, SessionGrid
from ...model.series import SeriesId
from ...model.timeframe import Timeframe, iso
from ..block import block_of, span_of
from ..columns import Columns, merge, within
from ..records.past import Arrival, Revision, Version
from ..scaling import rescaled
from ..store import NONE, Answer, SeriesInfo, Stats
from .arrivals import arrivals, unknown_at
from .database import Sql, Tables
from .provisional import shown
from .symbols import scales_of

__all__ = ["KEPT_DAYS", "Reading", "counts_of", "info_of", "known", "owned"]

_SERIES = "SELECT id, venue, symbol, timeframe, grid, listed, rev, rows FROM series"
_FAR = 1 << 62

KEPT_DAYS = 90
"""So long it is kept what was known when."""


class Reading(Tables):
    """Reads. Where the rows themselves are, an engine knows."""

    @abstractmethod
    def fetch(self, db: Sql, info: SeriesInfo, start: int, end: int) -> Callable[[], Columns]:
        """The rows of `[start, end)`; what is left to be done for them when the transaction is over."""

    @abstractmethod
    def size(self, db: Sql, info: SeriesInfo) -> int:
        """How many bytes the rows of a series take, or about so many."""

    def info(self, series: int) -> SeriesInfo:
        """The series of that number. Raises LookupError."""
        with self.reading() as db:
            return info_of(db, series)[0]

    def all_series(self, symbols: Sequence[str] = ()) -> Sequence[SeriesInfo]:
        """Every series, or those of these symbols; by venue, symbol and timeframe."""
        with self.reading() as db:
            return _all_series(db, symbols)

    def read(
        self, series: int, start: int, end: int, *, as_of: int | None = None, provisional: bool = False
    ) -> Answer:
        """What is stored of `[start, end)`, or what was known of it at a time of the last ninety days."""
        if as_of is not None and as_of < self.now() - KEPT_DAYS * 86_400_000:
            raise HistoryError(
                f"what was known at {iso(as_of)} is not kept any more",
                f"ask as of a time within {KEPT_DAYS} days",
            )
        with self.reading() as db:
            info, step = info_of(db, series)
            fetched = self.fetch(db, info, start, end)
            changed = max(_changed(db, series, step, start, end))
            coverage = known(db, series, start, end)
            since = [] if as_of is None else _revisions(db, series, start, end, as_of)
            later = [] if as_of is None else arrivals(db, series, start, end)
            scales = scales_of(db, series)
            also = provisional and as_of is None
            beyond, _ = shown(db, series, info.grid, start, end) if also else ([], NONE)
        # Decoded when the transaction is over: commits wait for that.
        rows, old = rescaled(fetched(), scales), stale(scales).clip(start, end)
        coverage = coverage.clip(start, end)
        if as_of is not None:
            rows, coverage = _put_back(rows, since), coverage.without(unknown_at(as_of, later, info.grid))
        if not coverage.covers(start, end):
            rows = rows.take(within(rows.time, coverage))
        if beyond := [row for row in beyond if row.time not in coverage]:
            spans = _spans(beyond, info.grid).clip(start, end)
            rows, coverage = merge(rows, Columns.of(beyond)).rows, coverage | spans
            return Answer(rows, coverage, info.rev, info.rev, spans, old)
        return Answer(rows, coverage, info.rev, changed, NONE, old)

    def version(self, series: int, start: int, end: int) -> Version:
        """What changes whenever `read` would answer something else; nothing is decoded for it."""
        with self.reading() as db:
            info, step = info_of(db, series)
            written, revised = _changed(db, series, step, start, end)
            beyond, _ = shown(db, series, info.grid, start, end)
            coverage = known(db, series, start, end).clip(start, end)
            return Version(coverage, written, revised, tuple(beyond), tuple(scales_of(db, series)))

    def batches(self, series: int, start: int, end: int, rows: int = 500_000) -> Iterator[Answer]:
        """The same, oldest first, in answers of about so many rows.

        Raises `HistoryChanged` if what was passed is revised meanwhile.
        """
        at, first_rev = start, None
        while at < end:
            upto, rev, changed = self._next_batch(series, (start, at, end), rows)
            first_rev = rev if first_rev is None else first_rev
            if at > start and changed > first_rev:
                raise HistoryChanged(
                    f"what was read before {iso(at)} has been revised meanwhile", "read it once more"
                )
            yield self.read(series, at, upto)
            at = upto

    def _next_batch(self, series: int, bounds: tuple[int, int, int], rows: int) -> tuple[int, int, int]:
        """Where the batch ends, the series' revision, and the last one that touched what was passed."""
        start, at, end = bounds
        with self.reading() as db:
            info, step = info_of(db, series)
            held, upto = 0, end
            sizes = db.execute(
                "SELECT block, rows FROM blocks WHERE series = ? AND block BETWEEN ? AND ? ORDER BY block",
                (series, block_of(at, step), block_of(end - 1, step)),
            )
            for block, size in sizes:
                held += size
                if held >= rows:
                    upto = min(end, span_of(block, step)[1])
                    break
            return upto, info.rev, max(_changed(db, series, step, start, at))

    def coverage(self, series: int, *, provisional: bool = False) -> Coverage:
        """All that is known of a series; with `provisional` also what is shown, but not final."""
        with self.reading() as db:
            beyond = _beyond(db, info_of(db, series)[0]) if provisional else NONE
            return known(db, series) | beyond

    def first(self, series: int) -> int | None:
        """When the oldest candle opens that is stored of a series, in what is known or not; None: none is."""
        with self.reading() as db:
            sql = "SELECT first FROM blocks WHERE series = ? ORDER BY block LIMIT 1"
            found: tuple[int] | None = db.execute(sql, (series,)).fetchone()
        return found[0] if found else None

    def stats(self, series: int | None = None) -> Sequence[Stats]:
        """How much there is, of one series or of all."""
        with self.reading() as db:
            infos = _all_series(db) if series is None else [info_of(db, series)[0]]
            return [self._stats(db, info) for info in infos]

    def _stats(self, db: Sql, info: SeriesInfo) -> Stats:
        rows, first, last = counts_of(db, info.id)
        (revisions,) = db.execute("SELECT count(*) FROM revisions WHERE series = ?", (info.id,)).fetchone()
        beyond, _ = shown(db, info.id, info.grid, 0, _FAR)
        size = self.size(db, info)
        return Stats(info, rows, first, last, known(db, info.id), size, revisions, len(beyond))

    def changes(self, series: int, after: int) -> tuple[int, Coverage]:
        """The series' revision, and the stretches whose rows may have changed since the revision `after`."""
        with self.reading() as db:
            info, step = info_of(db, series)
            changed = db.execute("SELECT block FROM blocks WHERE series = ? AND rev > ?", (series, after))
            spans = [span_of(block, step) for (block,) in changed]
            gone = db.execute("SELECT time FROM revisions WHERE series = ? AND rev > ?", (series, after))
            spans += [(time, time + step) for (time,) in gone]
        return info.rev, Coverage(spans)

    def revisions(self, series: int, start: int, end: int) -> Sequence[Revision]:
        """What rows of `[start, end)` were before, the newest first; kept for ninety days."""
        with self.reading() as db:
            return _revisions(db, series, start, end)

    def arrivals(self, series: int, start: int, end: int) -> Sequence[Arrival]:
        """When what of `[start, end)` became known, and by what, the oldest first."""
        with self.reading() as db:
            return arrivals(db, series, start, end)


def _changed(db: Sql, series: int, step: int, start: int, end: int) -> tuple[int, int]:
    """The largest revisions that wrote a block of `[start, end)`, and that changed what was told of it."""
    written, revised = db.execute(
        "SELECT (SELECT coalesce(max(rev), 0) FROM blocks WHERE series = ? AND block BETWEEN ? AND ?),"
        " (SELECT coalesce(max(rev), 0) FROM revisions WHERE series = ? AND time >= ? AND time < ?)",
        (series, block_of(start, step), block_of(end - 1, step), series, start, end),
    ).fetchone()
    return int(written), int(revised)


def info_of(db: Sql, series: int) -> tuple[SeriesInfo, int]:
    """A series and the length of its buckets in ms. Raises LookupError where there is none of that number."""
    found = db.execute(f"{_SERIES} WHERE id = ?", (series,)).fetchone()
    if found is None:
        raise LookupError(f"no series {series}")
    info = _info(found)
    return info, info.key.timeframe.ms


def counts_of(db: Sql, series: int) -> tuple[int, int | None, int | None]:
    """How many rows the blocks tell of, and when the first and the last of them open."""
    found: tuple[int, int | None, int | None] = db.execute(
        "SELECT CAST(coalesce(sum(rows), 0) AS bigint), min(first), max(last) FROM blocks WHERE series = ?",
        (series,),
    ).fetchone()
    return found


def known(db: Sql, series: int, start: int = -_FAR, end: int = _FAR) -> Coverage:
    """The spans that reach into `[start, end]` or touch it, whole."""
    return Coverage(
        db.execute(
            """SELECT start, "end" FROM coverage WHERE series = :series AND "end" >= :start AND start <= :end
               AND start >= coalesce(
                   (SELECT max(start) FROM coverage WHERE series = :series AND start <= :start), :start)
               ORDER BY start""",
            {"series": series, "start": start, "end": end},
        )
    )


def owned(grid: Grid, spans: Coverage, had: Coverage) -> Coverage:
    """The buckets that open in these, of a coverage that `had` them, each with the closed hours before it."""
    if not had or not isinstance(grid, SessionGrid):
        return spans
    oldest, newest = had.spans[0].start, had.spans[-1].end

    def edge(time: int) -> int:
        if not oldest < time < newest:
            return time
        try:
            return grid.end_before(grid.ceil(time))
        except OutsideCalendar:  # within its last session
            return newest

    return Coverage((edge(start), edge(end)) for start, end in spans)


def _beyond(db: Sql, info: SeriesInfo) -> Coverage:
    return _spans(shown(db, info.id, info.grid, 0, _FAR)[0], info.grid)


def _spans(rows: Iterable[ExactCandle], grid: Grid) -> Coverage:
    """What these stand for."""
    return Coverage((grid.end_before(row.time), grid.end(row.time)) for row in rows)


def _revisions(db: Sql, series: int, start: int, end: int, after: int = -_FAR) -> list[Revision]:
    """The newest first."""
    found = db.execute(
        "SELECT rev, time, at, source, old FROM revisions"
        " WHERE series = ? AND time >= ? AND time < ? AND at > ? ORDER BY rev DESC, time DESC",
        (series, start, end, after),
    )
    return [
        Revision(rev, time, at, source, tuple(json.loads(old)) if old else None)
        for rev, time, at, source, old in found
    ]


def _put_back(rows: Columns, revisions: Sequence[Revision]) -> Columns:
    """These rows as they were before the revisions, the newest of which comes first."""
    was = {each.time: each.old for each in revisions}  # of several the oldest stays
    kept = rows.take(~np.isin(rows.time, list(was)))
    return merge(kept, Columns.of(ExactCandle(t, *old) for t, old in was.items() if old)).rows


def _all_series(db: Sql, symbols: Sequence[str] = ()) -> list[SeriesInfo]:
    only = f" WHERE symbol IN ({', '.join('?' * len(symbols))})" if symbols else ""
    found = db.execute(f"{_SERIES}{only} ORDER BY venue, symbol, step", symbols)
    return [_info(row) for row in found.fetchall()]


def _info(row: tuple[int, str, str, str, str, int | None, int, int]) -> SeriesInfo:
    number, venue, symbol, timeframe, grid, listed, rev, rows = row
    return SeriesInfo(number, SeriesId(venue, symbol, Timeframe(timeframe)), grid, listed, rev, rows)
