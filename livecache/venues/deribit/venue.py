"""Deribit as a venue: its time, its instruments, pages of candles, and its feeds.

History goes by HTTP and the feed by the websocket, so that a refusal of one does not cut the other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Unpack

from ...model.budget import Budget
from ...model.grid import Grid
from ..base import FedVenue, Ground
from ..rows import DecodedPage
from ..venue import FetchFailure, PageRequest, Product
from .answers import decode_page, decode_products, decode_time, refused
from .settings import DeribitSettings
from .traits import RESOLUTIONS, credits_of, traits_of

if TYPE_CHECKING:
    from .dialect import DeribitDialect

__all__ = ["VENUE", "DeribitVenue"]

_API = "/api/v2/public"


class DeribitVenue(FedVenue[DeribitSettings]):
    """Deribit. `asks_every_s`: see `dialect.DeribitDialect`; None for its own."""

    # Each feed sends three messages on connecting, and the venue takes 3.3 subscriptions a second.
    _BETWEEN_CONNECTIONS_S = 1.0

    def __init__(
        self, settings: DeribitSettings, *, asks_every_s: float | None = None, **ground: Unpack[Ground]
    ) -> None:
        traits = traits_of(settings.page_limit, settings.credits_share)
        super().__init__(settings, traits, **ground)
        self._pace = {} if asks_every_s is None else {"asks_every_s": asks_every_s}

    async def time(self) -> int | FetchFailure:
        """The venue's clock, Unix ms."""
        return await self._http.get("time", f"{_API}/get_time", decode=decode_time, refused=refused)

    async def products(self, only: Sequence[str] = ()) -> Mapping[str, Product] | FetchFailure:
        """What is listed, by name: every instrument, or those of `only` that there are."""
        listed = await self._http.get(
            "products",
            f"{_API}/get_instruments",
            {"currency": "any", "expired": "false"},
            decode=decode_products,
            refused=refused,
        )
        if isinstance(listed, FetchFailure) or not only:
            return listed
        return {name: listed[name] for name in only if name in listed}

    async def _page(self, request: PageRequest, grid: Grid, buckets: int) -> DecodedPage | FetchFailure:
        asked = {
            "instrument_name": request.symbol,
            # The start is exclusive and the end inclusive, as far as has been seen.
            "start_timestamp": str(request.start - 1),
            "end_timestamp": str(request.end - 1),
            "resolution": RESOLUTIONS[request.timeframe],
        }
        return await self._http.get(
            "candles",
            f"{_API}/get_tradingview_chart_data",
            asked,
            decode=lambda answer: decode_page(request, grid, answer, self._now()),
            refused=refused,
        )

    @property
    def _ids_most(self) -> int:
        return self._settings.instruments_per_connection

    def _dialect(self) -> DeribitDialect:
        from .dialect import DeribitDialect

        return DeribitDialect(self._settings.ws_url, self._now, **self._pace)

    def _budgets(self) -> tuple[Budget, ...]:
        return credits_of(self._settings.credits_share)


VENUE = DeribitVenue
