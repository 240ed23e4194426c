"""What prices are, adjusted for splits, for none, or for dividends too. Pure.

Stored is what a venue quotes: adjusted for all splits, told in today's shares. So splits are undone where
prices are wanted as they were traded, and never applied once more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from fractions import Fraction
from typing import Literal, NamedTuple

from .action import Action
from .scale import Scale, ratio_of

__all__ = ["ADJUSTS", "Adjust", "Factor", "as_traded", "dividend_factors", "newest_split"]

Adjust = Literal["splits", "none", "all"]
ADJUSTS = ("splits", "none", "all")

_FAR = 1 << 62


class Factor(NamedTuple):
    """What prices of buckets that open before that time are multiplied by."""

    before: int
    factor: float


def newest_split(actions: Iterable[Action]) -> Action | None:
    """The one that holds since last."""
    return max((each for each in actions if each.kind == "split"), default=None)


def as_traded(actions: Iterable[Action]) -> list[Scale]:
    """What undoes all splits, so that shares are those of each day."""
    splits = sorted(each for each in actions if each.kind == "split")
    scales, ratio, end = list[Scale](), Fraction(1), _FAR
    for each in reversed(splits):
        scales.append(Scale(each.time, end, 1 / ratio))
        ratio, end = ratio * ratio_of(each), each.time
    scales.append(Scale(-_FAR, end, 1 / ratio))
    return [scale for scale in reversed(scales) if scale.ratio != 1]


def dividend_factors(
    actions: Iterable[Action], close_before: Callable[[int], float | None]
) -> tuple[list[Factor], int]:
    """What takes dividends out of the prices before them, the oldest first: `1 - dividend / close before`.

    `close_before` tells the close of the session before a time, in today's shares as the dividend is. The
    number beside is the newest dividend whose close it does not know, or that is no less than that (Unix ms),
    0 for none: what opens before it is not known adjusted.
    """
    factors, factor = list[Factor](), 1.0
    for each in sorted((each for each in actions if each.kind == "dividend"), reverse=True):
        close = close_before(each.time)
        if not close or float(each.value) >= close:
            return factors[::-1], each.time
        factor *= 1 - float(each.value) / close
        factors.append(Factor(each.time, factor))
    return factors[::-1], 0
