"""Timeframes: how long a bucket lasts, and where buckets begin unless a venue says otherwise.

Every bucket is named by its open time in Unix milliseconds, UTC. Weeks begin on Monday and months on their
first day; all others are aligned to a multiple of their length since the epoch, the day included.
"""

from __future__ import annotations

import difflib
import re
from datetime import UTC, datetime
from enum import StrEnum

from ..errors import UnknownTimeframe
from .grid import WEEKS, EpochGrid, Grid, MonthGrid

__all__ = ["TIMEFRAME_PRIORITY", "TIME_MAX", "Timeframe", "iso", "moment"]

TIME_MAX = 253_402_300_800_000
"""Unix ms: the year 10000, where what people can read ends."""


class Timeframe(StrEnum):
    """The length of a bucket, named as ccxt and Redis keys name it (`"5m"`)."""

    M1 = "1m"
    M3 = "3m"
    M5 = "5m"
    M15 = "15m"
    M30 = "30m"
    H1 = "1h"
    H2 = "2h"
    H4 = "4h"
    H6 = "6h"
    H8 = "8h"
    H12 = "12h"
    D1 = "1d"
    W1 = "1w"
    MN1 = "1M"  # a month: case counts

    # Enum's own is written in Python: 0.2 µs wherever a timeframe is a key, which is everywhere.
    __hash__ = str.__hash__

    @classmethod
    def parse(cls, name: str) -> Timeframe:
        """The timeframe of that name; `UnknownTimeframe` with a suggestion for any other."""
        try:
            return cls(name)
        except ValueError:
            raise UnknownTimeframe(str(name), _meant(str(name), list(cls)), [t.value for t in cls]) from None

    @property
    def ms(self) -> int:
        """Length of a bucket in milliseconds; of a month, which has no one length, thirty days."""
        return _MS[self]

    @property
    def grid(self) -> Grid:
        """Where buckets begin, unless a venue says otherwise."""
        return _GRIDS[self]

    def floor(self, time: int) -> int:
        """Open time of the bucket that holds `time` (Unix ms)."""
        return _GRIDS[self].floor(time)

    def ceil(self, time: int) -> int:
        """The first bucket boundary at or after `time` (Unix ms)."""
        return _GRIDS[self].ceil(time)


_UNIT_MS = {"m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 7 * 86_400_000, "M": 30 * 86_400_000}
_MS: dict[Timeframe, int] = {t: int(t[:-1]) * _UNIT_MS[t[-1]] for t in Timeframe}
_GRIDS: dict[Timeframe, Grid] = {t: EpochGrid(_MS[t]) for t in Timeframe} | {
    Timeframe.W1: WEEKS,
    Timeframe.MN1: MonthGrid(),
}


def _meant(name: str, known: list[Timeframe]) -> str | None:
    """The timeframe that was probably meant by `5min`, `1H`, `60m`, `1mo` …"""
    if written := re.fullmatch(r"(\d{1,9})\s*([A-Za-z]+)", name.strip(), re.ASCII):
        count, unit = int(written[1]), written[2]
        unit = "M" if unit == "M" or unit.lower().startswith(("mo", "mth")) else unit[0].lower()
        if unit in _UNIT_MS:
            like = [t for t in known if (t is Timeframe.MN1) is (unit == "M")]
            return min(like, key=lambda t: abs(t.ms - count * _UNIT_MS[unit])).value
    near = difflib.get_close_matches(name, [t.value for t in known], n=1, cutoff=0.3)
    return near[0] if near else None


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
