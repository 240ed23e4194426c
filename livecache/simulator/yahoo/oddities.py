"""Charts as the venue really draws them at times, and such as nobody wants. Pure: one in, another one out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, get_args

__all__ = ["ODDITIES", "Oddity", "odd_chart"]

Oddity = Literal[
    "live row", "today twice", "clock stamps", "before and after hours", "newest first", "each twice",
    "null rows", "unequal columns", "no close", "negative", "huge", "no quote",
]  # fmt: skip
ODDITIES: tuple[Oddity, ...] = get_args(Oddity)
"""Those before "each twice" tell the truth to who knows how to read them; the others spoil some of it."""

_HOUR_S = 3_600
_EVERY = 7  # of rows is spoiled
Row = dict[str, Any]


def odd_chart(result: dict[str, Any], oddity: Oddity) -> dict[str, Any]:
    """The one result of an answer, with that oddity. "live row" is the exchange's own doing."""
    if oddity == "live row" or "timestamp" not in result:
        return result
    if oddity == "no quote":
        return {**result, "indicators": {"quote": [{}]}}
    if oddity in ("unequal columns", "no close"):
        quote = dict(result["indicators"]["quote"][0])
        if oddity == "no close":
            del quote["close"]
        else:
            quote["volume"] = quote["volume"][:-1]
        return {**result, "indicators": {**result["indicators"], "quote": [quote]}}
    change: Callable[[list[Row], dict[str, Any]], list[Row]] = _CHANGES[oddity]
    return _columns(result, change(_rows(result), result["meta"]))


def _rows(result: dict[str, Any]) -> list[Row]:
    columns = {"stamp": result["timestamp"], **result["indicators"]["quote"][0]}
    for adjusted in result["indicators"].get("adjclose", ()):
        columns |= adjusted
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _columns(result: dict[str, Any], rows: list[Row]) -> dict[str, Any]:
    quote, adjusted = result["indicators"]["quote"][0], result["indicators"].get("adjclose")
    told: dict[str, Any] = {"quote": [{name: [row[name] for row in rows] for name in quote}]}
    if adjusted:
        told["adjclose"] = [{"adjclose": [row["adjclose"] for row in rows]}]
    return {**result, "timestamp": [row["stamp"] for row in rows], "indicators": told}


def _today_twice(rows: list[Row], meta: dict[str, Any]) -> list[Row]:
    """The session's row before the live one, with a volume that is a little less."""
    opened, last = meta["currentTradingPeriod"]["regular"]["start"], rows[-1]
    if meta["dataGranularity"] != "1d" or not opened < last["stamp"] or not last["volume"]:
        return rows
    return [*rows[:-1], {**last, "stamp": opened, "volume": last["volume"] * 39 // 40}, last]


def _clock_stamps(rows: list[Row], meta: dict[str, Any]) -> list[Row]:
    """Days under 22:00 or 23:00 of the evening before."""
    if meta["dataGranularity"] != "1d":
        return rows
    offset = meta["gmtoffset"]

    def evening(number: int, stamp: int) -> int:
        midnight = (stamp + offset) // 86_400 * 86_400 - offset
        return midnight - (1 + number % 2) * _HOUR_S if number % 3 == 0 else stamp

    last = len(rows) - 1
    return [{**row, "stamp": evening(n, row["stamp"])} if n < last else row for n, row in enumerate(rows)]


def _around(rows: list[Row], meta: dict[str, Any]) -> list[Row]:
    """Rows before and after hours, without a volume, of each session that is over."""
    told = list(rows)
    for [period] in meta.get("tradingPeriods", ()):
        like = next((row for row in rows if row["stamp"] >= period["start"] and row["close"]), None)
        if like and period["end"] < meta["regularMarketTime"]:
            times = (period["start"] - _HOUR_S, period["end"] + _HOUR_S)
            told += [{**like, "stamp": stamp, "volume": 0} for stamp in times]
    return sorted(told, key=lambda row: int(row["stamp"]))


def _some(**changes: Any) -> Callable[[list[Row], dict[str, Any]], list[Row]]:
    def change(rows: list[Row], meta: dict[str, Any]) -> list[Row]:
        return [{**row, **changes} if n % _EVERY == 3 else row for n, row in enumerate(rows)]

    return change


def _negative(rows: list[Row], meta: dict[str, Any]) -> list[Row]:
    return [
        {**row, "low": -row["low"]} if n % _EVERY == 3 and row["low"] else row for n, row in enumerate(rows)
    ]


_CHANGES: dict[Oddity, Callable[[list[Row], dict[str, Any]], list[Row]]] = {
    "today twice": _today_twice,
    "clock stamps": _clock_stamps,
    "before and after hours": _around,
    "newest first": lambda rows, meta: rows[::-1],
    "each twice": lambda rows, meta: [row for row in rows for _ in range(2)],
    "null rows": _some(**dict.fromkeys(("open", "high", "low", "close", "volume"))),
    "negative": _negative,
    "huge": _some(close=1e39),
}
