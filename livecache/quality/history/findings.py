"""What a check of stored years can find, and how bad that is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

import msgspec

from ...model.series import SeriesId
from ...model.timeframe import Timeframe, iso

__all__ = [
    "FINDINGS_A_KIND_MAX",
    "NOTES",
    "WARNINGS",
    "Finding",
    "Gap",
    "Kind",
    "Rules",
    "few",
    "fill_command",
]

FINDINGS_A_KIND_MAX = 100
"""Findings of one kind in one series that are told one by one; the rest are counted in the last of them."""


class Kind(StrEnum):
    """What was found. docs/checking.md explains each."""

    MISSING = "missing"
    DAMAGED = "damaged"
    OHLCV = "ohlcv"
    MISALIGNED = "misaligned"
    ROLLUP = "rollup"
    # Worth a look; it may be so.
    ABSENT = "absent"
    EMPTY = "empty"
    OUTLIER = "outlier"
    PEERS = "peers"
    SPLIT = "split"
    UNREAD = "unread"
    VOLUME = "volume"
    # So it is.
    CONVERTED = "converted"
    UNKNOWN = "unknown"


NOTES = frozenset({Kind.CONVERTED, Kind.UNKNOWN})
"""Kinds that say how far a judgement goes. No check fails by them."""

WARNINGS = frozenset(
    {Kind.ABSENT, Kind.EMPTY, Kind.OUTLIER, Kind.PEERS, Kind.SPLIT, Kind.UNREAD, Kind.VOLUME}
)
"""Kinds that may be true of sound candles: a check fails by them only if it is told to."""


@dataclass(frozen=True, slots=True)
class Rules:
    """From where on something is a finding."""

    gap_buckets: int = 1
    """Shorter runs of missing or empty buckets are counted, and are no findings."""
    move: float = 12.0
    """A move of the price is an outlier from so many times the median of the 500 around it."""
    wick: float = 20.0
    """A wick is one from so many times the range of the candles beside it."""


class Finding(msgspec.Struct, frozen=True):
    """One thing that was found, about the buckets `[start, end)` in Unix ms; zeros if about none."""

    kind: Kind
    series: SeriesId
    message: str
    remedy: str = ""  # a command, or words
    start: int = 0
    end: int = 0

    @property
    def is_warning(self) -> bool:
        """Whether it may be true of sound candles."""
        return self.kind in WARNINGS


class Gap(msgspec.Struct, frozen=True):
    """Buckets without a candle: `missing` (nobody knows), `empty` (known to hold none), the same of an
    exchange's session `absent`, or `unknown`: beyond what the calendar says for sure.
    """

    series: SeriesId
    kind: Kind
    start: int
    end: int
    buckets: int


def few(findings: Iterable[Finding]) -> Iterator[Finding]:
    """The first of each kind, and in the last of them how many more there are. All are of one series."""
    told: dict[Kind, int] = {}
    for finding in findings:
        told[finding.kind] = count = told.get(finding.kind, 0) + 1
        if count <= FINDINGS_A_KIND_MAX:
            yield finding
            series = finding.series
    for kind, count in told.items():
        if count > FINDINGS_A_KIND_MAX:
            yield Finding(kind, series, f"and {count - FINDINGS_A_KIND_MAX:,} more of this kind")


def fill_command(series: SeriesId, start: int, end: int, *, force: bool = False) -> str:
    """The command that asks for these buckets; with `force` also for those that are known."""
    venue, symbol, timeframe = series
    known = " --force" if force else ""
    return (
        f"livecache history fill --venue {venue} --symbols {symbol} --timeframe {Timeframe(timeframe).value} "
        f"--since {iso(start)} --until {iso(end)}{known}"
    )
