"""Splits: which stretches were read before one, and in which shares prices and volumes are told. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from typing import NamedTuple

from ..model.coverage import Coverage
from .action import Action

__all__ = ["Scale", "ratio_of", "rescale", "since_then", "stale", "text_of", "unscale"]


class Scale(NamedTuple):
    """What opens in `[start, end)` was read in other shares: `ratio` of today's are one of those."""

    start: int
    end: int
    ratio: Fraction


def ratio_of(action: Action) -> Fraction:
    """New shares for one old one; 1 of what is no split."""
    return Fraction(action.value) if action.kind == "split" else Fraction(1)


def since_then(splits: Iterable[Action], time: int, asked: int) -> Fraction:
    """What splits that came after it was asked for have made of a share of that time."""
    ratio = Fraction(1)
    for each in splits:
        if time < each.time and asked < each.time:
            ratio *= ratio_of(each)
    return ratio


def text_of(number: Fraction) -> str:
    """As a plain decimal, of twelve places at most."""
    whole, part = divmod(round(number * 10**12), 10**12)
    return f"{whole}.{part:012}".rstrip("0").rstrip(".")


def stale(scales: Iterable[Scale]) -> Coverage:
    """All that is to be read again."""
    return Coverage((each.start, each.end) for each in scales)


def rescale(scales: Iterable[Scale], spans: Coverage, ratio: Fraction) -> list[Scale]:
    """One more split since these spans were read."""
    found, rest = list[Scale](), spans
    for each in scales:
        whole = Coverage([(each.start, each.end)])
        found += [Scale(*span, each.ratio) for span in whole.without(spans)]
        found += [Scale(*span, each.ratio * ratio) for span in spans.clip(each.start, each.end)]
        rest = rest.without(whole)
    return _joined([*found, *(Scale(*span, ratio) for span in rest)])


def unscale(scales: Iterable[Scale], spans: Coverage) -> list[Scale]:
    """These spans have been read again, or are known no more."""
    return _joined(
        Scale(*span, each.ratio)
        for each in scales
        for span in Coverage([(each.start, each.end)]).without(spans)
    )


def _joined(scales: Iterable[Scale]) -> list[Scale]:
    joined: list[Scale] = []
    for each in sorted(scales):
        if joined and joined[-1].end == each.start and joined[-1].ratio == each.ratio:
            each = each._replace(start=joined.pop().start)
        joined.append(each)
    return joined
