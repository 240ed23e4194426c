"""What happens in Redis, listened to once for all streams, and handed to each as far as it asked.

What closes, settles and is revised comes from the stream of closes, which has ids to resume by; the bucket in
progress from the channels of the series that somebody asks for; and once a second it looks how these stand.
While nobody asks, it does nothing.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import aclosing
from functools import partial

import msgspec

from ...clock import Clock
from ...config.render import redact
from ...errors import ClosesLost, LivecacheError, RedisUnavailable
from ...model.series import SeriesId
from ...quiet import logger
from ...read.close_events import closes, newest_entry
from ...read.orders import Give, Listen, Orders, Patience, Subscribe
from ...read.reading import SeriesView, trips
from ...repeats import Repeats
from ...wire.refusals import ERRORS
from ..answers import NotServed
from ..ordering.jobs import Board
from ..shapes.events import LostEvent, StateEvent
from ..source import Source, Way
from ..watch.lookout import LOOK_AGAIN_S, LOOK_SHARE
from .events import Happening, closed_event, forming_event, framed, position_of
from .table import row, time_of

__all__ = ["HEARTBEAT_S", "QUEUE_BYTES_MOST", "STREAMS_MOST", "Hub", "Listener", "Slow"]

STREAMS_MOST = 128  # a quarter of the connections: the others are left to who asks for something else
QUEUE_BYTES_MOST = 256 * 1024  # that one stream may be behind
HEARTBEAT_S = 5.0
AGAIN_S = 1.0  # after trouble
JOIN_S = 5.0  # until Redis has told where its stream ends
SUBSCRIBE_S = 0.5  # until what somebody new asks for is listened to
HINTS_MOST = 1_000  # taken before what they tell of is read
FORMING_SHARE = 4  # buckets in progress are read again after so many times as long as reading them took
FORMING_REST_MOST_S = 0.25
JOBS_LOOK_S = 1.0

Work = Callable[[Way], Awaitable[None]]


class Slow(Exception):
    """A client does not read what it asked for."""


class Listener:
    """One stream: its series, and what it has not been sent yet.

    `everything`: it is told what closes, settles and is revised of any series, and `series` are only those by
    which it learns whether anybody vouches.
    """

    def __init__(self, series: Iterable[SeriesId], *, everything: bool = False, jobs: bool = False) -> None:
        self.series = tuple(dict.fromkeys(series))
        self.everything, self.jobs = everything, jobs
        self.jobs_told: dict[int, bytes] = {}  # those that were not over, as it was told of them last
        self.joined = False
        self.shown: object = None
        self.shown_at_s = float("-inf")
        self._waiting: deque[bytes] = deque()
        self._bytes = 0
        self._news = asyncio.Event()

    def wants(self, happening: Happening) -> bool:
        """Whether it asked for that. The buckets in progress of thousands of series nobody could take."""
        return bool(happening.entry) if self.everything else happening.series in self.series

    def tell(self, message: bytes) -> None:
        """Put it behind what waits."""
        self._bytes += len(message)
        if self._bytes <= QUEUE_BYTES_MOST:
            self._waiting.append(message)
        self._news.set()

    async def told(self) -> bytes:
        """Wait for something, and take all. Raises `Slow` once too much has waited."""
        await self._news.wait()
        if self._bytes > QUEUE_BYTES_MOST:
            raise Slow
        all_of_it = b"".join(self._waiting)
        self._waiting.clear()
        self._bytes = 0
        self._news.clear()
        return all_of_it


class Hub:
    """Listens for all streams while it runs."""

    def __init__(self, source: Source, clock: Clock, board: Board) -> None:
        self._source = source
        self._board = board
        self._clock = clock
        self._repeats = Repeats(clock)
        self._listeners: set[Listener] = set()
        self._anybody = asyncio.Event()
        self._over = asyncio.Event()
        self._positioned = asyncio.Event()
        self.entries: dict[str, str] = {}
        """Of each venue's stream of closes the last that all were told of; {} while nobody listens."""
        self._venues: Sequence[str] = ()
        self._asked: set[str] = set()  # the venues whose stream was asked where it ends

    @property
    def position(self) -> str:
        """The id of what all were told of; "" while nobody listens."""
        return position_of(self.entries, self._venues)

    # --- who listens

    def add(self, listener: Listener) -> None:
        """Take one more. Raises `NotServed` where there are too many; whoever adds takes it out again."""
        if len(self._listeners) >= STREAMS_MOST:
            raise NotServed("too_many_streams", 503, f"{STREAMS_MOST} streams are open", "ask again later")
        self._listeners.add(listener)
        self._anybody.set()

    async def join(self, listener: Listener) -> Mapping[str, str]:
        """From here on it is told what happens; the entry of each stream after which that begins."""
        try:
            async with asyncio.timeout(JOIN_S):
                await self._positioned.wait()
        except TimeoutError:
            raise RedisUnavailable("Redis does not tell where its stream of closes ends") from None
        listener.joined = True
        return dict(self.entries)

    def remove(self, listener: Listener) -> None:
        """It has gone."""
        self._listeners.discard(listener)
        if not self._listeners:
            self.entries.clear()
            self._asked.clear()
            self._positioned.clear()
            self._anybody.clear()
            self._over.set()

    # --- what happens

    async def run(self) -> None:
        """Listen for whoever is there, until cancelled."""
        while True:
            await self._anybody.wait()
            self._over.clear()
            try:
                way = self._source.way()
            except NotServed as error:
                self._tell_state(error.message, {})
                await self._clock.sleep(AGAIN_S)
                continue
            self._venues = way.venues
            async with asyncio.TaskGroup() as tasks:
                works: dict[str, Work] = {"forming": self._follow_forming, "states": self._look_again}
                works["jobs"] = self._follow_jobs
                works |= {f"closes of {one}": partial(self._follow_closes, one) for one in way.venues}
                following = [
                    tasks.create_task(self._keep(work, way, name), name=f"streams: {name}")
                    for name, work in works.items()
                ]
                await self._over.wait()
                for task in following:
                    task.cancel()

    async def _keep(self, work: Work, way: Way, name: str) -> None:
        """Do it again after any trouble. What Redis has to do with, `_look_again` tells."""
        while True:
            try:
                await work(way)
            except (LivecacheError, *ERRORS):
                pass
            except Exception as error:
                message = f"streams: {name} failed: {type(error).__name__}: {error}"
                if self._repeats.log("http_failed", name, message):
                    logger.bind(event="http_failed").opt(exception=error).debug("{}: the traceback", message)
            await self._clock.sleep(AGAIN_S)

    async def _follow_closes(self, venue: str, way: Way) -> None:
        keys, link = way.core.keyspace(venue), way.link
        try:
            if venue not in self.entries:
                self.entries[venue] = await link.drive(newest_entry(keys))
        finally:
            self._asked.add(venue)
            # A stream that cannot be read holds those of the other venues back no longer than this.
            if self.entries and self._asked.issuperset(way.venues):
                self._positioned.set()
        try:
            async with aclosing(
                link.iterate(closes(keys, self.entries[venue], Patience(None), closed_event))
            ) as happenings:
                async for happening in happenings:
                    self.entries[venue] = happening.entry
                    self._tell(happening)
        except ClosesLost as error:
            self.entries[venue] = await link.drive(newest_entry(keys))
            told = LostEvent(after=error.after, error=error.message, hint=error.hint)
            message = framed("lost", msgspec.json.encode(told), self.position)
            for listener in self._joined():
                if listener.everything or any(series.venue == venue for series in listener.series):
                    listener.tell(message)

    async def _follow_forming(self, way: Way) -> None:
        told: dict[SeriesId, bytes] = {}
        async with aclosing(way.link.iterate(self._hints(way))) as hints:
            async for hinted in hints:
                began_s = self._clock.monotonic()
                # Read as readers read: whoever else may publish there, a hint is no candle.
                for trip in trips(sorted(hinted)):
                    for view in await way.link.drive(way.core.views(trip)):
                        if (event := forming_event(view)) and told.get(view.series) != event.data:
                            told[view.series] = event.data
                            self._tell(event)
                # Meanwhile the next ones gather. Of one series that is a few milliseconds.
                took_s = self._clock.monotonic() - began_s
                await self._clock.sleep(min(FORMING_SHARE * took_s, FORMING_REST_MOST_S))

    def _hints(self, way: Way) -> Orders:
        """Which of the series that are wanted had a message, or may have had one."""
        followed: dict[str, SeriesId] = {}
        while True:
            wanted = {
                way.core.keyspace(series.venue).updates(*series[1:]): series
                for listener in self._joined()
                for series in listener.series
                if not listener.everything
            }
            if wanted.keys() != followed.keys():
                before, followed = followed, wanted
                yield Subscribe(tuple(wanted))
                if missed := {followed[channel] for channel in before.keys() & wanted.keys()}:
                    yield Give(missed)
            hinted = yield Listen(SUBSCRIBE_S)
            if hinted:
                yield Give({followed[channel] for channel in hinted})

    async def _look_again(self, way: Way) -> None:
        while True:
            began_s = self._clock.monotonic()
            if self._source.left(way):
                self._over.set()
            wanted = sorted({series for one in self._joined() for series in one.series})
            views: dict[SeriesId, SeriesView] = {}
            error = ""
            try:
                for trip in trips(wanted):
                    views |= {view.series: view for view in await way.link.drive(way.core.views(trip))}
            except LivecacheError as problem:
                error = redact(problem.message)
            self._tell_state(error, views)
            took_s = self._clock.monotonic() - began_s
            await self._clock.sleep(min(max(LOOK_AGAIN_S, LOOK_SHARE * took_s), HEARTBEAT_S))

    async def _follow_jobs(self, way: Way) -> None:
        while True:
            if listeners := [one for one in self._joined() if one.jobs]:
                told = {number for one in listeners for number in one.jobs_told}
                for job in await self._board.under_way(told):
                    message = framed("job", msgspec.json.encode(job))
                    for listener in listeners:
                        before = listener.jobs_told.pop(job.id, None)
                        if job.finished is None:
                            listener.jobs_told[job.id] = message
                        if before != message and (job.finished is None or before is not None):
                            listener.tell(message)
            await self._clock.sleep(JOBS_LOOK_S)

    # --- telling

    def _joined(self) -> Sequence[Listener]:
        return [listener for listener in self._listeners if listener.joined]

    def _tell(self, happening: Happening) -> None:
        message = happening.framed(self.position if happening.entry else "")
        for listener in self._joined():
            if listener.wants(happening):
                listener.tell(message)

    def _tell_state(self, error: str, views: Mapping[SeriesId, SeriesView]) -> None:
        now_s = self._clock.monotonic()
        rows = {series: row(view) for series, view in views.items()}
        for listener in self._joined():
            seen = [] if error else [views[series] for series in listener.series if series in views]
            if not error and len(seen) < len(listener.series):
                continue  # It came while this was looked up; the next look is its first.
            # Thousands of rows: they are at /api/v1/series.
            shown = [] if listener.everything else [rows[view.series] for view in seen]
            if (error, shown) == listener.shown and now_s < listener.shown_at_s + HEARTBEAT_S:
                continue
            listener.shown, listener.shown_at_s = (error, shown), now_s
            state = StateEvent(time=time_of(seen), error=error, series=shown)
            listener.tell(framed("state", msgspec.json.encode(state), self.position))
