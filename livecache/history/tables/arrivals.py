"""When which stretch became known, and by what.

A record is for many commits: an hour of pages from one source. Of a stretch that is copied as it closes `lag`
tells nearly to the moment when each bucket became known; of one that was fetched long after, `at` does.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from ...model.coverage import Coverage
from ...model.grid import Grid
from ..records.past import Arrival
from ..store import NONE
from .database import Sql

__all__ = ["READ_AGAIN", "arrivals", "forget", "record", "unknown_at"]

READ_AGAIN = "read again"
"""The source of what had been read before a split."""

_TOGETHER_MS = 3_600_000
_FAR = 1 << 62


def record(
    db: Sql,
    series: int,
    rev: int,
    now: int,
    source: str,
    fresh: Coverage,
    *,
    asked: int,
    since: int,
) -> None:
    """These became known just now, or were read again; together with what did within the last hour.

    They were `asked` for then. What was before `since` is kept apart.
    """
    lag = now - fresh.spans[0].start
    last = db.execute(
        "SELECT rev, began, lag, spans FROM arrivals WHERE series = ? AND source = ?"
        " ORDER BY rev DESC LIMIT 1",
        (series, source),
    ).fetchone()
    began = asked
    if last and 0 <= now - last[1] < _TOGETHER_MS and since <= min(asked, last[1]):
        _, began, before, spans = last
        fresh, lag = Coverage(json.loads(spans)) | fresh, max(lag, before)
        db.execute("DELETE FROM arrivals WHERE series = ? AND rev = ?", (series, last[0]))
    db.execute(
        "INSERT INTO arrivals VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            *(series, rev, began, now, lag, source),
            *(fresh.spans[0].start, fresh.spans[-1].end, json.dumps(fresh.spans)),
        ),
    )


def forget(db: Sql, series: int, spans: Coverage) -> None:
    """What comes there from now on was not known before, whatever was: nobody keeps what that said."""
    if not spans:
        return
    for each in arrivals(db, series, spans.spans[0].start, spans.spans[-1].end):
        kept = each.coverage.without(spans)
        if kept:
            db.execute(
                'UPDATE arrivals SET start = ?, "end" = ?, spans = ? WHERE series = ? AND rev = ?',
                (kept.spans[0].start, kept.spans[-1].end, json.dumps(kept.spans), series, each.rev),
            )
        else:
            db.execute("DELETE FROM arrivals WHERE series = ? AND rev = ?", (series, each.rev))


def arrivals(db: Sql, series: int, start: int, end: int) -> list[Arrival]:
    """Those that touch the stretch, the oldest first."""
    found = db.execute(
        'SELECT rev, began, at, lag, source, spans FROM arrivals WHERE series = ? AND "end" > ? AND start < ?'
        " ORDER BY rev",
        (series, start, end),
    )
    return [
        Arrival(rev, began, at, lag, source, Coverage(json.loads(spans)))
        for rev, began, at, lag, source, spans in found
    ]


def unknown_at(time: int, held: Iterable[Arrival], grid: Grid) -> Coverage:
    """What these brought only after that time."""
    before, after = NONE, NONE
    for each in held:
        if each.source == READ_AGAIN:  # it was known before
            continue
        edge = _FAR if each.at <= time else grid.after(time - each.lag)
        before |= each.coverage.clip(-_FAR, edge)
        after |= each.coverage.clip(edge, _FAR)
    return after.without(before)
