"""A market in which candles are revised, or a product is halted: from some time on, and for good."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from ...model.candle import ExactCandle
from ...model.timeframe import Timeframe
from .market import Market, MarketOverlay, MarketTrade

__all__ = ["RevisedMarket"]

_M1, _M5 = Timeframe.M1, Timeframe.M5


@dataclass(frozen=True, slots=True)
class _Change:
    """What happens to the candles that hold `minute` (Unix ms), from `at` on."""

    at: int
    minute: int
    high: Decimal
    volume: Decimal  # more of it


class RevisedMarket(MarketOverlay):
    """Another market, and what is revised in it. As pure as that one, once all revisions are known.

    Its trades stay as they were shown: nobody is told of the one that makes the difference.
    """

    def __init__(self, market: Market) -> None:
        super().__init__(market)
        self._changes: dict[str, list[_Change]] = {}
        self._halts: dict[str, int] = {}

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

    def halt(self, product: str, at: int) -> None:
        """From `at` on (Unix ms) nothing is traded."""
        self._halts[product] = min(at, self._halts.get(product, at))

    def trades(self, product: str, from_ms: int, to_ms: int) -> list[MarketTrade]:
        return super().trades(product, from_ms, min(to_ms, self._halts.get(product, to_ms)))

    def candles(
        self, product: str, timeframe: Timeframe, start_ms: int, end_ms: int, now_ms: int
    ) -> list[ExactCandle]:
        now_ms = min(now_ms, self._halts.get(product, now_ms))
        rows = super().candles(product, timeframe, start_ms, end_ms, now_ms)
        for change in self._changes.get(product, ()):
            bucket = timeframe.floor(change.minute)
            if change.at <= now_ms and start_ms <= bucket < end_ms:
                rows = [_changed(row, change) if row.time == bucket else row for row in rows]
        return rows


def _changed(row: ExactCandle, change: _Change) -> ExactCandle:
    high = row.high if Decimal(row.high) >= change.high else _text(change.high)
    volume = _text(Decimal(row.volume) + change.volume)
    return ExactCandle(row.time, row.open, high, row.low, row.close, volume)


def _text(number: Decimal) -> str:
    """As the venue prints it: no exponent, no trailing zeros."""
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
