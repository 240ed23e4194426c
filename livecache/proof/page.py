"""A page of candles as the core takes it, and what becomes of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from ..model.candle import ExactCandle

__all__ = ["PageFacts", "PageOutcome"]


@dataclass(frozen=True, slots=True)
class PageFacts:
    """A page of one series over `[start, end)`, Unix ms, with `heard` from before the request was sent."""

    start: int
    end: int
    rows: Mapping[int, ExactCandle]  # oldest first
    heard: int
    rejected: frozenset[int] = frozenset()  # buckets whose row could not be believed, or may be missing
    reasons: Mapping[int, str] = field(default_factory=dict)  # why those rows could not be believed
    flat: frozenset[int] = frozenset()  # buckets whose row said that nothing was traded

    def without_flat(self) -> PageFacts:
        """The same where rows without a trade are the rule: they are rows no more."""
        flat = frozenset(t for t, row in self.rows.items() if row.flat)
        return replace(self, rows={t: row for t, row in self.rows.items() if t not in flat}, flat=flat)


@dataclass(slots=True)
class PageOutcome:
    """What became of the page's buckets."""

    touched: list[int] = field(default_factory=list)  # buckets of which more is known now
    revised: list[int] = field(default_factory=list)
    mismatched: list[int] = field(default_factory=list)  # differ from their own roll-up
    doubtful: list[int] = field(default_factory=list)  # … and hold more than it
    disputed: int = 0
    overruled: list[int] = field(default_factory=list)  # the pages agree against the feed, or against kin
    unusable: list[int] = field(default_factory=list)  # given up with this page
    strange: bool = False  # it is another series' as far as is seen, and nothing of it was taken
    channel_dead: int = 0  # the first bucket with a settled candle where an unbroken feed showed nothing
