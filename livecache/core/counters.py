"""What the timeline counts, and what an operator should read about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

__all__ = ["Counters", "Note"]


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
    disputes: int = 0  # pages that were poorer than what the feed had shown
    disputes_lost: int = 0  # … and were taken after all
    dead_channels: int = 0
    breaks: int = 0
    feed_changes: int = 0  # times that the feed came up or broke for a symbol
