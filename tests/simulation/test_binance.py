"""The service at a Binance that fails as it does: its own pages and frames, over hours of virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from random import Random
from typing import Any

import msgspec
import pytest
import redis
from multidict import CIMultiDict

from livecache.keys.keyspace import Keyspace
from livecache.model.timeframe import Timeframe
from livecache.simulator import Faults, MarketClock, Product, SeededMarket
from livecache.simulator.binance.exchange import Exchange
from livecache.simulator.binance.feed import FeedServer
from livecache.simulator.binance.options import Api, BinanceOptions, Outage
from livecache.simulator.face import Ask
from livecache.simulator.trouble.faults import Answer as Answered
from livecache.simulator.trouble.faults import RequestRecord
from livecache.venues.binance.dialect import BinanceDialect
from livecache.venues.binance.markets import MARKETS
from livecache.venues.binance.settings import BinanceSettings
from livecache.venues.binance.venue import BinanceVenue
from livecache.venues.net.http import Answer, HttpSource
from livecache.venues.venue import Broken, Event

from .service import Running, service
from .virtual import VirtualClock, run_virtually

M1, M5, H1, D1, W1 = Timeframe.M1, Timeframe.M5, Timeframe.H1, Timeframe.D1, Timeframe.W1
START = 1_784_109_900_000  # 2026-07-15 10:05
SYMBOLS = ("BTCUSDT", "ETHUSDT", "GRTUSDT")
PRODUCTS = [Product.parse(text) for text in ("BTC-USD", "ETH-USD", "GRT-USD:thin")]


class Wire(HttpSource):
    """Requests go to the simulated venue without a socket."""

    def __init__(self, exchange: Exchange, clock: VirtualClock) -> None:
        super().__init__("http://binance.example", clock=clock, timeout_s=10.0)
        self._exchange = exchange

    async def _ask(
        self, path: str, parameters: Any, headers: Mapping[str, str], posted: str | None, body_bytes: int
    ) -> Answer:
        query = {name: [value] for name, value in dict(parameters).items()}
        await asyncio.sleep(0.04)
        told = await self._exchange.handle(Ask("GET", path, query, path))
        await asyncio.sleep(0.04)
        if told is None:
            raise ConnectionResetError
        return Answer(told.status, told.body, CIMultiDict(told.headers))


class Trouble(Faults):
    """What goes wrong, as it is drawn."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.on = True
        self.next: list[Answered] = []  # what is answered next, whatever is asked
        self.held: list[tuple[int, str]] = []  # closing frames that come so many ticks later

    async def rest(self, request: RequestRecord, proceed: Callable[[], Any]) -> Answered | None:
        if self.next:
            return self.next.pop(0)
        fate = self.random.random() if self.on else 1.0
        if fate < 0.01:
            return None
        if fate < 0.02:
            return Answered(503, b'{"code":-1008,"msg":"Server is currently overloaded."}')
        if fate < 0.025:
            return Answered(403, b"<html><title>Request blocked.</title></html>", "text/html")
        told: Answered = await proceed()
        return told

    def frames(self, texts: Sequence[str]) -> Iterator[str]:
        """Closing frames are lost, come late, or twice."""
        self.held = [(ticks - 1, text) for ticks, text in self.held]
        yield from (text for ticks, text in self.held if ticks <= 0)
        self.held = [(ticks, text) for ticks, text in self.held if ticks > 0]
        for text in texts:
            fate = self.random.random() if self.on and '"x":true' in text else 1.0
            if fate < 0.2:
                continue
            if fate < 0.3:
                self.held.append((self.random.randrange(1, 60), text))
                continue
            yield text
            if fate < 0.4:
                yield text


class Played(BinanceVenue):
    """Binance in virtual time."""

    def __init__(self, clock: VirtualClock, *, seed: int = 1, api: Api = "spot", **options: Any) -> None:
        market = MarketClock(START, 1.0, clock.monotonic)
        self.clock, self.market_now = clock, market.now
        self.trouble = Trouble(Random(seed))
        self.exchange = Exchange(
            SeededMarket(seed, PRODUCTS),
            market,
            BinanceOptions(api=api, **options),
            faults=self.trouble,
            host_clock=clock,
        )
        self.simulated = FeedServer(self.exchange, market, self.trouble, clock)
        super().__init__(
            BinanceSettings(market=api),
            name="binance",
            now=market.now,
            clock=clock,
            jitter=Random(seed).random,
        )
        self._http = Wire(self.exchange, clock)

    def feeds(self, products: Sequence[str], aliases: Any, *, trades: bool, among: Any = ()) -> Any:
        return [PlayedFeed(self, products)]


class PlayedFeed:
    """One connection, which is cut now and then; what is told meanwhile is lost."""

    def __init__(self, venue: Played, products: Sequence[str]) -> None:
        self.products = tuple(products)
        self._venue = venue

    def carry(self, products: Sequence[str], aliases: Any, *, trades: bool) -> None:
        self.products = tuple(products)

    def leave_out(self, products: Sequence[str]) -> None:
        pass

    async def renew(self, products: Sequence[str]) -> None:
        pass

    async def events(self) -> AsyncIterator[Event]:
        venue, trouble = self._venue, self._venue.trouble
        dialect = BinanceDialect("ws://binance.example", MARKETS["spot"], venue.market_now)
        dialect.carry({name: (name,) for name in self.products})
        while True:
            await asyncio.sleep(2.0)
            told = venue.simulated.frames(self.products, venue.market_now())
            for text in trouble.frames([text for _, text in told]):
                for event in dialect.decode(text.encode()).events:
                    yield event
            if trouble.on and trouble.random.random() < 1 / 400:
                yield Broken(self.products, "cut", lost_connection=True)
                await asyncio.sleep(trouble.random.uniform(1, 90))
                venue.simulated.frames(self.products, venue.market_now())


def truth(venue: Played, symbol: str, timeframe: Timeframe, start: int, end: int) -> dict[int, Any]:
    """What was traded, by the open of its bucket: also where the venue shows it off the grid."""
    rows = venue.exchange.rows(symbol, timeframe, start, end, venue.market_now())
    placed = [msgspec.structs.replace(row, time=timeframe.floor(row.time)) for row in rows]
    return {row.time: row for row in placed if not row.flat}


def audit(running: Running, venue: Played) -> int:
    """No settled candle is another than what was traded, and none is flat. How many there are."""
    seen = 0
    for symbol, timeline in running.live.timeline.symbols.items():
        for timeframe, track in timeline.tracks.items():
            if not track.settled:
                continue
            first, last = min(track.settled), max(track.settled)
            traded = truth(venue, symbol, timeframe, first, last + 1)
            for time, candle in track.settled.items():
                assert time in traded, (symbol, timeframe, time)
                assert candle.equals(traded[time]), (symbol, timeframe, candle, traded[time])
            seen += len(track.settled)
    return seen


def converged(running: Running, venue: Played, timeframe: Timeframe) -> None:
    """A reader gets all that was traded lately, and nothing else."""
    for symbol in SYMBOLS:
        candles = running.reader.candles(symbol, timeframe, 20)
        traded = truth(venue, symbol, timeframe, candles[0].time, candles[-1].time + 1)
        assert [candle.time for candle in candles] == sorted(traded), (symbol, timeframe)


@contextmanager
def store(url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(url) as client:
        yield client


LONG = [pytest.param(seed, 8, marks=pytest.mark.long) for seed in range(2, 8)]


@pytest.mark.takes(30)
@pytest.mark.parametrize(("seed", "quarters"), [(1, 4), *LONG])
def test_whatever_fails_at_binance_nothing_settled_is_wrong_and_nothing_stays_missing(
    clean_valkey: str, seed: int, quarters: int
) -> None:
    """Flags lost, late and doubled; cuts, 403, 503; an outage now, and one of old with hours off the grid."""
    now_h = H1.floor(START)
    outages = (
        Outage(now_h - 30 * H1.ms + 28 * M1.ms, now_h - 28 * H1.ms, now_h - 25 * H1.ms),
        Outage(M1.floor(START) + 20 * M1.ms, M1.floor(START) + 35 * M1.ms),
    )

    async def main() -> None:
        venue = Played(VirtualClock(START / 1000), seed=seed, outages=outages)
        async with service(venue, clean_valkey, SYMBOLS, (M1, M5, H1, D1, W1), rate=50.0) as running:  # type: ignore[arg-type]
            for _ in range(quarters):
                await asyncio.sleep(900)
                assert audit(running, venue) > 400
            venue.trouble.on = False
            await asyncio.sleep(1_500)
            audit(running, venue)
            for timeframe in (M1, M5, D1, W1):
                converged(running, venue, timeframe)

    run_virtually(main())


@pytest.mark.takes(15)
def test_in_quiet_times_many_closed_buckets_share_a_page_and_a_minutes_weight_is_hardly_touched(
    clean_valkey: str,
) -> None:
    async def main() -> None:
        venue = Played(VirtualClock(START / 1000))
        venue.trouble.on = False
        async with service(venue, clean_valkey, SYMBOLS, (M1, M5, H1), rate=50.0) as running:  # type: ignore[arg-type]
            await running.warm()
            await asyncio.sleep(900)
            before = venue.exchange.counts.candle_requests
            await asyncio.sleep(3_600)
            asked = venue.exchange.counts.candle_requests - before
            assert asked <= 60 * len(SYMBOLS) / 2, "one a bucket would be 180, beside those of 5m and 1h"
            assert venue.exchange.counts.refused == 0
            assert running.live.closed_live >= 3_600 // 60

    run_virtually(main())


@pytest.mark.takes(10)
def test_a_ban_is_kept_to_the_second_and_over_a_restart(clean_valkey: str) -> None:
    """Others at the address use its weight up: 429, and one day 418."""
    body = b'{"code":-1003,"msg":"Way too much request weight used; IP banned until 1."}'

    async def main() -> None:
        venue = Played(VirtualClock(START / 1000))
        venue.trouble.on = False
        async with service(venue, clean_valkey, SYMBOLS, (M1, M5), rate=50.0) as running:  # type: ignore[arg-type]
            await running.warm()
            venue.trouble.next = [Answered(418, body, headers={"Retry-After": "1800"})]
            await running.until(lambda: running.engine.limiter.banned_until > 0, within_s=1_200)
            ends_s, asked = venue.clock.monotonic() + 1_800, venue.exchange.counts.requests
            await asyncio.sleep(300)
            assert venue.exchange.counts.requests == asked
        with store(clean_valkey) as client:
            assert client.get(Keyspace("sim", "binance").ban)
        async with service(venue, clean_valkey, SYMBOLS, (M1, M5), rate=50.0) as running:  # type: ignore[arg-type]
            await running.until(lambda: venue.exchange.counts.requests > asked, within_s=1_800)
            assert venue.clock.monotonic() == pytest.approx(ends_s, abs=1.5)
            await asyncio.sleep(600)
            audit(running, venue)

    run_virtually(main())


@pytest.mark.takes(10)
def test_beside_strangers_at_the_address_nothing_is_refused(clean_valkey: str) -> None:
    async def main() -> None:
        venue = Played(VirtualClock(START / 1000), api="usdm", weight_a_minute=200, foreign_weight=80)
        venue.trouble.on = False
        async with service(venue, clean_valkey, SYMBOLS, (M1, M5, H1, D1), rate=50.0) as running:  # type: ignore[arg-type]
            assert isinstance(await venue.products(), dict), "it tells what a minute may cost"
            await running.until(lambda: running.live.warm_s is not None, within_s=1_200)
            await asyncio.sleep(600)
            assert venue.exchange.counts.refused <= 2, "before its count was known"

    run_virtually(main())
