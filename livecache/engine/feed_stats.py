"""What is counted of a venue's feed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["FeedStats"]


@dataclass(slots=True)
class FeedStats:
    """What the consumer counts; shown in the `feed` hash."""

    connected: int = 0  # connections that are up
    connections: int = 0
    last_message: int = 0  # stamp of the newest frame, Unix ms
    sequence_gaps: int = 0
    reconnects: int = 0
    rejected: Counter[str] = field(default_factory=Counter)  # by kind: frame, candle, trade, time
    frames: int = 0
    refused: set[str] = field(default_factory=set)  # symbols that the feed has refused, ever

    @property
    def rejections(self) -> int:
        """All of them."""
        return self.rejected.total()

    def fields(self) -> Mapping[str, str]:
        """As they stand in the `feed` hash."""
        return {
            "connected": str(int(self.connected > 0)),
            "connections": f"{self.connected}/{self.connections}",
            "last_message": str(self.last_message),
            "sequence_gaps": str(self.sequence_gaps),
            "reconnects": str(self.reconnects),
            "rejections": str(self.rejections),
        }
