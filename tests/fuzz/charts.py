"""What Yahoo's charts are fuzzed by: whatever comes, a page of what can be believed, or one failure."""

from __future__ import annotations

from typing import Any

import msgspec

from livecache.model.candle import rejection
from livecache.model.timeframe import TIME_MAX, Timeframe
from livecache.venues.net.http import Answer
from livecache.venues.venue import FetchFailure, PageRequest
from livecache.venues.yahoo.answers import chart_of, failure_of
from livecache.venues.yahoo.pages import decode_page
from tests.venues.yahoo import NEW_YORK, at, chart, request_of, row_of

__all__ = ["SEEDS", "texts_of"]

_NOW = at("2024-11-06T16:00")
_REQUESTS = (
    request_of("2024-11-05", "2024-11-07"),
    request_of("2024-11-06", "2024-11-07", Timeframe.H1),
)


def texts_of(data: bytes) -> list[str]:
    """What of it might end up in a log; raises AssertionError where a page is none."""
    told: list[str] = []
    for status in (200, 404, 503):
        answer = Answer(status, data, {})
        result = chart_of(answer) if status == 200 else failure_of(answer)
        if isinstance(result, FetchFailure):
            told.append(result.message)
            assert result.retry_after_s is None
        elif result:
            told += [text for request in _REQUESTS for text in _texts_of_page(request, result)]
    return told


def _texts_of_page(request: PageRequest, result: dict[str, Any]) -> list[str]:
    grid = NEW_YORK.grids[request.timeframe]
    decoded = decode_page(request, grid, NEW_YORK, result, _NOW)
    if isinstance(decoded, FetchFailure):
        return [decoded.message]
    page, rejected = decoded
    times = [row.time for row in page.rows]
    assert times == sorted(set(times)) and not set(times) & page.rejected
    assert all(request.start <= time < request.end for time in (*times, *page.rejected))
    assert all(rejection(row, request.timeframe, _NOW, grid) is None for row in page.rows)
    assert page.spoiled <= len(rejected) and (rejected or not page.rejected)
    for action in page.actions:
        assert request.start <= action.time < request.end and len(action.value) < 100
        assert (action.kind == "split") == ("/" in action.value)
    about = page.about
    assert about is not None and 0 <= about.listed < TIME_MAX
    return [
        *(about.exchange, about.currency, about.name),
        *page.reasons.values(),
        *(text for one in rejected for text in (one.reason, one.payload)),
    ]


def _answer(result: dict[str, Any]) -> bytes:
    return msgspec.json.encode({"chart": {"result": [result], "error": None}})


_EVENTS = {
    "splits": {"1": {"date": at("2024-11-05T14:30") // 1000, "numerator": 4.0, "denominator": 1.0}},
    "dividends": {"1": {"date": at("2024-11-06T14:30") // 1000, "amount": 0.25}},
}
_ERROR = {"code": "Not Found", "description": "No data found, symbol may be delisted"}
_META = {
    "firstTradeDate": 345_479_400,
    "longName": "Apple Inc.",
    "regularMarketTime": (_NOW - 900_000) // 1000,
}
_OPENS = NEW_YORK.sessions.opens(_REQUESTS[0].start, _NOW)
SEEDS = (
    _answer(chart([*map(row_of, _OPENS), row_of(_NOW - 900_000)], _EVENTS, **_META)),
    msgspec.json.encode({"chart": {"result": None, "error": _ERROR}}),
    msgspec.json.encode({"finance": {"result": None, "error": {**_ERROR, "code": "Unauthorized"}}}),
    b"<html><title>Yahoo</title>Will be right back...</html>",
)
