"""What of a series cannot be had, told for people."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice

from ...model.coverage import Span
from ...model.timeframe import iso
from ...quiet import logger
from ..store import Job, SeriesInfo

__all__ = ["tell_aside"]

_TOLD_MOST = 100


def tell_aside(job: Job, series: SeriesInfo, aside: Mapping[Span, str]) -> str:
    """Log each stretch with the reason. Returns the first of them, and how many more there are."""
    _, symbol, timeframe = series.key
    log = logger.bind(event="history_cannot_be_had", symbol=symbol, timeframe=timeframe.value, job=job.id)
    told = [f"{iso(span.start)} to {iso(span.end)}: {reason}" for span, reason in aside.items()]
    for each in islice(told, _TOLD_MOST):
        log.warning("{} {}: {}", symbol, timeframe.value, each)
    more = f", and {len(told) - 1} more stretches" if len(told) > 1 else ""
    return f"cannot be had: {told[0]}{more}"
