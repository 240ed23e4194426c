"""How far back history is wanted: a date, an age or the listing, for all timeframes or for one alone."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from ..model.timeframe import Timeframe, time_in

__all__ = ["FIRST_MS", "Since", "moment_in", "since_of", "years_ms"]

_DAY_MS = 86_400_000
_AGE = re.compile(r"(\d{1,5})\s*(h|d|w|y)", re.ASCII)
_AGES_MS = {"h": 3_600_000, "d": _DAY_MS, "w": 7 * _DAY_MS}

FIRST_MS = 1_230_940_800_000
"""2009-01-03: nothing that is traded against coins is older, and `listing` looks no further back."""


@dataclass(frozen=True, slots=True)
class Since:
    """From when on candles are wanted: Unix ms; an age is as much below 0."""

    usual: int
    own: Mapping[Timeframe, int]
    """Of the timeframes that differ."""

    def of(self, timeframe: Timeframe) -> int:
        """For that timeframe."""
        return self.own.get(timeframe, self.usual)


def since_of(text: str) -> Since:
    """What `100d`, or `100d, 1d=5y`, means. Raises ValueError, with what is wrong."""
    usual: int | None = None
    own: dict[Timeframe, int] = {}
    for part in text.split(","):
        name, told, when = part.rpartition("=")
        moment = FIRST_MS if when.strip() == "listing" else moment_in(when)
        if moment is None:
            raise ValueError(f"{when.strip()!r} is no time")
        if told:
            own[Timeframe.parse(name.strip())] = moment
        elif usual is None:
            usual = moment
        else:
            raise ValueError("it names two times for all timeframes")
    if usual is None:
        raise ValueError("it names no time for the other timeframes")
    return Since(usual, own)


def moment_in(text: str) -> int | None:
    """Unix ms, of a date or an age, which is as much below 0; None if it is neither.

    A date before 1970 is as good as its first moment, and no age.
    """
    if age := _AGE.fullmatch(text.strip()):
        count, unit = int(age[1]), age[2]
        return -years_ms(count) if unit == "y" else -count * _AGES_MS[unit]
    time = time_in(text)
    return None if time is None else max(1, time)


def years_ms(years: int) -> int:
    """So many years, leap days among them."""
    return (years * 365 + -(-years // 4)) * _DAY_MS
