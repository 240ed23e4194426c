"""What came of the requests to a venue, and how long they took."""

from __future__ import annotations

from collections import Counter

from ..model.histogram import Histogram
from .venue import FetchFailure

__all__ = ["REQUEST_KINDS", "RequestStats"]

REQUEST_KINDS = ("candles", "time", "products")

# Seconds. An answer of the venue's edge takes some 0.1 s; `request_timeout` is 10 s unless configured.
_BOUNDS_S = (0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class RequestStats:
    """`requests` by kind and outcome, and their `seconds` by kind.

    An outcome is "ok" or a `FailureKind`. What was cancelled is not counted.
    """

    def __init__(self) -> None:
        self.requests: Counter[tuple[str, str]] = Counter()
        self.seconds = {kind: Histogram(_BOUNDS_S) for kind in REQUEST_KINDS}

    def came(self, kind: str, outcome: object, seconds: float) -> None:
        """One request brought this, a `FetchFailure` or not, after so long."""
        self.seconds[kind].observe(seconds)
        self.requests[kind, outcome.kind if isinstance(outcome, FetchFailure) else "ok"] += 1
