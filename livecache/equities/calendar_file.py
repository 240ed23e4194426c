"""How the calendars of exchanges are written down, and what sessions they mean. Pure.

A file is JSON, a name each:

    {"XNYS": {"zone": "America/New_York", "since": "1970-01-01", "through": "2028-12-31",
              "hours": {"1970-01-01": "10:00-15:30", "1985-09-30": "09:30-16:00"},
              "closed": {"2026": "01-01 01-19 02-16"}, "odd": {"09:30-13:00": {"2026": "11-27 12-24"}}},
     "XNAS": "XNYS"}

Hours are local; what opens later than it closes has opened the day before. `odd` are days of other hours than
the usual ones, also such as would be closed. `like` takes all that is not written from another calendar, and
adds to its days.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from itertools import pairwise
from typing import NamedTuple, TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from ..errors import ConfigError
from ..model.grid import DAY_MS

__all__ = ["PRESUMED_YEARS", "Session", "Written", "merged", "sessions_in"]

PRESUMED_YEARS = 10
"""So long after its end a calendar goes on by the week's usual days and hours."""

_T = TypeVar("_T")

Days = Mapping[str, str]
"""Days by the year: `{"2026": "01-01 01-19"}`."""

_EPOCH = date(1970, 1, 1).toordinal()
_WEEK = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_YEARS_MAX = 200
_NOON = time(12)
_MINUTE = 60_000


class Written(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One calendar as it is written."""

    zone: str = ""
    like: str = ""
    since: str = ""
    through: str = ""
    week: str = ""
    hours: str | dict[str, str] = ""
    closed: dict[str, str] = {}
    odd: dict[str, dict[str, str]] = {}


class Session(NamedTuple):
    """One session: its local day (counted as `date.toordinal` does), when it opens and ends (Unix ms)."""

    day: int
    opening: int
    closing: int


def merged(base: Written, more: Written) -> Written:
    """What `more` says, and beside it what `base` does."""
    odd = {hours: dict(days) for hours, days in base.odd.items()}
    for hours, days in more.odd.items():
        odd[hours] = _both(odd.get(hours, {}), days)
    return Written(
        zone=more.zone or base.zone,
        since=more.since or base.since,
        through=more.through or base.through,
        week=more.week or base.week,
        hours=more.hours or base.hours,
        closed=_both(base.closed, more.closed),
        odd=odd,
    )


def _both(these: Days, those: Days) -> dict[str, str]:
    return {**these, **{year: f"{these.get(year, '')} {days}" for year, days in those.items()}}


def sessions_in(written: Written, zones: Mapping[str, Mapping[str, Days]]) -> tuple[list[Session], int]:
    """The sessions, oldest first, and until when (Unix ms) the calendar is sure of them.

    `zones` are offsets from UTC and since when they hold, as `{"-05:00": {"1990": "10-28"}}`: not every
    machine knows time zones.
    """
    since, through = _day("since", written.since), _day("through", written.through)
    if not since <= through < since + _YEARS_MAX * 366:
        raise ConfigError(
            f"through: {written.through} is not after {written.since}", f"within {_YEARS_MAX} years of it"
        )
    week = written.week.split() or _WEEK[:5]
    if not set(week) <= set(_WEEK):
        raise ConfigError(f"week: {written.week!r} are no days of the week", f"write {' '.join(_WEEK[:5])}")
    open_on = [name in week for name in (_WEEK[-1], *_WEEK[:-1])]  # an ordinal's remainder of 7: 0 is Sunday
    hours = {written.since: written.hours} if isinstance(written.hours, str) else written.hours
    usual = sorted((_day("hours", day), _hours("hours", text)) for day, text in hours.items())
    if not usual or usual[0][0] > since:
        raise ConfigError(f"hours: none on {written.since}", 'write "09:30-16:00"')
    closed = set(_ordinals("closed", written.closed))
    odd = {day: _hours("odd", text) for text, days in written.odd.items() for day in _ordinals("odd", days)}
    days = range(since, min(through + PRESUMED_YEARS * 365, date.max.toordinal() - 1) + 1)
    offsets = _offsets(written.zone, zones, days)
    sessions = []
    for day, local, (opening, closing) in zip(days, offsets, _each(usual, days), strict=True):
        if day in odd:
            opening, closing = odd[day]
        elif not open_on[day % 7] or day in closed:
            continue
        midnight = (day - _EPOCH) * DAY_MS - local * _MINUTE
        sessions.append(Session(day, midnight + opening * _MINUTE, midnight + closing * _MINUTE))
    if not sessions:
        raise ConfigError("closed: no day is left on which the exchange is open", "correct the calendar")
    overlapping = next((b for a, b in pairwise(sessions) if b.opening < a.closing), None)
    if overlapping:
        on = date.fromordinal(overlapping.day)
        raise ConfigError(f"hours: {on} opens before the day before it has ended", "correct its hours")
    return sessions, (through + 1 - _EPOCH) * DAY_MS - offsets[through - since] * _MINUTE


def _offsets(zone: str, zones: Mapping[str, Mapping[str, Days]], days: range) -> list[int]:
    """How far clocks are from UTC on each of these days, in minutes."""
    if zone in zones:
        return _each(
            sorted(
                (day, _minutes(offset[1:]) * (-1 if offset.startswith("-") else 1))
                for offset, since in zones[zone].items()
                for day in _ordinals("zones", since)
            ),
            days,
        )
    try:
        known = ZoneInfo(zone)
    except (OSError, ValueError, ZoneInfoNotFoundError):
        raise ConfigError(
            f"zone: this machine knows no {zone!r}", "write one as America/New_York, or install tzdata"
        ) from None
    noons = (datetime.combine(date.fromordinal(day), _NOON, known) for day in days)
    return [int((noon.utcoffset() or timedelta()).total_seconds()) // 60 for noon in noons]


def _each(steps: Sequence[tuple[int, _T]], days: range) -> list[_T]:
    """What holds on each of these days, of what holds from which day on; before the first, that."""
    found: list[_T] = []
    for (_, held), (until, _) in pairwise([*steps, (days.stop, steps[0][1])]):
        found += [held] * (min(until, days.stop) - days.start - len(found))
    return found


def _day(field: str, text: str) -> int:
    try:
        if len(text) != 10:
            raise ValueError
        return date.fromisoformat(text).toordinal()
    except ValueError:
        raise ConfigError(f"{field}: {text!r} is no day", "write it as 2026-11-27") from None


def _ordinals(field: str, days: Days) -> Iterator[int]:
    for year, texts in days.items():
        for text in texts.split():
            try:
                month, day = text.split("-")
                yield date(int(year), int(month), int(day)).toordinal()
            except ValueError:
                raise ConfigError(
                    f"{field}: {year!r}, {text!r} is no day", 'write {"2026": "11-27 12-24"}'
                ) from None


def _hours(field: str, text: str) -> tuple[int, int]:
    """Opening and closing in minutes since midnight."""
    try:
        opening, closing = (_minutes(part) for part in text.split("-"))
        if opening >= closing:
            opening -= 24 * 60
        if opening >= closing:  # 24:00-00:00
            raise ValueError
    except ValueError:
        raise ConfigError(f"{field}: {text!r} are no hours", 'write "09:30-16:00"') from None
    return opening, closing


def _minutes(text: str) -> int:
    hours, minutes = text.split(":")
    if not (len(hours) == len(minutes) == 2 and text.replace(":", "").isdecimal()):
        raise ValueError
    total = int(hours) * 60 + int(minutes)
    if int(minutes) > 59 or total > 24 * 60:
        raise ValueError
    return total
