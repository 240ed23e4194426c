"""Buckets that a page leaves open: they heal, are not asked for in a loop, and nothing grows for ever."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest

from livecache.model.timeframe import Timeframe
from livecache.venues.venue import FailureKind, FetchFailure, Page, PageRequest
from tests.simulation.model import ModelVenue
from tests.simulation.service import service
from tests.simulation.test_trouble import START, WIDTH, pages, state, venue_at
from tests.simulation.virtual import run_virtually
from tests.simulation.watch import Watcher
from tests.simulation.wire import on_the_wire

M1, M5, M15, M30 = Timeframe.M1, Timeframe.M5, Timeframe.M15, Timeframe.M30
H1, H2, H4, H6, D1 = (Timeframe.H1, Timeframe.H2, Timeframe.H4, Timeframe.H6, Timeframe.D1)


def spoil(venue: ModelVenue, change: Callable[[Page], Page]) -> None:
    """Have every page changed on its way."""
    fetch = venue.fetch

    async def spoilt(request: PageRequest) -> Page | FetchFailure:
        page = await fetch(request)
        return change(page) if isinstance(page, Page) else page

    venue.fetch = spoilt  # type: ignore[method-assign]


def test_a_nonsense_row_in_an_older_page_is_not_asked_for_in_a_loop(clean_valkey: str) -> None:
    async def main() -> None:
        venue = venue_at()
        bad = M5.floor(START) - 400 * WIDTH  # beyond the first page of a symbol that has to be widened

        def without_bad(page: Page) -> Page:
            rejected = frozenset({bad}) if page.request.timeframe is M5 else frozenset()
            return replace(page, rows=tuple(r for r in page.rows if r.time != bad), rejected=rejected)

        spoil(venue, without_bad)
        async with service(venue, clean_valkey, ["RAD-USD"], [M5]):
            await asyncio.sleep(600)
            assert len(venue.requests) < 60

    run_virtually(main())


def test_pages_of_which_no_row_can_be_read_are_not_asked_for_in_a_loop(clean_valkey: str) -> None:
    async def main() -> None:
        venue = on_the_wire(venue_at(), lambda request, rows, at: [{**row, "start": None} for row in rows])
        async with service(venue, clean_valkey, ["BTC-USD"], [M5]) as running:
            await asyncio.sleep(600)
            assert len(venue.requests) < 40
            assert not state(running, "BTC-USD", M5).ready
            assert not state(running, "BTC-USD", M5).coverage, "nothing is claimed"

    run_virtually(main())


def test_a_venue_that_goes_on_refusing_the_length_of_a_page_is_not_asked_in_a_loop(clean_valkey: str) -> None:
    async def main() -> None:
        venue = venue_at()
        venue.fault = lambda r: FetchFailure(FailureKind.PAGE_TOO_LONG, "number of candles requested", 400)
        async with service(venue, clean_valkey, ["BTC-USD"], [M5]):
            await asyncio.sleep(600)
            assert len(venue.requests) < 40

    run_virtually(main())


@pytest.mark.parametrize(
    ("symbol", "timeframes"), [("GRT-USD", [M1]), ("RAD-USD", [M1, M5]), ("KNC-USD", [M1, M30, H2, H6])]
)
def test_an_absence_longer_than_a_page_heals_for_thin_minutes_too(
    clean_valkey: str, symbol: str, timeframes: list[Timeframe]
) -> None:
    async def first() -> None:
        async with service(venue_at(), clean_valkey, [symbol], timeframes):
            await asyncio.sleep(120)

    async def again() -> None:
        later = START + 20_000_000
        venue = venue_at(later)
        async with service(venue, clean_valkey, [symbol], timeframes) as running:
            watcher = Watcher(clean_valkey, venue.market, running.writer_series)
            await asyncio.sleep(900)
            watcher.look()
            for timeframe in timeframes:
                spans = state(running, symbol, timeframe).coverage.spans
                assert len(spans) == 1, f"{timeframe} still has a hole: {spans}"
                assert spans[0].end >= timeframe.floor(venue.now() - 400_000)
            assert len(venue.requests) < 150

    run_virtually(first())
    run_virtually(again())


def test_an_outage_of_rest_for_many_hours_grows_nothing(clean_valkey: str) -> None:
    async def main() -> None:
        venue = venue_at(speed=60.0, tick_ms=30_000)
        async with service(venue, clean_valkey, ["BTC-USD"], [M5, M15]) as running:
            await running.warm()
            venue.fault = lambda r: FetchFailure(FailureKind.NETWORK, "unreachable")
            await asyncio.sleep(24 * 60)
            watcher = Watcher(clean_valkey, venue.market, running.writer_series)
            assert len(watcher.members("BTC-USD", M5)) <= 100 + 24 + 2
            venue.fault = None
            await asyncio.sleep(120)
            watcher.look()
            assert state(running, "BTC-USD", M5).ready
            assert len(state(running, "BTC-USD", M5).coverage.spans) == 1

    run_virtually(main())


def test_what_a_roll_up_of_a_thin_symbol_shows_as_forming_is_what_traded(clean_valkey: str) -> None:
    """Empty children are news too: the parents of parents must hear of them."""

    async def main() -> None:
        frames = (M5, M15, H1, H4)
        venue = venue_at(tick_ms=5_000)
        async with service(venue, clean_valkey, ["RAD-USD", "GRT-USD"], frames) as running:
            watcher = Watcher(clean_valkey, venue.market, running.writer_series)
            shown = 0
            for _ in range(150):
                await asyncio.sleep(37)
                for symbol in ("RAD-USD", "GRT-USD"):
                    for timeframe in frames:
                        forming = state(running, symbol, timeframe).forming
                        if not forming:
                            continue
                        ticked = venue.now() - venue.now() % 1
                        truth = venue.market.candles(symbol, timeframe, forming, forming + 1, ticked - 5_000)
                        held = watcher.members(symbol, timeframe).get(forming)
                        assert held is not None or not truth, f"{symbol} {timeframe}: traded, but not shown"
                        if truth and held is not None:
                            assert held[4] >= float(truth[0].volume) * 0.999999, (
                                f"{symbol} {timeframe}: too little"
                            )
                            shown += 1
            assert shown > 100
            assert venue.requests
            assert len(pages(venue, M5)) < 200

    run_virtually(main())
