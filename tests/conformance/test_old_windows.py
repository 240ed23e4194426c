"""Pages of years ago: as deep as they go, at the listing, in a halt. Of each venue that is simulated."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import pytest

from livecache.model.rollup import roll_up
from livecache.model.timeframe import Timeframe
from livecache.simulator import Product, SeededMarket
from livecache.simulator.market.charted import OutOfOrder
from livecache.simulator.market.market import Market
from livecache.venues.venue import FailureKind, HistoryVenue, Page, PageRequest

from .bench import Bench, Make, on
from .binance import BinanceFace
from .coinbase import CoinbaseFace
from .deribit import DeribitFace

M1, H1, D1 = Timeframe.M1, Timeframe.H1, Timeframe.D1
LISTED = 1_551_398_400_000  # 2019-03-01
HALT = (LISTED + 500 * D1.ms + 7 * H1.ms + 13 * M1.ms, LISTED + 502 * D1.ms + 10 * H1.ms)
"""Two days and a part of the third."""


def market() -> Market:
    products = [Product.parse("BTC-USD")._replace(listed_ms=LISTED), Product.parse("ETH-USD")]
    return OutOfOrder(SeededMarket(3, products), [HALT])


FACES: Mapping[str, Make] = {
    "coinbase": lambda start, speed, host: CoinbaseFace(start, speed, host, market()),
    "deribit": lambda start, speed, host: DeribitFace(start, speed, host, market()),
    "binance": lambda start, speed, host: BinanceFace(start, speed, host, "spot", market()),
    "binance-usdm": lambda start, speed, host: BinanceFace(start, speed, host, "usdm", market()),
}


@pytest.fixture(params=FACES.values(), ids=list(FACES))
def old(request: pytest.FixtureRequest) -> Make:
    made: Make = request.param
    return made


async def equals_the_market(bench: Bench, timeframe: Timeframe, around: int, before: int, after: int) -> Page:
    """A page of so many buckets on both sides of a time is what was traded then."""
    grid = bench.venue.traits.grid(timeframe)
    start, end = grid.far_back(around, before), grid.after(grid.ceil(around), after)
    page = await bench.page(PageRequest(bench.face.symbol, timeframe, start, end))
    truth = bench.face.rows(bench.face.symbol, timeframe, start, end)
    assert page.rows == tuple(truth) and not page.rejected
    return page


def test_a_page_is_as_deep_as_the_venue_goes(old: Make) -> None:
    async def check(bench: Bench) -> None:
        traits = bench.venue.traits
        for timeframe in (M1, H1):
            most = traits.deep_page(timeframe)
            page = await equals_the_market(bench, timeframe, LISTED + 800 * D1.ms, most, 0)
            assert len(page.rows) == most >= traits.page(timeframe)
        too_long = PageRequest(bench.face.symbol, M1, LISTED, LISTED + (traits.deep_page(M1) + 1) * M1.ms)
        assert (await bench.failure(too_long)).kind is FailureKind.PAGE_TOO_LONG

    on(old, check)


def test_history_begins_at_the_listing_and_the_venue_may_say_when(old: Make) -> None:
    async def check(bench: Bench) -> None:
        traits = bench.venue.traits
        for timeframe in (M1, H1, D1):
            page = await equals_the_market(bench, timeframe, LISTED, 20, 30)
            assert page.rows[0].time == traits.grid(timeframe).floor(LISTED) and len(page.rows) >= 30
            assert (await equals_the_market(bench, timeframe, LISTED - 90 * D1.ms, 50, 0)).rows == ()
        told = await cast("HistoryVenue", bench.venue).begins(bench.face.symbol)
        assert told == (LISTED if traits.dated or traits.begins else 0)

    on(old, check)


def test_in_a_halt_nothing_is_traded_and_around_it_all_is_there(old: Make) -> None:
    async def check(bench: Bench) -> None:
        for timeframe in (M1, H1, D1):
            for edge in HALT:
                page = await equals_the_market(bench, timeframe, edge, 40, 40)
                traded = {row.time for row in page.rows if not row.flat}
                grid = bench.venue.traits.grid(timeframe)
                assert traded and not any(HALT[0] <= time and grid.end(time) <= HALT[1] for time in traded)
        day = await equals_the_market(bench, D1, HALT[0], 1, 0)
        minutes = [
            row for hours in range(0, 24, 4)
            for row in (await equals_the_market(bench, M1, day.rows[0].time + hours * H1.ms, 0, 240)).rows
            if not row.flat
        ]  # fmt: skip
        summed = roll_up(day.rows[0].time, minutes)
        assert summed and summed.equals(day.rows[0])

    on(old, check)
