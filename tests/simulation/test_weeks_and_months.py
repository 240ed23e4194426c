"""Weeks and months from the venue to the reader, through the whole service and Redis."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest

from livecache.model.grid import EpochGrid, Grid, SessionGrid
from livecache.model.policy import Policy
from livecache.model.timeframe import Timeframe, iso, moment
from livecache.model.traits import Carriage, Served, Traits
from tests.simulation.service import service
from tests.simulation.test_trouble import venue_at
from tests.simulation.virtual import run_virtually

M5, H1, D1, W1, MN1 = map(Timeframe, ("5m", "1h", "1d", "1w", "1M"))
HOUR_MS, DAY_MS = 3_600_000, 86_400_000


def test_weeks_and_months_reach_a_reader_as_the_sums_of_their_days(clean_valkey: str) -> None:
    async def main() -> None:
        venue = venue_at()
        policy = Policy(candles=40, min_candles=20)
        async with service(venue, clean_valkey, ["BTC-USD"], (W1, MN1), policy=policy) as running:
            await running.warm()
            await asyncio.sleep(120)
            for timeframe in (W1, MN1):
                grid = timeframe.grid
                candles = running.reader.candles("BTC-USD", timeframe, 20, forming=True)
                assert len(candles) == 21
                for candle in candles[:-1]:
                    days = range(candle.time, grid.end(candle.time), DAY_MS)
                    rows = venue.market.candles("BTC-USD", D1, days[0], days[-1] + DAY_MS, venue.now())
                    assert candle.volume == float(sum(Decimal(row.volume) for row in rows))
                    assert candle.open == float(rows[0].open) and candle.close == float(rows[-1].close)
                    assert (candle.high, candle.low) == (
                        max(float(row.high) for row in rows),
                        min(float(row.low) for row in rows),
                    )
                assert candles[-1].time == grid.floor(venue.now())
                assert candles.settled_through == grid.floor(venue.now())
                filled = running.reader.candles("BTC-USD", timeframe, 12, empty="carry")
                assert [c.time for c in filled] == list(grid.opens(filled[0].time, filled[-1].time + 1))
                since, until = candles[3].time, candles[9].time
                ranged = running.reader.range("BTC-USD", timeframe, since - 5, until)
                assert [c.time for c in ranged] == [c.time for c in candles[3:9]]
            weeks = running.reader.candles("BTC-USD", "1w", 5)
            assert {moment(candle.time).weekday() for candle in weeks} == {0}
            months = running.reader.candles("BTC-USD", "1M", 5)
            assert all(iso(candle.time).endswith("-01T00:00Z") for candle in months)

    run_virtually(main())


FROM_EIGHT = EpochGrid(DAY_MS, 8 * HOUR_MS)
FIRST = 1_600_041_600_000  # 2020-09-14T00:00Z, a Monday
OPENINGS = tuple(FIRST + day * DAY_MS + 8 * HOUR_MS for day in range(4_000) if day % 7 < 5)
SESSIONS = SessionGrid(OPENINGS, tuple(t + 8 * HOUR_MS for t in OPENINGS))


@pytest.mark.parametrize("grid", [FROM_EIGHT, SESSIONS], ids=["days from 08:00", "eight hours of five days"])
def test_a_reader_needs_no_calendar_of_the_venue(clean_valkey: str, grid: Grid) -> None:
    """Hours are rolled up into days from 08:00, of a venue that is open all day or for eight hours."""
    open_ = grid is FROM_EIGHT
    grids = {D1: grid} if open_ else {D1: grid, H1: SESSIONS.within(HOUR_MS), M5: SESSIONS.within(M5.ms)}
    served = {t: Served(300) for t in (M5, H1)}
    traits = Traits(served, (Carriage(M5),) if open_ else (), grids=grids)

    async def main() -> None:
        venue = venue_at(traits=traits, feedless=not open_)
        policy = Policy(candles=40, min_candles=20)
        async with service(venue, clean_valkey, ["BTC-USD"], (D1, H1), policy=policy) as running:
            await running.warm()
            await asyncio.sleep(60)
            candles = running.reader.candles("BTC-USD", "1d", 20)
            closed = grid.closed(venue.now())
            assert [c.time for c in candles] == [grid.back(closed, n) for n in range(20, 0, -1)]
            assert candles.known_through == grid.closed(venue.now())
            for candle in candles:
                rows = venue.market.candles("BTC-USD", M5, candle.time, grid.end(candle.time), venue.now())
                assert candle.volume == float(sum(Decimal(row.volume) for row in rows))
            ranged = running.reader.range("BTC-USD", "1d", candles[3].time - 5, candles[9].time)
            assert [c.time for c in ranged] == [c.time for c in candles[3:9]]
            filled = running.reader.candles("BTC-USD", "1h", 12, empty="carry")
            hours = grids.get(H1, H1.grid)
            assert [c.time for c in filled] == list(hours.opens(filled[0].time, filled[-1].time + 1))
            found = running.reader.state("BTC-USD", "1d").record
            assert found is not None and found.state.grid and found.state.ready
            usual = running.reader.state("BTC-USD", "1h").record
            assert usual is not None and bool(usual.state.grid) is not open_

    run_virtually(main())
