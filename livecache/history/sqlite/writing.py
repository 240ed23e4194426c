"""What changes rows and coverage, each in one transaction."""

from __future__ import annotations

import json
import math
import sqlite3
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from ...equities.scale import Scale, stale
from ...model.candle import ExactCandle
from ...model.coverage import Coverage
from ...model.grid import Grid, SessionGrid
from ...model.series import SeriesId
from ..block import block_of, encode, span_of
from ..columns import NO_ROWS, Array, Columns, merge, within
from ..records.symbols import AboutSymbol
from ..scaling import alike, off, rescaled
from ..store import NONE, Commit, Lease, SeriesInfo
from .arrivals import READ_AGAIN, forget, record
from .leases import advance, hold
from .provisional import settled, show
from .reading import Reading, info_of, known, owned, rows_of
from .symbols import note, read_again, scales_of, settle_scales

__all__ = ["Writing"]

_FAR = 1 << 62


class _Change(NamedTuple):
    """What a page makes of one block."""

    rows: Columns
    inserted: Array
    """The times that are new."""
    replaced: Columns
    """Rows as they were that differ now."""
    removed: Columns
    rescaled: int = 0
    """How many more differ, but only by a split."""

    def __bool__(self) -> bool:
        return bool(len(self.inserted) or len(self.replaced) or len(self.removed) or self.rescaled)


class Writing(Reading):
    """Writes."""

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
                " ON CONFLICT DO UPDATE SET grid = ifnull(nullif(excluded.grid, ''), grid) RETURNING id",
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
            if lease:
                hold(db, lease, now)

            def off_by(time: int) -> float:
                page = rows.clip(0, time)
                return off(page, self.read(series, int(page.time[0]), time).rows) if len(page) else math.nan

            news = tuple(note(db, info_of(db, series)[0], now, told, covered, off_by)) if told else ()
            info, step = info_of(db, series)
            near = known(db, series, covered.spans[0].start, covered.spans[-1].end) if covered else NONE
            scales = scales_of(db, series)
            fresh, again = covered.without(near), _both(covered, stale(scales))
            asked, opened = told.asked if told else now, _opened(info.grid, now)
            heard = again | _both(replace, near) if told and opened else again
            decided = fresh | replace | again
            rev, inserted, revised, removed, split = info.rev + 1, 0, 0, 0, 0
            # What nobody knew is as the page says: also where rows lie that are known no more.
            for block, page in _pages(db, series, rows, decided, step):
                change = _change(db, info, block, page, decided, scales)
                split += change.rescaled
                if not (
                    len(change.inserted) or len(change.replaced) or len(change.removed) or change.rescaled
                ):
                    continue
                inserted += len(change.inserted)
                revised += len(change.replaced)
                removed += len(change.removed)
                empty = change.inserted[within(change.inserted, near)]
                gone = rescaled(merge(change.replaced, change.removed).rows, scales)
                if opened and source == "feed":  # A live service has read them anew.
                    grid, anew = info.grid, change.replaced.time.tolist()
                    heard |= Coverage((grid.end_before(time), grid.end(time)) for time in anew)
                _keep_old(db, (series, rev, now, source), gone, empty)
                _store(db, series, block, change.rows, rev, step)
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
            info, step = info_of(db, series)
            edge, rev = block_of(before, step), info.rev + 1
            (gone,) = db.execute(
                "SELECT ifnull(sum(rows), 0) FROM blocks WHERE series = ? AND block < ?", (series, edge)
            ).fetchone()
            db.execute("DELETE FROM blocks WHERE series = ? AND block < ?", (series, edge))
            settled(db, series, Coverage([(-_FAR, before)]))
            if (old := _block(db, info, edge)) is not None and old.time[0] < before:
                kept = old.clip(before, _FAR)
                gone += len(old) - len(kept)
                _store(db, series, edge, kept, rev, step)
            had = known(db, series)
            dropped = owned(info.grid, Coverage([(-_FAR, before)]), had)
            _cover(db, series, had, had.without(dropped))
            forget(db, series, had.without(had.without(dropped)))
            read_again(db, series, self.now(), dropped)
            db.execute("UPDATE series SET rev = ?, rows = rows - ? WHERE id = ?", (rev, gone, series))
        return int(gone)


def _pages(
    db: sqlite3.Connection, series: int, rows: Columns, decided: Coverage, step: int
) -> Iterator[tuple[int, Columns]]:
    """The blocks that a page may change, and its rows in each."""
    numbers = rows.time // (step * 1_440)
    blocks = set(np.unique(numbers).tolist())
    for start, end in decided:
        found = db.execute(
            "SELECT block FROM blocks WHERE series = ? AND block BETWEEN ? AND ? AND last >= ? AND first < ?",
            (series, block_of(start, step), block_of(end - 1, step), start, end),
        )
        blocks.update(block for (block,) in found.fetchall())
    for block in sorted(blocks):
        yield block, rows.clip(*span_of(block, step))


def _change(
    db: sqlite3.Connection,
    info: SeriesInfo,
    block: int,
    page: Columns,
    decided: Coverage,
    scales: Sequence[Scale],
) -> _Change:
    old = _block(db, info, block)
    if old is None:
        return _Change(page, page.time, NO_ROWS, NO_ROWS)
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
    return _Change(
        *(rows, merged.inserted, old.take(changed), old.take(gone), len(merged.changed) - len(changed))
    )


def _opened(grid: Grid, now: int) -> int:
    """When the newest session did; 0 of what keeps to none. A split may have come with it."""
    if not isinstance(grid, SessionGrid) or now < grid.openings[0]:
        return 0
    return grid.openings[bisect_right(grid.openings, now) - 1]


def _both(some: Coverage, others: Coverage) -> Coverage:
    return some.without(some.without(others)) if others else others


def _block(db: sqlite3.Connection, info: SeriesInfo, block: int) -> Columns | None:
    found = db.execute("SELECT data FROM blocks WHERE series = ? AND block = ?", (info.id, block)).fetchone()
    return rows_of(info, info.key.timeframe.ms, [(block, found[0])]) if found else None


def _store(db: sqlite3.Connection, series: int, block: int, rows: Columns, rev: int, step: int) -> None:
    if not len(rows):
        db.execute("DELETE FROM blocks WHERE series = ? AND block = ?", (series, block))
        return
    first, last = int(rows.time[0]), int(rows.time[-1])
    data = encode(rows, series, block, step)
    db.execute(
        "INSERT INTO blocks VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET rows = excluded.rows,"
        " first = excluded.first, last = excluded.last, rev = excluded.rev, data = excluded.data",
        (series, block, len(rows), first, last, rev, data),
    )


def _keep_old(db: sqlite3.Connection, what: tuple[int, int, int, str], old: Columns, empty: Array) -> None:
    """Rows as they were; `empty` are times of buckets that were known to be empty."""
    series, rev, now, source = what
    was: dict[int, str | None] = {row.time: json.dumps(row.numbers) for row in old.candles()}
    was |= dict.fromkeys(empty.tolist())
    db.executemany(
        "INSERT INTO revisions (series, time, rev, at, source, old) VALUES (?, ?, ?, ?, ?, ?)",
        [(series, time, rev, now, source, text) for time, text in was.items()],
    )


def _cover(db: sqlite3.Connection, series: int, had: Coverage, has: Coverage) -> None:
    """Write down the difference."""
    before, after = set(had.spans), set(has.spans)
    db.executemany(
        "DELETE FROM coverage WHERE series = ? AND start = ?", [(series, s) for s, _ in before - after]
    )
    db.executemany("INSERT INTO coverage VALUES (?, ?, ?)", [(series, *span) for span in after - before])
