"""What the server counts of its requests."""

from __future__ import annotations

from collections import Counter

__all__ = ["RequestStats"]


class RequestStats:
    """Requests by route and status. Paths that are not served count as one, so that nobody can make more."""

    def __init__(self) -> None:
        self.answered: Counter[tuple[str, str]] = Counter()

    def count(self, route: str, status: int) -> None:
        self.answered[route, str(status)] += 1
