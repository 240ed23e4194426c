"""The real engine at a Deribit that fails in its own ways: what it says is final is what was traded."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from random import Random

import pytest
import redis

from livecache.engine.engine import Engine, Settings
from livecache.engine.venue_time import VenueTime
from livecache.errors import ReadError
from livecache.keys.keyspace import Keyspace
from livecache.model.policy import Policy
from livecache.model.timeframe import Timeframe
from livecache.reader.reader import Reader
from livecache.simulator import MarketClock, Product, SeededMarket, Simulator
from livecache.simulator.deribit.chart import Chart, instruments_of
from livecache.simulator.deribit.exchange import DeribitOptions
from livecache.simulator.deribit.faults import DeribitFaults
from livecache.venues.deribit.settings import DeribitSettings
from livecache.venues.deribit.venue import DeribitVenue
from tests.simulation.virtual import BlockingRedis, VirtualClock, run_virtually

from .bench import OPEN

TIMEFRAMES = (Timeframe.M1, Timeframe.M5, Timeframe.H1, Timeframe.D1)
SPEED, TROUBLE_MS = 60.0, 25 * 60_000
KINDS = {
    *("too many", "locked", "unequal columns", "cut"),
    *("tick after the next", "too many, and the end", "tests unanswered"),
}


def test_what_is_final_is_what_was_traded_whatever_went_wrong(clean_valkey: str) -> None:
    market = SeededMarket(3, [Product.parse("BTC-USD"), Product.parse("GRT-USD")])
    instruments = instruments_of(market)
    chart = Chart(market, instruments, DeribitOptions().created_ms)
    faults = DeribitFaults(7, OPEN + TROUBLE_MS, share=0.2)

    async def main() -> None:
        host = VirtualClock(OPEN / 1000)
        clock = MarketClock(OPEN, SPEED, host.monotonic)
        simulator = Simulator(market, clock=clock, venue="deribit", faults=faults, host_clock=host)
        async with asyncio.timeout(240), simulator:
            time = VenueTime(host)
            settings = DeribitSettings(
                rest_url=simulator.rest_url, ws_url=simulator.ws_url, silence_timeout=2.0, page_limit=60
            )
            venue = DeribitVenue(
                settings, name="deribit", now=time.if_known, clock=host, jitter=lambda: 0.5, asks_every_s=0.1
            )
            store = redis.Redis.from_url(clean_valkey)
            engine = Engine(
                venue, BlockingRedis(store), Keyspace("trouble", "deribit"),
                Settings(tuple(instruments), TIMEFRAMES, Policy(candles=40, min_candles=20), ()),
                time=time, name="one", jitter=Random(2).random,
            )  # fmt: skip
            reader = Reader(clean_valkey, prefix="trouble", venue="deribit")

            def read() -> list[str]:
                """All that is said to be settled is compared; what could not be read."""
                wrong = []
                for instrument in instruments:
                    for timeframe in TIMEFRAMES:
                        try:
                            told = reader.candles(instrument, timeframe, 20, settled=True)
                        except ReadError as error:
                            wrong.append(str(error))
                            continue
                        rows = chart.rows(instrument, timeframe, told[0].time, told[-1].time + 1, clock.now())
                        truth = {row.time: row for row in rows if not row.flat}
                        assert [candle.time for candle in told] == list(truth)
                        for candle in told:
                            assert tuple(candle)[1:5] == tuple(map(float, truth[candle.time].numbers[:4]))
                            assert candle.volume == pytest.approx(float(truth[candle.time].volume), rel=1e-12)
                return wrong

            running = asyncio.create_task(engine.run(), name="engine")
            try:
                while clock.now() < OPEN + TROUBLE_MS or read():
                    read()
                    await host.sleep(0.5)
                    if running.done():
                        await running
            finally:
                running.cancel()
                with suppress(asyncio.CancelledError):
                    await running
                await engine.close(for_good=False)
                reader.close()
                await venue.aclose()
                store.close()

    run_virtually(main())
    assert set(faults.counts) >= KINDS, faults.counts
