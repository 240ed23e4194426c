"""What a kind of venue builds of its settings, for whoever knows them by the registry only."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Protocol

from ..model.candle import ExactCandle
from ..model.timeframe import Timeframe
from .settings import VenueSettings
from .venue import FetchFailure, HistoryVenue

__all__ = ["ConfiguredVenue", "Witness", "WitnessPage"]


class ConfiguredVenue(HistoryVenue, Protocol):
    """A venue that can be told other settings while it runs."""

    def reconfigure(self, settings: VenueSettings) -> None:
        """Take over what of these settings can change while it runs."""
        ...


@dataclass(frozen=True, slots=True)
class WitnessPage:
    """The rows of one answer by open time, and the buckets whose row cannot be believed."""

    rows: dict[int, ExactCandle]
    rejected: frozenset[int]


class Witness(Protocol):
    """Pages of candles from the same venue by code that shares none with its `fetch`. It blocks."""

    @property
    def requests_per_s(self) -> float:
        """How many requests a second it may be asked."""
        ...

    @property
    def timeframes(self) -> Collection[Timeframe]:
        """What it can be asked for; the others are sums of these."""
        ...

    def fetch(self, symbol: str, timeframe: Timeframe, start: int, end: int) -> WitnessPage | FetchFailure:
        """The candles that open in `[start, end)`, Unix ms, aligned. One attempt."""
        ...

    def close(self) -> None:
        """Close what is open."""
        ...
