"""Yahoo's pages beside the truth of the simulated one, and beside what yfinance makes of the same answers."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
from requests.adapters import HTTPAdapter

from livecache.model.timeframe import Timeframe
from livecache.simulator import Simulator
from livecache.simulator.yahoo.market import ShareMarket
from livecache.simulator.yahoo.oddities import ODDITIES, Oddity
from livecache.simulator.yahoo.truth import Truth
from livecache.venues.venue import FailureKind, FetchFailure, Page, PageRequest
from livecache.venues.yahoo.venue import YahooVenue
from tests.simulator.shares import DAY, NEW_YORK, NOON, SHARES
from tests.simulator.support import StillClock
from tests.venues.yahoo import venue_of

M1, M15, H1, D1 = Timeframe.M1, Timeframe.M15, Timeframe.H1, Timeframe.D1
SPOILING = ODDITIES[ODDITIES.index("null rows") :]
HARMLESS = ODDITIES[: ODDITIES.index("null rows")]
SYMBOLS = ("AAPL", "HALT", "SPLIT", "THIN", "^GSPC", "BRK-A", "IPO")


@asynccontextmanager
async def yahoo(
    now: int = NOON, *, closed: Sequence[date] = (), **options: Any
) -> AsyncIterator[tuple[YahooVenue, Truth, str]]:
    """A venue, whose clock stands still, and the exchange that it asks: its truth, and its URL."""
    still = StillClock()
    market = ShareMarket(NEW_YORK, SHARES, closed=closed)
    told = {"requests_per_second": 0, "oddities": (), **options}
    clock = still.market(now)
    async with Simulator(market, clock=clock, venue="yahoo", host_clock=still, **told) as simulator:
        venue = venue_of(simulator.rest_url, now)
        try:
            yield venue, simulator.exchange.truth, simulator.rest_url  # type: ignore[attr-defined]
        finally:
            await venue.aclose()


def window(timeframe: Timeframe, now: int = NOON) -> tuple[int, int]:
    """A page up to the bucket in progress, and with it."""
    grid, days = NEW_YORK.grid(timeframe), {D1: 400, H1: 60, M15: 25, M1: 4}[timeframe]
    return grid.ceil(now - days * DAY), grid.end(grid.floor(now))


async def page_of(
    venue: YahooVenue, symbol: str, timeframe: Timeframe, now: int = NOON
) -> Page | FetchFailure:
    return await venue.fetch(PageRequest(symbol, timeframe, *window(timeframe, now)))


@pytest.mark.parametrize(
    ("oddity", "timeframe"),
    [
        *((oddity, D1) for oddity in HARMLESS),
        *(
            (oddity, timeframe)
            for oddity in ("live row", "before and after hours")
            for timeframe in (H1, M15, M1)
        ),
    ],
)
def test_whatever_yahoo_is_known_to_do_its_pages_are_what_was_traded(
    oddity: Oddity, timeframe: Timeframe
) -> None:
    async def main() -> None:
        async with yahoo(oddities=(oddity,)) as (venue, truth, _):
            for symbol in SYMBOLS[:3] if timeframe is M1 else SYMBOLS:
                page = await page_of(venue, symbol, timeframe)
                assert isinstance(page, Page), page
                told = window(timeframe)
                traded = truth.settled(symbol, timeframe, *told) + truth.provisional(symbol, timeframe, *told)
                over = {row.time for row in traded}
                assert [row for row in page.rows if row.time in over] == traded
                # Beside them there is at most the bucket in progress, once.
                assert [row.time for row in page.rows if row.time not in over] in (
                    [],
                    [NEW_YORK.grid(timeframe).floor(NOON - 900_000)],
                )
                assert not page.rejected
                assert list(page.actions) == truth.actions(symbol, *told)
                assert page.about is not None and page.about.listed == truth.listed(symbol)

    asyncio.run(main())


@pytest.mark.parametrize("oddity", SPOILING)
def test_a_spoilt_row_costs_its_bucket_and_a_spoilt_page_is_none(oddity: Oddity) -> None:
    async def main() -> None:
        async with yahoo(oddities=(oddity,)) as (venue, truth, _):
            page = await page_of(venue, "AAPL", D1)
            if isinstance(page, FetchFailure):
                assert page.kind is FailureKind.MALFORMED
                return
            rows = {row.time: row for row in page.rows}
            for row in truth.settled("AAPL", D1, *window(D1)):
                assert rows.get(row.time) == row or row.time in page.rejected or oddity == "null rows"
            assert len(rows) > 200

    asyncio.run(main())


def test_days_on_which_the_calendar_is_wrong_are_absent() -> None:
    async def main() -> None:
        async with yahoo(closed=[date(2026, 7, 8)]) as (venue, truth, _):
            page = await page_of(venue, "AAPL", D1)
            assert isinstance(page, Page)
            there = {row.time for row in page.rows}
            assert truth.absent("AAPL", D1, *window(D1)) == [
                time for time in NEW_YORK.sessions.opens(*window(D1)) if time not in there
            ]

    asyncio.run(main())


def test_the_delisted_the_unknown_and_what_was_before_the_listing() -> None:
    async def main() -> None:
        async with yahoo() as (venue, truth, _):
            for symbol in ("GONE", "NOPE"):
                told = await page_of(venue, symbol, D1)
                assert isinstance(told, FetchFailure) and told.kind is FailureKind.UNKNOWN_SYMBOL
            before = truth.listed("IPO")
            early = PageRequest(
                "IPO", D1, NEW_YORK.sessions.back(before, 30), NEW_YORK.sessions.back(before, 5)
            )
            told = await venue.fetch(early)
            assert isinstance(told, Page) and told.rows == ()

    asyncio.run(main())


@pytest.mark.parametrize("span", [8, 5])
def test_all_that_is_within_reach_is_had_without_a_refusal_or_after_one(span: int) -> None:
    """Whatever Yahoo calls too long: it says so once, and is obeyed."""

    async def main() -> None:
        async with yahoo(span_days={"1m": span}) as (venue, truth, _):
            grid = NEW_YORK.grid(M1)
            start, end = venue.traits.oldest(M1, NOON), grid.floor(NOON)
            got: list[Any] = []
            refused = 0
            while start < end:
                until = min(end, grid.after(start, venue.traits.page(M1)))
                page = await venue.fetch(PageRequest("AAPL", M1, start, until))
                if isinstance(page, FetchFailure):
                    assert page.kind is FailureKind.PAGE_TOO_LONG, page
                    refused += 1
                    continue
                got += page.rows
                start = until
            assert refused <= 1
            settled = truth.settled("AAPL", M1, venue.traits.oldest(M1, NOON), end)
            assert got[: len(settled)] == settled and len(settled) > 6_000

    asyncio.run(main())


class Loopback(HTTPAdapter):
    """Sends whatever is meant for Yahoo to loopback."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self._url = url

    def send(self, request: requests.PreparedRequest, *args: Any, **more: Any) -> requests.Response:
        meant = request.copy()
        meant.url = self._url + request.path_url
        response = super().send(meant, *args, **more)
        response.url = request.url or ""
        return response


def by_yfinance(url: str, cache: Path, symbol: str, interval: str, start: int, end: int) -> Any:
    """What yfinance makes of the same answers: a frame."""
    with warnings.catch_warnings():
        import yfinance

        warnings.simplefilter("ignore")  # of pandas', by what yfinance does, which asks for them to be shown
        yfinance.set_tz_cache_location(str(cache))
        session = requests.Session()
        session.mount("https://", Loopback(url))
        ticker = yfinance.Ticker(symbol, session=session)
        try:
            return ticker.history(
                start=start // 1000, end=end // 1000, interval=interval, auto_adjust=False, actions=True
            )
        finally:
            session.close()


@pytest.mark.parametrize("timeframe", [D1, H1])
def test_yfinance_reads_the_same_answers_as_the_same_rows(timeframe: Timeframe, tmp_path: Path) -> None:
    async def main() -> None:
        async with yahoo(oddities=("live row", "today twice")) as (venue, _, url):
            start, end = window(timeframe)
            for symbol in ("AAPL", "SPLIT", "^GSPC"):
                page = await page_of(venue, symbol, timeframe)
                assert isinstance(page, Page), page
                frame = await asyncio.to_thread(
                    by_yfinance, url, tmp_path, symbol, timeframe.value, start, end
                )
                theirs = {
                    int(time.timestamp() * 1000): (row.Open, row.High, row.Low, row.Close, row.Volume)
                    for time, row in frame.iterrows()
                }
                ours = {row.time: row for row in page.rows}
                if timeframe is D1:  # theirs bear midnight
                    theirs = {NEW_YORK.sessions.ceil(time): numbers for time, numbers in theirs.items()}
                progress = NEW_YORK.grid(timeframe).floor(NOON)
                assert set(theirs) - {progress} == set(ours) - {progress} and len(ours) > 200
                for time, row in ours.items():
                    if time != progress:
                        prices = [float(np.float32(number)) for number in row.numbers[:4]]
                        assert (*prices, int(row.volume)) == theirs[time]
                paid = [float(action.value) for action in page.actions if action.kind == "dividend"]
                assert paid == pytest.approx([each for each in frame.Dividends if each])
                split = [action.value for action in page.actions if action.kind == "split"]
                assert split == [
                    f"{int(each)}/1" if each == int(each) else "3/2" for each in frame["Stock Splits"] if each
                ]

    asyncio.run(main())
