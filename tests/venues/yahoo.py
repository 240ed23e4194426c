"""Charts as Yahoo writes them, for tests that say what is in them."""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from livecache.clock import Clock, SystemClock
from livecache.equities.calendar import calendar_named
from livecache.model.timeframe import Timeframe
from livecache.venues.rows import DecodedPage
from livecache.venues.venue import PageRequest
from livecache.venues.yahoo.hours import hours_of
from livecache.venues.yahoo.pages import decode_page
from livecache.venues.yahoo.settings import YahooSettings
from livecache.venues.yahoo.venue import YahooVenue

CASES = Path(__file__).parents[3] / "shared/data/venues/yahoo.json"
NEW_YORK = hours_of(calendar_named("XNYS"))
SESSIONS = NEW_YORK.sessions


def at(text: str) -> int:
    """Unix ms of a time in UTC, as 2024-11-01T13:30."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


def wide(number: float) -> float:
    """A number as Yahoo prints it: through 32 bits, with the digits of 64."""
    return float(struct.unpack("<f", struct.pack("<f", number))[0])


def row_of(time: int, price: float = 100.25, volume: Any = 1000) -> tuple[Any, ...]:
    """A row that opens at `time` (Unix ms), of a price that goes up by one and down by one."""
    return (time // 1000, *map(wide, (price, price + 1, price - 1, price + 0.5)), volume)


def chart(rows: Sequence[Sequence[Any]], events: Any = None, **meta: Any) -> dict[str, Any]:
    """A chart's one result with these rows: stamp, open, high, low, close, volume."""
    stamps, *columns = zip(*rows, strict=True) if rows else ([],) * 6
    meta = {"currency": "USD", "symbol": "AAPL", "exchangeTimezoneName": "America/New_York", **meta}
    named = zip(("open", "high", "low", "close", "volume"), map(list, columns), strict=True)
    result = {"meta": meta, "timestamp": list(stamps), "indicators": {"quote": [dict(named)]}}
    return result if events is None else {**result, "events": events}


def body_of(result: dict[str, Any]) -> str:
    """The answer that holds it."""
    return json.dumps({"chart": {"result": [result], "error": None}})


def request_of(
    start: str, end: str, timeframe: Timeframe = Timeframe.D1, symbol: str = "AAPL"
) -> PageRequest:
    """One for the buckets that open between these times, in UTC."""
    grid = NEW_YORK.grids[timeframe]
    return PageRequest(symbol, timeframe, grid.ceil(at(start)), grid.ceil(at(end)))


def decoded(result: dict[str, Any], request: PageRequest, now: int | None = None) -> DecodedPage:
    """What becomes of it."""
    told = decode_page(request, NEW_YORK.grids[request.timeframe], NEW_YORK, result, now)
    assert isinstance(told, DecodedPage), told
    return told


def venue_of(url: str, now: int | None = None, clock: Clock | None = None, **settings: Any) -> YahooVenue:
    """One that asks there."""
    return YahooVenue(
        YahooSettings(rest_url=url, **settings),
        name="yahoo",
        now=lambda: now,
        clock=clock or SystemClock(),
        jitter=lambda: 0.5,
    )
