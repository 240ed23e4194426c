"""When symbols were listed, where the venue tells: before it there is nothing, and nothing is asked for."""

from __future__ import annotations

import asyncio

from ...engine.limiter import Limiter, Urgency
from ...venues.venue import FetchFailure, HistoryVenue, Instrument
from ..store import HistoryStore, SeriesInfo
from ..thread import Blocking

__all__ = ["Listings"]


class Listings:
    """Asks a venue, once a symbol, and keeps what it says in the store."""

    def __init__(
        self, store: HistoryStore, thread: Blocking, venue: HistoryVenue, limiter: Limiter, urgency: Urgency
    ) -> None:
        self._store, self._thread, self._venue = store, thread, venue
        self._limiter, self._urgency = limiter, urgency
        self._known: dict[str, int] = {}
        self._turn = asyncio.Lock()

    async def of(self, series: SeriesInfo, about: Instrument | None) -> int:
        """The bucket in which its symbol was listed; 0 where the venue does not tell, nor a page of it."""
        symbol, traits = series.key.symbol, self._venue.traits
        if about and about.listed:
            self._known[symbol] = about.listed
        elif not (traits.dated or traits.begins):
            return 0
        async with self._turn:
            if symbol not in self._known:
                ticket = await self._limiter.acquire(self._urgency, traits.costs(series.key.timeframe))
                told = await self._venue.begins(symbol)
                self._limiter.heard(ticket, told)
                if isinstance(told, FetchFailure):
                    return 0
                self._known[symbol] = told
            listed = self._known[symbol]
        grid = series.grid
        first = grid.floor(listed) if grid.number(listed) >= 0 else grid.ceil(listed)
        if listed and series.listed is None:
            await self._thread(lambda: self._store.list_since(series.id, first))
        return first
