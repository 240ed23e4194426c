"""A market as a venue charts it that has a row for every bucket: on its own grids, flat where none traded."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter

from ...model.candle import ExactCandle
from ...model.grid import Grid
from ...model.rollup import roll_up
from ...model.timeframe import Timeframe
from .market import Market, MarketOverlay

__all__ = ["Charted", "OutOfOrder", "printed"]

_COLUMNS = [attrgetter(name) for name in ("open", "high", "low", "close", "volume")]

# What every market has, on the usual grids.
_NATIVE = (
    *(Timeframe.M1, Timeframe.M5, Timeframe.M15, Timeframe.M30),
    *(Timeframe.H1, Timeframe.H2, Timeframe.H4, Timeframe.H6, Timeframe.D1),
)
_LOOK_BACK = (Timeframe.M1, Timeframe.M5, Timeframe.H1, Timeframe.D1)
_LOOK_BACK_MOST_MS = 60 * Timeframe.D1.ms


class Charted:
    """The candles of a market's products from `since_ms` (Unix ms) on. `grids`: those that are its own."""

    def __init__(self, market: Market, since_ms: int, grids: Mapping[Timeframe, Grid] | None = None) -> None:
        self._market = market
        self._since_ms = since_ms
        self._grids = grids or {}

    def grid(self, timeframe: Timeframe) -> Grid:
        """Where buckets lie."""
        return self._grids.get(timeframe, timeframe.grid)

    def since(self, product: str) -> int:
        """When it was listed, Unix ms."""
        return max(self._since_ms, self._market.listed(product))

    def rows(
        self, product: str, timeframe: Timeframe, start_ms: int, end_ms: int, now_ms: int
    ) -> list[ExactCandle]:
        """The buckets that open in `[start_ms, end_ms)`, as seen at `now_ms`; oldest first, flat ones too."""
        grid, since = self.grid(timeframe), self.since(product)
        opens = grid.opens(max(start_ms, grid.floor(since)), min(end_ms, now_ms))
        if not opens:
            return []
        traded = self._traded(product, timeframe, opens[0], grid.end(opens[-1]), now_ms)
        if opens[0] < since:  # Of its first bucket it has what was traded since it is listed.
            first = Timeframe.M1.floor(since)
            minutes = self._market.candles(product, Timeframe.M1, first, grid.end(opens[0]), now_ms)
            traded.pop(opens[0], None)
            traded |= {row.time: row for row in [roll_up(opens[0], minutes)] if row}
        if len(traded) == len(opens):
            return [traded[time] for time in opens]
        last = "" if opens[0] in traded else self._close_before(product, opens[0], now_ms)
        rows = []
        for time in opens:
            row = traded.get(time)
            last = row.close if row else last
            if row or last:
                rows.append(row or ExactCandle(time, last, last, last, last, "0"))
        return rows

    def _traded(
        self, product: str, timeframe: Timeframe, start_ms: int, end_ms: int, now_ms: int
    ) -> dict[int, ExactCandle]:
        grid, smaller = self.grid(timeframe), timeframe
        if timeframe not in _NATIVE or timeframe in self._grids:
            fits = (t for t in _NATIVE if t.ms < timeframe.ms and t not in self._grids)
            smaller = max((t for t in fits if self.grid(t).divides(grid)), key=lambda t: t.ms)
        rows = self._market.candles(product, smaller, start_ms, end_ms, now_ms)
        if smaller is timeframe:
            return {row.time: row for row in rows}
        parts: dict[int, list[ExactCandle]] = {}
        for row in rows:
            parts.setdefault(grid.floor(row.time), []).append(row)
        sums = (roll_up(time, each) for time, each in parts.items())
        return {row.time: row for row in sums if row}

    def _close_before(self, product: str, time: int, now_ms: int) -> str:
        """The last price before then; "" if there is none."""
        until, listed = time, self.since(product)
        for timeframe, bigger in zip(_LOOK_BACK, (*_LOOK_BACK[1:], None), strict=True):
            since = bigger.floor(until) if bigger else until - _LOOK_BACK_MOST_MS
            rows = self._market.candles(product, timeframe, max(since, listed), until, min(now_ms, until))
            if rows:
                return rows[-1].close
            until = since
        return ""


class OutOfOrder(MarketOverlay):
    """Another market that was out of order in some spans of whole minutes (Unix ms): nothing was traded."""

    def __init__(self, market: Market, spans: Sequence[tuple[int, int]]) -> None:
        super().__init__(market)
        self._spans = spans

    def candles(
        self, product: str, timeframe: Timeframe, start_ms: int, end_ms: int, now_ms: int
    ) -> list[ExactCandle]:
        rows = super().candles(product, timeframe, start_ms, end_ms, now_ms)
        for begin, end in self._spans:
            if not rows or end <= rows[0].time or rows[-1].time + timeframe.ms <= begin:
                continue
            rows = [
                left
                for row in rows
                if (left := self._left(product, timeframe, row, begin, end, now_ms)) is not None
            ]
        return rows

    def _left(
        self, product: str, timeframe: Timeframe, row: ExactCandle, begin: int, end: int, now_ms: int
    ) -> ExactCandle | None:
        last = row.time + timeframe.ms
        if last <= begin or row.time >= end:
            return row
        minutes = super().candles(product, Timeframe.M1, row.time, last, now_ms)
        return roll_up(row.time, [each for each in minutes if not begin <= each.time < end])


def printed(rows: Sequence[ExactCandle], number: Callable[[str], str]) -> list[ExactCandle]:
    """The same with every number printed so."""
    columns = (map(number, map(column, rows)) for column in _COLUMNS)
    return [*map(ExactCandle, [row.time for row in rows], *columns)]
