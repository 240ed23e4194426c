"""Roll-ups: bigger candles as exact sums of smaller ones, and which timeframe is rolled up from which."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Context, Decimal

from .candle import ExactCandle
from .timeframe import Timeframe

__all__ = ["FEED_TIMEFRAME", "children_of", "roll_up"]

FEED_TIMEFRAME = Timeframe.M5
"""The timeframe of the candles channel. Forming buckets of bigger timeframes are rolled up from it."""

_LONGEST_RATIO = 30
"""A parent with more children than this gets a working series between: a day of 5m would be 288."""

# Enough digits for any sum of volumes that `rejection` lets through: sums stay exact.
_EXACT = Context(prec=80)


def children_of(configured: Iterable[Timeframe]) -> Mapping[Timeframe, Timeframe | None]:
    """Which timeframe each one is rolled up from: the largest smaller one that divides it, or None.

    The keys are the configured timeframes and, where the forming buckets need them, working ones that
    nobody configured: the feed's own timeframe, and the hour where a parent would have too many children.
    """
    working = set(configured)
    if any(t.ms > FEED_TIMEFRAME.ms for t in working):
        working.add(FEED_TIMEFRAME)
    for parent in sorted(working, key=lambda t: t.ms):
        child = _largest_divisor(parent, working)
        if child is not None and parent.ms // child.ms > _LONGEST_RATIO:
            working.add(Timeframe.H1)
    return {t: _largest_divisor(t, working) for t in sorted(working, key=lambda t: t.ms)}


def _largest_divisor(parent: Timeframe, among: Iterable[Timeframe]) -> Timeframe | None:
    smaller = [t for t in among if t.ms < parent.ms and parent.ms % t.ms == 0]
    return max(smaller, key=lambda t: t.ms, default=None)


def roll_up(time: int, candles: Sequence[ExactCandle]) -> ExactCandle | None:
    """The candle of the bucket at `time` from its children, oldest first; None if none of them traded."""
    if not candles:
        return None
    volume = Decimal(0)
    for candle in candles:
        volume = _EXACT.add(volume, Decimal(candle.volume))
    return ExactCandle(
        time,
        candles[0].open,
        max((c.high for c in candles), key=Decimal),
        min((c.low for c in candles), key=Decimal),
        candles[-1].close,
        _as_the_venue_prints(volume),
    )


def _as_the_venue_prints(number: Decimal) -> str:
    """Plain digits without trailing zeros: `2715`, `0.25`."""
    text = format(number, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text
