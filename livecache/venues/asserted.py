"""What is gone by and only a venue itself can bear out, as data, with how it is asked.

A kind lists its own in a module `asserted`. docs/venues.md has the same list, and `livecache doctor` asks.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Mapping, Sequence
from decimal import Decimal
from typing import NamedTuple, TypeVar, cast

from ..clock import Clock
from ..model.budget import Spacing
from ..model.candle import ExactCandle
from ..model.timeframe import Timeframe
from .settings import VenueSettings
from .venue import Event, FailureKind, FeedFailure, FetchFailure, Page, PageRequest, Product, Venue

__all__ = ["Assertion", "Differs", "Sight", "Untried", "adds_up", "numbers", "stays"]

_T = TypeVar("_T")

_BETWEEN_S = 0.05  # requests, where the venue's own pace is not known by seconds
_REFUSED_MOST_S = 60.0  # that are waited for after a refusal
_LATER_MS = 10_000  # until a closed candle is looked at again
_TICK_S = 1.0
_NAMED_MOST = 3
_WAIT_MOST_MS = 90_000
_APART = Decimal("1e-9")  # how much of a sum may be the last digits of floats


class Differs(Exception):
    """It is not so: what is instead."""


class Untried(Exception):
    """Why nothing was found out."""


class Sight:
    """A venue as checks look at it: one request after another, no faster than it allows.

    `symbols` are configured, listed and trading. `ask_time` is the venue's time in Unix ms, which its client
    goes by from then on.
    """

    def __init__(
        self,
        venue: Venue,
        settings: VenueSettings,
        symbols: Sequence[str],
        *,
        clock: Clock,
        ask_time: Callable[[], Awaitable[int | FetchFailure]],
    ) -> None:
        self.venue, self.settings, self.symbols, self.clock = venue, settings, symbols, clock
        self._ask_time = ask_time
        spacings = [
            each.per_s for each in (*venue.traits.budgets, *settings.bounds) if isinstance(each, Spacing)
        ]
        self._between_s = max((1 / per_s for per_s in spacings), default=_BETWEEN_S)
        self._turn = asyncio.Lock()
        self._banned = ""
        self._listed: Mapping[str, Product] | None = None

    @property
    def settle_delay_ms(self) -> int:
        """So long after a bucket's end a page may settle it."""
        own = self.settings.settle_delay
        return self.venue.traits.settle_delay_ms if own is None else int(own * 1000)

    async def ask(self, call: Callable[[], Awaitable[_T | FetchFailure]]) -> _T:
        """What is answered, in its turn. Raises Untried where nothing is; after a ban nothing is asked."""
        async with self._turn:
            if self._banned:
                raise Untried(self._banned)
            answer = await call()
            pause_s = self._between_s
            if isinstance(answer, FetchFailure) and answer.kind.too_fast:
                pause_s = max(pause_s, min(answer.retry_after_s or 0.0, _REFUSED_MOST_S))
                if answer.kind is FailureKind.BANNED:
                    self._banned, pause_s = answer.message, 0.0
            await self.clock.sleep(pause_s)
        if isinstance(answer, FetchFailure):
            raise Untried(answer.message)
        return answer

    async def time(self) -> int:
        """The venue's, Unix ms."""
        return await self.ask(self._ask_time)

    async def listed(self) -> Mapping[str, Product]:
        """Everything on its list; asked for once."""
        if self._listed is None:
            self._listed = await self.ask(self.venue.products)
        return self._listed

    async def page(self, symbol: str, timeframe: Timeframe, start: int, end: int) -> Page:
        """The candles of `[start, end)`, Unix ms."""
        request = PageRequest(symbol, timeframe, start, end, fresh=True)
        return await self.ask(lambda: self.venue.fetch(request))

    async def newest(self, symbol: str, timeframe: Timeframe, buckets: int) -> Page:
        """So many candles, the newest that are over."""
        grid = self.venue.traits.grid(timeframe)
        end = grid.closed(await self.time())
        return await self.page(symbol, timeframe, grid.back(end, buckets), end)

    async def until(self, time: int) -> None:
        """Wait for that time of the venue's, Unix ms. Raises Untried where it is far away."""
        while (now := await self.time()) < time:
            if time - now > _WAIT_MOST_MS:
                raise Untried("no candle ends soon")
            await self.clock.sleep(min(_TICK_S, (time - now) / 1000))

    async def told_of(
        self, symbols: Sequence[str], within_ms: int, tells: Callable[[Event], Collection[str]]
    ) -> None:
        """Follow one connection of its feed that carries these until each was told of, as `tells` says."""
        listed = await self.listed()
        aliases = {symbol: listed[symbol].carried for symbol in symbols}
        feed, *_ = self.venue.feeds(symbols, aliases, trades=False)
        silent = dict.fromkeys(symbols)
        told = cast("AsyncGenerator[Event, None]", feed.events())

        async def follow() -> None:
            async with contextlib.aclosing(told) as events:
                async for event in events:
                    if isinstance(event, FeedFailure):
                        raise (Untried if event.unconnected or event.passing else Differs)(event.message)
                    for symbol in tells(event):
                        silent.pop(symbol, None)
                    if not silent:
                        return

        over = await self.time() + within_ms
        tasks = {
            asyncio.create_task(follow(), name="following the feed"),
            asyncio.create_task(self.until(over), name="bounding that"),
        }
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
        if silent:
            few = ", ".join(list(silent)[:_NAMED_MOST])
            missing = f"{len(silent)} of {len(symbols)}"
            raise Differs(f"in {within_ms / 1000:g} s nothing is told of {missing}: {few}")


Check = Callable[[Sight], Awaitable[None]]
"""Raises Differs where it is not so, and Untried where that cannot be told."""


class Assertion(NamedTuple):
    """One thing that is gone by."""

    name: str
    goes_by: str
    otherwise: str
    """What follows where it is not so."""
    check: Check | None = None
    """None: only by provoking the venue could it be found out."""
    harmless: bool = False
    """Whether candles are right and in time also where it is not so."""


async def stays(sight: Sight) -> None:
    """Whether a candle that a page shows after its end, and the settling delay, stays as it is."""
    traits, symbol = sight.venue.traits, sight.symbols[0]
    timeframe = min(traits.served, key=lambda t: t.ms)
    grid = traits.grid(timeframe)
    end = grid.ceil(await sight.time())
    await sight.until(end + sight.settle_delay_ms)
    start = grid.back(end, 3)
    first = await sight.page(symbol, timeframe, start, end)
    await sight.until(end + sight.settle_delay_ms + _LATER_MS)
    rows = {row.time: row for row in (await sight.page(symbol, timeframe, start, end)).rows}
    for row in first.rows:
        if numbers(rows.pop(row.time, None)) != numbers(row):
            raise Differs(f"{symbol} {timeframe} of {row.time} was another one soon after")
    if rows:
        raise Differs(f"{symbol} {timeframe} of {min(rows)} was not there yet, and is")


async def adds_up(sight: Sight) -> None:
    """Whether the volume of the newest hour is the sum of its minutes'."""
    symbol = sight.symbols[0]
    for hour in (await sight.newest(symbol, Timeframe.H1, 1)).rows:
        minutes = await sight.page(symbol, Timeframe.M1, hour.time, hour.time + Timeframe.H1.ms)
        told = Decimal(hour.volume)
        summed = sum((Decimal(row.volume) for row in minutes.rows), Decimal(0))
        if abs(told - summed) > told * _APART:
            raise Differs(f"{symbol} 1h of {hour.time} has the volume {told}, its minutes {summed}")
        return
    raise Untried(f"nothing of {symbol} was traded in an hour")


def numbers(row: ExactCandle | None) -> tuple[Decimal, ...]:
    """The numbers of a candle, whatever digits they are written with."""
    return tuple(Decimal(number) for number in row.numbers) if row else ()
