"""A venue at the protocol's seam: no sockets, any market, virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from livecache.clock import Clock
from livecache.model.timeframe import Timeframe
from livecache.model.traits import Traits
from livecache.simulator.market.market import Market
from livecache.venues.coinbase.traits import TRAITS
from livecache.venues.stats import RequestStats
from livecache.venues.venue import (
    Broken,
    Event,
    FailureKind,
    Feed,
    FeedCandles,
    FetchFailure,
    Heard,
    Page,
    PageRequest,
    Product,
    Subscribed,
    Trade,
    Trades,
)

__all__ = ["ModelVenue"]

WIDTH = Timeframe.M5.ms


@dataclass
class ModelVenue:
    """Answers from a market, and keeps what was asked of it.

    `start_ms` is the market's time when the host's monotonic clock stood at `epoch_s`; `speed` market
    seconds pass in a real one.
    """

    market: Market
    clock: Clock
    start_ms: int
    epoch_s: float
    speed: float = 1.0
    latency_s: float = 0.08
    tick_ms: int = 1_000  # of market time, between updates of the feed
    edge_lag_ms: int = 0  # how far REST is behind
    last_update_lost: bool = False  # the old bucket's last update never comes
    requests: list[tuple[float, PageRequest]] = field(default_factory=list)
    stats: RequestStats = field(default_factory=RequestStats)
    fault: Callable[[PageRequest], FetchFailure | None] | None = None
    cut: asyncio.Event = field(default_factory=asyncio.Event)  # set: the feed's connection breaks
    feed_dead: bool = False
    listed: int = 0  # since when, Unix ms, there are candles, if not for ever
    halted: dict[str, str] = field(default_factory=dict)  # products that the list tells so of
    still: set[str] = field(default_factory=set)  # products in which nothing is traded any more
    delisted: set[str] = field(default_factory=set)
    unlisted: set[str] = field(default_factory=set)  # not on the list, though REST answers for them
    lists: list[tuple[float, tuple[str, ...]]] = field(default_factory=list)  # when the list was asked for
    times: list[float] = field(default_factory=list)  # when its time was asked for
    feedless: bool = False  # there is no feed at all
    mute: set[str] = field(default_factory=set)  # products whose channel is dead while heartbeats go on
    still_ms: int = 36_000_000  # since so long before the start
    cured: bool = True  # by a client that subscribes to them anew; else it gets an ack, and nothing more
    name: str = "coinbase"
    origin: str = "http://model"
    traits: Traits = TRAITS
    flags_lost: bool = False  # no candle of the feed says that it is the last, where its traits say so

    def now(self) -> int:
        return self.start_ms + int((self.clock.monotonic() - self.epoch_s) * self.speed * 1000)

    async def time(self) -> int | FetchFailure:
        self.times.append(self.clock.monotonic())
        await self.clock.sleep(self.latency_s / 2)
        stamp = self.now()
        await self.clock.sleep(self.latency_s / 2)
        return stamp

    async def products(self, only: Sequence[str] = ()) -> Mapping[str, Product] | FetchFailure:
        self.lists.append((self.clock.monotonic(), tuple(only)))
        hidden = self.delisted | self.unlisted
        names = [p for p in self.market.products() if p not in hidden and (not only or p in only)]
        return {p: Product(p, self.halted.get(p, ""), self.listed) for p in names}

    async def fetch(self, request: PageRequest) -> Page | FetchFailure:
        self.requests.append((self.clock.monotonic(), request))
        await self.clock.sleep(self.latency_s / 2)
        if self.fault is not None and (failure := self.fault(request)) is not None:
            return failure
        if request.symbol not in self.market.products() or request.symbol in self.delisted:
            return FetchFailure(FailureKind.UNKNOWN_SYMBOL, f"no product {request.symbol}", 404)
        now = self.now() - self.edge_lag_ms
        if request.symbol in self.still:
            now = min(now, self.start_ms - self.still_ms)
        since = max(request.start, self.listed)
        rows = self.market.candles(request.symbol, request.timeframe, since, request.end, now)
        await self.clock.sleep(self.latency_s / 2)
        return Page(request, tuple(rows))

    def feeds(
        self,
        products: Sequence[str],
        aliases: Mapping[str, str],
        *,
        trades: bool,
        among: Sequence[Feed] = (),
    ) -> Sequence[Feed]:
        if self.feedless:
            return ()
        for feed in among:
            feed.carry(products, aliases, trades=trades)
        return among or [ModelFeed(self, tuple(products), trades=trades)]

    async def aclose(self) -> None:
        pass


class ModelFeed:
    """The candles channel, and trades if wanted."""

    def __init__(self, venue: ModelVenue, products: tuple[str, ...], *, trades: bool) -> None:
        self.venue = venue
        self.acks = 0  # to be told
        self.carry(products, {}, trades=trades)
        self.acks = 0

    def _listed(self) -> tuple[str, ...]:
        return tuple(p for p in self.carried if p not in self.venue.delisted)

    def carry(self, products: Sequence[str], aliases: Mapping[str, str], *, trades: bool) -> None:
        self.products = tuple(products)
        self.carried = [p for p in products if p in self.venue.market.products()]
        self.trades = trades
        self.acks += 1

    def leave_out(self, products: Sequence[str]) -> None:
        pass

    async def renew(self, products: Sequence[str]) -> None:
        self.acks += 1
        if self.venue.cured:
            self.venue.mute.difference_update(products)

    async def events(self) -> AsyncIterator[Event]:
        venue = self.venue
        while True:
            while venue.feed_dead:
                await venue.clock.sleep(1.0)
            async for event in self._connection():
                yield event
            yield Broken(self.products, "the connection was cut", lost_connection=True)
            await venue.clock.sleep(0.5)

    async def _connection(self) -> AsyncIterator[Event]:
        venue = self.venue
        venue.cut.clear()
        last = venue.now()
        yield Subscribed(self._listed(), last)
        shown: dict[str, tuple[int, str, bool]] = {}
        carried, flag = venue.traits.carries[0]
        while not venue.cut.is_set() and not venue.feed_dead:
            await venue.clock.sleep(venue.tick_ms / venue.speed / 1000)
            if venue.cut.is_set() or venue.feed_dead:
                return
            now = venue.now()
            if self.acks:
                self.acks = 0
                yield Subscribed(self._listed(), now)
            candles = []
            for product in self.carried:
                if product in venue.mute | venue.still | venue.delisted:
                    continue
                since = carried.floor(now if venue.last_update_lost else last)
                for candle in venue.market.candles(product, carried, since, now + 1, now):
                    over = flag and candle.time + carried.ms <= now and not venue.flags_lost
                    if shown.get(product) != (candle.time, candle.volume, over):
                        shown[product] = (candle.time, candle.volume, over)
                        candles.append((product, carried, candle, over))
            if candles:
                yield FeedCandles(now, False, tuple(candles))
            if self.trades:
                found = [
                    Trade(t.product, t.trade_id, t.price, t.size, t.time_us // 1000)
                    for p in self.carried
                    for t in venue.market.trades(p, last, now)
                ]
                if found:
                    yield Trades(now, False, tuple(found))
            yield Heard(now)
            last = now
