"""A page of candles as the core takes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from .candle import ExactCandle

__all__ = ["PageFacts"]


@dataclass(frozen=True, slots=True)
class PageFacts:
    """A page of one series over `[start, end)`, Unix ms, with `heard` from before the request was sent."""

    start: int
    end: int
    rows: Mapping[int, ExactCandle]  # oldest first
    heard: int
    rejected: frozenset[int] = frozenset()  # buckets whose row could not be believed, or may be missing
    absence_proves: bool = True  # False where a row could not even be placed
    reasons: Mapping[int, str] = field(default_factory=dict)  # why those rows could not be believed
