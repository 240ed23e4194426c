"""What a check can find, how bad that is, and what would mend it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

import msgspec

from ..model.grid import Grid
from ..model.series import SeriesId
from ..model.timeframe import TIME_MAX, iso

__all__ = ["ADVICE", "FINDINGS_A_KIND_MAX", "RENEW", "Finding", "Flaw", "Options", "repair_command", "runs"]

_COMMAND = re.compile(r"(?:^|(?<=; ))livecache (repair|prune|redis|run)\b")

FINDINGS_A_KIND_MAX = 100
"""Findings of one kind in one series that are told one by one; the rest are counted in the last of them."""


RENEW = "update livecache, or name a calendars_file"
"""What goes on from where a calendar ends."""


class Flaw(StrEnum):
    """What was found. docs/checking.md explains each."""

    # Redis does not hold what livecache writes.
    FOREIGN = "foreign-key"
    ABSENT = "absent"
    STATE = "damaged-state"
    COUNT = "count"
    EXPIRES = "expires"
    UNREADABLE = "damaged-member"
    DUPLICATE = "duplicate"
    MISPLACED = "misplaced"
    MISALIGNED = "misaligned"
    OHLCV = "ohlcv"
    FUTURE = "future"
    # What is said of the candles does not fit them.
    WATERMARKS = "watermarks"
    COVERAGE = "coverage"
    # Something is missing, or late.
    GAP = "gap"
    OVERDUE = "overdue"
    # The candles themselves.
    ROLLUP = "rollup"
    VENUE = "venue-differs"
    NOT_COMPARED = "not-compared"
    # Worth knowing, and no fault of the data.
    UNVOUCHED = "unvouched"
    ORIGIN = "origin"
    LEFTOVER = "leftover-key"
    UNKNOWN_KEY = "unknown-key"
    SERVER = "server"
    UNFINISHED = "unfinished"
    UNSEARCHED = "unsearched"
    UNSERVED = "unserved"
    CALENDAR = "calendar"


ADVICE = frozenset(
    {
        Flaw.UNVOUCHED,
        Flaw.ORIGIN,
        Flaw.LEFTOVER,
        Flaw.UNKNOWN_KEY,
        Flaw.SERVER,
        Flaw.UNFINISHED,
        Flaw.UNSEARCHED,
        Flaw.UNSERVED,
        Flaw.CALENDAR,
    }
)
"""Kinds that say nothing against the data: a cache with nothing else counts as clean."""


class Finding(msgspec.Struct, frozen=True):
    """One thing that was found. `[start, end)`: the buckets it is about, in Unix ms; zeros if about none."""

    kind: Flaw
    message: str
    remedy: str = ""  # a command, or words; empty where nothing mends it, and then the message says why
    symbol: str = ""
    timeframe: str = ""
    start: int = 0
    end: int = 0
    buckets: int = 0  # how many of them

    @property
    def is_advice(self) -> bool:
        """Whether it says nothing against the data."""
        return self.kind in ADVICE


class _Run(NamedTuple):
    start: int
    end: int
    buckets: int


def runs(times: Iterable[int], grid: Grid) -> list[_Run]:
    """Bucket times as runs of neighbours, oldest first."""
    found: list[_Run] = []
    for time in sorted(times):
        if found and found[-1].end == grid.end_before(time):
            found[-1] = _Run(found[-1].start, grid.end(time), found[-1].buckets + 1)
        else:
            found.append(_Run(time, grid.end(time), 1))
    return found


@dataclass(frozen=True, slots=True)
class Options:
    """What this check was told and the commands that would mend it have to be told as well, as typed."""

    every: str = ""  # such as `--config other.toml`
    of_cache: str = ""  # those that look for the cache themselves: `--prefix other`

    def put_into(self, remedy: str) -> str:
        """A remedy, its commands with these."""

        def told(found: re.Match[str]) -> str:
            of_cache = self.of_cache if found[1] != "repair" else ""
            return " ".join(filter(None, [found[0], self.every, of_cache]))

        return _COMMAND.sub(told, remedy)


def repair_command(series: SeriesId, start: int = 0, end: int = 0, grid: Grid | None = None) -> str:
    """The command that has the running service read these buckets again; all of the series without any."""
    name = f"livecache repair {series.symbol} {series.timeframe}"
    if not (0 < start < end < TIME_MAX):
        return f"{name} --all"
    buckets = grid or series.timeframe.grid
    return f"{name} --from {iso(buckets.floor(start))} --to {iso(buckets.ceil(end))}"
