"""What was stored before, and what became known when."""

from __future__ import annotations

from typing import NamedTuple

from ...equities.scale import Scale
from ...model.candle import ExactCandle
from ...model.coverage import Coverage

__all__ = ["Arrival", "Revision", "Version"]


class Revision(NamedTuple):
    """A row that was stored until `at`, and then was revised or taken out."""

    rev: int
    time: int
    at: int
    source: str
    """Where the row came from that took its place: `page`, `feed`, `roll-up` or a file's name."""
    old: tuple[str, str, str, str, str] | None
    """Open, high, low, close and volume; None: the bucket was known to be empty."""


class Arrival(NamedTuple):
    """Stretches that became known, from one source, within an hour; kept for ninety days.

    A bucket of them was known at `at`, or `lag` ms after its open, whichever is earlier. None was asked for
    before `began`.
    """

    rev: int
    began: int
    at: int
    lag: int
    source: str
    coverage: Coverage


class Version(NamedTuple):
    """What an answer of a store is made of, undecoded."""

    coverage: Coverage
    """What is settled, within the stretch that was asked for."""
    written: int
    """The largest revision of its blocks."""
    revised: int
    """The largest revision that changed a row or took it out."""
    shown: tuple[ExactCandle, ...]
    """What is not final yet."""
    scales: tuple[Scale, ...]
    """What is stored in other shares than today's."""
