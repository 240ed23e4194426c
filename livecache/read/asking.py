"""What a reader is asked with: numbers, times and names, in the forms in which people have them.

Every error names the argument that it is about. Pure.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, SupportsIndex, cast

from ..model.series import SeriesId
from ..model.timeframe import TIME_MAX, Timeframe, time_in

__all__ = [
    "Asked",
    "Seconds",
    "Time",
    "counted",
    "each",
    "pair_of",
    "seconds_of",
    "time_of",
    "whole_number",
]

Time = int | str | datetime | SupportsIndex
"""Unix ms, an aware datetime (such as a pandas Timestamp), a numpy.datetime64, or ISO 8601 as text."""

Seconds = float | timedelta

Asked = Iterable[Any]
"""`(symbol, timeframe, count)` for each series; or with a count for all, `SeriesId` or `(symbol, timeframe)`;
or with a timeframe too, symbols."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def whole_number(name: str, value: SupportsIndex, most: int, of: str = "") -> int:
    """Anything that is a whole number, numpy's among them, from 1 to `most`. Raises `ValueError`."""
    if not isinstance(value, bool):
        try:
            number = operator.index(value)
        except TypeError:
            number = 0
        if 1 <= number <= most:
            return number
    raise ValueError(f"{name} is a number from 1 to {of or most}, not {_brief(value)}")


def counted(count: SupportsIndex | None, limit: SupportsIndex | None) -> SupportsIndex:
    """How many: `limit` is ccxt's word for it. Raises `TypeError` for none, or for both."""
    if count is not None and limit is not None:
        raise TypeError("count and limit are two words for the same: give one of them")
    given = count if limit is None else limit
    if given is None:
        raise TypeError("how many candles? Give a count, such as 60")
    return given


def seconds_of(name: str, value: Seconds) -> float:
    """A length of time in seconds, 0 or more. Raises `ValueError`."""
    number: Any = value
    if _is_numpys(value, "timedelta64"):
        number = number / type(number)(1, "s")
    elif isinstance(value, timedelta):
        number = value.total_seconds()
    try:
        seconds = float("nan") if isinstance(number, bool | str | bytes) else float(number)
    except (TypeError, ValueError, OverflowError):
        seconds = float("nan")
    if not seconds >= 0:
        raise ValueError(f"{name} is a number of seconds, 0 or more, not {_brief(value)}")
    return seconds


def time_of(name: str, value: Time) -> int:
    """A time in Unix ms. A text without a zone is UTC, a datetime without one is refused: `ValueError`."""
    time: int | None = None
    if isinstance(value, str):
        time = time_in(value)
    elif isinstance(value, datetime):
        time = _time_at(name, value)
    elif _is_numpys(value, "datetime64"):
        time = int(cast(Any, value).astype("datetime64[ms]").astype("int64"))
    elif isinstance(value, date):
        raise ValueError(f"{name} is a date without a time: say datetime(…, tzinfo=timezone.utc)")
    elif not isinstance(value, bool):
        try:
            time = operator.index(value)
        except TypeError:
            time = None
    if time is None or not 0 <= time < TIME_MAX:
        forms = "Unix ms, an aware datetime or ISO 8601 such as '2026-02-20T12:00Z'"
        raise ValueError(f"{name} is a time: {forms}, not {_brief(value)}")
    return time


def each(
    asked: Asked,
    timeframe: str | Timeframe | None,
    count: SupportsIndex | None,
    limit: SupportsIndex | None,
    venues: Sequence[str] | None,
) -> Iterator[tuple[str, str | Timeframe, SupportsIndex]]:
    """Symbol, timeframe and count of each series that is asked for. Raises `ValueError` or `TypeError`."""
    if isinstance(asked, str | bytes) or not isinstance(asked, Iterable):
        raise ValueError(f"a list of series or of symbols is asked for, not {_brief(asked)}")
    shared = None if count is None and limit is None else counted(count, limit)
    if timeframe is not None and shared is None:
        counted(count, limit)
    for one in asked:
        if timeframe is not None:
            symbol, its, many = one, timeframe, shared
            plain = isinstance(one, str)
        elif shared is not None:
            symbol, its = pair_of(one, venues) if (plain := _is_pair(one)) else (one, "")
            many = shared
        else:
            plain = isinstance(one, tuple | list) and len(one) == 3 and not isinstance(one, SeriesId)
            symbol, its, many = one if plain else (one, "", None)
        if not plain or many is None:
            raise ValueError(f"{_expected(timeframe, shared)}, not {_brief(one)}")
        yield symbol, its, many


def pair_of(series: Any, venues: Sequence[str] | None) -> tuple[Any, Any]:
    """Symbol and timeframe; of a series of one of several venues, or before these are known, with its venue.

    Raises `ValueError` for a series of another venue than is read.
    """
    if len(series) == 2:
        return series[0], series[1]
    venue, symbol, timeframe = series
    if venues is not None and venue and venue not in venues:
        raise ValueError(f"{_brief(series)} is of another venue than {venues[0]!r}, which is read")
    alone = venues is not None and len(venues) == 1
    return symbol if alone or not venue else f"{venue}:{symbol}", timeframe


def _is_pair(one: object) -> bool:
    return isinstance(one, SeriesId) or (isinstance(one, tuple | list) and len(one) == 2)


def _expected(timeframe: object, shared: object) -> str:
    if timeframe is not None:
        return "with a timeframe, a list of symbols is asked for"
    if shared is not None:
        return "with a count and no timeframe, (symbol, timeframe) is asked for"
    return "(symbol, timeframe, count) is asked for, or symbols with a timeframe and a count"


def _time_at(name: str, value: datetime) -> int | None:
    if value != value:
        return None
    if value.utcoffset() is None:
        raise ValueError(
            f"{name} has no time zone: {value}. If that is UTC, say .replace(tzinfo=timezone.utc), "
            "or .tz_localize('UTC') of a pandas Timestamp"
        )
    return int((value - _EPOCH) // _MILLISECOND)


def _is_numpys(value: object, name: str) -> bool:
    # Whoever has one has loaded numpy, and nobody else should.
    return type(value).__module__ == "numpy" and type(value).__name__ == name


def _brief(value: object) -> str:
    shown = repr(value)
    return shown if len(shown) <= 80 else f"{shown[:79]}…"
