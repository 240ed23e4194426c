"""A read whose candles are handed on as they are stored: the venue's own digits, never encoded anew."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .answer import Request, decide
from .candles import Candles

__all__ = ["Verbatim", "verbatim"]


@dataclass(frozen=True, slots=True)
class Verbatim:
    """What a read gives, and the members that it was decoded from: JSON arrays, oldest first."""

    candles: Candles
    """What a `Reader` returns for this request: so nothing is handed on that it would refuse."""
    members: Sequence[bytes]
    """The closed candles."""
    forming: bytes | None
    """The bucket in progress, if it was asked for and something was traded in it."""
    closed_through: int
    """End of the last bucket that has closed by the venue's clock, Unix ms."""
    reason: str
    """Why the series is not ready, as its writer says; "" if it is."""


def verbatim(request: Request, reply: Sequence[Any], key: str) -> Verbatim:
    """`answer.decide`, which raises what a reader raises, and the members that its candles come from."""
    candles = decide(request, reply, key)
    fields, _, _, members, others = reply
    forming = others[0] if request.forming and others else None
    count = len(candles) - (forming is not None)
    # Whatever was left out of the decoded candles was left out at their start.
    ordered = members if request.span else members[::-1]
    return Verbatim(
        candles,
        ordered[len(ordered) - count :],
        forming,
        closed_through=int(fields[6]),
        reason=(fields[2] or b"").decode(errors="replace"),
    )
