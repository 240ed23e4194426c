"""One-minute candles from trades, for as long as no trade is missing."""

from __future__ import annotations

from decimal import Decimal

from ..model.candle import ExactCandle
from ..model.traits import MINUTE

__all__ = ["MinuteBuilder"]


class MinuteBuilder:
    """Builds the minutes of one product from its trades, ascending in id.

    Trade ids are dense per product, so a gap is visible. A minute is *known* only if ids are dense from a
    trade before its open; any other minute waits for REST.
    """

    __slots__ = ("_candle", "_dense_since", "_last_id")

    def __init__(self) -> None:
        self._last_id = 0
        self._dense_since = 0  # time of the first trade of the unbroken run of ids
        self._candle: ExactCandle | None = None

    def add(self, trade_id: int, price: str, size: str, time: int) -> ExactCandle | None:
        """Take one trade (`time` in Unix ms). The minute so far if that minute is known, else None."""
        if trade_id <= self._last_id:  # Seen before: snapshots repeat trades after a reconnection.
            return None
        if trade_id != self._last_id + 1:
            self._dense_since = time
            self._candle = None
        self._last_id = trade_id
        minute = MINUTE.floor(time)
        if self._dense_since >= minute:
            return None
        so_far = self._candle
        if so_far is None or minute > so_far.time:
            self._candle = ExactCandle(minute, price, price, price, price, size)
        elif minute == so_far.time:
            self._candle = ExactCandle(
                minute,
                so_far.open,
                max(so_far.high, price, key=Decimal),
                min(so_far.low, price, key=Decimal),
                price,
                format(Decimal(so_far.volume) + Decimal(size), "f"),
            )
        else:  # A trade of an earlier minute, late in id order: that minute can no longer be vouched for.
            self._dense_since = time
            self._candle = None
        return self._candle
