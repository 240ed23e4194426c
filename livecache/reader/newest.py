"""The newest candles, where more are asked for than Redis keeps: it goes on into the history. Needs numpy."""

from __future__ import annotations

from dataclasses import replace

from ..errors import HistoryError, NotReady, ReadError, RedisUnavailable
from ..model.candle import Candle
from ..model.grid import Grid
from ..read.answer import Older, Request, State, decide
from ..read.candles import Candles
from .years import Reading, Years, wish_of

__all__ = ["newest"]


def newest(years: Years, request: Request, outcome: Candles | NotReady) -> Candles | NotReady:
    """What `request` gets with what is stored before what Redis keeps.

    `outcome` is what it gets without: that it stays where nothing is stored, or it cannot be read.
    """
    found: Older | None = None
    try:
        fewer = replace(request, at_least=0, empty="skip")
        hot, reply = years.drive(years.core.read_with_reply(fewer))
        key = years.core.keys_of(hot.series)[0]
        state = State.of(reply[0], hot.series, key)
        found = _older(years, hot, state.grid, request.count) if state.contiguous_from else None
        return decide(replace(request, series=hot.series), reply, key, found) if found else outcome
    except NotReady as error:
        return error if found else outcome
    except (HistoryError, ReadError, RedisUnavailable) as error:
        if isinstance(outcome, NotReady):
            outcome.hint = "; ".join(filter(None, [outcome.hint, f"the history: {error.message}"]))
        return outcome


def _older(years: Years, hot: Candles, grid: Grid, count: int) -> Older | None:
    """So many candles that end where those of Redis begin, without a gap, or as many as there are."""
    with years.place.opened() as store:
        name = f"{hot.series.venue}:{hot.series.symbol}"
        reading = Reading(years, store, name, hot.series.timeframe, wish_of(0, None, settled=True))
        if store is None or not reading.grid.agrees(grid):
            return None
        reading.check_shares()
        grid = reading.grid
        edge, buckets, start = hot.contiguous_from, count, -1
        # One more, whose close an empty bucket may carry.
        while (before := grid.far_back(edge, buckets + 1)) != start:
            start, buckets = before, buckets * 4
            known = reading.known(start, edge)
            if not known.coverage or known.coverage.spans[-1].end < edge:
                return None
            whole = known.coverage.spans[-1].start
            rows = known.rows.clip(whole, edge)
            if len(rows) > count or whole > start:
                break
        rows = rows.take(slice(-count - 1, None))
        columns = (rows.time.tolist(), *(each.floats().tolist() for each in rows.numbers))
        listed = reading.listed
        begins = max(whole, grid.floor(listed) if grid.count(0, listed + 1) else 0)
        return Older(grid.ceil(begins), [*map(Candle, *columns)], grid)
