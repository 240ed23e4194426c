"""What the timeline counts, and what an operator should read about."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from ..model.timeframe import iso
from ..proof.derive import Derived
from ..proof.evidence import PageOutcome
from ..proof.track import Track

__all__ = ["Counters", "Note", "fields_of", "note_of", "notes_of"]


class Note(NamedTuple):
    """Something an operator should read about. `event` names it; `fields` go into the log record."""

    event: str
    message: str
    fields: Mapping[str, object]


@dataclass(slots=True)
class Counters:
    """What happened since the start, for logs and metrics."""

    revisions: int = 0
    rollup_mismatches: int = 0
    disputes: int = 0  # buckets of pages that were poorer than what the feed had shown
    disputes_lost: int = 0  # … and were taken after all, since fresh pages agreed for five minutes
    unusable: int = 0  # buckets given up because their rows cannot be believed
    rebuilt: int = 0  # buckets added up from smaller candles in their stead
    dead_channels: int = 0
    feed_changes: int = 0  # times that the feed came up or broke for a symbol

    def count(self, outcome: PageOutcome) -> None:
        """Add what became of a page."""
        self.revisions += len(outcome.revised)
        self.disputes += outcome.disputed
        self.disputes_lost += len(outcome.overruled)
        self.unusable += len(outcome.unusable)
        self.rollup_mismatches += len(outcome.mismatched)


def fields_of(track: Track) -> dict[str, object]:
    """What a note says of the series that it is about."""
    return {"symbol": track.series.symbol, "timeframe": str(track.series.timeframe)}


def note_of(event: str, message: str, track: Track, bucket: int) -> Note:
    """A note about one bucket."""
    text = f"{track.series}: the bucket at {iso(bucket)} {message}"
    return Note(event, text, {**fields_of(track), "time": bucket})


def notes_of(track: Track, outcome: PageOutcome | Derived) -> Iterator[Note]:
    """What an operator should read about what became of a page, or of a roll-up."""
    for bucket in outcome.mismatched:
        yield note_of("rollup_mismatch", "differs from its roll-up", track, bucket)
    if isinstance(outcome, Derived):
        return
    if outcome.strange and next(reversed(track.strange.values())).pages == 1:
        text = (
            f"{track.series}: a page does not fit what is known, as if it were of another series: not taken"
        )
        yield Note("page_strange", text, fields_of(track))
    for bucket in outcome.revised:
        yield note_of("revised", "was revised", track, bucket)
    for bucket in outcome.overruled:
        yield note_of("dispute_lost", "holds less than was shown: fresh pages agree on it", track, bucket)
    for bucket in outcome.unusable:
        yield note_of("unusable", f"cannot be had: {track.open[bucket].unusable}", track, bucket)
