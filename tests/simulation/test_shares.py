"""The warm cache on the simulated Yahoo, before and after a weekend: readers have what was traded."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from livecache.engine.venue_time import VenueTime
from livecache.model.policy import Policy
from livecache.model.timeframe import Timeframe
from livecache.simulator import MarketClock, Simulator
from livecache.simulator.yahoo.face import YahooFace
from livecache.simulator.yahoo.faults import YahooFaults
from livecache.simulator.yahoo.market import ShareMarket
from livecache.venues.yahoo.settings import YahooSettings
from livecache.venues.yahoo.venue import YahooVenue
from tests.simulation.service import DEFAULT, Running, service
from tests.simulation.virtual import VirtualClock, run_virtually
from tests.simulator.shares import DAY, NEW_YORK, SHARES, ms

MONDAY, MINUTE_MS = ms("2026-07-20"), 60_000
HOUR_S = 3_600
SYMBOLS = ("AAPL", "SPLIT")
MANY = (*SYMBOLS, "MSFT", "REVERSE", "^GSPC", "BRK-A")


@asynccontextmanager
async def shares_at(
    start: int, url: str, symbols: Sequence[str], faults: YahooFaults | None = None
) -> AsyncIterator[tuple[Running, YahooFace]]:
    """The service, warm, and the exchange that it asks from `start` (Unix ms) on."""
    clock = VirtualClock(start / 1000)
    market, time = MarketClock(start, 1.0, clock.monotonic), VenueTime(clock)
    async with Simulator(
        ShareMarket(NEW_YORK, SHARES), clock=market, venue="yahoo", host_clock=clock, faults=faults
    ) as simulator:
        settings = YahooSettings(rest_url=simulator.rest_url)
        venue = YahooVenue(settings, name="yahoo", now=time.if_known, clock=clock, jitter=lambda: 0.5)
        policy = Policy(100, 60, settle_delay_ms=venue.traits.settle_delay_ms)
        async with service(venue, url, symbols, policy=policy, rate=None, time=time) as running:
            await running.until(lambda: running.live.warm_s is not None, HOUR_S)
            assert isinstance(simulator.exchange, YahooFace)
            yield running, simulator.exchange
        await venue.aclose()


def compare(running: Running, face: YahooFace, symbols: Sequence[str]) -> None:
    """What a reader gets of each timeframe that the exchange serves, beside what was traded by now."""
    truth, now = face.truth, running.live.now()
    for symbol, timeframe in ((s, t) for s in symbols for t in DEFAULT):
        told = running.reader.candles(symbol, timeframe.value, 60)
        if timeframe is Timeframe.H4:
            continue
        span = told[0].time - 7 * DAY, now + 1
        settled = truth.settled(symbol, timeframe, *span, now)
        known = settled + truth.provisional(symbol, timeframe, *span, now)
        expected = [(row.time, *map(float, row.numbers)) for row in known]
        assert [tuple(candle) for candle in told] == expected[-60:], (symbol, timeframe)
        assert told.settled_through == NEW_YORK.grid(timeframe).end(settled[-1].time)


@pytest.mark.parametrize(
    ("start", "stays_s", "requests"),
    [
        pytest.param(MONDAY - DAY, 60, 3, id="on Sunday"),
        # Before Friday is final, once it is, and with the first five minutes.
        pytest.param(MONDAY + 15 * MINUTE_MS, 420, 8, id="on Monday, when Friday becomes final"),
    ],
)
def test_all_is_ready_and_as_it_was_traded_and_hardly_anything_is_asked_for(
    clean_valkey: str, start: int, stays_s: float, requests: int
) -> None:
    async def main() -> None:
        async with shares_at(start, clean_valkey, SYMBOLS) as (running, face):
            await asyncio.sleep(stays_s)
            compare(running, face, SYMBOLS)
            asked = Counter(record.product for record in face.requests)
            assert all(asked[s] <= requests for s in SYMBOLS), "days, hours, five minutes: the rest adds up"
            assert {record.status for record in face.requests} == {200}

    run_virtually(main())


@pytest.mark.parametrize(
    ("seed", "stays_s"),
    [(3, 0), *(pytest.param(seed, HOUR_S + 300, marks=pytest.mark.long) for seed in range(8))],
)
def test_whatever_goes_wrong_what_is_read_in_the_end_was_traded(
    clean_valkey: str, seed: int, stays_s: float
) -> None:
    """In the end: a day that Yahoo says was not traded is looked at again an hour later."""

    async def main() -> None:
        start = MONDAY - DAY
        clock = VirtualClock(start / 1000)
        faults = YahooFaults(seed, start + 20 * MINUTE_MS, 0.3, host_clock=clock)
        async with shares_at(start, clean_valkey, MANY, faults) as (running, face):
            await asyncio.sleep(stays_s)
            compare(running, face, MANY)
        assert len(+faults.counts) > 2 and not faults.counts["asked all the same"], faults.counts

    run_virtually(main())
