"""What the writer asks of the service: the only way from the timeline to Redis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from ..model.candle import ExactCandle
from ..model.series import Changes, SeriesId
from .presence import Alive

__all__ = ["ChangeSource"]


class ChangeSource(Protocol):
    """Where changes come from. Answers at once, from memory, and only about configured series."""

    def take(self) -> Changes:
        """What changed since the last call, at most one change a series; of many some, and it wakes us."""
        ...

    def whole(self, series: Sequence[SeriesId]) -> Changes:
        """The complete content of these series, each a `whole` change, with all that was ever taken."""
        ...

    def held(self, series: SeriesId) -> Sequence[ExactCandle] | None:
        """The candles of a series as they were last taken, in any order; None if it has changed since."""
        ...

    def sent(self) -> None:
        """All that was taken so far is in Redis now."""
        ...

    def alive(self) -> Alive | None:
        """What to say of the feed, and whether to vouch anew; None where either would be a lie."""
        ...

    def feed_changes(self) -> int:
        """How often the feed came up or broke for any symbol so far: readers are told at once."""
        ...

    def feed_status(self) -> Mapping[str, str]:
        """Fields for the `feed` hash."""
        ...
