"""What a read of years asks for, its arguments checked."""

from __future__ import annotations

from typing import NamedTuple

from ..equities.adjust import ADJUSTS, Adjust
from ..read.answer import Empty
from ..read.asking import Time, time_of

__all__ = ["Wish", "wish_of"]

_CHOICES = {
    "gaps": ("raise", "allow"),
    "empty": ("skip", "carry", "null"),
    "source": ("auto", "stored", "derived"),
    "adjust": ADJUSTS,
}


class Wish(NamedTuple):
    """What was asked for, checked."""

    start: int
    end: int | None
    gaps: str
    empty: Empty
    source: str
    as_of: int | None
    settled: bool
    adjust: Adjust
    vouched: bool = False
    """Also what has closed and is vouched for, but is not settled yet."""


def wish_of(
    start: Time,
    end: Time | None,
    *,
    gaps: str = "raise",
    empty: Empty = "skip",
    source: str = "auto",
    as_of: Time | None = None,
    settled: bool = False,
    adjust: Adjust = "splits",
) -> Wish:
    """The wish. Raises `ValueError`."""
    for name, value in (("gaps", gaps), ("empty", empty), ("source", source), ("adjust", adjust)):
        if value not in (allowed := _CHOICES[name]):
            raise ValueError(f"{name} is {' or '.join(map(repr, allowed))}, not {value!r:.80}")
    return Wish(
        time_of("start", start),
        None if end is None else time_of("end", end),
        gaps,
        empty,
        source,
        None if as_of is None else time_of("as_of", as_of),
        settled,
        adjust,
    )
