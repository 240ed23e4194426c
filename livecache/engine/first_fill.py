"""How far the first fill is, told in the log and wherever else progress is shown."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from ..model.series import SeriesId
from ..model.timeframe import Timeframe
from ..proof.history import begins_later, final_edge, history_ends
from ..proof.track import Track
from ..quiet import logger
from .live import Live

__all__ = ["FirstFill", "NoProgress", "Progress"]

_REPORT_EVERY_S = 10.0


class Progress(Protocol):
    """Where progress is shown, beside the log."""

    def start(self, total: int) -> None: ...
    def advance(self, completed: int, errors: int) -> None: ...
    def stop(self) -> None: ...


class NoProgress:
    """Shows nothing."""

    def start(self, total: int) -> None: ...
    def advance(self, completed: int, errors: int) -> None: ...
    def stop(self) -> None: ...


@dataclass(slots=True)
class _Count:
    total: int
    started_s: float
    began: int = 0  # the venue's time: what had closed by then belongs to the fill
    completed: set[SeriesId] = field(default_factory=set)
    errors: set[SeriesId] = field(default_factory=set)
    reported: int = 0  # tenths of the total
    reported_s: float = 0.0
    over: bool = False


class FirstFill:
    """Watches the first fill, and that of what comes with another configuration.

    `ended` is set when it is over for the first time. `requests` tells how many there were so far.
    """

    def __init__(
        self, live: Live, progress: Progress, ended: asyncio.Event, requests: Callable[[], int]
    ) -> None:
        self._live = live
        self._progress = progress
        self._ended = ended
        self._requests = requests
        self._count = self._from_nothing()

    @property
    def over(self) -> bool:
        """Whether every series was filled or has failed."""
        return self._count.over

    @property
    def errors(self) -> frozenset[SeriesId]:
        """Series whose fill failed, and has not succeeded since."""
        return frozenset(self._count.errors)

    def again(self) -> None:
        """There are other series: those that came are filled, as at a start."""
        had_begun = self._count.began
        self._count = self._from_nothing()
        if had_begun:
            self.begin()

    def stop(self) -> None:
        """Show it no more."""
        self._progress.stop()

    def begin(self) -> None:
        """It begins now."""
        timeline, count = self._live.timeline, self._count
        count.started_s = count.reported_s = self._live.clock.monotonic()
        count.began = self._live.time.heard
        symbols, timeframes = list(timeline.symbols), [str(t) for t in timeline.timeframes]
        logger.bind(event="backfill_start", symbols=symbols, timeframes=timeframes, total=count.total).info(
            f"filling {count.total} series: {len(symbols)} symbols, {', '.join(timeframes)}"
        )
        self._progress.start(count.total)
        for symbol in symbols:
            self.report(symbol)

    def failed(self, symbol: str, timeframe: Timeframe) -> None:
        """A series cannot be filled now."""
        track = self._live.timeline.symbols[symbol].tracks[timeframe]
        if track.working or track.series in self._count.completed:
            return
        self._count.errors.add(track.series)
        self.report(symbol)

    def report(self, symbol: str) -> None:
        """Note which of the symbol's series are filled now, and tell after each how far all is."""
        count = self._count
        self._tell()
        for track in self._live.timeline.symbols[symbol].tracks.values():
            if track.working or track.series in count.completed or not self._filled(track):
                continue
            count.completed.add(track.series)
            count.errors.discard(track.series)
            logger.bind(
                event="backfill_symbol_complete",
                symbol=symbol,
                timeframe=str(track.series.timeframe),
                count=len(track.settled),
            ).debug(f"{track.series} holds {len(track.settled)} settled candles")
            self._tell()

    def _from_nothing(self) -> _Count:
        return _Count(total=len(self._live.configured()), started_s=self._live.clock.monotonic())

    def _tell(self) -> None:
        """Tell how far the first fill is, at every tenth and every ten seconds, and once when it is over."""
        count = self._count
        if count.over:
            return
        done = len(count.completed) + len(count.errors)
        self._progress.advance(len(count.completed), len(count.errors))
        elapsed = self._live.clock.monotonic() - count.started_s
        tenths = done * 10 // count.total if count.total else 10
        late = self._live.clock.monotonic() - count.reported_s > _REPORT_EVERY_S
        if done and (tenths > count.reported or late):
            count.reported, count.reported_s = tenths, self._live.clock.monotonic()
            rate = done / elapsed if elapsed > 0 else 0.0
            most = self._live.timeline.policy.candles
            eta = (count.total - done) / rate if rate else 0.0
            logger.bind(
                event="backfill_progress",
                completed=len(count.completed),
                total=count.total,
                percent=round(100 * done / count.total, 1),
                elapsed=round(elapsed, 2),
                rate=round(rate, 2),
                eta=round(eta, 1),
                errors=len(count.errors),
            ).info(f"filling up to {most} candles: {done} of {count.total} series after {elapsed:.1f} s")
        if done >= count.total:
            count.over = True
            self._ended.set()
            self._progress.stop()
            self._live.due.set()
            logger.bind(
                event="backfill_complete",
                completed=len(count.completed),
                errors=len(count.errors),
                elapsed=round(elapsed, 2),
                requests=self._requests(),
            ).info(
                f"filled: {len(count.completed)} series, {len(count.errors)} failed, "
                f"{self._requests()} requests in {elapsed:.1f} s"
            )

    def _filled(self, track: Track) -> bool:
        """Whether the series holds all that is wanted of it, or all that the venue has."""
        run = track.newest_settled_run()
        if run is None:
            return begins_later(track, self._live.now())
        symbol = track.series.symbol
        settleable = final_edge(track, self._count.began)
        awaits_proof = self._live.timeline.symbols[symbol].awaits_proof(track, self._live.now())
        if run[0].end < settleable and not awaits_proof:
            return False
        if run[1] >= track.policy.candles or bool(track.history_from and run[0].start <= track.history_from):
            return True
        return history_ends(track, self._live.now())
