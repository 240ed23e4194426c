"""The timeline together with its clock: the one place where time meets state.

The backfiller and the consumer put in what the venue said; the writer takes out what readers must be told.
All of them run in one event loop, so nothing here needs a lock.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from loguru import logger

from ..cache.presence import Alive
from ..clock import Clock
from ..core.clock import VenueClock
from ..core.series import Changes, SeriesId
from ..core.timeline import Timeline
from ..core.track import Track

__all__ = ["FeedStats", "Live"]

# Wall time running ahead of monotonic time by more than this means that the host slept.
_SLEPT_S = 5.0


@dataclass(slots=True)
class FeedStats:
    """What the consumer counts; shown in the `feed` hash."""

    connected: int = 0  # connections that are up
    connections: int = 0
    last_message: int = 0  # stamp of the newest frame, Unix ms
    sequence_gaps: int = 0
    reconnects: int = 0
    rejections: int = 0
    frames: int = 0


@dataclass(slots=True)
class Live:
    """The state of one venue while the service runs."""

    timeline: Timeline
    clock: Clock
    instance: str
    origin: str
    venue_clock: VenueClock = field(default_factory=VenueClock)
    feed: FeedStats = field(default_factory=FeedStats)
    changed: asyncio.Event = field(default_factory=asyncio.Event)  # the writer has something to take
    due: asyncio.Event = field(default_factory=asyncio.Event)  # the backfiller should look again
    next_due: int = 0  # when (venue time) the backfiller wants to be woken
    started_s: float = 0.0
    warm_s: float | None = None  # seconds from the start until every series that can be was ready
    closed_live: int = 0  # buckets announced as closed
    serving: bool = False  # set once what an earlier run left was taken over: nothing is written before
    _answered_s: float = 0.0
    _renewed_s: float = 0.0
    _wall_ahead_s: float | None = None

    # --- time -------------------------------------------------------------------------------------

    def now(self) -> int:
        """The venue's time, Unix ms; 0 while unknown."""
        return self.venue_clock.now(self.clock.monotonic())

    def hear(self, stamp: int) -> int:
        """Take a stamp from a frame; the stamp to go by, which is never implausibly far ahead."""
        monotonic = self.clock.monotonic()
        self._answered_s = monotonic
        if not self.venue_clock.hear(stamp, monotonic):
            stamp = min(stamp, self.venue_clock.now(monotonic))
        self._wake_if_due()
        return stamp

    def confirm_time(self, stamp: int) -> None:
        """Take the answer of GET /time."""
        monotonic = self.clock.monotonic()
        self._answered_s = monotonic
        self.venue_clock.confirm(stamp, monotonic)
        self._wake_if_due()

    def answered(self) -> None:
        """The venue has answered a request."""
        self._answered_s = self.clock.monotonic()

    def host_slept(self) -> bool:
        """Whether the host slept since the last call: wall time ran ahead of monotonic time."""
        ahead = self.clock.wall() - self.clock.monotonic()
        before, self._wall_ahead_s = self._wall_ahead_s, ahead
        return before is not None and ahead - before > _SLEPT_S

    def _wake_if_due(self) -> None:
        if self.next_due and self.venue_clock.heard >= self.next_due:
            self.next_due = 0
            self.due.set()

    # --- what the writer asks ---------------------------------------------------------------------

    def take(self) -> Changes:
        """What changed since the last call."""
        now = self.now()
        if not now or not self.serving:
            return Changes()
        changes = self.timeline.take(now)
        self.closed_live += sum(1 for c in changes.closes if c.kind == "closed")
        for note in self.timeline.notes():
            logger.bind(event=note.event, **note.fields).info(note.message)
        return changes

    def whole(self, series: Iterable[SeriesId]) -> Changes:
        """Everything there is of these series."""
        now = self.now()
        return self.timeline.whole(series, now) if now and self.serving else Changes()

    def sent(self) -> None:
        """All that was taken so far is in Redis now: only then readers are told that it is warm."""
        if self.warm_s is None:
            self._notice_warm()

    def alive(self) -> Alive | None:
        """What the alive keys say; None if the venue has not answered since they were last renewed."""
        if not self.serving or self._answered_s <= self._renewed_s or not self.venue_clock.known:
            return None
        self._renewed_s = self.clock.monotonic()
        feed = {s: "up" if self.timeline.feed_up(s) else "down" for s in self.timeline.symbols}
        return Alive(time=self.now(), feed=feed)

    def feed_changes(self) -> int:
        """How often the feed came up or broke for any symbol."""
        return self.timeline.counters.feed_changes

    def feed_status(self) -> Mapping[str, str]:
        """Fields of the `feed` hash."""
        return {
            "instance": self.instance,
            "origin": self.origin,
            "connected": str(int(self.feed.connected > 0)),
            "connections": f"{self.feed.connected}/{self.feed.connections}",
            "last_message": str(self.feed.last_message),
            "sequence_gaps": str(self.feed.sequence_gaps),
            "reconnects": str(self.feed.reconnects),
            "rejections": str(self.feed.rejections),
        }

    # --- how far it is ----------------------------------------------------------------------------

    def configured(self) -> list[Track]:
        """The configured series, in priority order: timeframes outer, symbols inner."""
        return [
            symbol.tracks[timeframe]
            for timeframe in self.timeline.timeframes
            for symbol in self.timeline.symbols.values()
        ]

    def _notice_warm(self) -> None:
        tracks = self.configured()
        ready = sum(1 for t in tracks if t.state is not None and t.state.ready)
        # A series of which the venue has too little does not hold the others back.
        short = sum(1 for t in tracks if t.history_from and not (t.state and t.state.ready))
        if ready and ready + short == len(tracks):
            self.warm_s = self.clock.monotonic() - self.started_s
            logger.bind(event="warm", ready=ready, short=short, elapsed=round(self.warm_s, 2)).info(
                f"warm: {ready} of {len(tracks)} series are ready after {self.warm_s:.1f} s"
            )
