"""`python -m tests.calendars`, from the checkout: livecache/equities/data, from exchange_calendars.

It is in the extra `test`. A test makes the same again, and compares every session.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from datetime import date, datetime, timedelta
from itertools import groupby
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from livecache.equities.calendar import DATA
from livecache.equities.calendar_file import PRESUMED_YEARS, Written

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import exchange_calendars

NAMES = (
    *("XNYS", "XTSE", "XLON", "XPAR", "XAMS", "XBRU", "XETR", "XSWX", "XMAD", "XMIL"),
    *("XTKS", "XHKG", "XASX", "XBOM"),
)
ALIASES = {
    **dict.fromkeys(("XNAS", "ARCX", "BATS", "XASE"), "XNYS"),
    "XTSX": "XTSE",
    "XFRA": "XETR",
    "XNSE": "XBOM",
}
FIRST, LAST = date(1970, 1, 1), date(2028, 12, 31)
WEEK = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def known(name: str) -> Any:
    """What the library knows of an exchange from `FIRST` to `LAST`, as far as it goes."""
    of = exchange_calendars.calendar_utils._default_calendar_factories[name]
    start, end = of.bound_min(), of.bound_max()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return of(
            start=max(FIRST, start.date()) if start else FIRST, end=min(LAST, end.date()) if end else LAST
        )


def unix_ms(time: Any) -> int:
    return int(time.timestamp() * 1000)


def sessions(calendar: Any) -> dict[date, tuple[int, int]]:
    """Each day's session: when it opens and ends, Unix ms."""
    table = calendar.schedule
    rows = zip(table.index, table["open"], table["close"], strict=True)
    return {day.date(): (unix_ms(opening), unix_ms(closing)) for day, opening, closing in rows}


def written(calendar: Any) -> Written:
    """The same, as our file has it."""
    zone, known = ZoneInfo(str(calendar.tz)), sessions(calendar)
    first, last = (
        date.fromisoformat(str(bound)[:10])
        for bound in (calendar.bound_min() or FIRST, calendar.bound_max() or LAST)
    )
    first, last = max(FIRST, first), min(LAST, last)
    week = [name for name, on in zip(WEEK, calendar.weekmask, strict=True) if on == "1"]
    changes = {first, *(each[0].date() for each in (*calendar.open_times, *calendar.close_times) if each[0])}

    def local(time: int) -> str:
        return f"{datetime.fromtimestamp(time / 1000, zone):%H:%M}"

    def usual(day: date) -> str:
        opening, closing = (
            [time for since, time in times if not since or since.date() <= day][-1]
            for times in (calendar.open_times, calendar.close_times)
        )
        return f"{opening:%H:%M}-{closing:%H:%M}"

    closed: list[date] = []
    odd: dict[str, list[date]] = {}
    for day in days(first, last):
        if day not in known:
            closed += [day] if WEEK[day.weekday()] in week else []
        elif (hours := "-".join(map(local, known[day]))) != usual(day) or WEEK[day.weekday()] not in week:
            odd.setdefault(hours, []).append(day)
    return Written(
        zone=zone.key,
        since=str(first),
        through=str(last),
        week=" ".join(week),
        hours={str(day): usual(day) for day in sorted(changes)},
        closed=by_year(closed),
        odd={hours: by_year(of) for hours, of in sorted(odd.items())},
    )


def offsets(zone: str) -> dict[str, dict[str, str]]:
    """From which days on clocks there are how far from UTC, also as long as sessions are presumed."""
    changes: dict[str, list[date]] = {}
    before = ""
    for day in days(FIRST, date(LAST.year + PRESUMED_YEARS + 1, 12, 31)):
        noon = datetime(day.year, day.month, day.day, 12, tzinfo=ZoneInfo(zone))
        if (here := f"{noon:%z}") != before:
            changes.setdefault(f"{here[:3]}:{here[3:]}", []).append(day)
            before = here
    return {offset: by_year(of) for offset, of in changes.items()}


def days(first: date, last: date) -> Iterable[date]:
    return (first + timedelta(n) for n in range((last - first).days + 1))


def by_year(these: Iterable[date]) -> dict[str, str]:
    return {
        str(year): " ".join(f"{day:%m-%d}" for day in of) for year, of in groupby(these, lambda day: day.year)
    }


def make() -> dict[str, bytes]:
    """The files by their names."""
    calendars = {name: written(known(name)) for name in NAMES}
    zones = {zone: offsets(zone) for zone in sorted({"UTC", *(each.zone for each in calendars.values())})}
    files: dict[str, object] = {"calendars.json": {**calendars, **ALIASES}, "zones.json": zones}
    return {
        name: msgspec.json.format(msgspec.json.encode(of), indent=1) + b"\n" for name, of in files.items()
    }


if __name__ == "__main__":
    for name, content in make().items():
        (DATA / name).write_bytes(content)
