"""Coinbase as a venue: its time, its products, pages of candles, and its feeds.

https://docs.cdp.coinbase.com/coinbase-app/advanced-trade-apis/rest-api
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Self, Unpack
from urllib.parse import quote

from ...model.budget import Budget, Spacing
from ...model.grid import Grid
from ...quiet import logger
from ..base import FedVenue, Ground
from ..net.http import Answer
from ..rows import DecodedPage
from ..venue import FailureKind, FetchFailure, PageRequest, Product
from .auth import ApiKey, Signing, load_key
from .pace import paced
from .pages import GRANULARITIES, decode_page, decode_products, decode_time, refusal
from .settings import CoinbaseSettings
from .traits import TRAITS

if TYPE_CHECKING:
    from .dialect import CoinbaseDialect

__all__ = ["VENUE", "CoinbaseVenue"]

_API = "/api/v3/brokerage"

# Older texts of the venue, and most libraries, know no longer page than this one.
_CERTAIN_PAGE_LIMIT = 300

# So many answers 401 in a row to a key that was accepted before are throttling (coinbase-advanced-py#60).
_DENIALS_BELIEVED = 20
_DENIALS_MOST = 30  # After so many it goes on without the key, as at once with one that was never accepted.


class CoinbaseVenue(FedVenue[CoinbaseSettings]):
    """Coinbase Advanced Trade."""

    # Each feed sends two or three messages on connecting, and the venue takes 8 a second from one address.
    _BETWEEN_CONNECTIONS_S = 0.5

    def __init__(self, settings: CoinbaseSettings, *, key: ApiKey | None, **ground: Unpack[Ground]) -> None:
        self._key = key
        super().__init__(settings, TRAITS.paged(settings.page_limit), **ground)
        self._learn_budgets()
        self._nonces = itertools.count(int(self._clock.wall() * 1000))  # other ones in each run
        self._signing = Signing(key, self._now)
        self._denials: int | None = None  # answers 401 to a key in a row; None until it was accepted once

    @classmethod
    def build(cls, settings: CoinbaseSettings, environ: Mapping[str, str], **ground: Unpack[Ground]) -> Self:
        return cls(settings, key=load_key(settings.key_file, environ, ground["name"]), **ground)

    async def time(self) -> int | FetchFailure:
        """The venue's clock, Unix ms; the edge may serve it a second late."""
        return await self._http.get(
            "time",
            f"{_API}/time",
            decode=lambda answer: decode_time(answer.body),
            refused=self._refused,
        )

    async def products(self, only: Sequence[str] = ()) -> Mapping[str, Product] | FetchFailure:
        """What is listed, by id: every product, or those of `only` that there are."""
        parameters = [("product_ids", name) for name in only]
        return await self._http.get(
            "products",
            f"{_API}/market/products",
            parameters,
            decode=lambda answer: decode_products(answer.body),
            refused=self._refused,
        )

    async def _page(self, request: PageRequest, grid: Grid, buckets: int) -> DecodedPage | FetchFailure:
        signed = self._signing.on
        path, parameters = self._candles_path(request.symbol, signed), self._parameters(request, signed)

        def decode(answer: Answer) -> DecodedPage | FetchFailure:
            if signed:
                self._denials = 0
            return decode_page(request, answer.body, self._now())

        return await self._http.get(
            "candles",
            path,
            parameters,
            {"Authorization": self._signing.bearer("GET", path)} if signed else None,
            decode=decode,
            refused=lambda answer: self._refused(answer, signed=signed),
        )

    @property
    def _ids_most(self) -> int:
        return self._settings.products_per_connection

    def _dialect(self) -> CoinbaseDialect:
        from .dialect import CoinbaseDialect

        return CoinbaseDialect(self._settings.ws_url, self._now, self._key)

    def _budgets(self) -> tuple[Budget, ...]:
        per_s = paced(self._settings.requests_per_second, keyed=self._key is not None)
        return (Spacing("requests", per_s, yields=True),)

    def _candles_path(self, symbol: str, signed: bool) -> str:
        public = "" if signed else "/market"
        return f"{_API}{public}/products/{quote(symbol, safe='')}/candles"

    def _parameters(self, request: PageRequest, signed: bool) -> dict[str, str]:
        # Both bounds are inclusive. Without them the answer may be a default window from the edge's cache.
        parameters = {
            "start": str(request.start // 1000),
            "end": str((request.end - request.timeframe.ms) // 1000),
            "granularity": GRANULARITIES[request.timeframe],
        }
        if request.fresh and not signed:
            # The edge keeps an answer for a second and ignores `cache-control`; a URL it never saw passes.
            parameters["_"] = str(next(self._nonces))
        return parameters

    def _learned(self, failure: FetchFailure, request: PageRequest, buckets: int) -> FetchFailure:
        """Take note of what the venue said about its limits."""
        if failure.kind is FailureKind.PAGE_TOO_LONG:
            limit = _CERTAIN_PAGE_LIMIT if buckets > _CERTAIN_PAGE_LIMIT else max(1, buckets // 2)
            if limit < self.traits.page(request.timeframe):  # else it was under way when it fell
                self.traits = self.traits.paged(limit)
                logger.bind(event="page_limit_lowered", page_limit=limit, refused=buckets).warning(
                    "Coinbase refused a page of {} buckets; pages have at most {} from now on", buckets, limit
                )
        return super()._learned(failure, request, buckets)

    def _refused(self, answer: Answer, *, signed: bool = False) -> FetchFailure:
        """What an answer other than 200 means. `signed`: the request bore a signature."""
        signed = signed and not (answer.status == 401 and self._trusts_key())
        refused = refusal(answer.status, answer.body, signed=signed, retry_after_s=answer.retry_after_s)
        if refused.kind is FailureKind.UNAUTHORIZED and (self._denials or _DENIALS_MOST) >= _DENIALS_MOST:
            self._signing.set_aside(refused.message)
        return refused

    def _trusts_key(self) -> bool:
        """Whether a 401 says too many requests, as the venue has done, and not that the key is wrong.

        A key that was accepted just now has not become wrong; after many denials in a row perhaps it has.
        """
        if self._denials is None:
            return False
        self._denials += 1
        return self._denials <= _DENIALS_BELIEVED


VENUE = CoinbaseVenue
