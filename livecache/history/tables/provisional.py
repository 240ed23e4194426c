"""Buckets that a page has shown before they were final, until a page settles them."""

from __future__ import annotations

import json
from collections.abc import Mapping

from ...model.candle import ExactCandle
from ...model.coverage import Coverage
from ...model.grid import Grid
from ..columns import Columns
from .database import Sql

__all__ = ["settled", "show", "shown"]


def show(
    db: Sql, series: int, now: int, buckets: Mapping[int, ExactCandle | None], known: Coverage
) -> tuple[int, bool]:
    """Store what a page shows of these, unless it is known. How many candles that is, and if any is news."""
    texts = {
        time: row and json.dumps(Columns.of([row]).candles()[0].numbers)
        for time, row in buckets.items()
        if time not in known
    }
    before = dict(
        db.execute("SELECT time, candle FROM provisional WHERE series = ?", (series,)) if texts else ()
    )
    db.executemany(
        "INSERT INTO provisional (series, time, candle, heard) VALUES (?, ?, ?, ?)"
        " ON CONFLICT (series, time) DO UPDATE SET candle = excluded.candle, heard = excluded.heard",
        [(series, time, text, now) for time, text in texts.items()],
    )
    news = any(text != before.get(time) for time, text in texts.items())
    return sum(text is not None for text in texts.values()), news


def settled(db: Sql, series: int, spans: Coverage) -> None:
    """These are known now."""
    db.executemany(
        "DELETE FROM provisional WHERE series = ? AND time >= ? AND time < ?",
        [(series, *span) for span in spans],
    )


def shown(db: Sql, series: int, grid: Grid, start: int, end: int) -> tuple[list[ExactCandle], Coverage]:
    """The candles of `[start, end)` that are not final, and all buckets that pages have shown.

    Of those a page that had no candle is asked for no more before they are final, either.
    """
    found = db.execute(
        "SELECT time, candle FROM provisional WHERE series = ? AND time >= ? AND time < ? ORDER BY time",
        (series, start, end),
    ).fetchall()
    rows = [ExactCandle(time, *json.loads(candle)) for time, candle in found if candle is not None]
    return rows, Coverage((grid.end_before(time), grid.end(time)) for time, _ in found)
