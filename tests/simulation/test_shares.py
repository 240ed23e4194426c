"""The warm cache on the simulated Yahoo, before and after a weekend: readers have what was traded."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from livecache.engine.venue_time import VenueTime
from livecache.model.policy import Policy
from livecache.model.timeframe import Timeframe
from livecache.simulator import MarketClock, Simulator
from livecache.simulator.yahoo.face import YahooFace
from livecache.simulator.yahoo.market import ShareMarket
from livecache.simulator.yahoo.truth import Truth
from livecache.venues.yahoo.settings import YahooSettings
from livecache.venues.yahoo.venue import YahooVenue
from tests.simulation.service import DEFAULT, Running, service
from tests.simulation.virtual import VirtualClock, run_virtually
from tests.simulator.shares import DAY, NEW_YORK, SHARES, ms

MONDAY, MINUTE_MS = ms("2026-07-20"), 60_000
SYMBOLS = ("AAPL", "SPLIT")


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
        clock = VirtualClock(start / 1000)
        market = MarketClock(start, 1.0, clock.monotonic)
        shares = ShareMarket(NEW_YORK, SHARES)
        async with Simulator(shares, clock=market, venue="yahoo", host_clock=clock) as simulator:
            assert isinstance(simulator.exchange, YahooFace)
            time = VenueTime(clock)
            settings = YahooSettings(rest_url=simulator.rest_url)
            venue = YahooVenue(settings, name="yahoo", now=time.if_known, clock=clock, jitter=lambda: 0.5)
            policy = Policy(100, 60, settle_delay_ms=venue.traits.settle_delay_ms)
            async with service(venue, clean_valkey, SYMBOLS, policy=policy, rate=None, time=time) as running:
                await running.warm()
                await asyncio.sleep(stays_s)
                asked = Counter(record.product for record in simulator.exchange.requests)
                for symbol in SYMBOLS:
                    _compare(running, simulator.exchange.truth, symbol, market.now())
                    assert asked[symbol] <= requests, "days, hours, and five minutes: the rest adds up"
                assert {record.status for record in simulator.exchange.requests} == {200}
            await venue.aclose()

    run_virtually(main())


def _compare(running: Running, truth: Truth, symbol: str, now: int) -> None:
    """What a reader gets of each timeframe that the exchange serves, beside what was traded by `now`."""
    for timeframe in DEFAULT:
        told = running.reader.candles(symbol, timeframe.value, 60)
        if timeframe is Timeframe.H4:
            continue
        span = told[0].time - 7 * DAY, now + 1
        settled = truth.settled(symbol, timeframe, *span, now)
        known = settled + truth.provisional(symbol, timeframe, *span, now)
        expected = [(row.time, *map(float, row.numbers)) for row in known]
        assert [tuple(candle) for candle in told] == expected[-60:], (symbol, timeframe)
        assert told.settled_through == NEW_YORK.grid(timeframe).end(settled[-1].time)
