"""How often Yahoo is asked: a second apart, within its hour, and once for each refusal. In virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from livecache.engine.limiter import Limiter, Urgency
from livecache.engine.venue_time import VenueTime
from livecache.model.timeframe import Timeframe
from livecache.simulator import Simulator
from livecache.simulator.clock import MarketClock
from livecache.simulator.trouble.faults import RequestRecord
from livecache.simulator.yahoo.faults import YahooFaults
from livecache.simulator.yahoo.market import ShareMarket
from livecache.venues.venue import Page, PageRequest
from tests.simulation.virtual import VirtualClock, run_virtually
from tests.simulator.shares import NEW_YORK, NOON, SHARES
from tests.venues.yahoo import venue_of

SYMBOLS = ("AAPL", "MSFT", "SPLIT", "THIN")
WEEK = (NEW_YORK.sessions.back(NOON, 6), NEW_YORK.sessions.floor(NOON))


def asked(
    go_wrong: Callable[[YahooFaults], None] = lambda _: None,
    *,
    pages: int = 1,
    symbols: Sequence[str] = SYMBOLS,
    **own: object,
) -> tuple[list[RequestRecord], asyncio.Event]:
    """All that is asked until each symbol has so many pages, whatever is refused; and the first ban."""

    async def main() -> tuple[list[RequestRecord], asyncio.Event]:
        clock = VirtualClock(NOON / 1000)
        faults = YahooFaults(host_clock=clock)
        go_wrong(faults)
        market_clock = MarketClock(NOON, 1.0, clock.monotonic)
        async with Simulator(
            ShareMarket(NEW_YORK, SHARES),
            clock=market_clock,
            venue="yahoo",
            faults=faults,
            host_clock=clock,
            requests_per_second=0,
        ) as simulator:
            venue = venue_of(simulator.rest_url, None, clock, **own)
            limiter = Limiter(venue._settings.bounds, VenueTime(clock), Random(1).random)
            limiter.learn(venue.traits.budgets)
            ban = limiter.ban

            async def have(symbol: str) -> None:
                had = 0
                while had < pages:
                    ticket = await limiter.acquire(Urgency.LIVE)
                    told = await venue.fetch(PageRequest(symbol, Timeframe.D1, *WEEK))
                    limiter.heard(ticket, told)
                    had += isinstance(told, Page)

            try:
                async with asyncio.TaskGroup() as tasks:
                    for symbol in symbols:
                        tasks.create_task(have(symbol), name=symbol)
            finally:
                await venue.aclose()
            return list(simulator.exchange.requests), ban

    return run_virtually(main())


def gaps(records: Sequence[RequestRecord]) -> list[float]:
    return [later.at - earlier.at for earlier, later in pairwise(records)]


def test_requests_are_a_second_apart() -> None:
    records, _ = asked(pages=10)
    assert len(records) == 40
    assert gaps(records) == pytest.approx([1.0] * 39)


def test_what_is_configured_is_kept_to_instead() -> None:
    records, _ = asked(pages=10, least_delay=0.25)
    assert all(abs(gap - 0.25) < 0.01 for gap in gaps(records))


def test_an_hour_sees_no_more_than_it_may() -> None:
    records, _ = asked(pages=6, least_delay=0.01, requests_per_hour=10)
    times = [record.at for record in records]
    assert len(times) == 24
    assert all(times[n + 10] - times[n] >= 3_600 for n in range(14))


@settings(max_examples=8, deadline=None)
@given(
    st.lists(st.integers(0, 5), min_size=1, max_size=6),
    st.sampled_from(["429", "429 in 200", "401", "consent"]),
)
def test_a_refusal_is_one_call_and_the_next_one_waits_for_its_pause(rows: list[int], refusal: str) -> None:
    """Whatever it is refused by, and for whichever symbol. `rows`: so many refusals in a row, then a page."""
    pattern = [wrong for row in rows for wrong in (*[True] * row, False)]

    def go_wrong(faults: YahooFaults) -> None:
        for wrong in pattern:
            faults.strike(refusal if wrong else "live row")  # type: ignore[arg-type]

    records, _ = asked(go_wrong, pages=3)
    refused = sum(rows)
    assert len(records) == 3 * len(SYMBOLS) + refused
    row = 0
    for wrong, gap in zip(pattern, gaps(records), strict=False):
        row = row + 1 if wrong else 0
        assert gap >= (5 * 2 ** (row - 1) if wrong else 1.0) - 1e-6


def test_what_it_says_to_wait_is_waited() -> None:
    records, _ = asked(lambda faults: faults.strike("429", retry_after_s=33))
    assert 33 <= gaps(records)[0] < 35


def test_who_goes_on_being_refused_takes_it_for_a_ban_and_tells_until_when() -> None:
    records, _ = asked(lambda faults: faults.strike("429", times=7))
    assert [round(gap) for gap in gaps(records)[:7]] == [5, 10, 20, 40, 80, 120, 240]


def test_in_a_ban_nothing_is_asked() -> None:
    records, ban = asked(lambda faults: faults.strike("999"))
    assert round(gaps(records)[0]) == 120
    assert ban.is_set()


def test_one_symbol_that_is_refused_does_not_keep_others_from_being_had() -> None:
    records, _ = asked(lambda faults: faults.strike("429", "MSFT", times=4))
    assert sorted(record.product for record in records if record.status == 200) == sorted(SYMBOLS)
    first = [record.product for record in records if record.status == 200][:3]
    assert "MSFT" not in first
