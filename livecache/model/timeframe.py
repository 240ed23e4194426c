"""Timeframes: how long a bucket lasts, and where buckets begin unless a venue says otherwise.

Every bucket is named by its open time in Unix milliseconds, UTC. Weeks begin on Monday and months on their
first day; all others are aligned to a multiple of their length since the epoch, the day included.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from ..errors import UnknownTimeframe
from .grid import WEEKS, EpochGrid, Grid, MonthGrid, SessionGrid

__all__ = [
    "TIMEFRAME_PRIORITY",
    "TIME_MAX",
    "Multiple",
    "Timeframe",
    "iso",
    "moment",
    "readable",
    "stored_of",
    "time_in",
]

TIME_MAX = 253_402_300_800_000
"""Unix ms: the year 10000, where what people can read ends."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_ISO = re.compile(r"\d{4}-?(?:\d\d-?\d\d|W\d\d-?\d)(?:[T ].*)?", re.ASCII)
_MS_DIGITS = 12  # of a text that holds nothing else: fewer are a date


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
        """The timeframe of that name, or of another that venues have for it (`60m`, `1D`, `1wk`, `1mo`).

        `UnknownTimeframe` with a suggestion for any other.
        """
        try:
            return cls(_CANONICAL.get(str(name), name))
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


# Beside these case counts: 1M is a month.
_CANONICAL = {"60m": "1h", "1D": "1d", "1wk": "1w", "1mo": "1M"}

_UNIT_MS = {"m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 7 * 86_400_000, "M": 30 * 86_400_000}
_MS: dict[Timeframe, int] = {t: int(t[:-1]) * _UNIT_MS[t[-1]] for t in Timeframe}
_GRIDS: dict[Timeframe, Grid] = {t: EpochGrid(_MS[t]) for t in Timeframe} | {
    Timeframe.W1: WEEKS,
    Timeframe.MN1: MonthGrid(),
}


class Multiple(str):
    """So many minutes, hours, days, weeks or months (`"45m"`, `"2d"`): added up on read, never stored.

    Its properties are those of a `Timeframe`, which it equals by name.
    """

    grid: Grid
    """Where its buckets begin; until `of` is known, unless a venue says otherwise."""
    of: Timeframe | None
    """The timeframe whose candles it is added up from; None until that is known."""

    def __new__(cls, name: str, grid: Grid | None = None, of: Timeframe | None = None) -> Multiple:
        made = super().__new__(cls, name)
        count, unit = made._parts
        made.grid, made.of = grid or unit.grid.times(count) or unit.grid, of
        return made

    @property
    def value(self) -> str:
        """Its name."""
        return str(self)

    @property
    def ms(self) -> int:
        """Length of a bucket in milliseconds; of months, thirty days each."""
        count, unit = self._parts
        return count * unit.ms

    def floor(self, time: int) -> int:
        """Open time of the bucket that holds `time` (Unix ms)."""
        return self.grid.floor(time)

    def ceil(self, time: int) -> int:
        """The first bucket boundary at or after `time` (Unix ms)."""
        return self.grid.ceil(time)

    @property
    def sources(self) -> list[Timeframe]:
        """What it may be added up from, the longest first."""
        return [t for t in reversed(Timeframe) if t.value != self and t.grid.divides(self.grid)]

    def added_up(self, of: Timeframe, grid: Grid, grids: Mapping[Timeframe, Grid]) -> Multiple | None:
        """The same, from candles of that timeframe in that grid; None if these do not add up to it.

        `grids` are those of the venue's timeframes that do not keep to their own. A multiple of days begins
        where the venue's days do, and so on.
        """
        count, unit = self._parts
        its: Grid | None
        if (name := self.value) in grids:
            its = grids[Timeframe(name)]
        elif of is unit or (isinstance(grid, SessionGrid) and self.ms < Timeframe.D1.ms):
            its = None if self.ms % of.ms else grid.times(self.ms // of.ms)
        else:
            its = grids.get(unit, unit.grid).times(count)
        return Multiple(self, its, of) if its and grid.divides(its) else None

    @property
    def _parts(self) -> tuple[int, Timeframe]:
        return int(self[:-1]), Timeframe(f"1{self[-1]}")


_MULTIPLE = re.compile(r"[1-9]\d{0,5}[mhdwM]", re.ASCII)
_MULTIPLE_DAYS_MAX = 3_660  # ten years


def readable(name: str) -> Timeframe:
    """The timeframe, or the `Multiple`, of that name; `UnknownTimeframe` with a suggestion for any other."""
    try:
        return Timeframe(_CANONICAL.get(str(name), name))
    except ValueError:
        pass
    if several := _multiple(str(name)):
        return several  # type: ignore[return-value]  # as good as one wherever candles are only read
    count, unit = _written(str(name)) or (0, "")
    meant = _multiple(f"{count}{unit}") or _meant(str(name), list(Timeframe))
    known = [*(t.value for t in Timeframe), "or a whole multiple such as 45m, of ten years at most"]
    raise UnknownTimeframe(str(name), meant, known)


def _multiple(name: str) -> Multiple | None:
    several = Multiple(name) if _MULTIPLE.fullmatch(name) else None
    return several if several and several.ms <= _MULTIPLE_DAYS_MAX * Timeframe.D1.ms else None


def stored_of(timeframe: Timeframe) -> Timeframe:
    """What candles of that timeframe are read from: itself, if it is no multiple."""
    return (timeframe.of or timeframe) if isinstance(timeframe, Multiple) else timeframe


def _meant(name: str, known: list[Timeframe]) -> str | None:
    """The timeframe that was probably meant by `5min`, `1H`, `60m`, `1mo` …"""
    if written := _written(name):
        count, unit = written
        like = [t for t in known if (t is Timeframe.MN1) is (unit == "M")]
        return min(like, key=lambda t: abs(t.ms - count * _UNIT_MS[unit])).value
    near = difflib.get_close_matches(name, [t.value for t in known], n=1, cutoff=0.3)
    return near[0] if near else None


def _written(name: str) -> tuple[int, str] | None:
    """How many of which unit `5min`, `1H`, `1 month` … say; None for anything else."""
    if not (written := re.fullmatch(r"(\d{1,9})\s*([A-Za-z]+)", name.strip(), re.ASCII)):
        return None
    count, unit = int(written[1]), written[2]
    unit = "M" if unit == "M" or unit.lower().startswith(("mo", "mth")) else unit[0].lower()
    return (count, unit) if unit in _UNIT_MS else None


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


def time_in(text: str) -> int | None:
    """Unix ms, of a text that tells them or ISO 8601 (UTC if it names no zone); None if it tells neither."""
    text = text.strip().upper()
    if text.isascii() and text.isdigit() and len(text) >= _MS_DIGITS:
        return int(text[:18])
    try:
        parsed = datetime.fromisoformat(text) if _ISO.fullmatch(text) else None
    except ValueError:
        return None
    if parsed is None:
        return None
    aware = parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)
    return (aware - _EPOCH) // _MILLISECOND
