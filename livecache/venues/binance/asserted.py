"""What is gone by of Binance and only it can bear out: see `venues.asserted` and docs/venues.md."""

from __future__ import annotations

from collections.abc import Collection

from ...model.candle import ExactCandle
from ...model.timeframe import Timeframe
from ..asserted import Assertion, Differs, Sight, Untried, numbers, stays
from ..venue import Event, FeedCandles
from .markets import MARKETS
from .settings import BinanceSettings
from .traits import CARRIED, traits_of

__all__ = ["ASSERTED"]

_AT_ONCE = 100  # as the dialect has it
_MINUTE_MS = 75_000


def _told(event: Event) -> Collection[str]:
    return {name for name, *_ in event.candles} if isinstance(event, FeedCandles) else ()


async def _streams(sight: Sight) -> None:
    trading = [name for name, product in (await sight.listed()).items() if not product.halted]
    some = list(dict.fromkeys([*sight.symbols, *trading]))[:_AT_ONCE]
    await sight.told_of(some, _MINUTE_MS, _told)


async def _last_frame(sight: Sight) -> None:
    symbol = sight.symbols[0]
    last: list[ExactCandle] = []

    def closes(event: Event) -> Collection[str]:
        for name, _, candle, flag in event.candles if isinstance(event, FeedCandles) else ():
            if name == symbol and flag:
                last.append(candle)
        return [symbol] if last else ()

    await sight.told_of([symbol], _MINUTE_MS, closes)
    told = last[-1]
    end = told.time + CARRIED.ms
    await sight.until(end + sight.settle_delay_ms)
    (row,) = (await sight.page(symbol, CARRIED, told.time, end)).rows or (None,)
    if row is None and told.flat:
        return
    if numbers(row) != numbers(told):
        raise Differs(
            f"{symbol} of {told.time}: the feed says {told.numbers}, the page {row and row.numbers}"
        )


async def _delisted(sight: Sight) -> None:
    gone = [name for name, product in (await sight.listed()).items() if product.halted]
    if not gone:
        raise Untried("all that is listed trades")
    page = await sight.newest(gone[0], Timeframe.D1, sight.venue.traits.page(Timeframe.D1))
    if not page.rows:
        raise Differs(f"none of {gone[0]}")


async def _list(sight: Sight) -> None:
    try:
        await sight.listed()
    except Untried as error:
        raise Differs(str(error)) from None


async def _weight(sight: Sight) -> None:
    settings = sight.settings
    assert isinstance(settings, BinanceSettings)
    await sight.listed()  # which teaches the venue
    said, gone_by = sight.venue.traits.budgets, traits_of(MARKETS[settings.market], settings.share).budgets
    for one, other in zip(said, gone_by, strict=True):
        if one != other:
            raise Differs(f"it says {one}")


ASSERTED = (
    Assertion(
        "streams",
        "a message subscribes to 100 streams, and each is told of every minute, however quiet",
        "a feed that is silent for 90 s is ended, and those symbols come by pages alone",
        _streams,
    ),
    Assertion(
        "last frame",
        "10 s after its end a page has the candle of the feed's last frame",
        "set a longer settle_delay",
        _last_frame,
    ),
    Assertion(
        "closed candles",
        "10 s after its end a minute stays as it is",
        "set a longer settle_delay",
        stays,
    ),
    Assertion(
        "delisted",
        "a symbol that is not traded any more has its candles still",
        "of such a symbol there is what Redis holds",
        _delisted,
        harmless=True,
    ),
    Assertion(
        "list",
        "the whole list is no longer than 32 MB",
        "only those that are wanted are asked for by name, and no unknown one gets a near one named",
        _list,
    ),
    Assertion(
        "weight",
        "an address may use 6,000 in a minute, of USD-M 2,400, of binance.us 1,200",
        "what the list says is gone by",
        _weight,
        harmless=True,
    ),
)
