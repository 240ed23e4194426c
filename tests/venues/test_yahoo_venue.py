"""Yahoo over loopback: what it is asked, what its refusals mean, and how often it is asked then."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st
from loguru import logger

from livecache.errors import ConfigError
from livecache.model.timeframe import Timeframe
from livecache.venues.venue import FailureKind, FetchFailure, Page, PageRequest
from livecache.venues.yahoo.settings import YahooSettings
from livecache.venues.yahoo.venue import YahooVenue
from tests.venues.loopback import rest_server
from tests.venues.yahoo import CASES, SESSIONS, at, body_of, chart, request_of, row_of, venue_of

Said = tuple[int, str, dict[str, str]]

WEEK = request_of("2024-11-04", "2024-11-09")
ROWS = list(map(row_of, SESSIONS.opens(WEEK.start, WEEK.end)))
GOOD: Said = (200, body_of(chart(ROWS)), {})
SLOW = (429, "Too Many Requests\r\n", {"Content-Type": "text/html"})


@pytest.fixture
def logged() -> Iterator[list[dict[str, Any]]]:
    """What is logged, each record's fields with its text."""
    records: list[dict[str, Any]] = []
    sink = logger.add(lambda m: records.append({**m.record["extra"], "text": m.record["message"]}))
    yield records
    logger.remove(sink)


def asked(
    *answers: Said,
    requests: tuple[PageRequest, ...] = (WEEK,),
    then: Callable[[YahooVenue, list[web.Request]], None] | None = None,
    **settings: Any,
) -> list[Page | FetchFailure]:
    """What comes of these requests, one after the other, where they are answered so, the last for ever."""
    left = list(answers)

    async def serve(request: web.Request) -> web.StreamResponse:
        status, text, headers = left.pop(0) if len(left) > 1 else left[0]
        return web.Response(status=status, text=text, headers={"Content-Type": "application/json", **headers})

    async def main() -> list[Page | FetchFailure]:
        async with rest_server(serve, cancelling=False) as (url, seen):
            venue = venue_of(url, **settings)
            try:
                return [await venue.fetch(request) for request in requests]
            finally:
                if then:
                    then(venue, seen)
                await venue.aclose()

    return asyncio.run(main())


def only(told: list[Page | FetchFailure]) -> Page:
    assert isinstance(told[0], Page), told
    return told[0]


def failed(told: list[Page | FetchFailure]) -> FetchFailure:
    assert isinstance(told[-1], FetchFailure), told
    return told[-1]


def error(status: int, code: str, description: str, under: str = "chart") -> Said:
    return (
        status,
        json.dumps({under: {"result": None, "error": {"code": code, "description": description}}}),
        {},
    )


def test_a_page_of_days_is_one_call() -> None:
    def look(_: YahooVenue, seen: list[web.Request]) -> None:
        (request,) = seen
        assert request.path == "/v8/finance/chart/AAPL"
        assert dict(request.query) == {
            "period1": str((WEEK.start - 12 * 3_600_000) // 1000),
            "period2": str((SESSIONS.closed(WEEK.end) + 6 * 3_600_000) // 1000),
            "interval": "1d",
            "includePrePost": "false",
            "events": "div,splits,capitalGains",
        }

    page = only(asked(GOOD, then=look))
    assert [row.time for row in page.rows] == list(SESSIONS.opens(WEEK.start, WEEK.end))


@pytest.mark.parametrize("symbol", ["^GSPC", "CL=F", "BRK-B", "M&M.NS"])
def test_any_ticker_comes_as_it_was_asked_for(symbol: str) -> None:
    def look(_: YahooVenue, seen: list[web.Request]) -> None:
        assert seen[0].match_info["path"] == f"v8/finance/chart/{symbol}"

    asked(GOOD, requests=(WEEK._replace(symbol=symbol),), then=look)


def test_hours_are_asked_for_by_their_name_and_to_the_second() -> None:
    hours = request_of("2024-11-04", "2024-11-05", Timeframe.H1)

    def look(_: YahooVenue, seen: list[web.Request]) -> None:
        query = seen[0].query
        assert (query["interval"], query["period1"], query["period2"]) == (
            *("1h", str(hours.start // 1000)),
            str(at("2024-11-04T21:00") // 1000),
        )

    asked(GOOD, requests=(hours,), then=look)


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        (SLOW, FailureKind.REFUSED, "Too Many Requests"),
        ((200, "Too Many Requests\r\n", {}), FailureKind.REFUSED, "Too Many Requests"),
        ((503, "<html>Too Many Requests</html>", {}), FailureKind.REFUSED, "Too Many Requests"),
        (error(200, "x", "Too Many Requests", "finance"), FailureKind.REFUSED, "Too Many Requests"),
        (
            error(401, "Unauthorized", "Invalid Crumb", "finance"),
            FailureKind.REFUSED,
            "Invalid Crumb, and none was sent",
        ),
        ((302, "", {"Location": "https://guce.yahoo.com/consent"}), FailureKind.REFUSED, "consent"),
        (
            (200, '<form action="/v2/collectConsent?sessionId=3">', {}),
            FailureKind.REFUSED,
            "consent",
        ),
        ((403, "<html><title>Forbidden</title></html>", {}), FailureKind.BANNED, "Forbidden"),
        ((999, "<html><title>Request denied</title></html>", {}), FailureKind.BANNED, "Request denied"),
        (
            (503, "<html><title>Yahoo! - 999</title>Will be right back...</html>", {}),
            FailureKind.SERVER,
            "right back",
        ),
        (
            (200, "<html><title>Yahoo</title>Will be right back...</html>", {}),
            FailureKind.SERVER,
            "right back",
        ),
        ((200, "<!DOCTYPE html>\n<html><body></body></html>", {}), FailureKind.SERVER, "no chart"),
        ((200, "", {}), FailureKind.MALFORMED, "not the expected answer"),
        ((500, "oops", {}), FailureKind.SERVER, "HTTP 500"),
        (
            error(404, "Not Found", "No data found, symbol may be delisted"),
            FailureKind.UNKNOWN_SYMBOL,
            "delisted",
        ),
        (
            error(200, "Not Found", "No data found, symbol may be delisted"),
            FailureKind.UNKNOWN_SYMBOL,
            "delisted",
        ),
        ((404, "<html>no such page</html>", {}), FailureKind.BAD_REQUEST, "HTTP 404"),
        (error(422, "Unprocessable Entity", "whatever"), FailureKind.BAD_REQUEST, "whatever"),
        ((200, '{"chart": {"result": null}}', {}), FailureKind.MALFORMED, "no chart in it"),
        ((200, '{"chart": ', {}), FailureKind.MALFORMED, "not the expected answer"),
    ],
)
def test_what_is_no_chart_is_told_by_its_kind(answer: Said, kind: FailureKind, words: str) -> None:
    def look(_: YahooVenue, seen: list[web.Request]) -> None:
        assert len(seen) == 1, "one call, whatever is answered"

    failure = failed(asked(answer, then=look))
    assert failure.kind is kind and words in failure.message


def test_before_the_listing_there_is_an_empty_page() -> None:
    said = "Data doesn't exist for startDate = 315532800, endDate = 318211200"
    assert only(asked(error(400, "Bad Request", said))).rows == ()


def test_refusals_in_a_row_are_waited_for_ever_longer_and_then_are_a_ban() -> None:
    told = asked(SLOW, requests=(WEEK,) * 7)
    assert [(each.kind, each.retry_after_s) for each in told if isinstance(each, FetchFailure)] == [
        *((FailureKind.REFUSED, pause_s) for pause_s in (5.0, 10.0, 20.0, 40.0, 80.0)),
        *[(FailureKind.BANNED, None)] * 2,
    ]


def test_a_page_between_refusals_makes_them_no_row() -> None:
    told = asked(SLOW, SLOW, GOOD, SLOW, requests=(WEEK,) * 4)
    pauses = [each.retry_after_s for each in told if isinstance(each, FetchFailure)]
    assert pauses == [5.0, 10.0, 5.0]


def test_what_yahoo_says_to_wait_is_waited() -> None:
    told = asked((429, "", {"Retry-After": "17"}), (429, "", {"Retry-After": "3600"}), requests=(WEEK, WEEK))
    assert [(each.kind, each.retry_after_s) for each in told if isinstance(each, FetchFailure)] == [
        (FailureKind.REFUSED, 17.0),
        (FailureKind.BANNED, 3600.0),
    ]


@pytest.mark.parametrize(("dated", "believed"), [("14:31:25", True), ("14:30:30", True), ("14:20:00", False)])
def test_an_answer_from_before_what_has_passed_here_is_none(dated: str, believed: bool) -> None:
    """By a clock that is ahead Friday would be final before Monday has begun."""
    answer = (*GOOD[:2], {"Date": f"Mon, 11 Nov 2024 {dated} GMT"})
    (told,) = asked(answer, now=at("2024-11-11T14:31:30"))
    assert isinstance(told, Page) is believed
    if isinstance(told, FetchFailure):
        assert told.kind is FailureKind.SERVER and "clock ahead" in told.message


def test_a_window_that_is_refused_as_too_long_is_shorter_from_then_on() -> None:
    said = (
        "1m data not available for startTime=1590000000 and endTime=1591900200. "
        "Only 5 days worth of 1m granularity data are allowed to be fetched per request."
    )
    traits = venue_of("http://127.0.0.1:1").traits
    now = SESSIONS.floor(at("2026-11-25T12:00"))
    grid = traits.grid(Timeframe.M1)
    minutes = PageRequest("AAPL", Timeframe.M1, grid.back(now, traits.page(Timeframe.M1)), now)

    def look(venue: YahooVenue, _: list[web.Request]) -> None:
        assert venue.traits.page(Timeframe.M1) < traits.page(Timeframe.M1)
        assert venue.traits.served[Timeframe.M5] == traits.served[Timeframe.M5]

    failure = failed(asked(error(422, "Unprocessable Entity", said), requests=(minutes,), then=look))
    assert failure.kind is FailureKind.PAGE_TOO_LONG


def test_how_far_back_it_says_to_go_is_heeded() -> None:
    said = "1h data not available for startTime=1. The requested range must be within the last 365 days."
    before = venue_of("http://127.0.0.1:1").traits.served[Timeframe.H1].reach
    hours = request_of("2026-11-20", "2026-11-21", Timeframe.H1)

    def look(venue: YahooVenue, _: list[web.Request]) -> None:
        assert 0.4 * before < venue.traits.served[Timeframe.H1].reach < 0.55 * before

    asked(error(422, "Unprocessable Entity", said), requests=(hours,), then=look)


def test_a_symbol_that_goes_by_another_name_is_told_once_and_kept(logged: list[dict[str, Any]]) -> None:
    renamed: Said = (200, body_of(chart(ROWS, symbol="META")), {})
    told = asked(renamed, requests=(WEEK._replace(symbol="FB"),) * 3)
    assert only(told).request.symbol == "FB" and len(only(told).rows) == 5
    assert [record["text"] for record in logged if record.get("event") == "symbol_renamed"] == [
        "yahoo tells of FB as META: was it renamed?"
    ]


@pytest.mark.parametrize(
    ("start", "end", "told"),
    [
        ("2024-11-04T14:30", "2024-11-04T21:00", ""),
        ("2024-11-29T14:30", "2024-11-29T18:00", ""),
        ("2024-11-04T14:30", "2024-11-04T18:00", "on 2024-11-04 it is open from 09:30 to 13:00"),
        ("2024-11-28T14:30", "2024-11-28T21:00", ""),  # a holiday, of which it tells as of any day
    ],
)
def test_an_exchange_that_is_open_at_other_times_than_by_its_calendar_is_told_of_once(
    logged: list[dict[str, Any]], start: str, end: str, told: str
) -> None:
    period = {"regular": {"start": at(start) // 1000, "end": at(end) // 1000}}
    asked((200, body_of(chart(ROWS, currentTradingPeriod=period)), {}), requests=(WEEK,) * 3)
    texts = [record["text"] for record in logged if record.get("event") == "other_hours"]
    assert len(texts) == bool(told) and all(told in text for text in texts)


def test_a_calendar_that_there_is_not_is_told_with_near_ones() -> None:
    with pytest.raises(ConfigError, match="XNYZ") as raised:
        venue_of("http://127.0.0.1:1", calendar="XNYZ")
    assert "XNYS" in raised.value.hint


@pytest.mark.parametrize("years", [(2010, 2012), (2090, 2091)])
def test_a_calendar_of_other_times_is_refused(tmp_path: Path, years: tuple[int, int]) -> None:
    file = tmp_path / "calendars.json"
    bounds = {"since": f"{years[0]}-01-01", "through": f"{years[1]}-12-31"}
    file.write_text(json.dumps({"MINE": {"zone": "America/New_York", "hours": "09:30-16:00", **bounds}}))
    with pytest.raises(ConfigError, match="MINE does not know the sessions of these days") as raised:
        venue_of("http://127.0.0.1:1", calendar="MINE", calendars_file=str(file))
    assert "calendars_file" in raised.value.hint


def test_payloads_of_refusals() -> None:
    """The words that Yahoo's users saw."""
    if not CASES.exists():
        pytest.skip("the real data is not here")
    kinds = {
        "too far back": FailureKind.BAD_REQUEST,
        "too long": FailureKind.BAD_REQUEST,
        "unknown or delisted": FailureKind.UNKNOWN_SYMBOL,
        "too many": FailureKind.REFUSED,
        "bad crumb": FailureKind.REFUSED,
        "down": FailureKind.SERVER,
    }
    cases = json.loads(CASES.read_text())["cases"]
    for name, kind in kinds.items():
        said = cases[name]
        body = json.dumps(said["body"]) if "body" in said else said["text"]
        answer = said["status"], body, said.get("headers", {})
        minutes = request_of("2024-11-04", "2024-11-05", Timeframe.M1)
        assert failed(asked(answer, requests=(minutes,))).kind is kind, name


# --- how tickers are written


@pytest.mark.parametrize(
    ("written", "symbol"),
    [
        ("aapl", "AAPL"),
        ("BRK.B", "BRK-B"),
        ("brk-b", "BRK-B"),
        (" bf.a ", "BF-A"),
        ("VOD.L", "VOD.L"),
        ("7203.T", "7203.T"),
        ("0700.hk", "0700.HK"),
        ("^gspc", "^GSPC"),
        ("cl=f", "CL=F"),
        ("btc-usd", "BTC-USD"),
        ("EURUSD=X", "EURUSD=X"),
        ("DX-Y.NYB", "DX-Y.NYB"),
    ],
)
def test_a_ticker_is_known_however_it_is_written(written: str, symbol: str) -> None:
    settings = YahooSettings(symbols=(written,))
    assert settings.symbols == (symbol,)
    assert not list(settings.problems())
    assert settings.symbol_meant(symbol) == symbol


@pytest.mark.parametrize(
    "written", ["", "A B", "AAPL!", "BTC/USD", "-X", "A" * 40, "ÄPL", "AAPL.", "..", "^"]
)
def test_what_is_no_ticker_is_told(written: str) -> None:
    settings = YahooSettings()
    assert settings.symbol_problem(written) and settings.symbol_problem(settings.symbol_meant(written))


@given(st.text("aAbBzZ0.9-^=&/ éß", max_size=12))
def test_whichever_way_a_ticker_is_written_the_verdict_is_the_same(written: str) -> None:
    settings = YahooSettings()
    meant = settings.symbol_meant(written)
    assert settings.symbol_meant(meant) == meant
    verdict = settings.symbol_problem(meant) is None
    if written.isascii():
        assert {
            settings.symbol_meant(each) for each in (written.lower(), written.upper(), f" {written} ")
        } == {meant}
    assert (settings.symbol_problem(written) is None) is verdict
    assert verdict is not any(name == "symbols" for name, *_ in YahooSettings(symbols=(written,)).problems())


def test_one_ticker_written_in_two_ways_is_named_twice() -> None:
    assert any("twice" in problem for _, problem, _ in YahooSettings(symbols=("BRK.B", "brk-b")).problems())
