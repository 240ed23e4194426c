"""What the writer counts and measures."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..model.histogram import Histogram

__all__ = ["DamageStats", "WriterStats"]

# Seconds. One with Valkey beside it takes under a millisecond; a command of one that hangs, five seconds.
_FLUSH_BOUNDS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


@dataclass(slots=True)
class DamageStats:
    """Counters since start."""

    series: int = 0  # series that were not as they were written, and were rewritten
    limits: int = 0  # keys whose time limit was lifted
    announcements: int = 0  # times the set of series was not as announced, and was announced anew
    closes: int = 0  # entries of the stream of closes that others removed; these stay gone


@dataclass(slots=True)
class WriterStats:
    """Counters since start."""

    flushes: int = 0
    upserts: int = 0  # series written
    closes: int = 0  # entries added to the stream
    closes_dropped: int = 0  # entries given up because Redis was away for too long
    lost: int = 0  # series found missing or outdated in Redis, and rewritten
    foreign: int = 0  # writes refused because a key holds something that is not livecache's
    fenced: int = 0  # times the lease was lost, to another instance or altogether
    errors: int = 0  # flushes that failed and were tried again
    recoveries: int = 0  # times Redis worked again after errors
    # Flushes that wrote something and succeeded, from taking the changes to the last answer.
    flush_seconds: Histogram = field(default_factory=lambda: Histogram(_FLUSH_BOUNDS_S))
    damage: DamageStats = field(default_factory=DamageStats)  # what the audit found
