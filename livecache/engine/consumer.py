"""The consumer: lays what the feed says over the timeline's end.

Absorbing an event is cheap; what follows from it is computed once per flush, by the timeline.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import cast

from ..quiet import logger
from ..repeats import Repeats
from ..venues.remedies import feed_remedy
from ..venues.venue import (
    Broken,
    Event,
    Feed,
    FeedCandles,
    FeedFailure,
    Heard,
    Refused,
    Rejected,
    Subscribed,
    Trades,
    Venue,
)
from .listing import Listing
from .live import Live

__all__ = ["Consumer", "Feeds", "heed_unknown", "renew_dead"]

# A stamp that is ahead by less is not worth a word: a host that was busy or asleep, a market that runs fast.
_ABSURD_MS = 3_600_000
_BURST = 64  # events, under a millisecond's work
_BETWEEN_RENEWALS_S = 1.0  # Each may be four messages, and the venue takes 8 a second from one address.


class Consumer:
    """Follows one connection of the feed for ever."""

    def __init__(self, live: Live, feed: Feed, link: int) -> None:
        self._live = live
        self._feed = feed
        self._link = link
        self._connected = False
        self._carries = False  # something of a product was heard on this connection
        self._through = 0  # the newest stamp of this feed that could be believed
        self._repeats = Repeats(live.clock)
        live.feed.connections += 1

    async def run(self) -> None:
        """Take events until cancelled."""
        try:
            async with aclosing(cast("AsyncGenerator[Event, None]", self._feed.events())) as events:
                taken = 0
                async for event in events:
                    self.take(event)
                    taken += 1
                    if taken % _BURST == 0:
                        # While more is there to be read nothing else here waits: the writer gets its turns.
                        await asyncio.sleep(0)
        finally:
            self._live.feed.connections -= 1
            self._live.feed.connected -= self._connected

    def take(self, event: Event) -> None:
        """Put one event into the timeline."""
        live = self._live
        match event:
            case FeedCandles() | Trades() | Subscribed() | Heard():
                self._hear(event)
            case Broken():
                self._break(event)
            case Rejected(reason=reason, payload=payload, kind=kind, code=code):
                live.feed.rejected[kind] += 1
                self._repeats.log(
                    "feed_rejected", f"{kind} {code}", f"rejected from the feed: {reason}", payload=payload
                )
            case Refused(products=products, reason=reason):
                self._refuse(products, reason)
            case FeedFailure(message=message, unconnected=unconnected):
                remedy = feed_remedy(live.timeline.venue) if unconnected else ""
                self._repeats.log("feed_failure", message, f"the feed: {message}", remedy=remedy)
        live.changed.set()

    def _hear(self, event: FeedCandles | Trades | Subscribed | Heard) -> None:
        live, timeline, link, stats = self._live, self._live.timeline, self._link, self._live.feed
        stats.frames += 1
        if not self._connected:
            self._connected = True
            stats.connected += 1
        if not self._carries and not isinstance(event, Heard):  # A heartbeat says nothing of any product.
            self._carries = True
            logger.bind(event="feed_up", products=len(self._feed.products)).info("the feed is up")
        stamp = event.stamp
        if isinstance(event, Heard) and event.reckoned:
            live.time.answered()
            believed = True
        else:
            believed = live.time.hear(stamp) == stamp
        if not believed:
            stamp = self._through
        elif stamp > self._through:
            self._through = stamp
            stats.last_message = max(stats.last_message, stamp)
        match event:
            case FeedCandles():
                through = min(event.through, stamp)
                timeline.feed_candles(link, stamp, event.candles, live.now(), through=through)
            case Trades():
                through = min(event.through or stamp, stamp)
                timeline.feed_trades(link, through, event.trades, live.now())
            case Subscribed():
                timeline.subscribe(link, stamp, event.products, live.now())
            case Heard():
                timeline.heard(link, stamp, live.now())
        if not believed:
            self._doubt(event.stamp)

    def _doubt(self, stamp: int) -> None:
        """A frame bore an absurd time: what it said may stand, but it vouches for nothing.

        It is as if it had been lost: the next one that can be believed vouches from its own stamp on.
        """
        live = self._live
        vouched = [product for product in self._feed.products if live.timeline.feed_up(product)]
        if vouched:
            live.timeline.broken(self._link, vouched, resumes=True, now=live.now())
        live.feed.rejected["time"] += 1
        if stamp - live.now() > _ABSURD_MS:
            reason = "a frame stamped far ahead of the venue's clock"
            self._repeats.log(
                "feed_rejected", reason, f"rejected from the feed: {reason}", payload=str(stamp)
            )

    def _refuse(self, products: tuple[str, ...], reason: str) -> None:
        """The feed does not carry these: their candles come from REST, and nobody vouches meanwhile."""
        live = self._live
        live.timeline.broken(self._link, products, resumes=True, now=live.now(), mute=True)
        live.feed.refused.update(products)
        logger.bind(event="subscription_refused", products=list(products), reason=reason).warning(
            f"the feed does not take {', '.join(products[:5])}"
            f"{f' and {len(products) - 5} more' if len(products) > 5 else ''}: {reason}"
        )

    def _break(self, broken: Broken) -> None:
        live, products, reason = self._live, broken.products, broken.reason
        if broken.lost_connection:
            live.feed.reconnects += 1
            if self._connected:
                self._connected = self._carries = False
                live.feed.connected -= 1
        elif broken.since is None:
            live.feed.sequence_gaps += 1
        resumes = not broken.lost_connection
        live.timeline.broken(
            self._link,
            products,
            resumes=resumes,
            now=live.now(),
            since=broken.since,
            mute=broken.mute,
        )
        told, count = f"the feed was interrupted: {reason}", len(products)
        if broken.lost_connection or broken.since is not None:  # The feed bounds how often.
            logger.bind(event="feed_broken", reason=reason, products=count).warning(told)
        else:
            self._repeats.log("feed_broken", "lost", told, reason=reason, products=count)


class Feeds:
    """The connections that carry the timeline's symbols: as many as these need, each for as long as they do.

    `changed` is to be set when the timeline has other symbols or timeframes. What stays is not interrupted;
    what another connection carries from now on, or the same one under another id, is.
    """

    def __init__(self, live: Live, venue: Venue, listing: Listing) -> None:
        self.changed = asyncio.Event()
        self._live = live
        self._venue = venue
        self._listing = listing
        self._arranged = False
        self._running: dict[Feed, tuple[int, asyncio.Task[None]]] = {}  # with the link's number
        self._links = itertools.count()  # A number is not used again: what was heard on it stays with it.

    @property
    def heard(self) -> bool:
        """Whether each connection is there, and something of a symbol has come by them; or none is needed."""
        symbols, feed = self._live.timeline.symbols, self._live.feed
        up = not self._running or any(map(self._live.timeline.feed_up, symbols))
        return self._arranged and feed.connected >= feed.connections and up

    async def run(self) -> None:
        """Follow them until cancelled."""
        feeds: list[Feed] = []
        carried: dict[str, tuple[Feed, str]] = {}  # by which feed, and under which id
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(renew_dead(self._live, feeds), name="dead channels")
            tasks.create_task(heed_unknown(self._listing, feeds), name="unknown symbols")
            while True:
                self.changed.clear()
                symbols = tuple(self._live.timeline.symbols)
                aliases = await self._listing.aliases(symbols)
                if self.changed.is_set():
                    continue  # The list took its time.
                timeline = self._live.timeline
                trades = any(t in timeline.children for t in timeline.traits.built)
                feeds[:] = self._venue.feeds(symbols, aliases, trades=trades, among=tuple(feeds))
                ended = [self._running.pop(feed) for feed in tuple(self._running) if feed not in feeds]
                for _, task in ended:
                    task.cancel()
                before = carried
                carried = {s: (feed, aliases.get(s, s)) for feed in feeds for s in feed.products}
                moved = [symbol for symbol, way in before.items() if carried.get(symbol) != way]
                timeline.moved(moved, self._live.now(), gone=[link for link, _ in ended])
                self._live.changed.set()
                for feed in [feed for feed in feeds if feed not in self._running]:
                    link = next(self._links)
                    consumer = Consumer(self._live, feed, link)
                    self._running[feed] = link, tasks.create_task(consumer.run(), name=f"feed {link}")
                self._listing.changed.set()
                self._arranged = True
                await self.changed.wait()


async def heed_unknown(listing: Listing, feeds: Sequence[Feed]) -> None:
    """Have the feeds leave out what the venue does not know, and take up again what it knows by now."""
    left_out: set[str] = set()
    while True:
        unknown = set(listing.unknown)
        listing.changed.clear()
        for feed in tuple(feeds):
            feed.leave_out([product for product in feed.products if product in unknown])
            if back := [product for product in feed.products if product in left_out - unknown]:
                await feed.renew(back)
        left_out = unknown
        await listing.changed.wait()


async def renew_dead(live: Live, feeds: Sequence[Feed]) -> None:
    """Have the channels that settling finds dead subscribed to anew, until cancelled.

    The feeds bound how often.
    """
    while True:
        await live.channel_dead.wait()
        live.channel_dead.clear()
        dead = live.timeline.dead_channels()
        for feed in tuple(feeds):
            if products := [product for product in feed.products if product in dead]:
                await feed.renew(products)
                await live.clock.sleep(_BETWEEN_RENEWALS_S)
