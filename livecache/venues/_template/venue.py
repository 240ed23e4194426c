"""REQUIRED. The venue: its clock, its list, pages of candles, and its feeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Unpack

from ...model.grid import Grid
from ...model.traits import Traits
from ..base import FedVenue, Ground
from ..rows import DecodedPage
from ..venue import FetchFailure, PageRequest, Product
from .pages import Row, decoded, page_of, refused
from .settings import TemplateSettings
from .traits import TRAITS

if TYPE_CHECKING:
    from .dialect import TemplateDialect

__all__ = ["VENUE", "TemplateVenue"]


class TemplateVenue(FedVenue[TemplateSettings]):
    """OPTIONAL: `HttpVenue` to derive from, where there is no feed; `build`, where it takes a key."""

    def __init__(self, settings: TemplateSettings, traits: Traits = TRAITS, **ground: Unpack[Ground]) -> None:
        super().__init__(settings, traits, **ground)

    async def time(self) -> int | FetchFailure:
        """The venue's clock, Unix ms."""
        return await self._http.get("time", "/time", decode=lambda a: decoded(a, int), refused=refused)

    async def products(self, only: Sequence[str] = ()) -> Mapping[str, Product] | FetchFailure:
        """What is listed, by symbol: the id under which its feed comes, and why it is halted, if it is."""
        told = await self._http.get(
            "products", "/products", decode=lambda a: decoded(a, dict[str, str]), refused=refused
        )
        if isinstance(told, FetchFailure):
            return told
        return {symbol: Product(id_) for symbol, id_ in told.items() if not only or symbol in only}

    async def _page(self, request: PageRequest, grid: Grid, buckets: int) -> DecodedPage | FetchFailure:
        """That page. One that the venue would cut short, or does not serve, is not asked for."""
        asked = {"symbol": request.symbol, "timeframe": request.timeframe.value}
        asked |= {"start": str(request.start), "end": str(request.end)}
        rows = await self._http.get(
            "candles", "/candles", asked, decode=lambda a: decoded(a, list[Row]), refused=refused
        )
        return rows if isinstance(rows, FetchFailure) else page_of(request, rows, grid, self._now())

    def _dialect(self) -> TemplateDialect:
        """With a feed. OPTIONAL: `_ids_most`, where a connection carries fewer than a hundred, or more."""
        from .dialect import TemplateDialect

        return TemplateDialect(self._settings.ws_url, self.traits, self._now)


VENUE = TemplateVenue
