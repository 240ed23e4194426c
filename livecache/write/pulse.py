"""The writer's signs of life, for whoever looks after the process."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Pulse"]


@dataclass(slots=True)
class Pulse:
    """When the writer last did what it does every second or so. It stirs even while Redis is away."""

    stirred_at_s: float  # monotonic: it tried something with Redis; from the start on
    answered_at_s: float = 0.0  # Unix, the host's clock: Redis answered; 0: not yet
    vouched_at_s: float = 0.0  # … and readers were told that this instance vouches
    waits_for: str = ""  # the instance whose lease it waits for
