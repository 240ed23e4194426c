"""What the simulated venue trades: the contract between a market and the exchange that shows it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

import msgspec

from ...model.candle import ExactCandle
from ...model.timeframe import Timeframe

__all__ = [
    "Increments",
    "Market",
    "MarketOverlay",
    "MarketTrade",
    "beneath",
    "decimal_text",
    "decimal_texts",
]

_EXACT = 10**15  # below it a float is told by its shortest digits from all others of so few digits


class MarketTrade(NamedTuple):
    """One trade. Ids are dense (+1) within a product; `time_us` is Unix microseconds; `side` the maker's."""

    product: str
    trade_id: int
    price: str
    size: str
    time_us: int
    side: str


class Increments(NamedTuple):
    """The smallest steps of a product's price and volume, as the venue prints them (`"0.01"`)."""

    price: str
    base: str


class Market(Protocol):
    """Pure: the same question has the same answer for ever, and nothing is remembered between questions."""

    def products(self) -> list[str]:
        """The ids of what is traded, without aliases."""
        ...

    def aliases(self) -> Mapping[str, str]:
        """Further ids, each mapped to the product whose data it shows (`BTC-USDC` to `BTC-USD`)."""
        ...

    def increments(self, product: str) -> Increments:
        """The product's smallest steps of price and volume."""
        ...

    def listed(self, product: str) -> int:
        """When its first bucket opens, Unix ms; 0 where it has been there for ever."""
        ...

    def candles(
        self, product: str, timeframe: Timeframe, start_ms: int, end_ms: int, now_ms: int
    ) -> list[ExactCandle]:
        """The candles that open in `[start_ms, end_ms)`, as seen at `now_ms`; all Unix ms.

        Oldest first. Buckets without trades are absent; so is what lies after `now_ms`. The bucket in
        progress holds what was traded before `now_ms`: its volume only grows, its range only widens.
        """
        ...

    def trades(self, product: str, from_ms: int, to_ms: int) -> list[MarketTrade]:
        """The trades of `[from_ms, to_ms)` in ascending id; empty where a market has candles only."""
        ...


class MarketOverlay:
    """Another market as it is; subclasses show some of it otherwise."""

    def __init__(self, market: Market) -> None:
        self._market = market

    def products(self) -> list[str]:
        return self._market.products()

    def aliases(self) -> Mapping[str, str]:
        return self._market.aliases()

    def increments(self, product: str) -> Increments:
        return self._market.increments(product)

    def listed(self, product: str) -> int:
        return self._market.listed(product)

    def candles(
        self, product: str, timeframe: Timeframe, start_ms: int, end_ms: int, now_ms: int
    ) -> list[ExactCandle]:
        return self._market.candles(product, timeframe, start_ms, end_ms, now_ms)

    def trades(self, product: str, from_ms: int, to_ms: int) -> list[MarketTrade]:
        return self._market.trades(product, from_ms, to_ms)


def beneath(market: Market) -> Market:
    """The market under all that shows some of it otherwise."""
    while isinstance(market, MarketOverlay):
        market = market._market
    return market


def decimal_text(units: int, decimals: int) -> str:
    """`units` of 10**-decimals as the venue prints a number: no trailing zeros, no bare point."""
    if not decimals:
        return str(units)
    scale: int = 10**decimals
    whole, fraction = divmod(units, scale)
    if not fraction:
        return str(whole)
    return f"{whole}.{fraction:0{decimals}d}".rstrip("0")


def decimal_texts(units: Sequence[int], decimals: int) -> list[str]:
    """The same of many, some ten times as fast."""
    if not units or not decimals or max(units) >= _EXACT:
        return [decimal_text(each, decimals) for each in units]
    scale = 10**decimals
    text = msgspec.json.encode([each / scale for each in units]).decode()[1:-1]
    if "e" in text:
        return [decimal_text(each, decimals) for each in units]
    return f"{text},".replace(".0,", ",")[:-1].split(",")
