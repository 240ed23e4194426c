"""A venue whose feed says when a bucket has closed: live cost is a page for many, and nothing goes wrong."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from livecache.model.timeframe import Timeframe
from livecache.model.traits import Carriage
from livecache.simulator import SeededMarket
from livecache.venues.coinbase.traits import TRAITS
from livecache.venues.venue import PageRequest
from tests.simulation.model import ModelVenue
from tests.simulation.service import Running, service
from tests.simulation.virtual import VirtualClock, run_virtually
from tests.simulation.watch import Watcher

M1, M5, M15, H1 = Timeframe.M1, Timeframe.M5, Timeframe.M15, Timeframe.H1
TIMEFRAMES = (M1, M5, M15, H1)
SYMBOLS = ["BTC-USD", "ETH-USD"]
START = 1_770_000_000_000 + 137_000
HOUR_S = 3_600


def flagged(*, flag: bool = True, flags_lost: bool = False) -> ModelVenue:
    """A venue that carries minutes."""
    clock = VirtualClock(START / 1000)
    venue = ModelVenue(SeededMarket(7), clock, START, clock.monotonic(), tick_ms=5_000)
    venue.traits = replace(TRAITS, carries=(Carriage(M1, flag=flag),), trades=False)
    venue.flags_lost = flags_lost
    return venue


def asked_since(venue: ModelVenue, before: int) -> list[PageRequest]:
    return [request for _, request in venue.requests[before:]]


async def hours(running: Running, url: str, count: float) -> int:
    """Let them pass under the eyes of a watcher; how many candles it has compared."""
    watcher = Watcher(url, running.venue.market, running.writer_series)
    for _ in range(int(count * HOUR_S / 300)):
        await asyncio.sleep(300)
        watcher.look()
    return watcher.compared


@pytest.mark.parametrize(
    ("how", "least", "most"),
    [
        pytest.param({}, 6, 8, id="flags"),
        pytest.param({"flag": False}, 58, 62, id="no flags", marks=pytest.mark.long),
        pytest.param({"flags_lost": True}, 58, 62, id="all flags are lost", marks=pytest.mark.long),
    ],
)
def test_live_cost_is_a_page_for_many_buckets(
    clean_valkey: str, how: dict[str, bool], least: int, most: int
) -> None:
    async def main() -> None:
        venue = flagged(**how)
        async with service(venue, clean_valkey, SYMBOLS, TIMEFRAMES) as running:
            await running.warm()
            await asyncio.sleep(600)
            before = len(venue.requests)
            assert await hours(running, clean_valkey, 1) > 1_000
            an_hour = len(asked_since(venue, before)) / len(SYMBOLS)
            assert least <= an_hour <= most
            for timeframe in TIMEFRAMES:
                record = running.reader.state("BTC-USD", timeframe).record
                assert record is not None
                state = record.state
                edge = timeframe.floor(venue.now() - 1_000)
                assert state.ready
                assert state.known_through == edge, "known at once"
                assert state.settled_through >= edge - timeframe.ms - 8 * 60_000 - M1.ms
            counters = running.live.timeline.counters
            assert counters.revisions == counters.rollup_mismatches == 0

    run_virtually(main())


def test_after_a_cut_all_that_is_not_confirmed_is_asked_for_within_seconds(clean_valkey: str) -> None:
    async def main() -> None:
        venue = flagged()
        async with service(venue, clean_valkey, SYMBOLS, TIMEFRAMES) as running:
            await running.warm()
            await asyncio.sleep(600)
            track = running.live.timeline.symbols["BTC-USD"].tracks[M1]
            await running.until(lambda: len(track.flagged) == 4)
            unconfirmed, before = min(track.flagged), len(venue.requests)
            await asyncio.sleep(20)  # so that all of them may settle
            assert len(venue.requests) == before
            venue.cut.set()
            await asyncio.sleep(8)
            asked = asked_since(venue, before)
            assert sorted(r.symbol for r in asked) == SYMBOLS, "one page each"
            assert all(r.start <= unconfirmed for r in asked)
            assert track.flagged == {}
            await hours(running, clean_valkey, 0.5)

    run_virtually(main())


def test_cuts_and_lost_flags_settle_nothing_wrong(clean_valkey: str) -> None:
    """A restart among them: what was known and not confirmed is asked for by the next run."""

    async def main() -> None:
        venue = flagged()
        for _ in range(2):
            async with service(venue, clean_valkey, SYMBOLS, TIMEFRAMES) as running:
                await running.warm()
                watcher = Watcher(clean_valkey, venue.market, running.writer_series)
                for turn in range(30):
                    await asyncio.sleep(17 + 11 * turn % 60)
                    if turn % 4 == 0:
                        venue.cut.set()
                    if turn % 7 == 0:
                        venue.flags_lost = not venue.flags_lost
                    watcher.look()
                assert watcher.compared > 1_000
                assert running.live.timeline.counters.revisions == 0

    run_virtually(main())
