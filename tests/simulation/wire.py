"""Pages of the model venue as Coinbase writes them: spoiled there, and read as from Coinbase."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from livecache.venues.coinbase.pages import decode_page
from livecache.venues.venue import FetchFailure, Page, PageRequest
from tests.simulation.model import ModelVenue

__all__ = ["Rows", "Spoil", "on_the_wire", "row_time"]

Rows = list[Any]
Spoil = Callable[[PageRequest, Rows, float], Rows | bytes]
"""The rows of a page, newest first, and the seconds since the start, to what is sent: rows, or a body."""


def on_the_wire(venue: ModelVenue, spoil: Spoil) -> ModelVenue:
    """Have every page written out, passed through `spoil`, and decoded."""
    fetch, began = venue.fetch, venue.clock.monotonic()

    async def fetch_spoilt(request: PageRequest) -> Page | FetchFailure:
        page = await fetch(request)
        if not isinstance(page, Page):
            return page
        rows: Rows = [
            dict(zip(("open", "high", "low", "close", "volume"), row.numbers, strict=True))
            | {"start": str(row.time // 1000)}
            for row in reversed(page.rows)
        ]
        sent = spoil(request, rows, venue.clock.monotonic() - began)
        body = sent if isinstance(sent, bytes) else msgspec.json.encode({"candles": sent})
        decoded = decode_page(request, body, venue.now())
        return decoded if isinstance(decoded, FetchFailure) else decoded.page

    venue.fetch = fetch_spoilt  # type: ignore[method-assign]
    return venue


def row_time(row: dict[str, str]) -> int:
    """Unix ms."""
    return int(row["start"]) * 1000
