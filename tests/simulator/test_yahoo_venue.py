"""What the simulated Yahoo refuses is understood by our own venue. tests/venues compares what it tells."""

from __future__ import annotations

from livecache.model.timeframe import Timeframe
from livecache.simulator import MarketClock, Simulator
from livecache.simulator.yahoo.faults import Refusal, YahooFaults
from livecache.simulator.yahoo.market import ShareMarket
from livecache.simulator.yahoo.oddities import Oddity
from livecache.venues.venue import FailureKind, FetchFailure, Page, PageRequest
from tests.simulation.virtual import VirtualClock, run_virtually
from tests.venues.yahoo import venue_of

from .shares import DAY, NEW_YORK, NOON, SHARES

MEANT: dict[Refusal | Oddity, FailureKind] = {
    "429": FailureKind.REFUSED,
    "429 with a time": FailureKind.REFUSED,
    "429 in 200": FailureKind.REFUSED,
    "999": FailureKind.BANNED,
    "403": FailureKind.BANNED,
    "html": FailureKind.SERVER,
    "consent": FailureKind.REFUSED,
    "nothing": FailureKind.MALFORMED,
    "down": FailureKind.SERVER,
    "500": FailureKind.SERVER,
    "404": FailureKind.UNKNOWN_SYMBOL,
    "unequal columns": FailureKind.MALFORMED,
    "no close": FailureKind.MALFORMED,
    "cut json": FailureKind.MALFORMED,
}


def test_each_refusal_is_understood_and_costs_no_more_than_its_own_request() -> None:
    async def main() -> dict[Refusal | Oddity, FailureKind | None]:
        clock = VirtualClock(NOON / 1000)
        market, faults = MarketClock(NOON, 1.0, clock.monotonic), YahooFaults(host_clock=clock)
        shares, grid = ShareMarket(NEW_YORK, SHARES), NEW_YORK.grid(Timeframe.D1)
        request = PageRequest("AAPL", Timeframe.D1, grid.ceil(NOON - 20 * DAY), grid.floor(NOON))
        understood: dict[Refusal | Oddity, FailureKind | None] = {}
        async with Simulator(
            shares, clock=market, venue="yahoo", faults=faults, host_clock=clock, requests_per_second=0
        ) as simulator:
            venue = venue_of(simulator.rest_url, NOON, clock)
            for kind in MEANT:
                faults.strike(kind)
                failure = await venue.fetch(request)
                understood[kind] = failure.kind if isinstance(failure, FetchFailure) else None
                if kind == "429 with a time":
                    assert isinstance(failure, FetchFailure) and failure.retry_after_s == 20
                assert isinstance(await venue.fetch(request), Page), kind
            await venue.aclose()
            assert simulator.exchange.counts.requests == 2 * len(MEANT), "one call each"
        return understood

    assert run_virtually(main()) == MEANT
