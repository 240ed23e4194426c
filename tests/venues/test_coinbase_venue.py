"""The venue as the rest of livecache sees it."""

from __future__ import annotations

import asyncio

from aiohttp import web

from livecache.model.timeframe import Timeframe
from livecache.venues.coinbase.settings import CoinbaseSettings
from livecache.venues.coinbase.venue import CoinbaseVenue
from livecache.venues.venue import Feed, FetchFailure, Page, PageRequest, Venue

from .loopback import InstantClock, payload, rest_server


def venue(config: CoinbaseSettings) -> Venue:
    return CoinbaseVenue(
        config, key=None, name="coinbase", now=lambda: None, clock=InstantClock(), jitter=lambda: 0.0
    )


def test_its_origin_is_where_history_comes_from() -> None:
    assert venue(CoinbaseSettings()).origin == "https://api.coinbase.com"
    local = venue(CoinbaseSettings(rest_url="http://user:hunter2@localhost:8080/prefix/"))
    assert local.origin == "http://localhost:8080"
    assert local.name == "coinbase"
    assert local.traits.page(Timeframe.M5) == 330
    assert set(Timeframe) - set(local.traits.served) == set(map(Timeframe, ("3m", "8h", "12h", "1w", "1M")))


def test_products_are_split_over_connections_and_aliases_share_one() -> None:
    config = CoinbaseSettings(products_per_connection=2)
    asked = ["A-USD", "B-USD", "C-USD", "A-USDC", "D-USD", "D-USD"]
    feeds: list[Feed] = list(venue(config).feeds(asked, {"A-USDC": "A-USD"}, trades=False))
    assert [feed.products for feed in feeds] == [("A-USD", "A-USDC", "B-USD"), ("C-USD", "D-USD")]


def test_no_products_need_no_connection() -> None:
    assert venue(CoinbaseSettings()).feeds([], {}, trades=False) == ()


def test_it_reads_the_time_the_products_and_candles() -> None:
    async def answer(request: web.Request) -> web.Response:
        end = request.path.rpartition("/")[2]
        return web.Response(body=payload(f"rest_{end}"))

    async def scenario() -> None:
        async with rest_server(answer) as (url, _):
            coinbase = venue(CoinbaseSettings(rest_url=url))
            assert await coinbase.time() == 1784086811584
            products = await coinbase.products()
            assert not isinstance(products, FetchFailure)
            page = await coinbase.fetch(PageRequest("BTC-USD", Timeframe.M5, 1784086800000, 1784088000000))
            assert isinstance(page, Page)
            assert len(page.rows) == 3
            await coinbase.aclose()

    asyncio.run(scenario())
