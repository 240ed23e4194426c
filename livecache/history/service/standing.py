"""How the history of one venue stands, for whoever asks."""

from __future__ import annotations

from dataclasses import dataclass

from ...quiet import logger
from ..tally import Tally

__all__ = ["Standing"]


@dataclass(slots=True)
class Standing:
    """Counts are since the start of the process, those of `tally` since the store was opened last."""

    trouble: str = ""
    """Why the store cannot be used; "" while it can."""
    copied: int = 0
    """Candles that the live service had settled, and that were new in the store."""
    tally: Tally | None = None
    """What is filled; None before anything is."""

    def recovered(self) -> None:
        """The store can be used."""
        if self.trouble:
            logger.bind(event="history_recovered").info("the history is kept again")
        self.trouble = ""
