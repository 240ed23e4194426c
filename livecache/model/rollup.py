"""Roll-ups: bigger candles as exact sums of smaller ones, and which timeframe is rolled up from which."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from decimal import Context, Decimal

from ..errors import ConfigError
from .candle import ExactCandle
from .timeframe import Timeframe

__all__ = ["FEED_TIMEFRAME", "children_of", "roll_up", "source_of"]

FEED_TIMEFRAME = Timeframe.M5
"""The timeframe of the candles channel. Forming buckets of bigger timeframes are rolled up from it."""

_LONGEST_RATIO = 30
"""A parent with more children than this gets a working series between: a day of 5m would be 288."""

# Enough digits for any sum of volumes that `rejection` lets through: sums stay exact.
_EXACT = Context(prec=80)


def children_of(
    configured: Iterable[Timeframe], unserved: Collection[Timeframe] = ()
) -> Mapping[Timeframe, Timeframe | None]:
    """Which timeframe each one is rolled up from: the largest smaller one that divides it, or None.

    The keys are the configured timeframes and, where the forming buckets or those `unserved` by the venue
    need them, working ones that nobody configured: the feed's own timeframe, what the venue serves of a
    divisor, and the hour or the day where a parent would have too many children. Raises ConfigError for a
    timeframe that the venue does not serve and nothing that it does adds up to.
    """
    working = set(configured)
    if any(t.ms > FEED_TIMEFRAME.ms for t in working):
        working.add(FEED_TIMEFRAME)
    for parent in reversed(Timeframe):  # so that those which are added here have their turn
        if parent not in working:
            continue
        child = _largest_divisor(parent, working)
        if child is None and parent in unserved:
            child = _largest_divisor(parent, set(Timeframe).difference(unserved))
            if child is None:
                served = ", ".join(t for t in Timeframe if t not in unserved)
                raise ConfigError(
                    f"{parent.value} candles are not to be had: the venue serves {served} only, "
                    f"and none of them adds up to it",
                    "correct cache.timeframes",
                )
            working.add(child)
        between = Timeframe.H1 if parent.ms <= Timeframe.D1.ms else Timeframe.D1
        if child is not None and parent.ms // child.ms > _LONGEST_RATIO and between not in unserved:
            working.add(between)
    return {t: _largest_divisor(t, working) for t in Timeframe if t in working}


def source_of(
    timeframe: Timeframe,
    children: Mapping[Timeframe, Timeframe | None],
    unserved: Collection[Timeframe],
) -> Timeframe:
    """The timeframe whose pages bring this one: itself, or the one that it is rolled up from."""
    child = children[timeframe]
    while timeframe in unserved and child is not None:
        timeframe, child = child, children[child]
    return timeframe


def _largest_divisor(parent: Timeframe, among: Iterable[Timeframe]) -> Timeframe | None:
    smaller = [t for t in among if t.ms < parent.ms and t.grid.divides(parent.grid)]
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
