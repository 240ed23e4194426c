"""What a company does to its shares: splits and dividends. Pure."""

from __future__ import annotations

from typing import Literal, NamedTuple

__all__ = ["Action"]


class Action(NamedTuple):
    """One of them. It holds from the session that opens at `time` (Unix ms) on."""

    time: int
    kind: Literal["split", "dividend"]
    value: str
    """Of a split the new shares for the old, as "4/1"; of a dividend the amount a share, as the venue quotes
    it: adjusted for the splits up to when it was asked.
    """
