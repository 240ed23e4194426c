"""Whoever waits for a fill, and the worker that fills for them: one wakes the other."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from ...model.coverage import Coverage, Span
from ...quiet import logger
from ..store import Commit, Job, JobState, SeriesInfo

__all__ = ["Reads"]


@dataclass(slots=True)
class Reads:
    """Looks on at urgent jobs (`work.watch.Watch`)."""

    asked: asyncio.Event = field(default_factory=asyncio.Event)
    """Set by who has ordered one."""
    candles: int = 0
    """That their pages brought, new or revised."""
    troubles: dict[int, str] = field(default_factory=dict)
    """By job, why its newest request brought nothing."""
    news: asyncio.Event = field(default_factory=asyncio.Event)
    """Set, and followed by another one, when a page is stored or the work on a job ends."""

    def began(self, job: Job, series: SeriesInfo, missing: Coverage, left: Coverage) -> None:
        """Work on a job begins."""

    def committed(self, job: Job, series: SeriesInfo, asked: Span, commit: Commit, left: Coverage) -> None:
        """A page is stored."""
        self.candles += commit.inserted + commit.revised
        for event, text in commit.news:
            _log(event, text, series, job, "WARNING")
        self._tell(job)

    def failed(self, job: Job, series: SeriesInfo, asked: Span, error: str) -> None:
        """A request brought nothing."""
        self.troubles[job.id] = error
        _log("history_request_failed", f"{series.key}: {error}", series, job, "DEBUG")

    def ended(self, job: Job, series: SeriesInfo, state: JobState, error: str, missing: Coverage) -> None:
        """The job was left in that state."""
        event, level = ("history_failed", "WARNING") if error else ("history_read", "DEBUG")
        name = f"{series.key.symbol} {series.key.timeframe.value}"
        _log(event, f"{name}, asked for by a reader: {error or state.value}", series, job, level)
        self._tell(job)

    def _tell(self, job: Job) -> None:
        self.troubles.pop(job.id, None)
        self.news.set()
        self.news = asyncio.Event()


def _log(event: str, text: str, series: SeriesInfo, job: Job, level: str) -> None:
    _, symbol, timeframe = series.key
    bound = logger.bind(event=event, symbol=symbol, timeframe=timeframe.value, job=job.id)
    bound.log(level, "{}", text)
