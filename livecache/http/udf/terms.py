"""The words of UDF: resolutions, the times of bars, sessions, digits. Pure.

A chart names a bar of a day, a week or a month by 00:00 UTC of its first trading day, wherever on that day
the exchange opens. Shorter bars are named by their open.
"""

from __future__ import annotations

import math
import re
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import date
from typing import NamedTuple
from zoneinfo import ZoneInfo

from ...equities.calendar import Calendar
from ...errors import ConfigError
from ...model.grid import SessionGrid
from ...model.timeframe import Multiple, Timeframe, moment
from ...model.traits import Traits

__all__ = ["Bars", "Hours", "adds_up", "decimals", "hours_of", "named", "resolution_of", "timeframe_of"]

_DAY_S = 86_400
_EPOCH = date(1970, 1, 1).toordinal()
_MINUTES_A_DAY = 1_440
_DECIMALS_MOST = 12
_DAYS_TOLD = 30 * 366  # of hours that are not the usual ones
_RESOLUTION = re.compile(r"([1-9]\d{0,4})|([1-9]\d{0,3})?([DWM])", re.ASCII)


def timeframe_of(resolution: str) -> str:
    """`5` is 5m, `240` is 4h, `D` and `1D` are 1d, `1M` is a month. Raises ConfigError for no resolution."""
    if not (found := _RESOLUTION.fullmatch(resolution)):
        raise ConfigError(f"resolution: {resolution!r} is none", "minutes such as 5 or 240, or 1D, 1W, 1M")
    minutes, count, unit = found.groups()
    if not minutes:
        return f"{count or 1}{unit if unit == 'M' else unit.lower()}"
    number = int(minutes)
    if not number % _MINUTES_A_DAY:
        return f"{number // _MINUTES_A_DAY}d"
    return f"{number}m" if number % 60 else f"{number // 60}h"


def resolution_of(timeframe: Timeframe) -> str:
    """How UDF names it."""
    if timeframe.ms < Timeframe.D1.ms:
        return str(timeframe.ms // 60_000)
    return timeframe.value.upper()


def adds_up(timeframe: Timeframe, kept: Iterable[Timeframe], traits: Traits) -> bool:
    """Whether candles of any timeframe that is kept add up to it on read."""
    grids = {t: grid for t, grid in traits.grids.items() if not isinstance(grid, SessionGrid)}
    bound, wanted = traits.sums_below, Multiple(timeframe.value)
    return any(
        wanted.added_up(one, traits.grid(one), grids) is not None
        for one in kept
        if one.ms < timeframe.ms and not (bound and one.ms < bound.ms <= timeframe.ms)
    )


class Bars(NamedTuple):
    """How bars of one timeframe are named."""

    by_day: bool
    """Whether by their first trading day, else by their open."""
    calendar: Calendar | None = None
    """Of an exchange that closes."""

    def time(self, opening: int) -> int:
        """The time of the bar that opens then (Unix ms), in seconds."""
        if not self.by_day:
            return opening // 1000
        if self.calendar:
            number = bisect_right(self.calendar.sessions.openings, opening) - 1
            return (self.calendar.days[max(number, 0)] - _EPOCH) * _DAY_S
        return opening // 1000 // _DAY_S * _DAY_S

    def bound(self, seconds: float) -> int:
        """The first open (Unix ms) that a bar may have whose time is not before `seconds`."""
        seconds = max(seconds, 0)
        if not self.by_day:
            return math.ceil(seconds) * 1000
        day = math.ceil(seconds / _DAY_S)
        if self.calendar:
            sessions, number = self.calendar.sessions, bisect_left(self.calendar.days, day + _EPOCH)
            return sessions.openings[number] if number < len(sessions.openings) else sessions.closings[-1]
        return day * _DAY_S * 1000


class Hours(NamedTuple):
    """When a symbol is traded, in UDF's words."""

    timezone: str = "Etc/UTC"
    session: str = "24x7"
    holidays: str = ""
    corrections: str = ""


def hours_of(calendar: Calendar, now: int) -> Hours:
    """Those of an exchange, the usual ones being those of the year up to `now` (Unix ms).

    Takes milliseconds. Raises ConfigError for a zone that this machine does not know.
    """
    zone, sessions = _zone(calendar.zone), calendar.sessions
    today = now // 1000 // _DAY_S + _EPOCH
    told = {
        day: f"{_clock(opening, zone)}-{_clock(closing, zone)}"
        for day, opening, closing in zip(calendar.days, sessions.openings, sessions.closings, strict=True)
        if today - _DAYS_TOLD <= day and opening <= calendar.through
    }
    if not told:
        raise ConfigError(f"the calendar {calendar.name} has ended", "renew it")
    recent = [day for day in told if today - 365 <= day <= today] or [*told]
    usual = Counter(told[day] for day in recent).most_common(1)[0][0]
    weekdays = {day % 7 for day in recent}
    closed = [d for d in range(min(told), max(told) + 1) if d % 7 in weekdays and d not in told]
    odd: dict[str, list[str]] = {}
    for day, hours in told.items():
        if hours != usual:
            odd.setdefault(hours, []).append(_date(day))
    # Days of the week count from Sunday, which is 1; ordinals from a Monday.
    days = "".join(str(n) for n in sorted(day % 7 + 1 for day in weekdays))
    return Hours(
        calendar.zone,
        f"{usual}:{days}",
        ",".join(map(_date, closed)),
        ";".join(f"{hours}:{','.join(dates)}" for hours, dates in odd.items()),
    )


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, LookupError):
        raise ConfigError(f"this machine knows no time zone {name!r}", "pip install tzdata") from None


def _clock(time: int, zone: ZoneInfo) -> str:
    return moment(time).astimezone(zone).strftime("%H%M")


def _date(day: int) -> str:
    return date.fromordinal(day).strftime("%Y%m%d")


def decimals(numbers: Iterable[float]) -> int:
    """The most decimal places that any of these has, 12 at most."""
    most = 0
    for number in numbers:
        digits, _, power = repr(float(number)).partition("e")
        places = len(digits.partition(".")[2].rstrip("0")) - int(power or 0)
        most = max(most, places)
    return min(most, _DECIMALS_MOST)


def named(symbols: Iterable[tuple[str, str]], query: str, most: int) -> Sequence[tuple[str, str]]:
    """Of these (venue, symbol) so many that hold the query, whatever its case: early in the name first."""
    wanted = query.upper()
    at = [(f"{symbol}\0{venue}:{symbol}".upper().find(wanted), symbol, venue) for venue, symbol in symbols]
    return [(venue, symbol) for _, symbol, venue in sorted(one for one in at if one[0] >= 0)[:most]]
