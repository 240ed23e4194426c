"""A venue that lies: empty pages, an edge minutes behind, products that sleep. What is told is true."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from itertools import product
from random import Random

import pytest

from livecache.model.policy import Policy
from livecache.model.timeframe import Timeframe
from livecache.simulator import Product, SeededMarket
from livecache.simulator.market.market import MarketOverlay
from livecache.venues.venue import FetchFailure, Page, PageRequest
from tests.simulation.model import ModelVenue
from tests.simulation.service import Running, service
from tests.simulation.test_trouble import START, WIDTH, pages, state, venue_at
from tests.simulation.virtual import run_virtually
from tests.simulation.watch import Watcher
from tests.sizes import some

M1, M5, H1, D1 = Timeframe.M1, Timeframe.M5, Timeframe.H1, Timeframe.D1
SYMBOL = "BTC-USD"
Lie = Callable[[Page, float], Page]
KEPT = {"newest": slice(-100, None), "oldest": slice(100), "one": slice(1)}
"""Which rows of a page that is cut short are left."""


def lying(venue: ModelVenue, lie: Lie) -> ModelVenue:
    """Have pages pass through `lie`, which is also told the seconds since the start."""
    fetch, began = venue.fetch, venue.clock.monotonic()

    async def fetch_lie(request: PageRequest) -> Page | FetchFailure:
        page = await fetch(request)
        assert isinstance(page, Page)
        return lie(page, venue.clock.monotonic() - began)

    venue.fetch = fetch_lie  # type: ignore[method-assign]
    return venue


def empty(page: Page) -> Page:
    return replace(page, rows=())


async def watched(running: Running, url: str, seconds: float) -> Watcher:
    """Let time pass; all that is ever told as settled must be what the venue really has."""
    watcher = Watcher(url, running.venue.market, running.writer_series)
    for _ in range(int(seconds / 7)):
        await asyncio.sleep(7)
        watcher.look()
    return watcher


def whole(running: Running, *timeframes: Timeframe, symbol: str = SYMBOL) -> None:
    for timeframe in timeframes:
        assert len(running.reader.candles(symbol, timeframe, 60)) == 60


class Once:
    """The first page of each timeframe is empty."""

    def __init__(self) -> None:
        self.seen: set[Timeframe] = set()

    def __call__(self, page: Page, at_s: float) -> Page:
        first = page.request.timeframe not in self.seen
        self.seen.add(page.request.timeframe)
        return empty(page) if first else page


class Half:
    """Every other page is empty, at random."""

    def __init__(self) -> None:
        self.chance = Random(3)

    def __call__(self, page: Page, at_s: float) -> Page:
        return empty(page) if self.chance.random() < 0.5 else page


LIES: dict[str, tuple[Callable[[], Lie], float, int]] = {
    "once": (Once, 10, 6),
    "for a minute and a half": (lambda: lambda page, at: empty(page) if at < 90 else page, 240, 30),
    "5m alone for half an hour": (
        lambda: lambda page, at: empty(page) if at < 1_800 and page.request.timeframe is M5 else page,
        2_500,
        120,
    ),
    "half of the pages": (Half, 400, 40),
}


@pytest.mark.parametrize("name", some(LIES, "once", "half of the pages"))
def test_an_empty_page_is_asked_for_again_and_costs_nothing_in_the_end(clean_valkey: str, name: str) -> None:
    make, over_s, more = LIES[name]

    async def main() -> None:
        sound = venue_at()
        async with service(sound, clean_valkey, [SYMBOL], [M5, H1, D1], prefix="sound") as running:
            await asyncio.sleep(over_s)
        venue = lying(venue_at(), make())
        async with service(venue, clean_valkey, [SYMBOL], [M5, H1, D1]) as running:
            await watched(running, clean_valkey, over_s)
            whole(running, M5, H1, D1)
            for timeframe in (M5, H1, D1):
                seen = state(running, SYMBOL, timeframe)
                assert seen.ready and not seen.history_from
            assert len(venue.requests) <= len(sound.requests) + more

    run_virtually(main())


@pytest.mark.parametrize(
    ("lie_s", "timeframe"), some(product([0, 100, 600, 1_800], [M5, D1]), (0, D1), (100, M5))
)
def test_an_empty_page_in_the_middle_of_the_search_ends_it_nowhere(
    clean_valkey: str, lie_s: int, timeframe: Timeframe
) -> None:
    """Nor is it ever told as empty; where the timeframe is the venue's biggest, too."""
    step = timeframe.ms
    newest = timeframe.floor(START) - 330 * step
    asked: list[float] = []

    def lie(page: Page, at_s: float) -> Page:
        request = page.request
        if request.timeframe is not timeframe or not newest - 400 * step < request.end <= newest + 10 * step:
            return page
        asked.append(at_s)
        return empty(page) if len(asked) == 1 or at_s < lie_s else page

    async def main() -> None:
        venue = lying(venue_at(), lie)
        policy = Policy(candles=1_200, min_candles=60)
        async with service(venue, clean_valkey, [SYMBOL], [timeframe], policy=policy) as running:
            await watched(running, clean_valkey, 400 + 1.2 * lie_s)
            seen = state(running, SYMBOL, timeframe)
            assert asked and seen.ready and not seen.history_from
            assert len(running.reader.candles(SYMBOL, timeframe, 1_200)) == 1_200
            assert len(venue.requests) <= 30 + lie_s / 60

    run_virtually(main())


@pytest.mark.parametrize(
    ("kept", "feed", "timeframe"),
    some(
        product(KEPT, ["fed", "feedless"], [M5, D1]),
        *(("newest", "fed", M5), ("oldest", "feedless", M5)),
    ),
)
def test_pages_that_are_cut_short_prove_nothing_of_what_they_lack(
    clean_valkey: str, kept: str, feed: str, timeframe: Timeframe
) -> None:
    """For 20 minutes, from the second page on: by the first the product trades in every bucket."""
    asked: list[PageRequest] = []

    def lie(page: Page, at_s: float) -> Page:
        asked.append(page.request)
        cut = page.request.timeframe is timeframe and len(asked) > 1 and at_s < 1_200
        return replace(page, rows=page.rows[KEPT[kept]]) if cut else page

    async def main() -> None:
        venue = lying(venue_at(feedless=feed == "feedless"), lie)
        policy = Policy(candles=700, min_candles=60)
        async with service(venue, clean_valkey, [SYMBOL], [timeframe], policy=policy) as running:
            await watched(running, clean_valkey, 1_700)
            assert len(running.reader.candles(SYMBOL, timeframe, 700)) == 700
            assert len(venue.requests) <= 150

    run_virtually(main())


@pytest.mark.parametrize("timeframes", [[M5], [D1], [M1]])
def test_while_all_pages_are_empty_nothing_is_told_and_when_they_are_not_all_is(
    clean_valkey: str, timeframes: list[Timeframe]
) -> None:
    async def main() -> None:
        venue = lying(venue_at(), lambda page, at: empty(page) if at < 100 else page)
        async with service(venue, clean_valkey, [SYMBOL], timeframes) as running:
            await asyncio.sleep(90)
            assert not state(running, SYMBOL, timeframes[0]).ready
            assert not state(running, SYMBOL, timeframes[0]).history_from, "waiting for it is of use"
            await watched(running, clean_valkey, 300)
            whole(running, *timeframes)

    run_virtually(main())


@pytest.mark.parametrize("minutes", some([1, 3, 7, 20], 7))
def test_while_rest_is_minutes_behind_a_sound_feed_nothing_partial_is_ever_settled(
    clean_valkey: str, minutes: int
) -> None:
    async def main() -> None:
        venue = venue_at()
        async with service(venue, clean_valkey, [SYMBOL], [M5, H1]) as running:
            await running.warm()
            venue.edge_lag_ms = minutes * 60_000
            await watched(running, clean_valkey, 2_400)
            candles = running.reader.candles(SYMBOL, "5m", 60)
            assert candles.known_through == M5.floor(venue.now()), "readers have what the feed vouches for"
            assert candles.settled_through <= venue.now() - venue.edge_lag_ms
            venue.edge_lag_ms = 0
            await watched(running, clean_valkey, 400)
            assert state(running, SYMBOL, M5).settled_through >= M5.floor(venue.now() - 70_000)
            assert running.live.timeline.counters.disputes_lost == 0

    run_virtually(main())


class Halted(MarketOverlay):
    """Nothing was traded since so many hours before the start."""

    def __init__(self, market: SeededMarket, hours: float) -> None:
        super().__init__(market)
        self.last = START - int(hours * 3_600_000)

    def candles(self, product, timeframe, start_ms, end_ms, now_ms):  # type: ignore[no-untyped-def]
        return super().candles(product, timeframe, start_ms, end_ms, min(now_ms, self.last))

    def trades(self, product, from_ms, to_ms):  # type: ignore[no-untyped-def]
        return super().trades(product, from_ms, min(to_ms, self.last))


@pytest.mark.parametrize("hours", some([2, 10, 72, 100], 2, 72))
def test_a_product_that_was_halted_for_days_shows_its_last_candles(clean_valkey: str, hours: int) -> None:
    async def main() -> None:
        venue = venue_at(market=Halted(SeededMarket(7), hours))  # type: ignore[arg-type]
        async with service(venue, clean_valkey, [SYMBOL], [M5, H1]) as running:
            await watched(running, clean_valkey, 400)
            for timeframe in (M5, H1):
                candles = running.reader.candles(SYMBOL, timeframe, 60)
                assert len(candles) == 60
                assert candles[-1].time + timeframe.ms >= START - hours * 3_600_000 - timeframe.ms
            asked = len(venue.requests)
            await asyncio.sleep(3_600)
            assert len(venue.requests) <= asked + 20, "a dozen closes, and what is presumed once"

    run_virtually(main())


def test_a_very_thin_product_is_short_and_never_in_a_hole_that_nobody_can_fill(clean_valkey: str) -> None:
    """The snapshot of its trades reaches back for weeks, further than anybody searches."""

    async def main() -> None:
        market = SeededMarket(7, [Product.parse("RARE-USD:very-thin"), Product.parse("THIN-USD:thin")])
        venue = venue_at(market=market)
        symbols = ["RARE-USD", "THIN-USD"]
        async with service(venue, clean_valkey, symbols, [M1, M5, H1]) as running:
            weeks_ago = START - 16 * D1.ms
            trades = market.trades("RARE-USD", weeks_ago, START)
            told = [("RARE-USD", t.trade_id, t.price, t.size, t.time_us // 1000) for t in trades]
            running.live.timeline.feed_trades(0, START, told, START)
            await running.until(lambda: running.live.warm_s is not None, within_s=30)
            watcher = await watched(running, clean_valkey, 300)
            seen = state(running, "RARE-USD", M1)
            assert seen.reason.startswith("venue has only")
            oldest = min(watcher.members("RARE-USD", M1))
            assert oldest >= seen.coverage.spans[0].start

    run_virtually(main())


def test_what_was_told_as_the_end_of_history_is_taken_back_by_time_and_after_a_restart(
    clean_valkey: str,
) -> None:
    """All that lay beyond the first page was empty, for minutes: nobody could know."""
    young = Product.parse("THIN-USD:thin")

    def hides(page: Page, at_s: float) -> Page:
        rows = [row for row in page.rows if row.time >= START - 200 * WIDTH]
        return replace(page, rows=tuple(rows))

    async def first() -> None:
        venue = venue_at(market=SeededMarket(7, [young]))
        async with service(lying(venue, hides), clean_valkey, ["THIN-USD"], [M5]) as running:
            await asyncio.sleep(200)
            assert state(running, "THIN-USD", M5).history_from

    async def again(lie_until_s: float) -> None:
        later = venue_at(START + 300_000, market=SeededMarket(7, [young]))
        lie: Lie = lambda page, at_s: hides(page, at_s) if at_s < lie_until_s else page  # noqa: E731
        async with service(lying(later, lie), clean_valkey, ["THIN-USD"], [M5]) as running:
            assert "venue has only" in state(running, "THIN-USD", M5).reason, "it is served meanwhile"
            await asyncio.sleep(lie_until_s + (80 if not lie_until_s else 3_700))
            whole(running, M5, symbol="THIN-USD")
            assert pages(later, M5)

    run_virtually(first())
    run_virtually(again(120.0))
