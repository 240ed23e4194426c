"""One service goes and another comes: whoever reads every series ten times a second notices nothing."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import pytest

from livecache.errors import OutOfSync, ReadError
from livecache.model.series import SeriesId
from livecache.model.timeframe import Timeframe
from livecache.reader.reader import Reader
from livecache.simulator import SeededMarket
from tests.simulation.model import ModelVenue
from tests.simulation.service import service
from tests.simulation.virtual import VirtualClock, run_virtually
from tests.simulation.watch import Watcher
from tests.sizes import some

CLOSE = 1_770_001_200_000  # the end of a bucket of every timeframe up to the hour
FRAMES = (Timeframe.M1, Timeframe.M5, Timeframe.M15, Timeframe.H1)
SYMBOLS = ("BTC-USD", "GRT-USD")  # a liquid one and a thin one


@dataclass
class Polling:
    """That reader. `errors` says what it got instead of candles; `back` what went backwards."""

    reader: Reader
    series: list[SeriesId]
    errors: list[str] = field(default_factory=list)
    back: list[str] = field(default_factory=list)
    reads: int = 0
    forming: int = 0  # of the bucket in progress
    through: dict[tuple[SeriesId, bool], tuple[int, int]] = field(default_factory=dict)

    def look(self) -> None:
        """Read everything, closed candles and settled ones, and of one series the bucket in progress."""
        for settled in (False, True):
            wanted = [(s.symbol, s.timeframe, 30) for s in self.series]
            for series, answer in self.reader.many(wanted, settled=settled).items():
                self.reads += 1
                if isinstance(answer, ReadError):
                    self.errors.append(f"{series}, settled {settled}: {answer}")
                    continue
                marks = answer.known_through, answer.settled_through
                before = self.through.get((series, settled), (0, 0))
                if marks < before or marks[1] < before[1]:
                    self.back.append(f"{series}: {before} to {marks}")
                self.through[series, settled] = marks
        try:
            self.reader.candles(SYMBOLS[0], "5m", 30, forming=True)
            self.forming += 1
        except OutOfSync:
            pass


@pytest.mark.parametrize(
    ("went_ms", "away_s"),
    some(
        [(-40_000, 0.5), (-1_500, 4.0), (300, 0.5), (3_000, 4.0), (11_000, 0.5)],
        *((-1_500, 4.0), (300, 0.5)),
    ),
)
def test_a_restart_around_a_close_takes_nothing_back_and_refuses_nothing(
    clean_valkey: str, went_ms: int, away_s: float
) -> None:
    """What is known of a bucket that has closed stays so, though the feed that said it is another's."""

    async def main() -> None:
        start = CLOSE - 75_000
        clock = VirtualClock(start / 1000)
        venue = ModelVenue(SeededMarket(3), clock, start, clock.monotonic(), latency_s=0.2, tick_ms=500)
        running = service(venue, clean_valkey, SYMBOLS, FRAMES)
        first = await running.__aenter__()
        await first.warm()
        watcher = Watcher(clean_valkey, venue.market, first.writer_series)
        with Reader(clean_valkey, prefix="sim") as reader:
            polling = Polling(reader, first.writer_series)

            async def poll(until_ms: int) -> None:
                while venue.now() < until_ms:
                    watcher.look()
                    for _ in range(5):
                        polling.look()
                        await asyncio.sleep(0.1)

            await poll(CLOSE + went_ms)
            await running.__aexit__(None, None, None)
            gone = venue.now()
            await poll(gone + int(away_s * 1000))
            async with service(venue, clean_valkey, SYMBOLS, FRAMES) as second:
                await poll(max(gone, CLOSE) + 20_000)
                vouched = polling.forming
                await poll(max(gone, CLOSE) + 22_000)
                assert polling.forming > vouched, "the bucket in progress is served again"
                record = second.reader.state("BTC-USD", "5m").record
                assert record is not None and record.state.settled_through == CLOSE
        assert polling.errors == []
        assert polling.back == []
        assert polling.reads > 5_000

    run_virtually(main())
