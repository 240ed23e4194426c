"""What readers see in Redis now: looked at once a second at most, however many ask."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from itertools import zip_longest
from typing import TypeVar

import msgspec

from ...clock import Clock
from ...engine.fleet import Place
from ...errors import LivecacheError
from ...model.series import SeriesId
from ...read.reading import SeriesView
from ...read.standing import Row, left_warm, reasons_not_ready, row_of
from ...reader.async_reader import AsyncReader
from ...wire.scripts import batches
from .instance import Instance

__all__ = ["LOOK_AGAIN_MOST_S", "LOOK_AGAIN_S", "LOOK_SHARE", "Look", "Lookout", "side_by_side"]

LOOK_AGAIN_S = 1.0
LOOK_SHARE = 20  # … and after so many times as long as the last one took: 6,300 series take 0.4 s of the CPU
LOOK_AGAIN_MOST_S = 10.0
LOOK_S = 2.0  # for each answer of Redis, or as long as the last look took: on a host that is short of time
LOOK_MOST_S = 10.0  # for all of them
PATIENCE_S = 2.5  # then who asks is told of the look before: a probe gives up after three seconds
SERIES_A_STEP = 100  # in between the feed and the writer have their turn
STEPS_AT_ONCE = 8  # while a service fills thousands, what takes time is waiting for one's turn

_Step = TypeVar("_Step")
_Found = TypeVar("_Found")

_NO_SERVICE = "the service is starting, or ending"


class Look(msgspec.Struct, frozen=True):
    """One look. `reasons` say why not everything is ready; none: it is."""

    series: int
    reasons: Sequence[str]
    left_warm: bool = False  # all of it was ready when it was written, whoever vouches for it now
    ready: Mapping[str, bool] = {}  # of each venue
    took_s: float = 0.0  # until Redis answered last


class Lookout:
    """Looks for all who ask; remembers in the instance that all was ready once."""

    def __init__(self, instance: Instance, clock: Clock, patience_s: float = PATIENCE_S) -> None:
        self._instance = instance
        self._clock = clock
        self._patience_s = patience_s
        self._looking: asyncio.Task[None] | None = None
        self._seen = Look(0, [_NO_SERVICE])
        self._again_at_s = float("-inf")

    async def look(self) -> Look:
        """What readers see now, or saw a moment ago: while a look takes its time, what the one before saw."""
        late_s = self._clock.monotonic() - self._again_at_s
        if self._looking is None and late_s < 0:
            return self._seen
        if self._looking is None:
            self._looking = asyncio.create_task(self._look_anew(), name="lookout")
        looking = self._looking
        await asyncio.wait({looking}, timeout=self._patience_s if late_s <= LOOK_AGAIN_MOST_S else None)
        if looking.done():
            looking.result()
        return self._seen

    async def _look_anew(self) -> None:
        try:
            self._seen = await self._look()
            # To wait in vain has cost nothing but time; what was answered before has.
            wait_s = min(max(LOOK_AGAIN_S, LOOK_SHARE * self._seen.took_s), LOOK_AGAIN_MOST_S)
            self._again_at_s = self._clock.monotonic() + wait_s
            self._instance.was_ready |= not self._seen.reasons
        finally:
            self._looking = None

    async def _look(self) -> Look:
        """At the series of all venues."""
        places = self._instance.places
        if not places:
            return Look(0, [_NO_SERVICE])
        # Side by side: a Redis that hangs takes the time of one look.
        found = await asyncio.gather(*(self._look_at(*one) for one in places.items()))
        looks = dict(zip(places, found, strict=True))
        return Look(
            sum(look.series for look in looks.values()),
            [
                self._instance.name(venue, reason)
                # The first of each first: who shows only some has some of all.
                for reasons in zip_longest(*(look.reasons for look in found))
                for venue, reason in zip(places, reasons, strict=True)
                if reason is not None
            ],
            all(look.left_warm for venue, look in looks.items() if not places[venue].trouble),
            {venue: not look.reasons for venue, look in looks.items()},
            max(look.took_s for look in found),
        )

    async def _look_at(self, venue: str, place: Place) -> Look:
        if place.way is None:
            return Look(0, [place.trouble or _NO_SERVICE])
        config = self._instance.config
        prefix, require = config.redis.prefix, config.cache.require
        # By the writer's own client: so it takes the same way to the same server.
        reader = AsyncReader(client=place.way[0], prefix=prefix, venue=venue)
        within_s = max(LOOK_S, self._seen.took_s)
        began_s = answered_s = self._clock.monotonic()

        async def look(some: Sequence[SeriesId]) -> tuple[list[SeriesView], list[Row]]:
            nonlocal answered_s
            seen = await reader.states(some)
            # Thousands of a cluster may take longer in all, and are answered all the while.
            left.reschedule(asyncio.get_running_loop().time() + within_s)
            answered_s = self._clock.monotonic()
            return seen, [*map(row_of, seen)]

        try:
            async with asyncio.timeout(LOOK_MOST_S) as whole, asyncio.timeout(within_s) as left:
                found = await side_by_side(look, batches(await reader.series(), SERIES_A_STEP))
        except TimeoutError:
            waited_s = LOOK_MOST_S if whole.expired() else within_s
            return Look(0, [f"Redis does not answer within {waited_s:.3g} s"], took_s=answered_s - began_s)
        except LivecacheError as error:
            return Look(0, [error.message], took_s=answered_s - began_s)
        views = [view for seen, _ in found for view in seen]
        table = [row for _, rows in found for row in rows]
        reasons = reasons_not_ready(table, prefix, require)
        return Look(len(views), reasons, left_warm(views, require), took_s=self._clock.monotonic() - began_s)


async def side_by_side(look: Callable[[_Step], Awaitable[_Found]], steps: Sequence[_Step]) -> list[_Found]:
    """What is found by each step, in their order; a few of them at a time. Raises what one of them raises."""
    found: dict[int, _Found] = {}
    left = iter(enumerate(steps))

    async def walk() -> None:
        try:
            for number, step in left:
                found[number] = await look(step)
        except BaseException:
            for _ in left:  # The others begin nothing any more.
                pass
            raise

    await asyncio.gather(*(walk() for _ in range(STEPS_AT_ONCE)))
    return [found[number] for number in range(len(steps))]
