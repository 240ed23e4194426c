"""When what is asked for is traded: a calendar, or always. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import NamedTuple
from zoneinfo import ZoneInfo

from ...equities.calendar import ALWAYS, Calendar
from ...errors import ConfigError
from ...model.grid import Grid
from ...model.timeframe import Timeframe

__all__ = ["Hours", "hours_of"]

_DAYS = Timeframe.D1.grid
_EPOCH = date(1970, 1, 1).toordinal()

# One zone under two names: that of the calendars, and that of the answers.
_RENAMED = {"Asia/Kolkata": "Asia/Calcutta"}


class Hours(NamedTuple):
    """Where its days lie."""

    name: str
    zone: ZoneInfo
    calendar: Calendar | None = None
    """None: each day of the zone is traded all through."""

    @property
    def sessions(self) -> Grid:
        """The days themselves."""
        return self.calendar.sessions if self.calendar else _DAYS

    @property
    def grids(self) -> Mapping[Timeframe, Grid]:
        """Where buckets lie, as `Traits.grids` has it."""
        return self.calendar.grids() if self.calendar else {}

    def session_on(self, day: date) -> int | None:
        """When the session of that local day opens (Unix ms); None where there is none."""
        if self.calendar:
            return self.calendar.session_on(day)
        return (day.toordinal() - _EPOCH) * Timeframe.D1.ms

    def local(self, seconds: int) -> datetime:
        """A Unix time as its clocks there show it. ValueError or OverflowError for what is none."""
        return datetime.fromtimestamp(seconds, self.zone)

    def in_zone(self, name: object) -> bool:
        """Whether that zone is its own."""
        return _RENAMED.get(str(name), str(name)) == _RENAMED.get(self.zone.key, self.zone.key)


def hours_of(calendar: Calendar | None) -> Hours:
    """Those of a calendar; of UTC's days without one. Raises ConfigError where its zone is not known here."""
    if calendar is None:
        return Hours(ALWAYS, _zone("UTC"))
    return Hours(calendar.name, _zone(calendar.zone), calendar)


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, LookupError):
        raise ConfigError(f"this machine knows no time zone {name!r}", "pip install tzdata") from None
