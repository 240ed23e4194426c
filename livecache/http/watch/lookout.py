"""What readers see in Redis now: looked at once a second at most, however many ask."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from itertools import zip_longest

import msgspec

from ...clock import Clock
from ...engine.fleet import Place
from ...errors import LivecacheError
from ...read.reading import SeriesView
from ...read.standing import Row, left_warm, reasons_not_ready, row_of
from ...reader.async_reader import AsyncReader
from .instance import Instance

__all__ = ["Look", "Lookout"]

LOOK_AGAIN_S = 1.0
LOOK_SHARE = 20  # … and after so many times as long as the last one took: 6,300 series take 0.4 s of the CPU
LOOK_AGAIN_MOST_S = 10.0
LOOK_S = 2.0  # for each answer of Redis; a probe that asks waits for the look
SERIES_A_STEP = 100  # in between the feed and the writer have their turn

_NO_SERVICE = "the service is starting, or ending"


class Look(msgspec.Struct, frozen=True):
    """One look. `reasons` say why not everything is ready; none: it is."""

    series: int
    reasons: Sequence[str]
    left_warm: bool = False  # all of it was ready when it was written, whoever vouches for it now
    ready: Mapping[str, bool] = {}  # of each venue


class Lookout:
    """Looks for all who ask; remembers in the instance that all was ready once."""

    def __init__(self, instance: Instance, clock: Clock) -> None:
        self._instance = instance
        self._clock = clock
        self._turn = asyncio.Lock()
        self._seen = Look(0, [_NO_SERVICE])
        self._again_at_s = float("-inf")

    async def look(self) -> Look:
        """What readers see now, or saw a moment ago."""
        async with self._turn:
            began_s = self._clock.monotonic()
            if began_s >= self._again_at_s:
                self._seen = await self._look()
                ended_s = self._clock.monotonic()
                # One that found nothing has cost nothing but time.
                costly_s = LOOK_SHARE * (ended_s - began_s) if self._seen.series else 0.0
                self._again_at_s = ended_s + min(max(LOOK_AGAIN_S, costly_s), LOOK_AGAIN_MOST_S)
                self._instance.was_ready |= not self._seen.reasons
            return self._seen

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
        )

    async def _look_at(self, venue: str, place: Place) -> Look:
        if place.way is None:
            return Look(0, [place.trouble or _NO_SERVICE])
        config = self._instance.config
        prefix, require = config.redis.prefix, config.cache.require
        # By the writer's own client: so it takes the same way to the same server.
        reader = AsyncReader(client=place.way[0], prefix=prefix, venue=venue)
        views: list[SeriesView] = []
        table: list[Row] = []
        try:
            async with asyncio.timeout(LOOK_S) as left:
                series = await reader.series()
                for first in range(0, len(series), SERIES_A_STEP):
                    # Thousands of a cluster may take longer in all, and are answered all the while.
                    left.reschedule(asyncio.get_running_loop().time() + LOOK_S)
                    step = await reader.states(series[first : first + SERIES_A_STEP])
                    views += step
                    table += map(row_of, step)
        except TimeoutError:
            return Look(0, [f"Redis does not answer within {LOOK_S:g} s"])
        except LivecacheError as error:
            return Look(0, [error.message])
        return Look(len(views), reasons_not_ready(table, prefix, require), left_warm(views, require))
