"""A market's candles as Deribit charts them: a row for each bucket, days from 08:00, digits of floats."""

from __future__ import annotations

from collections.abc import Mapping

from ...model.candle import ExactCandle
from ...model.grid import EpochGrid, Grid
from ...model.rollup import roll_up
from ...model.timeframe import Timeframe
from ..market.market import Market

__all__ = ["RESOLUTIONS", "Chart", "instruments_of"]

RESOLUTIONS: dict[str, Timeframe] = {
    "1": Timeframe.M1,
    "3": Timeframe.M3,
    "5": Timeframe.M5,
    "15": Timeframe.M15,
    "30": Timeframe.M30,
    "60": Timeframe.H1,
    "120": Timeframe.H2,
    "1D": Timeframe.D1,
}
_DAYS = EpochGrid(Timeframe.D1.ms, 8 * Timeframe.H1.ms)
_SUMS = {Timeframe.M3: Timeframe.M1, Timeframe.D1: Timeframe.H2}  # what no market has as the venue has it
_LOOK_BACK = (Timeframe.M1, Timeframe.M5, Timeframe.H1, Timeframe.D1)
_LOOK_BACK_MOST_MS = 60 * Timeframe.D1.ms


def instruments_of(market: Market) -> dict[str, str]:
    """What Deribit calls the market's products: dollars are perpetuals, anything else is spot."""
    products = ((product, *product.partition("-")[::2]) for product in market.products())
    return {f"{base}-PERPETUAL" if quote == "USD" else f"{base}_{quote}": p for p, base, quote in products}


class Chart:
    """The candles of a market's instruments, none of before `created_ms` (Unix ms)."""

    def __init__(self, market: Market, instruments: Mapping[str, str], created_ms: int) -> None:
        self._market = market
        self._instruments = instruments
        self._created_ms = created_ms

    @staticmethod
    def grid(timeframe: Timeframe) -> Grid:
        """Where buckets lie."""
        return _DAYS if timeframe is Timeframe.D1 else timeframe.grid

    def rows(
        self, instrument: str, timeframe: Timeframe, start_ms: int, end_ms: int, now_ms: int
    ) -> list[ExactCandle]:
        """The buckets that open in `[start_ms, end_ms)`, as seen at `now_ms`; oldest first, flat ones too."""
        grid, product = self.grid(timeframe), self._instruments[instrument]
        opens = grid.opens(max(start_ms, grid.floor(self._created_ms)), min(end_ms, now_ms))
        if not opens:
            return []
        traded = self._traded(product, timeframe, opens[0], grid.end(opens[-1]), now_ms)
        last = "" if opens[0] in traded else self._close_before(product, opens[0], now_ms)
        rows = []
        for time in opens:
            row = traded.get(time)
            last = row.close if row else last
            if row:
                rows.append(_printed(row))
            elif last:
                rows.append(_printed(ExactCandle(time, last, last, last, last, "0")))
        return rows

    def _traded(
        self, product: str, timeframe: Timeframe, start_ms: int, end_ms: int, now_ms: int
    ) -> dict[int, ExactCandle]:
        smaller = _SUMS.get(timeframe)
        rows = self._market.candles(product, smaller or timeframe, start_ms, end_ms, now_ms)
        if smaller is None:
            return {row.time: row for row in rows}
        parts: dict[int, list[ExactCandle]] = {}
        for row in rows:
            parts.setdefault(self.grid(timeframe).floor(row.time), []).append(row)
        sums = (roll_up(time, each) for time, each in parts.items())
        return {row.time: row for row in sums if row}

    def _close_before(self, product: str, time: int, now_ms: int) -> str:
        """The last price before then; "" if there is none."""
        until = time
        for timeframe, bigger in zip(_LOOK_BACK, (*_LOOK_BACK[1:], None), strict=True):
            since = bigger.floor(until) if bigger else until - _LOOK_BACK_MOST_MS
            rows = self._market.candles(product, timeframe, since, until, min(now_ms, until))
            if rows:
                return rows[-1].close
            until = since
        return ""


def _printed(row: ExactCandle) -> ExactCandle:
    """With the digits of floats: a number always has a point, but for a volume of none."""
    o, h, l, c, v = (text if "." in text else f"{text}.0" for text in row.numbers)  # noqa: E741
    return ExactCandle(row.time, o, h, l, c, "0" if row.volume == "0" else v)
