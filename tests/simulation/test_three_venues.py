"""Three venues in one process, each through its own troubles: whoever reads the others notices nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from random import Random
from typing import NamedTuple

import pytest
import redis

from livecache.app import assemble
from livecache.config.load import load
from livecache.engine.engine import Engine
from livecache.engine.fleet import Fleet
from livecache.errors import ReadError
from livecache.model.candle import Candle, ExactCandle
from livecache.model.series import SeriesId
from livecache.model.timeframe import Timeframe
from livecache.model.traits import Traits
from livecache.reader.reader import Reader
from livecache.simulator import MarketClock, Product, SeededMarket, Simulator
from livecache.simulator.binance.face import BinanceFace
from livecache.simulator.deribit.face import DeribitFace
from livecache.simulator.trouble import script as faults
from livecache.simulator.trouble.scripted import ScriptedFaults
from livecache.venues.venue import FetchFailure, Page, PageRequest

from .service import AUDIT_EVERY
from .virtual import BlockingRedis, VirtualClock, run_virtually

START = 1_784_109_900_000  # 2026-07-15 10:05
PREFIX = "three"
CONFIG = """
[redis]
prefix = "three"
[cache]
timeframes = ["5m", "1h", "1d"]
candles = 80
"""
VENUES = {
    "coinbase": (("BTC-USD", "ETH-USD", "GRT-USD"), ""),
    "binance": (("BTCUSDT", "ETHUSDT", "GRTUSDT"), 'timeframes = ["1m", "5m", "1h", "1d", "1w"]'),
    "deribit": (("BTC-PERPETUAL", "ETH-PERPETUAL"), 'timeframes = ["1m", "5m", "1h", "1d"]'),
}
PRODUCTS = [Product.parse(name) for name in ("BTC-USD", "ETH-USD", "GRT-USD")]
TICK_MS = 5_000  # between updates of the feeds
HEALS_S = 300.0  # after the end of a trouble nothing is to be seen of it any more
M = 60.0


class Trouble(NamedTuple):
    """What goes wrong at a venue, from when and for how long, in seconds after the start."""

    at_s: float
    venue: str
    lasts_s: float
    what: faults.Episode | None = None  # None: a bug of ours, whenever a page is asked for

    def on(self, venue: str, since_start_s: float) -> bool:
        return self.venue == venue and self.at_s <= since_start_s < self.at_s + self.lasts_s + HEALS_S


def banned(seconds: int) -> faults.Episode:
    """Every request meanwhile is told of it, with what is left at first."""
    return faults.HttpError(status=418, retry_after=seconds, lasts=float(seconds))


AT_FIRST = (
    Trouble(1 * M, "coinbase", 4 * M, faults.Hang(lasts=4 * M, seconds=9.0)),
    Trouble(1 * M, "coinbase", 4 * M, faults.SilentFeed(lasts=4 * M)),
    Trouble(6 * M, "binance", 4 * M, banned(240)),
    Trouble(11 * M, "deribit", 2 * M),
)
A_DAY = (
    *AT_FIRST,
    Trouble(20 * M, "coinbase", 20 * M, faults.Outage(lasts=20 * M)),
    Trouble(40 * M, "binance", 20 * M, faults.SilentFeed(lasts=20 * M)),
    Trouble(60 * M, "coinbase", 20 * M, faults.SilentFeed(lasts=20 * M)),
    Trouble(70 * M, "deribit", 90 * M, faults.Outage(lasts=90 * M)),
    Trouble(100 * M, "binance", 30 * M, faults.Mute(lasts=30 * M, cured=True)),
    Trouble(200 * M, "coinbase", 60 * M, faults.Unreachable(lasts=60 * M)),
    Trouble(230 * M, "binance", 60 * M, faults.Unreachable(lasts=60 * M)),
    Trouble(300 * M, "deribit", 30 * M, faults.Unreachable(lasts=30 * M)),
    Trouble(400 * M, "binance", 120 * M, banned(7_200)),
    Trouble(410 * M, "coinbase", 30 * M, faults.HttpError(status=403, lasts=30 * M)),
    Trouble(450 * M, "deribit", 30 * M, faults.HttpError(status=429, retry_after=5, lasts=30 * M, share=0.7)),
    Trouble(540 * M, "coinbase", 10 * M),
    Trouble(560 * M, "deribit", 10 * M),
    Trouble(600 * M, "binance", 60 * M, faults.EdgeLag(lasts=60 * M, seconds=90.0)),
    Trouble(610 * M, "coinbase", 60 * M, faults.Hang(lasts=60 * M, seconds=30.0, share=0.5)),
    Trouble(700 * M, "deribit", 60 * M, faults.CloseFeed(lasts=60 * M, code="abort", share=0.02)),
    Trouble(800 * M, "binance", 60 * M, faults.Reset(lasts=60 * M, share=0.5)),
    Trouble(900 * M, "coinbase", 540 * M, faults.Halted(products=("GRT-USD",))),
)  # fmt: skip


class Venue:
    """A simulated exchange, its troubles, and a reader of what is kept of it."""

    def __init__(self, name: str, clock: VirtualClock, url: str, seed: int) -> None:
        self.name = name
        self.symbols, self._more = VENUES[name]
        self.faults = ScriptedFaults(host_clock=clock)
        self.now = (market_clock := MarketClock(START, 1.0, clock.monotonic)).now
        self.simulator = Simulator(
            SeededMarket(seed, PRODUCTS), clock=market_clock, venue=name, faults=self.faults,
            host_clock=clock, latency_s=0.08, update_ms=TICK_MS, trades_ms=TICK_MS,
        )  # fmt: skip
        self.reader = Reader(url, prefix=PREFIX, venue=name)
        self.series: list[SeriesId] = []
        self.checked: dict[SeriesId, set[Candle]] = {}
        self.noticed: list[str] = []
        self.reads = 0

    def config(self) -> str:
        """Its part of the file."""
        lines = (
            f"[venues.{self.name}]",
            f"symbols = {list(self.symbols)}",
            f'rest_url = "{self.simulator.rest_url}"',
            f'ws_url = "{self.simulator.ws_url}"',
            self._more,
        )
        return "\n".join(lines) + "\n"

    def rows(self, symbol: str, timeframe: Timeframe, start: int, end: int) -> Sequence[ExactCandle]:
        """What was traded in the buckets that open in `[start, end)`, as the venue shows it."""
        face, now = self.simulator.exchange, self.now()
        if isinstance(face, BinanceFace):
            rows: Sequence[ExactCandle] = face.exchange.rows(symbol, timeframe, start, end, now)
        elif isinstance(face, DeribitFace):
            rows = face.exchange.chart.rows(symbol, timeframe, start, end, now)
        else:
            rows = self.simulator.market.candles(symbol, timeframe, start, end, now)
        return [row for row in rows if not row.flat]

    def look(self) -> list[str]:
        """Read everything; all that is settled is what was traded. What was not to be had."""
        wrong = []
        wanted = [(s.symbol, s.timeframe, 60) for s in self.series]
        for settled in (True, False):
            for series, answer in self.reader.many(wanted, settled=settled).items():
                self.reads += 1
                if isinstance(answer, ReadError):
                    wrong.append(f"{series}, settled {settled}: {answer}")
                elif settled:
                    self._check(series, answer)
        return wrong

    def _check(self, series: SeriesId, candles: Sequence[Candle]) -> None:
        checked = self.checked.setdefault(series, set())
        for candle in set(candles) - checked:
            traded = self.rows(series.symbol, series.timeframe, candle.time, candle.time + 1)
            assert [list(candle)] == [[row.time, *map(float, row.numbers)] for row in traded], series
            checked.add(candle)

    def whole(self, traits: Traits) -> None:
        """A reader gets all that was traded, up to the newest bucket, and nothing else."""
        for series in self.series:
            candles = self.reader.candles(series.symbol, series.timeframe, 60)
            newest = traits.grid(series.timeframe).floor(self.now() - 60_000)
            traded = self.rows(series.symbol, series.timeframe, candles[0].time, newest)
            mine = [list(candle) for candle in candles if candle.time < newest]
            assert mine == [[row.time, *map(float, row.numbers)] for row in traded], series


class Process:
    """One process with all three, composed as `livecache run` does."""

    def __init__(self, client: redis.Redis, url: str, directory: Path) -> None:
        self.clock = VirtualClock(START / 1000)
        self.venues = {name: Venue(name, self.clock, url, seed) for seed, name in enumerate(VENUES, 1)}
        self.fleet = Fleet(self.venues, self.clock, Random(1).random)
        self.begun: list[str] = []
        self.faulty: set[str] = set()  # of whose venues our own code fails
        self._store = BlockingRedis(client)
        self._file = directory / "config.toml"

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """With every venue warm."""
        async with AsyncExitStack() as stack:
            for venue in self.venues.values():
                stack.callback(venue.reader.close)
                await stack.enter_async_context(venue.simulator)
            self._file.write_text(CONFIG + "".join(venue.config() for venue in self.venues.values()))
            async with asyncio.TaskGroup() as tasks:
                running = tasks.create_task(self.fleet.run(self.begin), name="fleet")
                async with asyncio.timeout(300):
                    while not all(map(self.serves, self.venues)):
                        await asyncio.sleep(1.0)
                for name, venue in self.venues.items():
                    venue.series = list(self.engine(name).series)
                yield
                running.cancel()

    @asynccontextmanager
    async def begin(self, name: str, has_written: bool) -> AsyncIterator[Engine]:
        self.begun.append(name)
        config = load(self._file, {}).config
        engine, _ = assemble(
            config, self._store, self.clock, venue=name, environ={}, gives_way=True, used_before=has_written,
            audit_every=AUDIT_EVERY,
        )  # fmt: skip
        fetch = engine.venue.fetch

        async def fetching(request: PageRequest) -> Page | FetchFailure:
            if name in self.faulty:
                raise ZeroDivisionError("a bug of that venue's")
            return await fetch(request)

        engine.venue.fetch = fetching  # type: ignore[method-assign]
        try:
            yield engine
        finally:
            await engine.close(for_good=False)

    async def live(self, seconds: float, troubles: Sequence[Trouble], every_s: float) -> None:
        """Read all every so many seconds while the troubles come and go."""
        began_s, coming = self.clock.monotonic(), sorted(troubles, key=lambda each: each.at_s)
        while (since_s := self.clock.monotonic() - began_s) < seconds:
            while coming and coming[0].at_s <= since_s:
                trouble = coming.pop(0)
                if trouble.what:
                    self.venues[trouble.venue].faults.begin(trouble.what)
            self.faulty = {t.venue for t in troubles if t.what is None and 0 <= since_s - t.at_s < t.lasts_s}
            for name, venue in self.venues.items():
                wrong = venue.look()
                if not any(trouble.on(name, since_s) for trouble in troubles):
                    venue.noticed += wrong
            await self.clock.sleep(every_s)

    def engine(self, name: str) -> Engine:
        engine = self.fleet.places[name].engine
        assert engine is not None
        return engine

    def serves(self, name: str) -> bool:
        engine = self.fleet.places[name].engine
        return engine is not None and engine.live.warm_s is not None


def side_by_side(
    url: str, directory: Path, seconds: float, troubles: Sequence[Trouble], every_s: float
) -> None:
    async def main(client: redis.Redis) -> None:
        process = Process(client, url, directory)
        async with process.running():
            await process.live(seconds, troubles, every_s)
            for name, venue in process.venues.items():
                assert venue.noticed == [], name
                assert venue.reads > 10 * seconds / every_s
                venue.whole(process.engine(name).venue.traits)
                own = [trouble for trouble in troubles if trouble.venue == name]
                bugs = sum(trouble.what is None for trouble in own)
                assert process.begun.count(name) > bugs if bugs else process.begun.count(name) == 1
                assert len(venue.faults.counts) >= len({type(t.what) for t in own if t.what}), (
                    "they all happened"
                )

    with redis.Redis.from_url(url) as client:
        run_virtually(main(client))


@pytest.mark.takes(15)
def test_each_fails_in_its_way_and_the_others_readers_notice_nothing(
    clean_valkey: str, tmp_path: Path
) -> None:
    side_by_side(clean_valkey, tmp_path, 19 * M, AT_FIRST, every_s=15.0)


@pytest.mark.long
def test_over_a_day_each_fails_in_many_ways_and_the_others_readers_notice_nothing(
    clean_valkey: str, tmp_path: Path
) -> None:
    side_by_side(clean_valkey, tmp_path, 86_400.0, A_DAY, every_s=60.0)
