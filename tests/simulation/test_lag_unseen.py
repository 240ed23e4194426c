"""A venue minutes behind, no feed, a product that sleeps: nobody can see it, and nothing false is settled."""

from __future__ import annotations

import asyncio

import pytest

from livecache.model.timeframe import Timeframe
from livecache.simulator import Product, SeededMarket
from tests.simulation.model import ModelVenue
from tests.simulation.service import Running, service
from tests.simulation.test_trouble import START, state, venue_at
from tests.simulation.virtual import run_virtually
from tests.simulation.watch import Watcher

M1, M5 = Timeframe.M1, Timeframe.M5
SYMBOL = "THIN-USD"
LAG_MS = 20 * 60_000


def told_as_settled(running: Running, watcher: Watcher, timeframe: Timeframe) -> int:
    """How many buckets are told as settled; each is as the market has it."""
    rows = watcher.members(SYMBOL, timeframe)
    coverage = state(running, SYMBOL, timeframe).coverage
    for start, end in coverage:
        truth = {c.time for c in running.venue.market.candles(SYMBOL, timeframe, start, end, 1 << 60)}
        assert {t for t in rows if start <= t < end} == truth
    return sum((end - start) // timeframe.ms for start, end in coverage)


@pytest.mark.parametrize("stands_still", [False, True])
def test_what_a_lagging_venue_alone_says_of_a_sleeping_product_is_not_told_as_settled(
    clean_valkey: str, stands_still: bool
) -> None:
    def lag(venue: ModelVenue, asked_from: int) -> None:
        venue.edge_lag_ms = LAG_MS + (venue.now() - asked_from if stands_still else 0)

    async def main() -> None:
        market = SeededMarket(11, [Product.parse(f"{SYMBOL}:thin")])
        for start in (START, START + 1_000_000):  # and once more after a restart
            venue = venue_at(start, market=market, feedless=True)
            async with service(venue, clean_valkey, [SYMBOL], [M1, M5]) as running:
                watcher = Watcher(clean_valkey, market, running.writer_series)
                for _ in range(30):
                    lag(venue, start)
                    await asyncio.sleep(31)
                    assert all(told_as_settled(running, watcher, t) for t in (M1, M5))
                assert len(running.reader.candles(SYMBOL, "1m", 60)) == 60, "it can be read all the while"

    run_virtually(main())
