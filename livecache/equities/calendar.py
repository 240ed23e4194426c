"""When exchanges are open: their sessions, and the buckets that lie in them.

What there is is data beside this module, made from the package exchange_calendars by
`python -m tests.calendars`. An exchange that breaks for lunch has one session a day, from open to close.
"""

from __future__ import annotations

import difflib
from bisect import bisect_left
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property, lru_cache
from itertools import groupby
from pathlib import Path

import msgspec

from ..errors import ConfigError
from ..files import read_regular, why_not
from ..model.grid import SessionGrid
from ..model.timeframe import Timeframe
from .calendar_file import Written, merged, sessions_in

__all__ = ["ALWAYS", "DATA", "Calendar", "calendar_named"]

ALWAYS = "24/7"
"""The name of no calendar: something may be traded any time."""

DATA = Path(__file__).parent / "data"
_FILE_MAX = 4 << 20


@dataclass(frozen=True, eq=False)  # One is itself only, as its grids are.
class Calendar:
    """The sessions of an exchange."""

    name: str
    zone: str
    sessions: SessionGrid = field(repr=False)
    through: int
    """Unix ms: beyond it sessions are only presumed, by the usual days and hours of the week."""
    days: tuple[int, ...] = field(repr=False)
    """The local day of each session, as `date.toordinal` counts."""

    def grid(self, timeframe: Timeframe) -> SessionGrid:
        """Where buckets lie: a day is a session, weeks and months run from a first open to a last close."""
        return self._grids[timeframe]

    def grids(self) -> Mapping[Timeframe, SessionGrid]:
        """Those of all timeframes."""
        return self._grids

    def session_on(self, day: date) -> int | None:
        """When the session of that local day opens (Unix ms); None where there is none."""
        number = bisect_left(self.days, day.toordinal())
        found = number < len(self.days) and self.days[number] == day.toordinal()
        return self.sessions.opening(number) if found else None

    @cached_property
    def _grids(self) -> Mapping[Timeframe, SessionGrid]:
        return {t: self.sessions.within(t.ms) for t in Timeframe if t.ms < Timeframe.D1.ms} | {
            Timeframe.D1: self.sessions,
            Timeframe.W1: self._together(lambda day: (day - 1) // 7),
            Timeframe.MN1: self._together(lambda day: date.fromordinal(day).replace(day=1).toordinal()),
        }

    def _together(self, of: Callable[[int], int]) -> SessionGrid:
        """The sessions whose days are `of` the same week or month as one bucket."""
        openings, closings = self.sessions.openings, self.sessions.closings
        groups = [list(group) for _, group in groupby(range(len(openings)), lambda n: of(self.days[n]))]
        return SessionGrid(tuple(openings[g[0]] for g in groups), tuple(closings[g[-1]] for g in groups))


def calendar_named(name: str, file: Path | None = None) -> Calendar | None:
    """The calendar of that name: the one in the user's `file`, else ours; None for "24/7".

    The same one each time, as long as the file says the same. Raises ConfigError where there is none, with
    the names that are similar, and where the file holds no calendars.
    """
    if name == ALWAYS:
        return None
    theirs = _read(file) if file else b"{}"
    try:
        if found := _calendar(name, theirs):
            return found
        known = sorted({**_decoded(theirs), **_decoded(_read(DATA / "calendars.json"))})
    except ConfigError as error:
        raise ConfigError(f"{file}: {error.message}", error.hint) from None
    near = difflib.get_close_matches(name.upper(), known, n=3, cutoff=0.5)
    meant = f"did you mean {' or '.join(near)}? " if near else ""
    raise ConfigError(f"there is no calendar {name!r}", f"{meant}one of {', '.join(known)}, or {ALWAYS}")


def _read(file: Path) -> bytes:
    try:
        read = read_regular(file, _FILE_MAX + 1)
    except OSError as error:
        why, mends = why_not(file, error)
        raise ConfigError(f"{file} cannot be read: {why}", mends) from None
    if len(read) > _FILE_MAX:
        raise ConfigError(f"{file} is longer than {_FILE_MAX} bytes", "name another file")
    return read


def _decoded(file: bytes) -> dict[str, Written | str]:
    try:
        return msgspec.json.decode(file, type=dict[str, Written | str])
    except msgspec.DecodeError as error:
        raise ConfigError(f"it holds no calendars: {error}", "docs/configuration.md shows one") from None


@lru_cache(32)
def _calendar(name: str, file: bytes) -> Calendar | None:
    ours = _decoded(_read(DATA / "calendars.json"))

    def our(name: str) -> Written | None:
        found = ours.get(name)
        return our(found) if isinstance(found, str) else found

    written = _decoded(file).get(name) or our(name)
    base = written if isinstance(written, str) else written.like if written else ""
    if written is None:
        return None
    try:
        if base:
            if not (known := our(base)):
                raise ConfigError(f"like: none of ours is called {base!r}", "name one that is")
            written = known if isinstance(written, str) else merged(known, written)
        assert isinstance(written, Written)
        zones = msgspec.json.decode(_read(DATA / "zones.json"), type=dict[str, dict[str, dict[str, str]]])
        sessions, through = sessions_in(written, zones)
    except ConfigError as error:
        raise ConfigError(f"{name}: {error.message}", error.hint) from None
    grid = SessionGrid(tuple(s.opening for s in sessions), tuple(s.closing for s in sessions))
    return Calendar(name, written.zone, grid, through, tuple(s.day for s in sessions))
