"""Our own venue reads from the simulated Yahoo what was traded, in virtual time and through every oddity."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import date
from typing import Any, TypeVar

import pytest

from livecache.model.timeframe import Timeframe
from livecache.simulator import MarketClock, Simulator
from livecache.simulator.yahoo.face import YahooFace
from livecache.simulator.yahoo.faults import YahooFaults
from livecache.simulator.yahoo.market import ShareMarket
from livecache.simulator.yahoo.truth import Truth
from livecache.venues.venue import FailureKind, FetchFailure, Page, PageRequest
from livecache.venues.yahoo.venue import YahooVenue
from tests.simulation.virtual import VirtualClock, run_virtually
from tests.venues.yahoo import venue_of

from .shares import DAY, NEW_YORK, NOON, SHARES, ms

T = TypeVar("T")
M1, M5, M15, H1, D1 = Timeframe.M1, Timeframe.M5, Timeframe.M15, Timeframe.H1, Timeframe.D1
BACK = {M1: 4, M5: 20, M15: 40, H1: 200, D1: 600}  # days
TRADED = [share.symbol for share in SHARES if share.symbol not in ("OLD", "GONE")]


def asking(
    ask: Callable[[YahooVenue, Truth, YahooFaults], Awaitable[T]], now: int = NOON, **options: Any
) -> T:
    """What comes of it, before a simulator whose time is the venue's own."""

    async def main() -> T:
        clock = VirtualClock(now / 1000)
        market = MarketClock(now, 1.0, clock.monotonic)
        faults = YahooFaults(host_clock=clock)
        shares = ShareMarket(NEW_YORK, SHARES, closed=[date(2026, 7, 8)])
        told = {"requests_per_second": 0, **options}
        async with Simulator(
            shares, clock=market, venue="yahoo", faults=faults, host_clock=clock, **told
        ) as simulator:
            assert isinstance(simulator.exchange, YahooFace)
            venue = venue_of(simulator.rest_url, now, clock)
            try:
                return await ask(venue, simulator.exchange.truth, faults)
            finally:
                await venue.aclose()

    return run_virtually(main())


def request_of(symbol: str, timeframe: Timeframe, start: int, end: int) -> PageRequest:
    grid = NEW_YORK.grid(timeframe)
    return PageRequest(symbol, timeframe, grid.ceil(start), grid.ceil(end))


async def page_of(venue: YahooVenue, request: PageRequest) -> Page:
    page = await venue.fetch(request)
    assert isinstance(page, Page), page
    return page


@pytest.mark.parametrize("timeframe", BACK)
def test_a_page_is_what_was_traded(timeframe: Timeframe) -> None:
    start, end = NOON - BACK[timeframe] * DAY, ms("2026-07-15")

    async def ask(venue: YahooVenue, truth: Truth, _: YahooFaults) -> None:
        for symbol in TRADED:
            request = request_of(symbol, timeframe, start, end)
            page = await page_of(venue, request)
            assert list(page.rows) == truth.settled(symbol, timeframe, request.start, request.end), symbol
            assert not page.rejected and not page.spoiled, symbol
            assert list(page.actions) == truth.actions(symbol, request.start, request.end), symbol
            assert page.about and page.about.listed == truth.listed(symbol)

    asking(ask)


@pytest.mark.parametrize("oddity", ["today twice", "clock stamps", "before and after hours", "newest first"])
@pytest.mark.parametrize("timeframe", [D1, H1, M5])
def test_what_is_odd_and_true_is_read_as_well(oddity: Any, timeframe: Timeframe) -> None:
    start, end = NOON - 20 * DAY, NOON

    async def ask(venue: YahooVenue, truth: Truth, _: YahooFaults) -> None:
        for symbol in ("AAPL", "SPLIT", "HALT"):
            request = request_of(symbol, timeframe, start, end)
            page = await page_of(venue, request)
            known = truth.settled(symbol, timeframe, request.start, request.end)
            known += truth.provisional(symbol, timeframe, request.start, request.end)
            over = [row for row in page.rows if NEW_YORK.grid(timeframe).end(row.time) <= NOON - 900_000]
            assert over == known and not page.rejected, symbol

    asking(ask, oddities=(oddity, "live row"))


@pytest.mark.parametrize("oddity", ["null rows", "negative", "huge"])
def test_what_is_spoiled_costs_its_own_rows_and_no_others(oddity: Any) -> None:
    async def ask(venue: YahooVenue, truth: Truth, _: YahooFaults) -> None:
        request = request_of("AAPL", D1, NOON - 60 * DAY, ms("2026-07-15"))
        page = await page_of(venue, request)
        known = truth.settled("AAPL", D1, request.start, request.end)
        assert set(page.rows) < set(known) and len(page.rows) > 0.8 * len(known)
        if oddity != "null rows":  # These say that nothing was traded.
            gone = {row.time for row in known} - {row.time for row in page.rows}
            assert page.rejected == gone

    asking(ask, oddities=(oddity,))


@pytest.mark.parametrize(
    ("kind", "meant"),
    [
        ("429", FailureKind.REFUSED),
        ("429 with a time", FailureKind.REFUSED),
        ("429 in 200", FailureKind.REFUSED),
        ("999", FailureKind.BANNED),
        ("403", FailureKind.BANNED),
        ("html", FailureKind.SERVER),
        ("consent", FailureKind.SERVER),
        ("nothing", FailureKind.SERVER),
        ("down", FailureKind.SERVER),
        ("500", FailureKind.SERVER),
        ("404", FailureKind.UNKNOWN_SYMBOL),
        ("unequal columns", FailureKind.MALFORMED),
        ("no close", FailureKind.MALFORMED),
        ("cut json", FailureKind.MALFORMED),
    ],
)
def test_each_refusal_is_understood(kind: Any, meant: FailureKind) -> None:
    async def ask(venue: YahooVenue, _: Truth, faults: YahooFaults) -> FetchFailure | Page:
        faults.strike(kind)
        failure = await venue.fetch(request_of("AAPL", D1, NOON - 20 * DAY, NOON))
        assert isinstance(await venue.fetch(request_of("AAPL", D1, NOON - 20 * DAY, NOON)), Page)
        return failure

    failure = asking(ask)
    assert isinstance(failure, FetchFailure) and failure.kind is meant, failure
    if kind == "429 with a time":
        assert failure.retry_after_s == 20
