"""An exchange of ccxt's as a venue: its time, its markets, pages of candles. It has no feed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Unpack

from ...model.grid import Grid
from ..base import Ground, HttpVenue
from ..rows import DecodedPage, page_of
from ..venue import FailureKind, FetchFailure, PageRequest, Product
from .answers import wire_of
from .exchange import Exchange
from .facts import traits_of
from .settings import CcxtSettings

__all__ = ["VENUE", "CcxtVenue"]


class CcxtVenue(HttpVenue[CcxtSettings]):
    """One without a feed. Raises ConfigError as `Exchange`."""

    def __init__(self, settings: CcxtSettings, **ground: Unpack[Ground]) -> None:
        self._exchange = exchange = Exchange(
            settings.exchange or ground["name"],
            rest_url=settings.rest_url,
            now=ground["now"],
            clock=ground["clock"],
            timeout_s=settings.request_timeout,
        )
        exchange.narrow(settings.symbols)
        traits = traits_of(
            (ccxt := exchange.ccxt).id,
            settings,
            timeframes=ccxt.timeframes or {},
            features=ccxt.features,
            api=ccxt.api,
            every_ms=ccxt.rateLimit,
            clock=exchange.tells_time,
        )
        super().__init__(settings, traits, exchange, **ground)

    async def time(self) -> int | FetchFailure:
        """The venue's clock, Unix ms."""
        told = await self._exchange.ask("time", self._exchange.ccxt.fetch_time)
        if isinstance(told, FetchFailure | int):
            return told
        return FetchFailure(FailureKind.MALFORMED, "an answer without a time")

    async def products(self, only: Sequence[str] = ()) -> Mapping[str, Product] | FetchFailure:
        """What is listed, by ccxt's symbol: every market, or those of `only` that there are."""
        listed = await self._exchange.ask("products", lambda: self._exchange.ccxt.load_markets(True))
        if isinstance(listed, FetchFailure):
            return listed
        return {
            symbol: Product(symbol, "inactive" if market.get("active") is False else "")
            for symbol, market in listed.items()
            if not only or symbol in only
        }

    async def _page(self, request: PageRequest, grid: Grid, buckets: int) -> DecodedPage | FetchFailure:
        """The first one loads the list of markets as well."""
        symbol, timeframe, start, end, _ = request
        ccxt = self._exchange.ccxt
        if not ccxt.markets and isinstance(
            failed := await self._exchange.ask("products", ccxt.load_markets), FetchFailure
        ):
            return failed
        rows = await self._exchange.ask(
            "candles", lambda: ccxt.fetch_ohlcv(symbol, timeframe.value, start, buckets), over=end
        )
        if isinstance(rows, FetchFailure):
            return rows
        if not isinstance(rows, list):
            return FetchFailure(FailureKind.MALFORMED, "an answer without candles")
        return page_of(request, grid, map(wire_of, rows), self._now())

    def reconfigure(self, settings: CcxtSettings) -> None:
        """Take over what can change while it runs."""
        super().reconfigure(settings)
        self._exchange.narrow(settings.symbols)


VENUE = CcxtVenue
