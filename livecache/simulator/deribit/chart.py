"""A market's candles as Deribit charts them: a row for each bucket, days from 08:00, digits of floats."""

from __future__ import annotations

from collections.abc import Mapping

from ...model.candle import ExactCandle
from ...model.grid import EpochGrid
from ...model.timeframe import Timeframe
from ..market.charted import Charted, printed
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
    "360": Timeframe.H6,
    "720": Timeframe.H12,
    "1D": Timeframe.D1,
}
# Days open at 08:00. That 6h and 12h open as these do is what `doctor` asks the venue itself.
_OWN = {t: EpochGrid(t.ms, 8 * Timeframe.H1.ms % t.ms) for t in (Timeframe.H6, Timeframe.H12, Timeframe.D1)}


def instruments_of(market: Market) -> dict[str, str]:
    """What Deribit calls the market's products: dollars are perpetuals, anything else is spot."""
    products = ((product, *product.partition("-")[::2]) for product in market.products())
    return {f"{base}-PERPETUAL" if quote == "USD" else f"{base}_{quote}": p for p, base, quote in products}


class Chart(Charted):
    """The candles of a market's instruments, none of before `created_ms` (Unix ms)."""

    def __init__(self, market: Market, instruments: Mapping[str, str], created_ms: int) -> None:
        super().__init__(market, created_ms, _OWN)
        self._instruments = instruments

    def rows(
        self, product: str, timeframe: Timeframe, start_ms: int, end_ms: int, now_ms: int
    ) -> list[ExactCandle]:
        """Those of the instrument `product`, with Deribit's digits."""
        market_product = self._instruments[product]
        return printed(super().rows(market_product, timeframe, start_ms, end_ms, now_ms), _digits)

    def created(self, instrument: str) -> int:
        """When it was listed, Unix ms."""
        return self.since(self._instruments[instrument])


def _digits(number: str) -> str:
    """Those of a float: it always has a point, but for a volume of none."""
    return number if "." in number or number == "0" else f"{number}.0"
