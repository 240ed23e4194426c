"""What is wanted of every series, and what a candle that is not settled is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from ..errors import ConfigError
from .candle import ExactCandle
from .traits import Traits

__all__ = ["CANDLES_MAX", "CONFIRM_MS", "CROWD", "Policy", "Provisional", "longest_word", "word_problem"]


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
        if traits.flags and (problem := word_problem(self.confirm_after_ms, self.max_lag_ms)):
            raise ConfigError(f"confirm_after: {problem[0]}", problem[1])

    @property
    def settling_ms(self) -> int:
        """How long after its end a bucket may still be unknown in a series that becomes ready."""
        return self.settle_delay_ms + 10_000


def longest_word(max_lag_ms: int) -> int:
    """How long what the feed says has closed may wait for a page: a minute is left for that."""
    return max(0, max_lag_ms - _MARGIN_MS)


def word_problem(confirm_after_ms: int, max_lag_ms: int) -> tuple[str, str] | None:
    """Why it may not wait so long, and a hint; None if it may."""
    if confirm_after_ms <= longest_word(max_lag_ms):
        return None
    what = f"{confirm_after_ms / 1000:g} s leave less than a minute of cache.max_lag"
    return f"{what} ({max_lag_ms / 1000:g} s)", "lower confirm_after, or allow more lag"


CANDLES_MAX = 10_000
"""What can be kept of a series."""

CROWD = 24
"""Provisional candles kept beside `candles` settled ones: small enough for a compact set in Redis."""

CONFIRM_MS = 3_600_000
"""What is presumed, and where history ends, is asked for again so often."""


class Provisional(NamedTuple):
    """A candle that is not settled. `vouched`: an unbroken feed stands behind its being complete so far.

    `stamp`: when the venue said so, Unix ms, where it orders its words by that; else 0.
    """

    candle: ExactCandle
    vouched: bool
    stamp: int = 0

    def precedes(self, candle: ExactCandle, stamp: int) -> bool:
        """Whether that is another and a later word: by the stamps if both have one, else by volume."""
        if stamp and self.stamp:
            return stamp >= self.stamp and not candle.equals(self.candle)
        return candle.richer_than(self.candle)

    def outdoes(self, row: ExactCandle) -> bool:
        """Whether a page's row is less than this: by volume, or by range if the feed stands behind it."""
        return self.candle.richer_than(row) or (self.vouched and not row.reaches(self.candle))
