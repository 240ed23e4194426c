"""The consumer: lays what the feed says over the timeline's end.

Absorbing an event is cheap; what follows from it is computed once per flush, by the timeline.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import cast

from loguru import logger

from ..venues.venue import (
    Broken,
    Candles,
    Event,
    Feed,
    FeedFailure,
    Heard,
    Rejected,
    Subscribed,
    Trades,
)
from .live import Live
from .repeats import Repeats

__all__ = ["Consumer"]


class Consumer:
    """Follows one connection of the feed for ever."""

    def __init__(self, live: Live, feed: Feed, link: int) -> None:
        self._live = live
        self._feed = feed
        self._link = link
        self._connected = False
        self._repeats = Repeats(live.clock)
        live.feed.connections += 1

    async def run(self) -> None:
        """Take events until cancelled."""
        async with aclosing(cast("AsyncGenerator[Event, None]", self._feed.events())) as events:
            async for event in events:
                self.take(event)

    def take(self, event: Event) -> None:
        """Put one event into the timeline."""
        live, timeline = self._live, self._live.timeline
        match event:
            case Candles(stamp=stamp, candles=candles):
                stamp = self._hear(stamp)
                timeline.feed_candles(self._link, stamp, candles, live.now())
            case Heard(stamp=stamp):
                stamp = self._hear(stamp)
                timeline.heard(self._link, stamp, live.now())
            case Trades(stamp=stamp, trades=trades):
                stamp = self._hear(stamp)
                timeline.feed_trades(self._link, stamp, trades, live.now())
            case Subscribed(products=products, stamp=stamp):
                stamp = self._hear(stamp)
                timeline.subscribe(self._link, stamp, products, live.now())
            case Broken(products=products, reason=reason, lost_connection=lost):
                self._break(products, reason, lost_connection=lost)
            case Rejected(reason=reason, payload=payload):
                live.feed.rejections += 1
                self._repeats.log(
                    "feed_rejected", reason, f"rejected from the feed: {reason}", payload=payload
                )
            case FeedFailure(message=message):
                self._repeats.log("feed_failure", message, f"the feed: {message}")
        live.changed.set()

    def _hear(self, stamp: int) -> int:
        live = self._live
        live.feed.frames += 1
        if not self._connected:
            self._connected = True
            live.feed.connected += 1
            logger.bind(event="feed_up", products=len(self._feed.products)).info("the feed is up")
        stamp = live.hear(stamp)
        live.feed.last_message = max(live.feed.last_message, stamp)
        return stamp

    def _break(self, products: tuple[str, ...], reason: str, *, lost_connection: bool) -> None:
        live = self._live
        if lost_connection:
            live.feed.reconnects += 1
            if self._connected:
                self._connected = False
                live.feed.connected -= 1
        else:
            live.feed.sequence_gaps += 1
        live.timeline.broken(self._link, products, resumes=not lost_connection, now=live.now())
        logger.bind(event="feed_broken", reason=reason, products=len(products)).warning(
            f"the feed was interrupted: {reason}"
        )
