"""Which products a feed subscribes to anew, and how often at most. Pure."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["Renewals"]

_FIRST_WAIT_S = 300.0
_LONGEST_WAIT_S = 3600.0


class Renewals:
    """Products that wait for a new subscription.

    A product's turns are at least 5 minutes apart, then 10, 20, 40 and 60; so 4 in its first hour, and one an
    hour from then on. It begins at 5 minutes again once a turn was not asked for within an hour of its time.
    Times are monotonic seconds.
    """

    def __init__(self) -> None:
        self._waiting: dict[str, None] = {}  # in the order of asking
        self._waits: dict[str, tuple[float, float]] = {}  # not before, and how long the wait was

    @property
    def waiting(self) -> bool:
        """Whether any product is in line."""
        return bool(self._waiting)

    def ask(self, products: Iterable[str], now_s: float) -> list[str]:
        """Put products in line. Those that it is too early for are left out; returns those that are not."""
        granted = []
        for product in products:
            not_before_s, waited_s = self._waits.get(product, (float("-inf"), 0.0))
            if now_s < not_before_s or product in self._waiting:
                continue
            recent = now_s < not_before_s + _LONGEST_WAIT_S
            wait_s = min(2 * waited_s, _LONGEST_WAIT_S) if recent else _FIRST_WAIT_S
            self._waits[product] = (now_s + wait_s, wait_s)
            self._waiting[product] = None
            granted.append(product)
        return granted

    def take(self) -> list[str]:
        """The products in line, which are in line no longer."""
        taken, self._waiting = list(self._waiting), {}
        return taken
