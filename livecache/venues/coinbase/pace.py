"""How fast Coinbase may be asked, as far as it has ever said."""

from __future__ import annotations

__all__ = ["PRIVATE_PER_S", "PUBLIC_PER_S", "paced"]

PUBLIC_PER_S, PRIVATE_PER_S = 10.0, 30.0
"""What its documentation named until 2025, for one address without and one user with a key."""

_ROOM_S = 0.05
"""By how much later than due a request may arrive, so that no second holds one too many."""


def paced(requests_per_second: float, *, keyed: bool) -> float:
    """The rate to keep (requests a second) where `requests_per_second` is configured.

    The limit holds for any second, by arrival. At ten a second the eleventh request is due when the first is
    a second old to the millisecond, and evenly sent requests do not arrive evenly: whoever uses the limit up
    is refused for the jitter alone. A rate above the published one is taken at its word: the venue allows
    more, or its refusals will tell.
    """
    published = PRIVATE_PER_S if keyed else PUBLIC_PER_S
    if requests_per_second > published:
        return requests_per_second
    return min(requests_per_second, published / (1 + _ROOM_S))
