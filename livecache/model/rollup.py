"""Roll-ups: bigger candles as exact sums of smaller ones, and which timeframe is rolled up from which."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Context, Decimal

import msgspec

from ..errors import ConfigError
from .candle import ExactCandle
from .timeframe import Timeframe
from .traits import Traits

__all__ = ["children_of", "roll_up", "same_sum", "same_volume", "source_of"]

_LONGEST_RATIO = 30
"""A parent with more children than this gets a working series between: a day of 5m would be 288."""

_BETWEEN = (Timeframe.D1, Timeframe.H1, Timeframe.M15)

_FLOAT_DIGITS = 15
"""A number with more significant digits was a float, whose last ones mean nothing; …"""

_SUM_DIGITS = 12
"""… sums of such are the same if they differ by less than one in this digit."""

# Enough digits for any sum of volumes that `rejection` lets through: sums stay exact.
_EXACT = Context(prec=80)


def children_of(configured: Iterable[Timeframe], traits: Traits) -> Mapping[Timeframe, Timeframe | None]:
    """Which timeframe each one is rolled up from: the largest smaller one that divides it, or None.

    The keys are the configured timeframes and, where the forming buckets or those that the venue does not
    serve need them, working ones that nobody configured: what the feed carries, what the venue serves of a
    divisor, and a quarter, an hour or a day where a parent would have too many children. Raises ConfigError
    for a timeframe that the venue does not serve and nothing that it does adds up to.
    """
    working, carried, served = set(configured), traits.carried, traits.served
    for timeframe in working.difference(carried):
        if (source := _largest_divisor(timeframe, carried, traits)) is not None:
            working.add(source)
    for parent in reversed(Timeframe):  # so that those which are added here have their turn
        if parent not in working:
            continue
        child = _largest_divisor(parent, working, traits)
        if child is None and parent not in served:
            child = _largest_divisor(parent, served, traits)
            if child is None:
                raise ConfigError(
                    f"{parent.value} candles are not to be had: the venue serves {', '.join(served)} only, "
                    f"and none of them adds up to it",
                    "correct cache.timeframes, or those of the venue",
                )
            working.add(child)
        between = next((t for t in _BETWEEN if t.ms < parent.ms), parent)
        if child is not None and parent.ms // child.ms > _LONGEST_RATIO and between in served:
            working.add(between)
    return {t: _largest_divisor(t, working, traits) for t in Timeframe if t in working}


def source_of(
    timeframe: Timeframe, children: Mapping[Timeframe, Timeframe | None], traits: Traits
) -> Timeframe:
    """The timeframe whose pages bring this one: itself, or the one that it is rolled up from."""
    child = children[timeframe]
    while timeframe not in traits.served and child is not None:
        timeframe, child = child, children[child]
    return timeframe


def _largest_divisor(parent: Timeframe, among: Iterable[Timeframe], traits: Traits) -> Timeframe | None:
    smaller = (t for t in among if traits.adds_up(t, parent))
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


def same_sum(one: ExactCandle, other: ExactCandle) -> bool:
    """Whether both are the same candle, one of them a roll-up.

    Where a venue adds up floats, the last digits of the volumes may differ.
    """
    if one.equals(other):
        return True
    if not same_volume(Decimal(one.volume), Decimal(other.volume)):
        return False
    return msgspec.structs.replace(one, volume="0").equals(msgspec.structs.replace(other, volume="0"))


def same_volume(ours: Decimal, theirs: Decimal) -> bool:
    """Whether both are the same volume, one of them a sum."""
    if ours == theirs:
        return True
    if max(len(each.normalize().as_tuple().digits) for each in (ours, theirs)) <= _FLOAT_DIGITS:
        return False
    return abs(ours - theirs) <= max(ours, theirs).scaleb(-_SUM_DIGITS)


def _as_the_venue_prints(number: Decimal) -> str:
    """Plain digits without trailing zeros: `2715`, `0.25`."""
    text = format(number, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text
