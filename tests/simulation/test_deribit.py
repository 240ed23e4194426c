"""The service at a Deribit that fails as it does: its own answers and frames, over hours of virtual time.

* 10028, on the feed with the end of the connection (`DeribitFaults.rest`, `frame`), tests without an answer
  (`mute`), columns of unequal length, maintenance, a cut, a minute twice: the seeds;
* one pool of credits for pages, tests and subscriptions (`exchange.Credits`): `test_in_quiet_times_…`;
* the platform locked, and nothing traded (`DeribitOptions.locks`): the seeds, and `test_a_locked_platform_…`;
  all of it in maintenance (`DeribitOptions.locked`): `test_maintenance_…`;
* `no_data` before the listing, the start exclusive, days from 08:00 (the face): all of them.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from livecache.errors import ReadError
from livecache.model.timeframe import Timeframe
from livecache.simulator.deribit.faults import DeribitFaults

from .place import START, Simulated
from .virtual import run_virtually

M1, M5, H1, D1, W1 = Timeframe.M1, Timeframe.M5, Timeframe.H1, Timeframe.D1, Timeframe.W1
PRODUCTS = ("BTC-USD", "GRT-USD:thin")
KINDS = {
    *("too many", "locked", "unequal columns", "cut"),
    *("tick after the next", "too many, and the end", "tests unanswered"),
}
LISTED_MS = START - 100 * D1.ms
LOCKED = M1.floor(START) + 10 * M1.ms, M1.floor(START) + 18 * M1.ms
LONG = [pytest.param(seed, 60, marks=pytest.mark.long) for seed in range(2, 12)]


@pytest.mark.takes(20)
@pytest.mark.parametrize(("seed", "minutes"), [(7, 24), *LONG])
def test_what_is_final_is_what_was_traded_whatever_went_wrong(
    clean_valkey: str, seed: int, minutes: int
) -> None:
    faults = DeribitFaults(seed, START + minutes * M1.ms, share=0.2)

    async def main() -> None:
        place = Simulated("deribit", PRODUCTS, faults, seed=seed, created_ms=LISTED_MS, locks=(LOCKED,))
        async with place.listening(), place.run(clean_valkey, (M1, M5, H1, D1, W1)) as running:
            for _ in range(minutes // 2):
                await place.watched(running, 120)
            assert place.compared > 250 * minutes
            await place.watched(running, 900)
            place.converged(running, 12)

    run_virtually(main())
    assert set(+faults.counts) >= KINDS, faults.counts


@pytest.mark.takes(5)
def test_in_quiet_times_one_connection_and_half_of_the_credits_will_do(clean_valkey: str) -> None:
    async def main() -> None:
        place = Simulated("deribit", PRODUCTS, requests_per_second=10, burst=60)
        async with place.listening(), place.run(clean_valkey, (M1, M5, H1, D1)) as running:
            await running.warm()
            await place.watched(running, 900)
            assert place.counts.refused == 0 and place.counts.connections == 1

    run_virtually(main())


@pytest.mark.takes(5)
def test_a_locked_platform_is_no_dead_feed_and_its_minutes_are_proven_empty(clean_valkey: str) -> None:
    begin, end = LOCKED

    async def main() -> None:
        place = Simulated("deribit", PRODUCTS[:1], locks=(LOCKED,))
        (symbol,) = place.symbols
        async with place.listening(), place.run(clean_valkey, (M1, M5)) as running:
            await running.warm()
            await asyncio.sleep((begin + M1.ms - place.now()) / 1000)
            while place.now() < end:
                await asyncio.sleep(60)
                candles = running.reader.candles(symbol, "1m", 20)
                assert candles.feed == "up" and candles[-1].time < begin
                assert candles.known_through > place.now() - 2 * M1.ms
            await asyncio.sleep(300)
            assert place.counts.connections == 1, "no false alarm, nor one for the silence once it is over"
            candles = running.reader.candles(symbol, "1m", 20, settled=True)
            assert candles.settled_through > end and candles.contiguous_from < begin
            assert not [candle for candle in candles if begin <= candle.time < end]

    run_virtually(main())


@pytest.mark.takes(5)
def test_maintenance_is_told_as_stale_and_leaves_no_hole(clean_valkey: str) -> None:
    async def main() -> None:
        place = Simulated("deribit", PRODUCTS[:1])
        (symbol,) = place.symbols
        exchange = place.face.exchange
        async with place.listening(), place.run(clean_valkey, (M1, M5)) as running:
            await running.warm()
            await place.watched(running, 300)
            exchange.options = replace(exchange.options, locked=True)
            await place.simulator.close_feeds(1001)
            await asyncio.sleep(900)
            with pytest.raises(ReadError):
                running.reader.candles(symbol, "1m", 20)
            assert place.counts.connections < 90
            exchange.options = replace(exchange.options, locked=False)
            await place.watched(running, 600)
            place.converged(running)

    run_virtually(main())
