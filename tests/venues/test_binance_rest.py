"""Requests to Binance over loopback: what is asked, what it costs, and what is learned of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Literal

import pytest
from aiohttp import web

from livecache.clock import SystemClock
from livecache.model.budget import Window
from livecache.model.timeframe import Timeframe
from livecache.simulator import MarketClock, Product, SeededMarket, Simulator
from livecache.venues.binance.settings import BinanceSettings
from livecache.venues.binance.venue import BinanceVenue
from livecache.venues.venue import FailureKind, FetchFailure, Page, PageRequest

from .loopback import InstantClock, rest_server

M1 = Timeframe.M1
START = 1_784_109_900_000


def asked(
    check: Callable[[BinanceVenue, Simulator], Awaitable[None]], market: str = "spot", **options: Any
) -> None:
    async def main() -> None:
        clock = MarketClock(START)
        products = [Product.parse(text) for text in ("BTC-USD", "GRT-USD:very-thin")]
        venue = {"spot": "binance"}.get(market, f"binance-{market}")
        async with Simulator(SeededMarket(3, products), clock=clock, venue=venue, **options) as simulator:
            _, own = simulator.settings()
            binance = BinanceVenue(
                BinanceSettings(**own),  # type: ignore[arg-type]
                name="binance",
                now=clock.now,
                clock=SystemClock(),
                jitter=lambda: 0.5,
            )
            try:
                await check(binance, simulator)
            finally:
                await binance.aclose()

    asyncio.run(main())


def request(symbol: str, timeframe: Timeframe, buckets: int) -> PageRequest:
    end = timeframe.floor(START)
    return PageRequest(symbol, timeframe, timeframe.grid.back(end, buckets), end)


@pytest.mark.parametrize(("market", "listed", "short"), [("spot", 20, 2), ("usdm", 1, 1), ("us", 10, 2)])
def test_pages_and_the_list_cost_what_the_traits_say_by_the_venues_count(
    market: str, listed: int, short: int
) -> None:
    async def check(venue: BinanceVenue, simulator: Simulator) -> None:
        most = venue.traits.page(M1)
        served, used = venue.traits.served[M1], 0
        for buckets, costs in ((most, 2), (99, short), (100, 2)):
            page = await venue.fetch(request("BTCUSDT", M1, buckets))
            assert isinstance(page, Page) and len(page.rows) == buckets
            used += costs
            assert served.costs_of(buckets) == {"weight": costs} and page.usage == {"weight": used}
        assert await venue.products(["BTCUSDT"])
        page = await venue.fetch(request("BTCUSDT", M1, most))
        assert isinstance(page, Page) and page.usage == {"weight": used + listed + 2}
        assert venue.traits.list_costs == {"weight": listed}
        longer = await venue.fetch(request("BTCUSDT", M1, most + 1))
        assert isinstance(longer, FetchFailure) and longer.kind is FailureKind.PAGE_TOO_LONG
        assert simulator.exchange.counts.candle_requests == 4, "one that would be cut short is not asked for"

    asked(check, market)


def test_an_empty_bucket_has_a_flat_row_and_the_traits_say_so() -> None:
    async def check(venue: BinanceVenue, simulator: Simulator) -> None:
        page = await venue.fetch(request("GRTUSDT", M1, 100))
        assert isinstance(page, Page) and len(page.rows) == 100
        assert sum(row.flat for row in page.rows) > 90 and venue.traits.empty == "flat"

    asked(check)


def test_what_a_minute_may_cost_is_learned_from_the_list_and_shared_as_configured() -> None:
    async def check(venue: BinanceVenue, simulator: Simulator) -> None:
        (before,) = venue.traits.budgets
        listed = await venue.products(["BTCUSDT", "NOPE"])
        assert not isinstance(listed, FetchFailure) and list(listed) == ["BTCUSDT"]
        (after,) = venue.traits.budgets
        assert isinstance(before, Window) and isinstance(after, Window)
        assert (before.size, after.size, after.share) == (6000, 3000, 0.8)
        venue.reconfigure(BinanceSettings(share=0.5))
        (shared,) = venue.traits.budgets
        assert isinstance(shared, Window) and (shared.size, shared.share) == (3000, 0.5)

    asked(check, weight_a_minute=3000)


def test_a_timeframe_that_it_refuses_is_rolled_up_from_now_on_but_never_the_minute() -> None:
    async def check(venue: BinanceVenue, simulator: Simulator) -> None:
        for timeframe, kind in (
            (Timeframe.H8, FailureKind.UNSUPPORTED_TIMEFRAME),
            (M1, FailureKind.BAD_REQUEST),
        ):
            failure = await venue.fetch(request("BTCUSDT", timeframe, 3))
            assert isinstance(failure, FetchFailure) and failure.kind is kind
            assert (timeframe in venue.traits.served) is (timeframe is M1)

    asked(check, rejected_granularities=frozenset({"8h", "1m"}))


def answered(
    answer: Callable[[web.Request], Awaitable[web.Response]],
    check: Callable[[BinanceVenue, list[web.Request]], Awaitable[None]],
    market: Literal["spot", "usdm", "us"] = "spot",
) -> None:
    """A venue that answers so, before its clock is known."""

    async def main() -> None:
        async with rest_server(answer) as (url, requests):
            settings = BinanceSettings(market=market, rest_url=url)
            venue = BinanceVenue(
                settings, name="binance", now=lambda: None, clock=InstantClock(), jitter=lambda: 0.5
            )
            try:
                await check(venue, requests)
            finally:
                await venue.aclose()

    asyncio.run(main())


@pytest.mark.parametrize(("market", "told"), [("spot", "false"), ("usdm", None), ("us", None)])
def test_the_whole_list_is_taken_and_spots_is_asked_for_without_what_makes_it_long(
    market: Literal["spot", "usdm", "us"], told: str | None
) -> None:
    one = '{"symbol":"BTCUSDT","status":"TRADING","permissionSets":[["' + "SPOT," * 2_000_000 + '"]]}'

    async def answer(request: web.Request) -> web.Response:
        return web.json_response(text=f'{{"symbols":[{one}]}}')

    async def check(venue: BinanceVenue, requests: list[web.Request]) -> None:
        listed = await venue.products()
        assert not isinstance(listed, FetchFailure), listed
        assert list(listed) == ["BTCUSDT"]
        assert requests[0].query.get("showPermissionSets") == told

    answered(answer, check, market)


@pytest.mark.parametrize("first", ["null", '"soon"', "-1", "86399999"])
def test_a_first_candle_that_cannot_be_believed_tells_no_beginning(first: str) -> None:
    """Nor is each day of all time listed, of which it may be one."""

    async def answer(request: web.Request) -> web.Response:
        return web.json_response(text=f'[[{first},"1","1","1","1","1"]]')

    async def check(venue: BinanceVenue, requests: list[web.Request]) -> None:
        failure = await venue.begins("BTCUSDT")
        assert isinstance(failure, FetchFailure) and failure.kind is FailureKind.MALFORMED

    answered(answer, check)


def test_a_ban_before_the_venues_clock_is_known_lasts_until_its_end_by_ours() -> None:
    until = int(InstantClock().wall() * 1000) + 600_000

    async def answer(request: web.Request) -> web.Response:
        return web.json_response({"code": -1003, "msg": f"IP banned until {until}."}, status=418)

    async def check(venue: BinanceVenue, requests: list[web.Request]) -> None:
        failure = await venue.time()
        assert isinstance(failure, FetchFailure) and failure.kind is FailureKind.BANNED
        assert failure.retry_after_s == pytest.approx(600.0)

    answered(answer, check)
