"""Weeks and months from the venue to the reader, through the whole service and Redis."""

from __future__ import annotations

import asyncio
from decimal import Decimal

from livecache.model.policy import Policy
from livecache.model.timeframe import Timeframe, iso, moment
from tests.simulation.service import service
from tests.simulation.test_trouble import venue_at
from tests.simulation.virtual import run_virtually

D1, W1, MN1 = Timeframe.D1, Timeframe.W1, Timeframe.MN1
DAY_MS = 86_400_000


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
