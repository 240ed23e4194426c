"""A market in which candles are revised: from some time on, the venue says otherwise of them, for good."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from ..core.candle import ExactCandle
from ..core.timeframe import Timeframe
from .market import Increments, Market, MarketTrade

__all__ = ["RevisedMarket"]

_M1, _M5 = Timeframe.M1, Timeframe.M5


@dataclass(frozen=True, slots=True)
class _Change:
    """What happens to the candles that hold `minute` (Unix ms), from `at` on."""

    at: int
    minute: int
    high: Decimal
    volume: Decimal  # more of it


class RevisedMarket:
    """Another market, and what is revised in it. As pure as that one, once all revisions are known."""

    def __init__(self, market: Market) -> None:
        self._market = market
        self._changes: dict[str, list[_Change]] = {}

    def revise(self, product: str, bucket: int, at: int) -> bool:
        """From `at` on the 5m candle that opens at `bucket` has a higher high and an eighth more volume.

        So have its parents, and its first 1m candle. Both Unix ms. False if that bucket has no candle then.
        """
        rows = self.candles(product, _M5, bucket, bucket + 1, at)
        if not rows or bucket + _M5.ms > at:
            return False
        minutes = self._market.candles(product, _M1, bucket, bucket + _M5.ms, at)
        price, base = (Decimal(step) for step in self._market.increments(product))
        row = rows[0]
        change = _Change(
            at,
            minutes[0].time if minutes else bucket,
            Decimal(row.high) + 7 * price,
            (Decimal(row.volume) / 8 // base + 1) * base,
        )
        self._changes.setdefault(product, []).append(change)
        return True

    def products(self) -> list[str]:
        return self._market.products()

    def aliases(self) -> Mapping[str, str]:
        return self._market.aliases()

    def increments(self, product: str) -> Increments:
        return self._market.increments(product)

    def candles(
        self, product: str, timeframe: Timeframe, start_ms: int, end_ms: int, now_ms: int
    ) -> list[ExactCandle]:
        rows = self._market.candles(product, timeframe, start_ms, end_ms, now_ms)
        for change in self._changes.get(product, ()):
            bucket = timeframe.floor(change.minute)
            if change.at <= now_ms and start_ms <= bucket < end_ms:
                rows = [_changed(row, change) if row.time == bucket else row for row in rows]
        return rows

    def trades(self, product: str, from_ms: int, to_ms: int) -> list[MarketTrade]:
        """The trades as they were shown: nobody is told of the one that makes the difference."""
        return self._market.trades(product, from_ms, to_ms)


def _changed(row: ExactCandle, change: _Change) -> ExactCandle:
    high = row.high if Decimal(row.high) >= change.high else _text(change.high)
    volume = _text(Decimal(row.volume) + change.volume)
    return ExactCandle(row.time, row.open, high, row.low, row.close, volume)


def _text(number: Decimal) -> str:
    """As the venue prints it: no exponent, no trailing zeros."""
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
