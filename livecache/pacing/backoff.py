"""Retry delays: exponential, jittered, bounded. Pure: the randomness comes in."""

from __future__ import annotations

from collections.abc import Callable, Iterator

__all__ = ["delay_s", "delays"]


def delay_s(attempt: int, jitter: float, *, first_s: float = 0.5, most_s: float = 30.0) -> float:
    """Seconds to wait after failure number `attempt` (1, 2, …); `jitter` is uniform in [0, 1).

    Half the delay is fixed and half is random, so that many clients neither stampede nor retry at once.
    """
    full = min(most_s, first_s * 2.0 ** min(attempt - 1, 30))
    return full * (0.5 + 0.5 * jitter)


def delays(jitter: Callable[[], float], *, first_s: float = 0.5, most_s: float = 30.0) -> Iterator[float]:
    """The endless sequence of `delay_s` for attempts 1, 2, 3, …"""
    attempt = 0
    while True:
        attempt += 1
        yield delay_s(attempt, jitter(), first_s=first_s, most_s=most_s)
