"""How the history of one venue stands, for whoever asks."""

from __future__ import annotations

from dataclasses import dataclass

from ...quiet import logger
from ..tally import Tally

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

    @property
    def filled(self) -> int:
        """Candles that pages brought."""
        return sum(line.inserted + line.revised for line in self.tally.lines.values()) if self.tally else 0

    @property
    def failed(self) -> int:
        """Series of which something could not be had."""
        return len(self.tally.failures) if self.tally else 0

    def recovered(self) -> None:
        """The store can be used."""
        if self.trouble:
            logger.bind(event="history_recovered").info("the history is kept again")
        self.trouble = ""
