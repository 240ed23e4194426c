"""What is known of a symbol itself: since when it is kept, what it is, its splits and dividends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from ...equities.action import Action
from ...venues.venue import Instrument

__all__ = ["AboutSymbol", "Asset", "SymbolStore"]


class AboutSymbol(NamedTuple):
    """What a page tells beside its rows."""

    asked: int
    """When it was asked for, Unix ms by the host's clock."""
    actions: tuple[Action, ...] = ()
    """All of the stretch that it proves, where the venue tells of any."""
    about: Instrument | None = None


@dataclass(frozen=True, slots=True)
class Asset:
    """A symbol of which something has been stored. Times are Unix ms."""

    venue: str
    symbol: str
    first_seen: int
    """When its first page was asked for."""
    last_update: int
    """When its newest one was stored."""
    listed: int = 0
    """When its history begins; 0 where nobody says."""
    exchange: str = ""
    currency: str = ""
    calendar: str = ""
    name: str = ""


class SymbolStore(Protocol):
    """Symbols, beside the candles of their series."""

    def assets(self) -> Sequence[Asset]:
        """All of them, by venue and symbol."""

    def actions(self, venue: str, symbol: str) -> Sequence[Action]:
        """Splits and dividends, the oldest first; dividends in today's shares."""
