"""The venues of one process, side by side: what ends an engine ends or restarts that one alone."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import replace
from functools import partial
from typing import Any, Literal, cast

from ..clock import Clock
from ..errors import ConfigError, LivecacheError, only
from ..keys.keyspace import Keyspace
from ..pacing.backoff import delays
from ..quiet import logger
from ..sharing.sharer import Sharer
from ..write.lease import Overtaken
from .engine import Engine

__all__ = ["AGAIN_MOST_S", "Begin", "Fleet", "Join", "Place", "Role"]

Role = Literal["starting", "waiting", "writing"]

Begin = Callable[..., AbstractAsyncContextManager[Engine]]
"""Opens the next engine: `begin(venue, has_written)`, told whether an earlier one of this process has written
already; or of a shard: `begin(venue, has_written, shard)`."""

Join = Callable[[str, Callable[[], Collection[int]], Callable[[], Collection[int]]], Sharer | None]
"""Joins those that share the venue: told which shards are ready, and which to shun. None: it is not split."""

AGAIN_FIRST_S, AGAIN_MOST_S = 1.0, 60.0
"""So long the venue of an engine that has ended by an error is left alone, ever longer."""


class Place:
    """One venue's place in the process: the engine that runs, and what the one before has ended by.

    Where the venue is split, the shards that are served here have places of their own, and this one has the
    first engine and the first trouble of these.
    """

    def __init__(self, engine: Engine | None = None) -> None:
        self.engine = engine  # None before one runs, and between two
        self.trouble = ""  # what the last one has ended by, until another has started; "" if by no error
        self.has_written = False
        self.shards: dict[int, Place] = {}
        self.sharer: Sharer | None = None

    @property
    def way(self) -> tuple[Any, Keyspace] | None:
        """The client of Redis, and the names of the venue's keys there; None before there is one."""
        one = self.engine or self.sharer
        return None if one is None else (one.store, replace(one.keys, shard=None))

    @property
    def engines(self) -> list[Engine]:
        """All that run."""
        places = self.shards.values() if self.sharer is not None else (self,)
        return [place.engine for place in places if place.engine is not None]

    def engine_of(self, symbol: str) -> Engine | None:
        """The one that fills the symbol, if one that runs does."""
        if self.sharer is None:
            return self.engine
        return next((one for one in self.engines if symbol in one.live.timeline.symbols), None)

    @property
    def is_warm(self) -> bool:
        """Whether all that is filled here was ready once. A shard may have no symbol."""
        there = self.engines
        filled = there if self.sharer is None else [engine for engine in there if engine.series]
        return bool(there) and all(engine.live.warm_s is not None for engine in filled)

    def first(self) -> None:
        """Have the first engine and the first trouble of the shards, where there are any."""
        if self.sharer is not None:
            self.engine = next(iter(self.engines), None)
            self.trouble = next((one.trouble for one in self.shards.values() if one.trouble), "")

    @property
    def role(self) -> Role:
        """Whether it writes the cache, waits for the lease of one that does, or does not know yet."""
        writers = [engine.writer for engine in self.engines]
        if any(writer.writing for writer in writers):
            return "writing"
        idles = self.sharer is not None and self.sharer.knows and not writers
        return "waiting" if idles or any(writer.pulse.waits_for for writer in writers) else "starting"


class Fleet:
    """Runs an engine for each of these venues, or for each shard of one. `jitter` is uniform in [0, 1)."""

    def __init__(self, venues: Iterable[str], clock: Clock, jitter: Callable[[], float]) -> None:
        self.places = {venue: Place() for venue in venues}
        self._clock = clock
        self._jitter = jitter

    async def run(self, begin: Begin, join: Join = lambda *_: None) -> None:
        """Run them until cancelled.

        One that another instance has overtaken starts over, behind that one. If anything else ends one, it is
        begun anew after a while, as long as another runs, be it that it stands by for the lease; once none
        does, the last error is raised. So it is with the shards of a venue: one is begun anew as long as
        another is served here, and once none can be, the venue has ended by that error.
        """
        async with asyncio.TaskGroup() as tasks:
            for venue, place in self.places.items():
                shunned: dict[int, float] = {}
                place.sharer = join(venue, partial(_ready, place), partial(self._shunned, place, shunned))
                once = (
                    partial(self._alone, venue, begin)
                    if place.sharer is None
                    else partial(self._share, venue, begin, place.sharer, shunned)
                )
                tasks.create_task(self._keep(venue, once), name=f"engines of {venue}")

    async def _share(
        self, venue: str, begin: Begin, sharer: Sharer, shunned: dict[int, float]
    ) -> Exception | None:
        """Engines of the shards that are served here, until none can be: by which error."""
        place, waits = self.places[venue], dict[int, Iterator[float]]()
        served, failed = set[int](), set[int]()  # the latter have not started since
        shunned.clear()
        place.first()

        async def serve(shard: int) -> None:
            """One engine of a shard, from its beginning to its end."""
            its, began_s = place.shards.setdefault(shard, Place()), self._clock.monotonic()

            def changed() -> None:
                if its.engine is not None and its.engine.started.is_set():
                    failed.discard(shard)
                place.first()

            with logger.contextualize(venue=venue, shard=shard):
                served.add(shard)
                try:
                    error = await self._one(its, begin(venue, its.has_written, shard), changed)
                finally:
                    served.discard(shard)
                if error is None:
                    return
                its.trouble = _told(error)
                failed.add(shard)
                place.first()
                # A configuration is that of all. Else others may be on their way yet, or be offered.
                all_fail = isinstance(error, ConfigError) or (not served and len(failed) >= sharer.part)
                if all_fail and not place.engines:
                    raise error
                if shard not in waits or self._clock.monotonic() - began_s > AGAIN_MOST_S:
                    waits[shard] = self._waits()
                wait_s = next(waits[shard])
                shunned[shard] = self._clock.monotonic() + wait_s
                _log_end(f"shard {shard} of {venue}", error, wait_s)

        error: Exception | None = None
        try:
            await sharer.run(serve)
        except* Exception as group:
            error = cast(Exception, only(group))
        for its in place.shards.values():
            its.trouble = ""  # Others may serve them by now; the venue's place tells why this one does not.
        return error

    def _shunned(self, place: Place, shunned: dict[int, float]) -> Collection[int]:
        """The shards that are left alone yet."""
        for shard in [shard for shard, until_s in shunned.items() if until_s <= self._clock.monotonic()]:
            del shunned[shard]
            place.shards[shard].trouble = ""  # Whoever holds it by now may well serve it.
            place.first()
        return tuple(shunned)

    async def _alone(self, venue: str, begin: Begin) -> Exception | None:
        place = self.places[venue]
        return await self._one(place, begin(venue, place.has_written))

    async def _keep(self, venue: str, once: Callable[[], Awaitable[Exception | None]]) -> None:
        place, several = self.places[venue], len(self.places) > 1
        waits = self._waits()
        with logger.contextualize(venue=venue) if several else nullcontext():
            while True:
                began_s = self._clock.monotonic()
                error = await once()
                if error is None:
                    continue
                place.trouble = _told(error)
                if all(one.trouble and one.engine is None for one in self.places.values()):
                    raise error
                if self._clock.monotonic() - began_s > AGAIN_MOST_S:
                    waits = self._waits()
                wait_s = next(waits)
                _log_end(venue, error, wait_s)
                await self._clock.sleep(wait_s)

    async def _one(
        self,
        place: Place,
        opening: AbstractAsyncContextManager[Engine],
        changed: Callable[[], None] = lambda: None,
    ) -> Exception | None:
        """One engine from its beginning to its end: by an error, or since another instance has overtaken."""
        error: Exception | None = None
        try:
            async with opening as engine:
                place.engine = engine
                changed()
                try:
                    async with asyncio.TaskGroup() as tasks:
                        tasks.create_task(engine.run(), name="engine")
                        await engine.started.wait()
                        place.trouble, place.has_written = "", True
                        changed()
                finally:
                    place.engine = None  # Before it is closed: nobody is to look through it then.
                    changed()
        except* Overtaken:
            # What this one holds is older than what is stored: it waits in line as if just started.
            place.has_written = True
            logger.bind(event="starting_over").info("starting over, behind the other instance")
        except* Exception as group:
            error = cast(Exception, only(group))
        return error

    def _waits(self) -> Iterator[float]:
        return delays(self._jitter, first_s=AGAIN_FIRST_S, most_s=AGAIN_MOST_S)


def _ready(place: Place) -> Collection[int]:
    """The shards that could be served at once, or are."""
    return [shard for shard, its in place.shards.items() if its.engine is not None and its.engine.in_line]


def _told(error: Exception) -> str:
    return error.message if isinstance(error, LivecacheError) else type(error).__name__


def _log_end(what: str, error: Exception, wait_s: float) -> None:
    log = logger.bind(event="engine_ended", wait_s=round(wait_s, 1))
    log.opt(exception=None if isinstance(error, LivecacheError) else error).error(
        "{} is not served now: {}; beginning anew in {:.1f} s", what, error, wait_s
    )
