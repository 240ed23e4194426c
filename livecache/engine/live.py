"""The timeline together with its clock: the one place where time meets state.

The backfiller and the consumer put in what the venue said; the writer takes out what readers must be told.
All of them run in one event loop, so nothing here needs a lock.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from ..clock import Clock
from ..ledger.timeline import Timeline
from ..model.budget import Hour
from ..model.candle import ExactCandle
from ..model.histogram import Histogram
from ..model.series import Changes, Kind, SeriesId
from ..proof.track import Track
from ..quiet import logger
from ..write.presence import Alive
from .venue_time import VenueTime

__all__ = ["FeedStats", "Live"]

# Venue seconds from a bucket's end until it was settled: `settle_delay` (10 s) and a little, unless something
# is wrong, or nothing was traded in a thin market.
_SETTLING_BOUNDS_S = (5.0, 10.0, 12.5, 15.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0)


@dataclass(slots=True)
class FeedStats:
    """What the consumer counts; shown in the `feed` hash."""

    connected: int = 0  # connections that are up
    connections: int = 0
    last_message: int = 0  # stamp of the newest frame, Unix ms
    sequence_gaps: int = 0
    reconnects: int = 0
    rejected: Counter[str] = field(default_factory=Counter)  # by kind: frame, candle, trade, time
    frames: int = 0
    refused: set[str] = field(default_factory=set)  # symbols that the feed has refused, ever

    @property
    def rejections(self) -> int:
        """All of them."""
        return self.rejected.total()

    def fields(self) -> Mapping[str, str]:
        """As they stand in the `feed` hash."""
        return {
            "connected": str(int(self.connected > 0)),
            "connections": f"{self.connected}/{self.connections}",
            "last_message": str(self.last_message),
            "sequence_gaps": str(self.sequence_gaps),
            "reconnects": str(self.reconnects),
            "rejections": str(self.rejections),
        }


@dataclass(slots=True)
class Live:
    """The state of one venue while the service runs."""

    timeline: Timeline
    time: VenueTime
    instance: str
    origin: str
    feed: FeedStats = field(default_factory=FeedStats)
    hour: Callable[[], Hour] = lambda: Hour(0, 0)
    sharing: Callable[[], int] = lambda: 1  # the venue's budget: so many
    changed: asyncio.Event = field(default_factory=asyncio.Event)  # the writer has something to take
    due: asyncio.Event = field(default_factory=asyncio.Event)  # the backfiller should look again
    channel_dead: asyncio.Event = field(default_factory=asyncio.Event)  # settling found one: it wants renewal
    started_s: float = 0.0
    warm_s: float | None = None  # seconds from the start until every series that can be was ready
    closed_live: int = 0  # buckets announced as closed
    settling: Histogram = field(default_factory=lambda: Histogram(_SETTLING_BOUNDS_S))
    require_all: bool = False  # symbols that the venue does not know or trade keep it from being warm
    serving: bool = False  # set once what an earlier run left was taken over: nothing is written before
    _renewed_s: float = 0.0
    _awaited: Track | None = None  # one that was not ready when last looked at

    @property
    def clock(self) -> Clock:
        """The host's."""
        return self.time.clock

    def now(self) -> int:
        """The venue's time, Unix ms; 0 while unknown."""
        return self.time.now()

    # --- what the writer asks ---------------------------------------------------------------------

    def take(self) -> Changes:
        """What changed since the last call."""
        now = self.now()
        if not now or not self.serving:
            return Changes()
        changes = self.timeline.take(now)
        if self.timeline.turns:
            self.changed.set()
        for close in changes.closes:
            if close.kind is Kind.CLOSED:
                self.closed_live += 1
            elif close.kind is Kind.SETTLED:
                self.settling.observe(
                    (now - self.timeline.traits.grid(close.series.timeframe).end(close.time)) / 1000
                )
        for note in self.timeline.notes():
            if note.event == "channel_dead":
                self.channel_dead.set()
            logger.bind(event=note.event, **note.fields).info(note.message)
        return changes

    def whole(self, series: Iterable[SeriesId]) -> Changes:
        """Everything there is of these series."""
        now = self.now()
        return self.timeline.whole(series, now) if now and self.serving else Changes()

    def held(self, series: SeriesId) -> list[ExactCandle] | None:
        """The candles that Redis should hold of a series; None while a change of it waits to be taken."""
        track = self.timeline.symbols[series.symbol].tracks[series.timeframe]
        waits = not self.serving or track.dirty or track.whole or track.state_dirty or track.updates
        return None if waits else list(track.members())

    def sent(self) -> None:
        """All that was taken so far is in Redis now: only then readers are told that it is warm."""
        if self.warm_s is None:
            self._notice_warm()

    def alive(self) -> Alive | None:
        """What the alive keys say; None where that might be a lie.

        That is while the venue's time is not to be relied on. If it has not answered
        since they said so last, they are not renewed; but that a feed broke they say all the same.
        """
        answered_s = self.time.answered_s()
        if answered_s is None or not self.serving:
            return None
        renews = answered_s > self._renewed_s
        if renews:
            self._renewed_s = self.clock.monotonic()
        feed = {s: "up" if self.timeline.feed_up(s) else "down" for s in self.timeline.symbols}
        return Alive(self.now(), feed, renews)

    def feed_changes(self) -> int:
        """How often the feed came up or broke for any symbol."""
        return self.timeline.counters.feed_changes

    def feed_status(self) -> Mapping[str, str]:
        """Fields of the `feed` hash."""
        hour = self.hour()
        return {
            "instance": self.instance,
            "origin": self.origin,
            **self.timeline.traits.told(),
            **self.feed.fields(),
            "requests_this_hour": str(hour.requests),
            "requests_per_hour": str(hour.most),
            "budget_members": str(self.sharing()),
        }

    # --- how far it is ----------------------------------------------------------------------------

    def configured(self) -> list[Track]:
        """The configured series, in priority order: timeframes outer, symbols inner."""
        return [
            symbol.tracks[timeframe]
            for timeframe in self.timeline.timeframes
            for symbol in self.timeline.symbols.values()
        ]

    def _configures(self, track: Track) -> bool:
        symbol = self.timeline.symbols.get(track.series.symbol)
        its = symbol.tracks.get(track.series.timeframe) if symbol is not None else None
        return its is track and not track.working

    def _holds_up(self, track: Track) -> bool:
        """Whether all wait for it. What the venue has too little of, does not know or has halted does not."""
        return not (track.state is not None and track.state.ready) and not self._excused(track)

    def _excused(self, track: Track) -> bool:
        standing = self.timeline.symbols[track.series.symbol].standing
        short = track.state is not None and track.state.short
        return bool(short or (standing and (track.sound or not self.require_all)))

    def _notice_warm(self) -> None:
        # After each flush, so that one is looked at: all of them only once that is ready, or gone.
        if (last := self._awaited) is not None and self._configures(last) and self._holds_up(last):
            return
        tracks = self.configured()
        # The least urgent is the last to become ready, as a rule.
        self._awaited = next((track for track in reversed(tracks) if self._holds_up(track)), None)
        ready = sum(1 for t in tracks if t.state is not None and t.state.ready)
        if ready and self._awaited is None:
            short = len(tracks) - ready
            self.warm_s = self.clock.monotonic() - self.started_s
            logger.bind(event="warm", ready=ready, short=short, elapsed=round(self.warm_s, 2)).info(
                f"warm: {ready} of {len(tracks)} series are ready after {self.warm_s:.1f} s"
            )
