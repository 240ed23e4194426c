"""What the venue's list of products says of ours: which it knows, which are halted, what the feed calls them.

The list is long, so it is asked for seldom: at the start only where the feed's names need it, when a symbol
turns out to be unknown, and every ten minutes once the first fill is over.
"""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress

from ..errors import UnknownSymbol
from ..ledger.timeline import Timeline
from ..model.naming import near_symbols
from ..model.timeframe import iso
from ..pacing.backoff import delays
from ..quiet import logger
from ..repeats import Repeats
from ..venues.venue import FetchFailure, Product, Venue
from .limiter import Limiter, Urgency
from .live import Live

__all__ = ["Listing", "standing_by_list"]

LOOK_EVERY_S = 600.0
FIRST_LOOK_S = 5.0
"""After the first fill: that has the venue to itself."""
FIRST_FILL_MOST_S = 600.0
ASKED_FOR_MOST = 100
"""Of more products all are asked for: their names would not fit into a URL."""

_AGAIN_S = 60.0  # A list that is younger is as good as another.
_QUIET_MS = 300_000  # A product that traded within that is not halted, whatever is listed.


def standing_by_list(timeline: Timeline, symbol: str, why: str, now: int, venue: str) -> str:
    """How the venue stands to a product that it knows and lists as halted: "" if it trades nevertheless.

    `why` is what the list says, `now` the venue's time in Unix ms.
    """
    newest = timeline.symbols[symbol].newest()
    if not why or newest + 2 * _QUIET_MS > now:
        return ""
    last = f"its newest candle opened at {iso(newest)}" if newest else "no candle of it is there"
    return f"halted: {venue} lists {symbol} as {why}, {last}"


class Listing:
    """Asks for the list, remembers it, and tells the timeline how its products stand."""

    def __init__(self, live: Live, venue: Venue, limiter: Limiter) -> None:
        self.unknown: set[str] = set()  # symbols that the venue turned out not to have
        self.changed = asyncio.Event()  # that set was
        self.filled = asyncio.Event()  # the first fill is over: there is time for this
        self._live = live
        self._venue = venue
        self._limiter = limiter
        self._repeats = Repeats(live.clock)
        self._asking = asyncio.Lock()
        self._all: Mapping[str, Product] = {}
        self._all_at_s = -math.inf
        self._absent: set[str] = set()  # from the last list
        self._listed: set[str] = set()  # though they seemed unknown

    async def forsake(self, symbol: str, said: str = "") -> str:
        """The venue says that it has no such symbol. How it stands to it: "" if its own list names it."""
        products = await self._everything()
        if symbol in products or symbol not in self._live.timeline.symbols:
            return ""
        gone = self._live.timeline.symbols[symbol].newest() > 0
        known = products or self._live.timeline.symbols.keys() - self.unknown - {symbol}
        near, said = near_symbols(symbol, known), "" if self._venue.traits.lists else said
        error = UnknownSymbol(symbol, self._venue.name, near, gone=gone, said=said)
        if symbol not in self.unknown:
            self.unknown.add(symbol)
            self.changed.set()
            logger.bind(event="unknown_symbol", symbol=symbol, near=list(error.near)).error(str(error))
        return f"unknown: {error.message}: {error.hint}"

    def knows(self, symbol: str) -> None:
        """The venue has answered for the symbol: it was listed meanwhile."""
        timeline = self._live.timeline
        if timeline.symbols[symbol].standing.startswith("unknown"):  # by this run or by an earlier one
            self.unknown.discard(symbol)
            self.changed.set()
            timeline.stand(symbol, "", self._live.now())
            logger.bind(event="symbol_listed", symbol=symbol).info(
                f"{self._venue.name.title()} knows {symbol} now"
            )

    def take_listed(self) -> set[str]:
        """Symbols that seemed unknown and are on the list now: they are worth asking for. Each once."""
        listed, self._listed = self._listed, set()
        return listed

    async def aliases(self, symbols: Sequence[str]) -> Mapping[str, str]:
        """Under which ids the feed carries these symbols. Only -USDC ones need the venue's list for that."""
        if not any(symbol.endswith("-USDC") for symbol in symbols):
            return {}
        for delay in delays(random.random):
            products = await self._ask(symbols)
            if not isinstance(products, FetchFailure):
                return {s: products[s].carried for s in symbols if s in products}
            logger.bind(event="products_failed", error=products.message).warning(
                f"the venue's list of products, which tells the feed's names: {products.message}"
            )
            await self._live.clock.sleep(delay)
        raise AssertionError("delays never end")

    async def run(self) -> None:
        """Look at the list now and then, until cancelled; where there is none, not at all."""
        if not self._venue.traits.lists:
            return
        if not self._venue.traits.dated:  # Else the first fill goes by it.
            with suppress(TimeoutError):
                async with asyncio.timeout(FIRST_FILL_MOST_S):
                    await self.filled.wait()
            await self._live.clock.sleep(FIRST_LOOK_S)
        while True:
            products = await self._ask(list(self._live.timeline.symbols))
            if isinstance(products, FetchFailure):
                self._repeats.log(
                    "products_failed",
                    products.kind,
                    f"the venue's list of products, which tells what is halted: {products.message}",
                )
            elif products:  # An empty list says nothing of anything.
                self._heed(products)
            await self._live.clock.sleep(LOOK_EVERY_S)

    def _heed(self, products: Mapping[str, Product]) -> None:
        live, venue = self._live, self._venue.name.title()
        absent: set[str] = set()
        for symbol, timeline in live.timeline.symbols.items():
            if symbol in self.unknown:
                if symbol in products:
                    self._listed.add(symbol)
                    live.due.set()
                continue
            product = products.get(symbol)
            if product is None:
                absent.add(symbol)
                if symbol not in self._absent:
                    continue  # One list may lack what the next one has.
            why = product.halted if product else "no product any more"
            timeline.begins(product.listed if product else timeline.listed)
            before = timeline.standing
            standing = standing_by_list(live.timeline, symbol, why, live.now(), venue)
            live.timeline.stand(symbol, standing, live.now())
            if bool(standing) != bool(before):
                event = "symbol_halted" if standing else "symbol_trades"
                text = standing.partition(": ")[2] or f"{venue} lists {symbol} as trading again"
                logger.bind(event=event, symbol=symbol).log("WARNING" if standing else "INFO", text)
        self._absent = absent
        live.changed.set()

    async def _everything(self) -> Mapping[str, Product]:
        """The whole list, a minute old at most; an empty one if it cannot be had."""
        async with self._asking:
            if self._live.clock.monotonic() - self._all_at_s > _AGAIN_S:
                products = await self._ask(())
                self._all_at_s = self._live.clock.monotonic()
                self._all = {} if isinstance(products, FetchFailure) else products
            return self._all

    async def _ask(self, symbols: Collection[str]) -> Mapping[str, Product] | FetchFailure:
        # It is asked for seldom.
        ticket = await self._limiter.acquire(Urgency.LIVE, self._live.timeline.traits.list_costs)
        answer = await self._venue.products(tuple(symbols) if len(symbols) <= ASKED_FOR_MOST else ())
        self._limiter.heard(ticket, answer)
        return answer
