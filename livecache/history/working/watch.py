"""Whoever looks on while a worker fills."""

from __future__ import annotations

from typing import Protocol

from ...model.coverage import Coverage, Span
from ..store import Commit, Job, JobState, SeriesInfo

__all__ = ["Watch"]


class Watch(Protocol):
    """Whoever looks on. Nothing may raise."""

    def began(self, job: Job, series: SeriesInfo, missing: Coverage, left: Coverage) -> None:
        """Work on a job begins: so much of it is missing, of which so much is worth asking for."""

    def committed(self, job: Job, series: SeriesInfo, asked: Span, commit: Commit, left: Coverage) -> None:
        """A page is stored."""

    def failed(self, job: Job, series: SeriesInfo, asked: Span, error: str) -> None:
        """A request brought nothing."""

    def ended(self, job: Job, series: SeriesInfo, state: JobState, error: str, missing: Coverage) -> None:
        """The job was left in that state, and so much of it is missing."""
