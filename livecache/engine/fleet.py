"""The venues of one process, side by side: what ends the engine of one ends or restarts that one alone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Literal, cast

from ..clock import Clock
from ..errors import LivecacheError, only
from ..pacing.backoff import delays
from ..quiet import logger
from ..write.lease import Overtaken
from .engine import Engine

__all__ = ["AGAIN_MOST_S", "Begin", "Fleet", "Place", "Role"]

Role = Literal["starting", "waiting", "writing"]

Begin = Callable[[str, bool], AbstractAsyncContextManager[Engine]]
"""Opens the next engine of a venue; told whether an earlier one of this process has written already."""

AGAIN_FIRST_S, AGAIN_MOST_S = 1.0, 60.0
"""So long the venue of an engine that has ended by an error is left alone, ever longer."""


class Place:
    """One venue's place in the process: the engine that runs, and what the one before has ended by."""

    def __init__(self, engine: Engine | None = None) -> None:
        self.engine = engine  # None before one runs, and between two
        self.trouble = ""  # what the last one has ended by, until another has started; "" if by no error
        self.has_written = False

    @property
    def role(self) -> Role:
        """Whether it writes the cache, waits for the lease of one that does, or does not know yet."""
        if self.engine is None:
            return "starting"
        if self.engine.writer.writing:
            return "writing"
        return "waiting" if self.engine.writer.pulse.waits_for else "starting"


class Fleet:
    """Runs an engine for each of these venues. `jitter` is uniform in [0, 1)."""

    def __init__(self, venues: Iterable[str], clock: Clock, jitter: Callable[[], float]) -> None:
        self.places = {venue: Place() for venue in venues}
        self._clock = clock
        self._jitter = jitter

    async def run(self, begin: Begin) -> None:
        """Run them until cancelled.

        One that another instance has overtaken starts over, behind that one. If anything else ends one, it is
        begun anew after a while, as long as another runs, be it that it stands by for the lease; once none
        does, the last error is raised.
        """
        async with asyncio.TaskGroup() as tasks:
            for venue in self.places:
                tasks.create_task(self._keep(venue, begin), name=f"engines of {venue}")

    async def _keep(self, venue: str, begin: Begin) -> None:
        place, several = self.places[venue], len(self.places) > 1
        waits = self._waits()
        with logger.contextualize(venue=venue) if several else nullcontext():
            while True:
                began_s = self._clock.monotonic()
                error = await self._one(place, begin(venue, place.has_written))
                if error is None:
                    continue
                place.trouble = error.message if isinstance(error, LivecacheError) else type(error).__name__
                if all(one.trouble and one.engine is None for one in self.places.values()):
                    raise error
                if self._clock.monotonic() - began_s > AGAIN_MOST_S:
                    waits = self._waits()
                wait_s = next(waits)
                log = logger.bind(event="engine_ended", wait_s=round(wait_s, 1))
                log.opt(exception=None if isinstance(error, LivecacheError) else error).error(
                    "{} is not served now: {}; beginning anew in {:.1f} s", venue, error, wait_s
                )
                await self._clock.sleep(wait_s)

    async def _one(self, place: Place, opening: AbstractAsyncContextManager[Engine]) -> Exception | None:
        """One engine from its beginning to its end: by an error, or since another instance has overtaken."""
        error: Exception | None = None
        try:
            async with opening as engine:
                place.engine = engine
                try:
                    async with asyncio.TaskGroup() as tasks:
                        tasks.create_task(engine.run(), name="engine")
                        await engine.started.wait()
                        place.trouble, place.has_written = "", True
                finally:
                    place.engine = None  # Before it is closed: nobody is to look through it then.
        except* Overtaken:
            # What this one holds is older than what is stored: it waits in line as if just started.
            place.has_written = True
            logger.bind(event="starting_over").info("starting over, behind the other instance")
        except* Exception as group:
            error = cast(Exception, only(group))
        return error

    def _waits(self) -> Iterator[float]:
        return delays(self._jitter, first_s=AGAIN_FIRST_S, most_s=AGAIN_MOST_S)
