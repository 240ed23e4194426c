"""Binance as a venue: its time, its symbols, pages of klines, and its feeds.

https://developers.binance.com/docs/binance-spot-api-docs/rest-api
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Unpack

import msgspec

from ...model.budget import Budget, usage_of
from ...model.grid import Grid
from ...model.timeframe import Timeframe
from ..base import FedVenue, Ground
from ..net.http import Answer
from ..rows import DecodedPage
from ..venue import FailureKind, FetchFailure, PageRequest, Product
from .markets import MARKETS
from .pages import Listed, decode_list, decode_page, decode_time, refusal
from .settings import BinanceSettings
from .traits import traits_of

if TYPE_CHECKING:
    from .dialect import BinanceDialect

__all__ = ["VENUE", "BinanceVenue"]

_LIST_BYTES = 32 * 1024 * 1024


class BinanceVenue(FedVenue[BinanceSettings]):
    """One of its markets. A feed is asked every `asks_every_s` whether it lives."""

    # It takes 300 connections in five minutes from one address.
    _BETWEEN_CONNECTIONS_S = 1.0

    def __init__(
        self, settings: BinanceSettings, *, asks_every_s: float | None = None, **ground: Unpack[Ground]
    ) -> None:
        self._market = MARKETS[settings.market]
        traits = traits_of(self._market, settings.share)
        super().__init__(settings, traits, **ground)
        self._asks_every_s = asks_every_s
        self._weight_a_minute: int | None = None  # as it says

    async def time(self) -> int | FetchFailure:
        """The venue's clock, Unix ms."""
        path = f"{self._market.api}/time"
        return await self._http.get(
            "time", path, decode=lambda answer: decode_time(answer.body), refused=self._refused
        )

    async def products(self, only: Sequence[str] = ()) -> Mapping[str, Product] | FetchFailure:
        """What is listed, by symbol: every one, or those of `only` that there are."""
        told: Listed | FetchFailure | None = None
        if only and self._market.lists_few:
            told = await self._list({"symbols": msgspec.json.encode(list(only)).decode()})
        if told is None or (isinstance(told, FetchFailure) and told.kind is FailureKind.UNKNOWN_SYMBOL):
            told = await self._list({})  # One that there is not, and it tells of none.
        if isinstance(told, FetchFailure):
            return told
        if told.weight_a_minute not in (None, self._weight_a_minute):
            self._weight_a_minute = told.weight_a_minute
            self._learn_budgets()
        return {name: one for name, one in told.products.items() if not only or name in only}

    async def begins(self, symbol: str) -> int | FetchFailure:
        """The open of its first day, Unix ms; 0 where there is none."""
        day = Timeframe.D1
        asked = PageRequest(symbol, day, 0, self._moment() + 1)
        told = await self._rows(asked, day.grid, {"limit": "1", "startTime": "0"})
        if isinstance(told, FetchFailure):
            return told
        if told.rejected:
            return FetchFailure(FailureKind.MALFORMED, f"its first candle: {told.rejected[0].reason}", 200)
        return told.page.rows[0].time if told.page.rows else 0

    async def _page(self, request: PageRequest, grid: Grid, buckets: int) -> DecodedPage | FetchFailure:
        # Both bounds are inclusive, by the opens; the start wins where there is more than the limit.
        asked = {"startTime": str(request.start), "endTime": str(request.end - 1)}
        return await self._rows(request, grid, {"limit": str(max(1, buckets)), **asked})

    async def _rows(
        self, request: PageRequest, grid: Grid, asked: dict[str, str]
    ) -> DecodedPage | FetchFailure:
        def decode(answer: Answer) -> DecodedPage | FetchFailure:
            decoded = decode_page(request, grid, answer.body, self._now())
            if isinstance(decoded, FetchFailure):
                return decoded
            page, rejected = decoded
            return DecodedPage(replace(page, usage=usage_of(self.traits.budgets, answer.headers)), rejected)

        asked = {"symbol": request.symbol, "interval": request.timeframe.value, **asked}
        path = f"{self._market.api}/klines"
        return await self._http.get("candles", path, asked, decode=decode, refused=self._refused)

    @property
    def _ids_most(self) -> int:
        return self._market.streams

    def _dialect(self) -> BinanceDialect:
        from .dialect import ASKS_EVERY_S, BinanceDialect

        every_s = self._asks_every_s or ASKS_EVERY_S
        return BinanceDialect(self._settings.ws_url, self._market, self._now, asks_every_s=every_s)

    async def _list(self, asked: dict[str, str]) -> Listed | FetchFailure:
        return await self._http.get(
            "products",
            f"{self._market.api}/exchangeInfo",
            dict(self._market.list_asks) | asked,
            decode=lambda answer: decode_list(answer.body),
            refused=self._refused,
            body_bytes=_LIST_BYTES,
        )

    def _refused(self, answer: Answer) -> FetchFailure:
        return refusal(answer, self._moment())

    def _moment(self) -> int:
        """The venue's time in Unix ms, or the host's while that is unknown."""
        return self._now() or int(self._clock.wall() * 1000)

    def _budgets(self) -> tuple[Budget, ...]:
        return traits_of(self._market, self._settings.share, self._weight_a_minute).budgets


VENUE = BinanceVenue
