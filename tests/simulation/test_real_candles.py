"""Real candles, played through the whole service under virtual time."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from livecache.model.timeframe import Timeframe
from livecache.simulator.market.recorded import CsvMarket
from tests.oracle import file_rows, rolled_up, unix_ms
from tests.simulation.model import ModelVenue
from tests.simulation.service import DEFAULT, service
from tests.simulation.virtual import VirtualClock, run_virtually
from tests.simulation.watch import Watcher

DATA = Path(__file__).parents[2].parent / "shared" / "data" / "coinbase"
OUTAGE_FILE = DATA / "BTC-USD_5m_2025-07-01_2025-11-15.csv"
THREE = {s: DATA / "three_symbols_5m_2026-02" / f"{s}_300s.csv" for s in ("BTC-USD", "ETH-USD", "SOL-USD")}
DAY_S = 86_400
SPEED = 60  # market seconds in a virtual one: leases and retries are real seconds, buckets are not
TICK_MS = 30_000  # of market time, between updates of the feed

pytestmark = pytest.mark.skipif(not DATA.exists(), reason="the real market data is not here")


def play(
    files: dict[str, Path],
    start: str,
    url: str,
    timeframes: tuple[Timeframe, ...] = DEFAULT,
    *,
    lasts_s: int = DAY_S,
) -> int:
    """From `start` on: watched every twenty simulated minutes, compared with the files at the end."""
    market = CsvMarket(files)

    async def main() -> int:
        clock = VirtualClock(unix_ms(start) / 1000)
        venue = ModelVenue(market, clock, unix_ms(start), clock.monotonic(), speed=SPEED, tick_ms=TICK_MS)
        async with service(venue, url, list(files), timeframes) as running:
            watcher = Watcher(url, market, running.writer_series)
            for _ in range(lasts_s // 1200):
                await asyncio.sleep(1200 / SPEED)
                watcher.look()
            compared = 0
            for symbol, path in files.items():
                rows = file_rows(path)
                for timeframe in timeframes:
                    view = running.reader.state(symbol, timeframe)
                    assert view.record is not None
                    state = view.record.state
                    truth = rolled_up(rows, timeframe.ms)
                    expected = {t: r for t, r in truth.items() if any(a <= t < b for a, b in state.coverage)}
                    # As a redis-cli user reads it: the set itself, whatever our own reader makes of it.
                    members = watcher.members(symbol, timeframe)
                    assert {t: r for t, r in members.items() if t < state.settled_through} == expected
                    assert state.settled_through >= timeframe.floor(venue.now() - 60_000)
                    compared += len(expected)
            assert running.live.timeline.counters.rollup_mismatches == 0
            assert running.live.timeline.counters.revisions == 0
            return watcher.compared + compared

    return run_virtually(main())


@pytest.mark.takes(6)
@pytest.mark.parametrize(
    ("hours", "timeframes", "compared"),
    [
        pytest.param(6, DEFAULT[:2], 6_000, id="six"),
        pytest.param(24, DEFAULT[:4], 30_000, id="a day", marks=pytest.mark.long),
    ],
)
def test_hours_of_three_real_symbols_are_settled_exactly_as_the_file_says(
    clean_valkey: str, hours: int, timeframes: tuple[Timeframe, ...], compared: int
) -> None:
    start = "2026-02-20T04:17:23"
    assert play(THREE, start, clean_valkey, timeframes, lasts_s=hours * 3_600) > compared


def test_across_the_outage_everything_is_exact_and_the_hole_is_proven_empty(clean_valkey: str) -> None:
    play({"BTC-USD": OUTAGE_FILE}, "2025-10-25T06:02:11", clean_valkey)


def test_the_outage_is_covered_and_empty_not_missing(clean_valkey: str) -> None:
    """In the middle of the venue's outage the series is settled up to now, and holds nothing of it."""
    market = CsvMarket({"BTC-USD": OUTAGE_FILE})
    start = "2025-10-25T14:40:30"

    async def main() -> None:
        clock = VirtualClock(unix_ms(start) / 1000)
        venue = ModelVenue(market, clock, unix_ms(start), clock.monotonic(), speed=SPEED, tick_ms=TICK_MS)
        async with service(venue, clean_valkey, ["BTC-USD"]) as running:
            await running.warm()
            requests = len(venue.requests)
            await asyncio.sleep(5 * 3600 / SPEED)  # until 19:40, deep in the outage
            view = running.reader.state("BTC-USD", "5m")
            assert view.record is not None
            state = view.record.state
            assert state.ready
            assert state.settled_through == unix_ms("2025-10-25T19:40")
            assert state.coverage.covers(unix_ms("2025-10-25T15:15"), unix_ms("2025-10-25T19:40"))
            candles = running.reader.candles("BTC-USD", "5m", 60)
            assert candles[-1].time == unix_ms("2025-10-25T15:10")
            carried = running.reader.candles("BTC-USD", "5m", 60, empty="carry")
            assert carried[-1].time == unix_ms("2025-10-25T19:35")
            assert carried[-1].close == candles[-1].close
            assert len(venue.requests) - requests <= 5 * 12 + 3, "no more than one request a closed bucket"

    run_virtually(main())
