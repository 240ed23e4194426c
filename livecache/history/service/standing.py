"""How the history of one venue stands, for whoever asks."""

from __future__ import annotations

from dataclasses import dataclass, field

from ...quiet import logger
from ..tally import Tally
from ..working.reads import Reads

__all__ = ["Standing"]


@dataclass(slots=True)
class Standing:
    """Counts are since the store was opened last."""

    trouble: str = ""
    """Why the store cannot be used; "" while it can."""
    copied: int = 0
    """Candles that the live service had settled, and that were new in the store."""
    tally: Tally | None = None
    """What is filled; None before anything is."""
    reads: Reads = field(default_factory=Reads)
    """What is filled because a reader asked for it."""

    @property
    def filled(self) -> int:
        """Candles that pages brought."""
        lines = self.tally.lines.values() if self.tally else ()
        return self.reads.candles + sum(line.inserted + line.revised for line in lines)

    @property
    def failed(self) -> int:
        """Series of which something could not be had."""
        return len(self.tally.failures) if self.tally else 0

    def recovered(self) -> None:
        """The store can be used."""
        if self.trouble:
            logger.bind(event="history_recovered").info("the history is kept again")
        self.trouble = ""
