"""Where history and feed meet, no bucket is lost, doubled or replaced by a poorer one."""

from __future__ import annotations

import asyncio

import pytest

from livecache.model.timeframe import Timeframe
from livecache.simulator import SeededMarket
from livecache.venues.venue import PageRequest
from tests.simulation.model import ModelVenue
from tests.simulation.service import service
from tests.simulation.virtual import VirtualClock, run_virtually
from tests.simulation.watch import Watcher

WIDTH = Timeframe.M5.ms
CLOSE = 1_770_001_200_000  # the end of a bucket of every timeframe up to the quarter hour
# Well within a bucket, and around its end to the millisecond.
OFFSETS_MS = [-150_000, -12_000, -10_001, -9_999, -3_000, -1_001, -999, -81, -1]
OFFSETS_MS += [0, 1, 81, 999, 1_001, 9_950, 10_001, 11_000, 149_999]
SYMBOLS = ["BTC-USD", "ETH-USD", "GRT-USD"]  # two liquid ones and a thin one
OF_ALL_MS = (-9_999, -1, 0, 9_950)  # where the order in which symbols' pages come may matter


@pytest.mark.takes(5)
@pytest.mark.parametrize("last_update_lost", [False, True], ids=["updates to the end", "last update lost"])
@pytest.mark.parametrize("edge_lag_ms", [0, 30_000])
@pytest.mark.parametrize("all_offsets", [False, pytest.param(True, marks=pytest.mark.long)])
def test_history_and_feed_meet_without_a_seam_wherever_they_meet(
    clean_valkey: str, all_offsets: bool, last_update_lost: bool, edge_lag_ms: int
) -> None:
    """Each run has each offset with one of the four kinds of venue."""
    kind = 2 * last_update_lost + bool(edge_lag_ms)
    offsets_ms = OFFSETS_MS if all_offsets else OFFSETS_MS[kind::4]

    async def join_at(offset_ms: int) -> int:
        start = CLOSE + offset_ms
        clock = VirtualClock(start / 1000)
        venue = ModelVenue(
            SeededMarket(3), clock, start, clock.monotonic(), latency_s=0.3, tick_ms=1_000,
            edge_lag_ms=edge_lag_ms, last_update_lost=last_update_lost,
        )  # fmt: skip
        prefix = f"at{offset_ms}"
        symbols = SYMBOLS if offset_ms in OF_ALL_MS else SYMBOLS[:1]
        frames = (Timeframe.M5, Timeframe.M15)
        async with service(venue, clean_valkey, symbols, frames, prefix=prefix) as running:
            watcher = Watcher(clean_valkey, venue.market, running.writer_series, prefix)
            watcher.exact_when_known = not last_update_lost
            # Until the close that it joined around is settled; for a few, over the next close as well.
            last = CLOSE + (WIDTH if offset_ms % 1_000 else 0)
            while venue.now() < last + 75_000 + edge_lag_ms:
                await asyncio.sleep(3.1)
                watcher.look()
            for symbol in symbols[:2]:
                view = running.reader.state(symbol, "5m")
                assert view.record is not None
                assert view.record.state.settled_through == last, "the close was settled"
                assert view.record.state.contiguous_from < CLOSE - 60 * WIDTH
                assert view.record.state.ready
            return watcher.compared

    async def main() -> None:
        for offset_ms in offsets_ms:
            assert await join_at(offset_ms) > 1_000

    run_virtually(main())


def test_a_feed_that_starts_in_mid_bucket_never_replaces_what_rest_settled(clean_valkey: str) -> None:
    """The feed's first bucket is partial to it; REST settles it while the feed still sends late updates."""

    async def main() -> None:
        start = CLOSE - 2_000
        clock = VirtualClock(start / 1000)
        venue = ModelVenue(SeededMarket(3), clock, start, clock.monotonic(), tick_ms=250)
        async with service(venue, clean_valkey, ["BTC-USD"]) as running:
            watcher = Watcher(clean_valkey, venue.market, running.writer_series)
            for _ in range(400):
                await asyncio.sleep(0.1)
                watcher.look()

    run_virtually(main())


def test_moving_on_while_the_warm_up_takes_long_loses_no_bucket(clean_valkey: str) -> None:
    """A slow venue: several buckets close before the first page of the last symbol is here."""

    async def main() -> None:
        start = CLOSE - 100_000
        clock = VirtualClock(start / 1000)
        market = SeededMarket(5)
        venue = ModelVenue(market, clock, start, clock.monotonic(), latency_s=20.0, tick_ms=1_000)
        symbols = market.products()[:4]
        async with service(venue, clean_valkey, symbols, rate=0.025) as running:
            watcher = Watcher(clean_valkey, market, running.writer_series)
            for _ in range(120):
                await asyncio.sleep(10)
                watcher.look()
        asked = [request for _, request in venue.requests]
        assert all(isinstance(r, PageRequest) and r.end - r.start <= 330 * r.timeframe.ms for r in asked)

    run_virtually(main())
