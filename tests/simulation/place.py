"""A venue's own code at its simulator, under virtual time: a service does there what it does over sockets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from itertools import chain
from random import Random
from typing import Any

import msgspec

from livecache.engine.venue_time import VenueTime
from livecache.errors import ReadError
from livecache.model.candle import Candle, ExactCandle
from livecache.model.timeframe import Timeframe
from livecache.simulator import Faults, MarketClock, Product, SeededMarket, Simulator
from livecache.simulator.market.charted import OutOfOrder
from livecache.venues.registry import code_of, settings_of

from .service import Running, service
from .virtual import VirtualClock

__all__ = ["START", "Place", "Simulated"]

START = (
    1_784_109_901_300  # 2026-07-15 10:05:01.3: what is told every two seconds is told before and after an end
)


class Place:
    """An exchange under virtual time, and runs of a service at it: a second one is a restart.

    A kind of it says how the exchange is `listening`, and what it ever told of a symbol's buckets. It is
    made where time is virtual.
    """

    symbols: tuple[str, ...] = ()

    def __init__(self, kind: str, settings: Mapping[str, Any], seed: int) -> None:
        self.clock = VirtualClock(START / 1000)
        self.market_clock = MarketClock(START, 1.0, self.clock.monotonic)
        self.now = self.market_clock.now
        self.kind, self._settings = kind, dict(settings)
        self._chance = Random(seed)
        self.compared = 0
        self._known: dict[tuple[str, Timeframe], dict[int, list[ExactCandle]]] = {}
        self.venue: Any = None
        """The class of the venue that a service has; None: that of its kind."""

    def told(
        self, symbol: str, timeframe: Timeframe, start: int, end: int
    ) -> Iterable[Iterable[ExactCandle]]:
        """Its rows of the buckets that open in `[start, end)`: as it tells of them now, and as it did."""
        raise NotImplementedError

    @asynccontextmanager
    async def run(self, url: str, timeframes: Sequence[Timeframe], **wanted: Any) -> AsyncIterator[Running]:
        """A service there."""
        kind = str(self._settings.get("kind", self.kind))
        settings = msgspec.convert(self._settings, settings_of(kind))
        time = VenueTime(self.clock)
        venue = (self.venue or code_of(kind).VENUE).build(
            settings, {}, name=self.kind, now=time.if_known, clock=self.clock, jitter=self._chance.random
        )
        try:
            async with service(
                venue, url, self.symbols, timeframes, rate=None, time=time, **wanted
            ) as running:
                yield running
        finally:
            await venue.aclose()

    async def watched(self, running: Running, seconds: float) -> None:
        """Let time pass, and look every so often at what is settled, and at what readers get."""
        for _ in range(int(seconds // 100)):
            await asyncio.sleep(100)
            self.audit(running)

    def forget(self) -> None:
        """What closed buckets are told to have been may be told otherwise by now."""
        self._known.clear()

    def audit(self, running: Running) -> None:
        """Nothing settled is wrong, and nothing is told as closed that is not."""
        off_ms = abs(running.live.now() - self.now())
        assert off_ms < 5_000, f"the venue's time is told {off_ms} ms off"
        for symbol, timeline in running.live.timeline.symbols.items():
            for timeframe, track in timeline.tracks.items():
                if track.settled:
                    first, last = min(track.settled), max(track.settled)
                    versions = self._versions(running, symbol, timeframe, first, last + 1)
                    for time, candle in track.settled.items():
                        told = versions.get(time, [])
                        assert any(map(candle.equals, told)), (symbol, timeframe, candle, told)
                    self.compared += len(track.settled)
        for series in running.writer_series:
            self._read(running, series.symbol, series.timeframe)

    def converged(self, running: Running, count: int = 20) -> None:
        """Readers get all that was traded lately, settled, and nothing else."""
        for series in running.writer_series:
            _, symbol, timeframe = series
            candles = running.reader.candles(symbol, timeframe, count, settled=True)
            times = [candle.time for candle in candles]
            versions = self._versions(running, symbol, timeframe, times[0], times[-1] + 1)
            assert times == sorted(versions), series
            for candle in candles:
                assert any(_same(candle, row) for row in versions[candle.time]), (series, candle)
            grid = running.venue.traits.grid(timeframe)
            late = grid.floor(self.now() - 900_000) - candles.settled_through
            assert late <= 0, (series, f"settled {late} ms too late")

    def _read(self, running: Running, symbol: str, timeframe: Timeframe) -> None:
        """What a reader gets who asks for nothing else: all of it closed, none with more than was traded."""
        try:
            candles = running.reader.candles(symbol, timeframe, 20)
        except ReadError:
            return
        grid, newest = running.venue.traits.grid(timeframe), candles[-1]
        assert grid.end(newest.time) <= self.now()
        versions = self._versions(running, symbol, timeframe, candles[0].time, newest.time + 1)
        assert {candle.time for candle in candles} == set(versions), (symbol, timeframe)
        for candle in candles:
            told = versions[candle.time]
            if candle.time < candles.settled_through:
                assert any(_same(candle, row) for row in told), (symbol, timeframe, candle, told)
            assert candle.volume <= max(float(row.volume) for row in told) * (1 + 1e-12)

    def _versions(
        self, running: Running, symbol: str, timeframe: Timeframe, start: int, end: int
    ) -> dict[int, list[ExactCandle]]:
        """By their open, those in which something was traded. Each is looked at once after its end."""
        grid, known = running.venue.traits.grid(timeframe), self._known.setdefault((symbol, timeframe), {})
        opens = grid.opens(start, end)
        if unknown := [time for time in opens if time not in known]:
            versions: dict[int, list[ExactCandle]] = {time: [] for time in grid.opens(unknown[0], end)}
            for row in chain.from_iterable(self.told(symbol, timeframe, unknown[0], end)):
                if not row.flat:
                    time = grid.floor(row.time)  # some venues show rows off the grid
                    versions[time].append(msgspec.structs.replace(row, time=time))
            known |= versions
        found = {time: known[time] for time in opens if known[time]}
        for time in opens:
            if grid.end(time) > self.now():
                del known[time]
        return found


class Simulated(Place):
    """One of the simulator's. `kind` is a face of it; `settings` are of the venue, `options` of the face."""

    def __init__(
        self,
        kind: str,
        products: Sequence[str | Product],
        faults: Faults | None = None,
        *,
        seed: int = 1,
        settings: Mapping[str, Any] | None = None,
        halts: Sequence[tuple[int, int]] = (),
        **options: Any,
    ) -> None:
        super().__init__(kind.partition("-")[0], settings or {}, seed)
        made = [each if isinstance(each, Product) else Product.parse(each) for each in products]
        market = OutOfOrder(SeededMarket(seed, made), halts)
        now, before = (
            Simulator(
                market,
                clock=self.market_clock,
                venue=kind,
                faults=each,
                host_clock=self.clock,
                latency_s=0.08,
                **options,
            )
            for each in (faults, None)
        )
        self.simulator = now
        self.face: Any = now.exchange
        self.counts = now.exchange.counts
        self.symbols = tuple(self.face.symbols)
        faces: list[Any] = [now.exchange, before.exchange]
        self._charts = [getattr(face.exchange, "chart", face.exchange) for face in faces]
        self._markets = [now.market, before.market]

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """Let it listen."""
        async with self.simulator:
            self._settings |= self.simulator.settings()[1]
            yield

    def told(
        self, symbol: str, timeframe: Timeframe, start: int, end: int
    ) -> Iterable[Iterable[ExactCandle]]:
        span = symbol, timeframe, start, end, self.now()
        if not hasattr(self._charts[0], "rows"):  # Coinbase shows the market as it is
            return [market.candles(*span) for market in self._markets]
        return [chart.rows(*span) for chart in self._charts]


def _same(candle: Candle, row: ExactCandle) -> bool:
    return tuple(candle)[1:5] == tuple(map(float, row.numbers[:4])) and abs(
        candle.volume - float(row.volume)
    ) <= 1e-12 * float(row.volume)
