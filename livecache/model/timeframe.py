"""Timeframes: how long a bucket lasts, and where buckets begin.

Every bucket is named by its open time in Unix milliseconds, UTC, and is aligned to a multiple of its
timeframe since the epoch. That holds for every timeframe Coinbase serves, the day included.
"""

from __future__ import annotations

import difflib
from datetime import UTC, datetime
from enum import StrEnum

from ..errors import UnknownTimeframe

__all__ = ["TIMEFRAME_PRIORITY", "TIME_MAX", "Timeframe", "iso", "moment"]

TIME_MAX = 253_402_300_800_000
"""Unix ms: the year 10000, where what people can read ends."""


class Timeframe(StrEnum):
    """The length of a bucket, named as ccxt and Redis keys name it (`"5m"`)."""

    M1 = "1m"
    M5 = "5m"
    M15 = "15m"
    M30 = "30m"
    H1 = "1h"
    H2 = "2h"
    H4 = "4h"
    H6 = "6h"
    D1 = "1d"

    # Enum's own is written in Python: 0.2 µs wherever a timeframe is a key, which is everywhere.
    __hash__ = str.__hash__

    @classmethod
    def parse(cls, name: str) -> Timeframe:
        """The timeframe of that name; `UnknownTimeframe` with a suggestion for any other."""
        try:
            return cls(name)
        except ValueError:
            near = difflib.get_close_matches(str(name).lower(), [t.value for t in cls], n=1, cutoff=0.3)
            raise UnknownTimeframe(str(name), near[0] if near else None, [t.value for t in cls]) from None

    @property
    def ms(self) -> int:
        """Length of a bucket in milliseconds."""
        return _MS[self]

    def floor(self, time: int) -> int:
        """Open time of the bucket that holds `time` (Unix ms)."""
        return time - time % _MS[self]

    def ceil(self, time: int) -> int:
        """The first bucket boundary at or after `time` (Unix ms)."""
        return time + -time % _MS[self]


_MINUTE = 60_000
_MS: dict[Timeframe, int] = {
    Timeframe.M1: _MINUTE,
    Timeframe.M5: 5 * _MINUTE,
    Timeframe.M15: 15 * _MINUTE,
    Timeframe.M30: 30 * _MINUTE,
    Timeframe.H1: 60 * _MINUTE,
    Timeframe.H2: 120 * _MINUTE,
    Timeframe.H4: 240 * _MINUTE,
    Timeframe.H6: 360 * _MINUTE,
    Timeframe.D1: 1440 * _MINUTE,
}

TIMEFRAME_PRIORITY: tuple[Timeframe, ...] = (
    Timeframe.M5,
    Timeframe.M15,
    Timeframe.H1,
    Timeframe.H4,
    Timeframe.D1,
)
"""The default timeframes, the most urgent first."""


def moment(time: int) -> datetime:
    """A Unix ms time as a datetime in UTC, exactly."""
    return datetime.fromtimestamp(time // 1000, UTC).replace(microsecond=time % 1000 * 1000)


def iso(time: int) -> str:
    """A Unix ms time as people read it and commands take it, UTC: `2026-02-19T23:15Z`."""
    if not 0 <= time < TIME_MAX:
        return str(time)
    whole = datetime.fromtimestamp(time // 1000, UTC).isoformat()[:-6]
    return f"{whole}.{time % 1000:03}Z" if time % 1000 else whole.removesuffix(":00") + "Z"
