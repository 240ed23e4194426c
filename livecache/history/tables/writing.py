"""What changes rows and coverage, each in one transaction."""

from __future__ import annotations

import json
import math
from abc import abstractmethod
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from ...equities.scale import Scale, stale
from ...model.candle import ExactCandle
from ...model.coverage import Coverage
from ...model.grid import Grid, SessionGrid
from ...model.series import SeriesId
from ..columns import NO_ROWS, Array, Columns, merge, within
from ..records.symbols import AboutSymbol
from ..scaling import alike, off, rescaled
from ..store import NONE, Commit, Lease, SeriesInfo
from .arrivals import READ_AGAIN, forget, record
from .database import Sql
from .leases import advance, hold
from .provisional import settled, show
from .reading import Reading, info_of, known, owned
from .symbols import note, read_again, scales_of, settle_scales

__all__ = ["Change", "Writing", "change_of"]

_FAR = 1 << 62


class Change(NamedTuple):
    """What a page makes of rows that were stored."""

    rows: Columns
    inserted: Array
    """The times that are new."""
    replaced: Columns
    """Rows as they were that differ now."""
    removed: Columns
    laid: Array
    """The times of all that is stored anew: what is new, or differs, be it only by a split."""

    @property
    def rescaled(self) -> int:
        """How many differ only by a split."""
        return len(self.laid) - len(self.inserted) - len(self.replaced)

    def __bool__(self) -> bool:
        return bool(len(self.laid) or len(self.removed))


class Writing(Reading):
    """Writes."""

    @abstractmethod
    def lay(
        self, db: Sql, info: SeriesInfo, rows: Columns, decided: Coverage, scales: Sequence[Scale], rev: int
    ) -> Iterator[Change]:
        """Lay a page over what is stored; of what is `decided` the rows go that it lacks."""

    @abstractmethod
    def cut(self, db: Sql, info: SeriesInfo, before: int, rev: int) -> int:
        """Rows before that time go. Returns how many."""

    def series(self, key: SeriesId, *, create: bool = False, grid_text: str = "") -> SeriesInfo | None:
        """The series of that name; None where there is none, unless it is to be made."""
        named = (key.venue, key.symbol, key.timeframe.value)
        number = self.number_of(*named)
        with self.reading() as db:
            info = info_of(db, number)[0] if number is not None else None
        if not create or (info and grid_text in ("", info.grid_text)):
            return info
        with self.writing() as db:
            (number,) = db.execute(
                "INSERT INTO series (venue, symbol, timeframe, grid, step) VALUES (?, ?, ?, ?, ?)"
                " ON CONFLICT (venue, symbol, timeframe) DO UPDATE"
                " SET grid = coalesce(nullif(excluded.grid, ''), series.grid) RETURNING id",
                (*named, grid_text, key.timeframe.ms),
            ).fetchone()
            return info_of(db, number)[0]

    def list_since(self, series: int, listed: int) -> None:
        """Its first candle opens at `listed`."""
        with self.writing() as db:
            db.execute("UPDATE series SET listed = ? WHERE id = ?", (listed, series))

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
        """Store a page and what it proves, with its job's progress, in one transaction."""
        if not within(rows.time, covered).all():
            raise ValueError("a page has rows beyond what it covers")
        with self.writing() as db:
            now = self.now()
            self.lock(db, series, symbol=told is not None)
            if lease:
                hold(db, lease, now)

            def off_by(time: int) -> float:
                page = rows.clip(0, time)
                return off(page, self.read(series, int(page.time[0]), time).rows) if len(page) else math.nan

            news = tuple(note(db, info_of(db, series)[0], now, told, covered, off_by)) if told else ()
            info, _ = info_of(db, series)
            near = known(db, series, covered.spans[0].start, covered.spans[-1].end) if covered else NONE
            scales = scales_of(db, series)
            fresh, again = covered.without(near), _both(covered, stale(scales))
            asked, opened = told.asked if told else now, _opened(info.grid, now)
            heard = again | _both(replace, near) if told and opened else again
            decided = fresh | replace | again
            rev, inserted, revised, removed, split = info.rev + 1, 0, 0, 0, 0
            # What nobody knew is as the page says: also where rows lie that are known no more.
            for change in self.lay(db, info, rows, decided, scales, rev):
                split += change.rescaled
                inserted += len(change.inserted)
                revised += len(change.replaced)
                removed += len(change.removed)
                empty = change.inserted[within(change.inserted, near)]
                gone = rescaled(merge(change.replaced, change.removed).rows, scales)
                if opened and source == "feed":  # A live service has read them anew.
                    grid, anew = info.grid, change.replaced.time.tolist()
                    heard |= Coverage((grid.end_before(time), grid.end(time)) for time in anew)
                _keep_old(db, (series, rev, now, source), gone, empty)
            if fresh:
                _cover(db, series, near, near | covered)
                record(db, series, rev, now, source, fresh, asked=asked, since=opened)
                settled(db, series, fresh)
            provisional, shows = (
                show(db, series, now, shown or {}, known(db, series)) if shown else (0, False)
            )
            if heard:
                rev += 1
                record(db, series, rev, now, READ_AGAIN, heard, asked=asked, since=opened)
            if told or scales:
                settle_scales(db, info, now, scales, covered, asked)
            if fresh or heard or inserted or revised or removed or shows:
                db.execute(
                    "UPDATE series SET rev = ?, rows = rows + ? WHERE id = ?",
                    (rev, inserted - removed, series),
                )
            else:
                rev -= 1
            same = len(rows) - inserted - revised - split
            done = Commit(rev, inserted, revised + removed, same, rejected, provisional, split, news)
            if lease:
                grid = info.grid
                beyond = ((grid.end_before(time), grid.end(time)) for time in shown or ())
                advance(db, lease, done, Coverage((*covered.spans, *beyond)))
        return done

    def uncover(self, series: int, spans: Coverage) -> None:
        """These are known no more, so they are missing; nobody reads their rows until a page brings them."""
        with self.writing() as db:
            self.lock(db, series)
            had = known(db, series)
            spans = owned(info_of(db, series)[0].grid, spans, had)
            if had != (kept := had.without(spans)):
                _cover(db, series, had, kept)
                forget(db, series, spans)
                read_again(db, series, self.now(), spans)
                db.execute("UPDATE series SET rev = rev + 1 WHERE id = ?", (series,))

    def drop(self, series: int, before: int) -> int:
        """Rows and coverage before that time go. Returns how many rows."""
        with self.writing() as db:
            self.lock(db, series)
            info, _ = info_of(db, series)
            gone, rev = self.cut(db, info, before, info.rev + 1), info.rev + 1
            settled(db, series, Coverage([(-_FAR, before)]))
            had = known(db, series)
            dropped = owned(info.grid, Coverage([(-_FAR, before)]), had)
            _cover(db, series, had, had.without(dropped))
            forget(db, series, had.without(had.without(dropped)))
            read_again(db, series, self.now(), dropped)
            db.execute("UPDATE series SET rev = ?, rows = rows - ? WHERE id = ?", (rev, gone, series))
        return gone


def change_of(old: Columns, page: Columns, decided: Coverage, scales: Sequence[Scale]) -> Change:
    """What a page makes of these."""
    if not len(old):
        return Change(page, page.time, NO_ROWS, NO_ROWS, page.time)
    merged = merge(old, page)
    gone = within(old.time, decided)
    if gone.any():
        gone &= ~np.isin(old.time, page.time)
    rows = merged.rows.take(~np.isin(merged.rows.time, old.time[gone])) if gone.any() else merged.rows
    changed = merged.changed
    if scales and len(changed):
        before = old.take(changed)
        after = page.take(np.isin(page.time, before.time))
        split = within(before.time, stale(scales)) & alike(
            rescaled(before, scales), after, max(each.ratio for each in scales)
        )
        changed = changed[~split]
    laid = np.concatenate((merged.inserted, old.time[merged.changed]))
    return Change(rows, merged.inserted, old.take(changed), old.take(gone), laid)


def _opened(grid: Grid, now: int) -> int:
    """When the newest session did; 0 of what keeps to none. A split may have come with it."""
    if not isinstance(grid, SessionGrid) or now < grid.openings[0]:
        return 0
    return grid.openings[bisect_right(grid.openings, now) - 1]


def _both(some: Coverage, others: Coverage) -> Coverage:
    return some.without(some.without(others)) if others else others


def _keep_old(db: Sql, what: tuple[int, int, int, str], old: Columns, empty: Array) -> None:
    """Rows as they were; `empty` are times of buckets that were known to be empty."""
    series, rev, now, source = what
    was: dict[int, str | None] = {row.time: json.dumps(row.numbers) for row in old.candles()}
    was |= dict.fromkeys(empty.tolist())
    db.executemany(
        "INSERT INTO revisions (series, time, rev, at, source, old) VALUES (?, ?, ?, ?, ?, ?)",
        [(series, time, rev, now, source, text) for time, text in was.items()],
    )


def _cover(db: Sql, series: int, had: Coverage, has: Coverage) -> None:
    """Write down the difference."""
    before, after = set(had.spans), set(has.spans)
    db.executemany(
        "DELETE FROM coverage WHERE series = ? AND start = ?", [(series, s) for s, _ in before - after]
    )
    db.executemany("INSERT INTO coverage VALUES (?, ?, ?)", [(series, *span) for span in after - before])
