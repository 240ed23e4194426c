"""A venue that does whatever the active faults say, and keeps account of what it really told.

Two lies are never told together, since nobody could tell them from the truth: that a product's feed shows
nothing of a trade, and that REST omits it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from random import Random
from typing import cast

import msgspec

from livecache.model.coverage import Coverage
from livecache.model.timeframe import Timeframe
from livecache.simulator.trouble.faults import Answer
from livecache.simulator.trouble.script import PageForm
from livecache.simulator.trouble.spoiled import odd_page, wired
from livecache.venues.coinbase.pages import decode_page
from livecache.venues.venue import (
    Broken,
    Event,
    FailureKind,
    Feed,
    FeedCandles,
    FeedFailure,
    FetchFailure,
    Heard,
    Page,
    PageRequest,
    Product,
    Rejected,
    Subscribed,
    Trade,
    Trades,
)

from .faults import Fault, Kind
from .truth import Truth

__all__ = ["FaultyVenue"]

M5 = Timeframe.M5
SETTLE_DELAY_MS = 10_000
OMITTED_MS = 60_000  # buckets may be missing in pages until so long after their end
SILENCE_S = 30.0  # after which the feed gives its connection up
HIDDEN_S = 1_000.0  # so long after a product was mute its provisional candles may be poor


@dataclass
class FaultyVenue:
    """The venue, as all processes of a run see it."""

    truth: Truth
    now: Callable[[], int]  # Unix ms
    random: Random
    tick_s: float
    latency_s: float
    edge_s: float
    omits_newest: bool = False
    last_update_lost: bool = False
    links: int = 1
    flags: bool = False
    origin: str = "http://model"
    active: list[Fault] = field(default_factory=list)
    delisted: set[str] = field(default_factory=set)
    lost_4h: bool = False
    longest_page: int = 350
    requests: list[tuple[int, PageRequest]] = field(default_factory=list)
    told: dict[tuple[str, Timeframe], Coverage] = field(default_factory=dict)
    muted_until: dict[str, int] = field(default_factory=dict)
    connections: int = 0  # grows at each cut: connections of an older number are over
    lose_frames: int = 0
    ahead: int = 0  # frames to come with a stamp that is hours ahead
    wrong_time_s: float = 0.0
    last_answer: int = 0  # when (venue time) anybody last heard anything
    last_tick: int = 0
    stale_stamp: int = 0  # a frame of before the host slept, still to be delivered

    def is_on(self, kind: Kind) -> Fault | None:
        """The active fault of that kind, if there is one."""
        return next((f for f in self.active if f.kind is kind), None)

    def mute(self, product: str) -> bool:
        """Whether the channel is dead for a product."""
        muted = product in self.delisted or any(
            f.kind is Kind.MUTE and f.symbol in ("", product) for f in self.active
        )
        if muted:
            self.muted_until[product] = self.now()
        return muted

    def hides(self, product: str) -> bool:
        """Whether the feed may have shown too little of a product lately."""
        return (
            self.last_update_lost
            or self.mute(product)
            or (self.now() - self.muted_until.get(product, 0) < HIDDEN_S * 1000)
        )

    # --- REST

    async def time(self) -> int | FetchFailure:
        """GET /time."""
        await asyncio.sleep(self._latency() / 2)
        if (failure := self._failure(None)) is not None:
            return failure
        stamp = self.now() + int(self.wrong_time_s * 1000)
        self.wrong_time_s = 0.0
        await asyncio.sleep(self._latency() / 2)
        self.last_answer = self.now()
        return stamp

    async def products(self, only: Sequence[str] = ()) -> Mapping[str, Product] | FetchFailure:
        """GET /products."""
        await asyncio.sleep(self._latency())
        return self._failure(None) or {p: Product(p) for p in self.truth.products() if p not in self.delisted}

    async def fetch(self, request: PageRequest) -> Page | FetchFailure:
        """GET candles."""
        asked = self.now()
        self.requests.append((asked, request))
        await asyncio.sleep(self._latency() / 2)
        failure = self._failure(request.timeframe) or self._refusal(request)
        if failure is not None:
            return failure
        page = self._page(request)
        await asyncio.sleep(self._latency() / 2)
        self.last_answer = self.now()
        key = (request.symbol, request.timeframe)
        settles = request.timeframe.floor(asked - SETTLE_DELAY_MS)
        self.told[key] = self.told.get(key, Coverage()).add(request.start, min(request.end, settles))
        return page

    def _latency(self) -> float:
        slow = self.is_on(Kind.SLOW)
        return slow.amount * self.random.random() if slow else self.latency_s * self.random.uniform(0.5, 1.0)

    def _failure(self, timeframe: Timeframe | None) -> FetchFailure | None:
        for fault in self.active:
            if fault.kind is not Kind.REST_FAILS or fault.timeframe not in (None, timeframe):
                continue
            if self.random.random() < fault.amount:
                refused = fault.what == FailureKind.REFUSED
                wait_s = self.random.choice((None, 2.0)) if refused else None
                return FetchFailure(FailureKind(fault.what), "a fault", None, wait_s)
        return None

    def _refusal(self, request: PageRequest) -> FetchFailure | None:
        if request.symbol in self.delisted:
            return FetchFailure(FailureKind.UNKNOWN_SYMBOL, f"no product {request.symbol}", 404)
        if self.lost_4h and request.timeframe is Timeframe.H4:
            return FetchFailure(FailureKind.UNSUPPORTED_TIMEFRAME, "granularity argument is invalid", 400)
        if (request.end - request.start) // request.timeframe.ms > self.longest_page:
            return FetchFailure(FailureKind.PAGE_TOO_LONG, "number of candles requested", 400)
        return None

    def _is_empty(self, symbol: str, timeframe: Timeframe) -> bool:
        lies = (f for f in self.active if f.kind is Kind.EMPTY_PAGES)
        return any(
            f.symbol in ("", symbol) and f.timeframe in (None, timeframe) and self.random.random() < f.amount
            for f in lies
        )

    def _page(self, request: PageRequest) -> Page:
        symbol, timeframe, start, end, _ = request
        now = self.now()
        behind = self.is_on(Kind.EDGE_BEHIND)
        if not self.hides(symbol):
            if self.omits_newest or self.is_on(Kind.NEWEST_ABSENT):
                end = min(end, timeframe.floor(now - OMITTED_MS))
            now -= int((behind.amount if behind else self.edge_s) * 1000)
        if self._is_empty(symbol, timeframe):
            return Page(request, ())
        page = Page(request, tuple(self.truth.candles(symbol, timeframe, start, end, now)))
        for cut in (f for f in self.active if f.kind is Kind.CUT_PAGES):
            if cut.symbol in ("", symbol) and cut.timeframe in (None, timeframe):
                left = len(page.rows) - int(len(page.rows) * cut.amount)
                rows = page.rows[:left] if cut.what == "newest" else page.rows[len(page.rows) - left :]
                page = replace(page, rows=rows)
        odd = next((f for f in self.active if f.kind is Kind.ODD_PAGES), None)
        if odd and odd.symbol in ("", symbol) and odd.timeframe in (None, timeframe):
            return self._oddly(page, odd, now)
        bad = next((f for f in self.active if f.kind is Kind.ROWS_REJECTED), None)
        if bad is None or bad.symbol not in ("", symbol):
            return page
        rejected = frozenset(r.time for r in page.rows if (r.time // timeframe.ms) % 13 == int(bad.at_s) % 13)
        return replace(page, rows=tuple(r for r in page.rows if r.time not in rejected), rejected=rejected)

    def _oddly(self, page: Page, fault: Fault, now: int) -> Page:
        """The page as the wire would bring it in that form, read as from there."""
        symbol, timeframe, start, end, _ = page.request
        others = [p for p in self.truth.products() if p != symbol]
        other = others[0] if fault.what == "other_product" else symbol
        wide = Timeframe.H1 if timeframe is not Timeframe.H1 else Timeframe.M15
        of = wide if fault.what == "other_timeframe" else timeframe
        strange = list(self.truth.candles(other, of, start, end, now))[-1000:]
        form = cast(PageForm, fault.what)
        answer = Answer(200, msgspec.json.encode({"candles": [wired(row) for row in reversed(page.rows)]}))
        sent = odd_page(answer, form, timeframe.ms // 1000, strange, self.random)
        decoded = decode_page(page.request, sent.body, self.now())
        assert not isinstance(decoded, FetchFailure)
        return decoded.page

    # --- the feed

    def feeds(self, products: Sequence[str], *, trades: bool) -> list[Feed]:
        """As many connections as the scenario wants."""
        shares = [tuple(products[n :: self.links]) for n in range(self.links)]
        return [FaultyFeed(self, share, trades=trades) for share in shares if share]


class FaultyFeed:
    """One connection."""

    def __init__(self, venue: FaultyVenue, products: tuple[str, ...], *, trades: bool) -> None:
        self.products = products
        self._venue = venue
        self._trades = trades
        self._shown: dict[str, tuple[int, str]] = {}
        self._old: deque[FeedCandles] = deque(maxlen=80)
        self._renewed: set[str] = set()

    def carry(self, products: Sequence[str], aliases: object, *, trades: bool) -> None:
        """Nothing is reconfigured here."""

    def leave_out(self, products: Sequence[str]) -> None:
        """Nothing comes of them anyway."""

    async def renew(self, products: Sequence[str]) -> None:
        """Half of the mute products come back by subscribing to them anew."""
        venue = self._venue
        for fault in [f for f in venue.active if f.kind is Kind.MUTE and f.symbol in products]:
            if int(fault.at_s) % 2:
                venue.active.remove(fault)
        self._renewed.update(products)

    async def events(self) -> AsyncIterator[Event]:
        """Events for ever."""
        venue = self._venue
        while True:
            while venue.is_on(Kind.FEED_DEAD):
                yield FeedFailure("the connection was refused")
                await asyncio.sleep(2.0)
            async for event in self._connection():
                if not isinstance(event, FeedFailure):
                    venue.last_answer = venue.now()
                yield event
            yield Broken(self.products, "the connection was cut", lost_connection=True)
            await asyncio.sleep(venue.random.uniform(0.3, 3.0))

    async def _connection(self) -> AsyncIterator[Event]:
        venue = self._venue
        number, last = venue.connections, venue.now()
        self._shown.clear()
        silent_s = 0.0
        yield Subscribed(self.products, last)
        while True:
            if venue.stale_stamp:
                yield Heard(venue.stale_stamp)
            if venue.connections != number or venue.is_on(Kind.FEED_DEAD):
                return
            await asyncio.sleep(venue.tick_s)
            if venue.connections != number or venue.is_on(Kind.FEED_DEAD):
                continue
            if venue.is_on(Kind.FEED_SILENT):
                silent_s += venue.tick_s
                if silent_s > SILENCE_S:
                    return
                continue
            silent_s = 0.0
            now = venue.now()
            for event in self._news(last, now):
                yield event
            venue.last_tick = last = now

    def _news(self, last: int, now: int) -> list[Event]:
        """All that is said at one tick."""
        venue = self._venue
        events: list[Event] = []
        if venue.is_on(Kind.REJECTED):
            events.append(Rejected("not JSON", "{"))
        if venue.ahead:
            venue.ahead -= 1
            events.append(Heard(now + 7_200_000))
        carried = [p for p in self.products if not venue.mute(p)]
        if answered := self._renewed.intersection(carried):
            self._renewed -= answered
            for product in answered:
                self._shown.pop(product, None)
            events.append(Subscribed(tuple(sorted(answered)), now))
        data = self._candles(carried, last, now)
        if self._trades:
            data += self._minutes(carried, last, now)
        if data and venue.lose_frames:
            venue.lose_frames -= 1
            events.append(Broken(self.products, "a sequence jump", lost_connection=False))
        else:
            events += data
        if venue.is_on(Kind.REPLAYED) and self._old:
            events += self._again(now)
        events.append(Heard(now))
        self._old.extend(e for e in data if isinstance(e, FeedCandles))
        return events

    def _candles(self, carried: Sequence[str], last: int, now: int) -> list[Event]:
        since = M5.floor(now if self._venue.last_update_lost else last)
        if self._venue.flags and self._venue.random.random() < 0.02:
            since -= 2 * M5.ms  # flags come late, and again
        rows = []
        for product in carried:
            for time in range(since, now, M5.ms):
                candle = self._venue.truth.candle(product, M5, time, now)
                last_one = self._flags(product, time, now)
                if candle is not None and (last_one or self._shown.get(product) != (time, candle.volume)):
                    self._shown[product] = (time, candle.volume)
                    rows.append((product, M5, candle, last_one))
        return [FeedCandles(now, False, tuple(rows))] if rows else []

    def _flags(self, product: str, time: int, now: int) -> bool:
        """Whether a candle says that it is the last of its bucket: some never do, and some do it again."""
        if not self._venue.flags or time + M5.ms > now:
            return False
        return self._venue.random.random() < 0.9

    def _minutes(self, carried: Sequence[str], last: int, now: int) -> list[Event]:
        trades = [
            Trade(t.product, t.trade_id, t.price, t.size, t.time_us // 1000)
            for p in carried
            for t in self._venue.truth.trades(p, last, now)
        ]
        return [Trades(now, False, tuple(trades))] if trades else []

    def _again(self, now: int) -> list[Event]:
        """Old frames: as they were, the newest twice, or their candles in a snapshot of now."""
        random = self._venue.random
        some = random.sample(list(self._old), min(3, len(self._old)))
        if random.random() < 0.5:
            return [*some, self._old[-1], self._old[-1]]
        carried = {p for p in self.products if not self._venue.mute(p)}
        rows = {(p, c.time): (p, t, c, last) for e in some for p, t, c, last in e.candles if p in carried}
        return [FeedCandles(now, True, tuple(rows.values()))] if rows else []
