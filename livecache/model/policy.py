"""What is wanted of every series, and what a candle that is not settled is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from ..errors import ConfigError
from .candle import ExactCandle
from .traits import Traits

__all__ = ["CONFIRM_MS", "CROWD", "Policy", "Provisional"]


_MARGIN_MS = 60_000


@dataclass(frozen=True, slots=True)
class Policy:
    """What is wanted of every series. Durations in ms of the venue's clock."""

    candles: int = 100  # kept and wanted
    min_candles: int = 60  # ready from here on
    settle_delay_ms: int = 10_000
    widen_pages: int = 4  # pages a thin series is searched back beyond the first
    max_lag_ms: int = 600_000
    confirm_after_ms: int = 480_000  # so long what the feed says has closed may wait for a page

    def check(self, traits: Traits) -> None:
        """Refuse what cannot be kept with a venue that is like this. Raises ConfigError."""
        if traits.flags and self.confirm_after_ms > self.max_lag_ms - _MARGIN_MS:
            raise ConfigError(
                f"confirm_after: {self.confirm_after_ms / 1000:g} s leave less than a minute of cache.max_lag"
                f" ({self.max_lag_ms / 1000:g} s)",
                "lower confirm_after, or allow more lag",
            )

    @property
    def settling_ms(self) -> int:
        """How long after its end a bucket may still be unknown in a series that becomes ready."""
        return self.settle_delay_ms + 10_000


CROWD = 24
"""Provisional candles kept beside `candles` settled ones: small enough for a compact set in Redis."""

CONFIRM_MS = 3_600_000
"""What is presumed, and where history ends, is asked for again so often."""


class Provisional(NamedTuple):
    """A candle that is not settled. `vouched`: an unbroken feed stands behind its being complete so far."""

    candle: ExactCandle
    vouched: bool

    def outdoes(self, row: ExactCandle) -> bool:
        """Whether a page's row is less than this: by volume, or by range if the feed stands behind it."""
        return self.candle.richer_than(row) or (self.vouched and not row.reaches(self.candle))
