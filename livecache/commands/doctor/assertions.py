"""What `livecache doctor --venue X` asks the exchange beside the rest: whether it is as is gone by."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial

from ...clock import SystemClock
from ...config.render import Loaded
from ...errors import ConfigError
from ...venues.asserted import Assertion, Differs, Sight, Untried
from ...venues.registry import asserted_of
from ...venues.settings import VenueSettings
from ...venues.venue import FailureKind, FetchFailure
from .diagnosis import Diagnosis, failed, noted, right, skipped
from .venue import Examination, bans

__all__ = ["ASSERTION_S", "assertions"]

ASSERTION_S = 150.0
"""For each, whatever happens: some wait for the end of a minute."""

Probe = Callable[[Loaded], Awaitable[list[Diagnosis]]]


@asynccontextmanager
async def assertions(venue: str, settings: VenueSettings) -> AsyncIterator[Mapping[str, Probe]]:
    """A probe for each, by its name. They share one client."""
    asking = _Asking(venue, settings.without_key())
    try:
        yield {one.name: partial(asking.about, one) for one in asserted_of(settings.kind or venue)}
    finally:
        await asking.aclose()


class _Asking:
    def __init__(self, venue: str, settings: VenueSettings) -> None:
        self._id, self._settings = venue, settings
        self._examination: Examination | None = None
        self._sight: Sight | None = None
        self._first = asyncio.Lock()
        self._banned = ""

    async def about(self, one: Assertion, loaded: Loaded) -> list[Diagnosis]:
        """Whether it is so."""
        if one.check is None:
            return [skipped(one.name, "only an exchange that is provoked would show it")]
        try:
            await one.check(await self._look(loaded))
        except Untried as why:
            return [skipped(one.name, str(why))]
        except Differs as told:
            say = noted if one.harmless else failed
            return [say(one.name, f"differs: {told}", one.otherwise)]
        return [right(one.name, one.goes_by)]

    async def _look(self, loaded: Loaded) -> Sight:
        async with self._first:
            if self._sight is None:
                self._banned = self._banned or await self._ban(loaded)
                if self._banned:
                    raise Untried(self._banned)
                self._sight = await self._looked()
            return self._sight

    async def _ban(self, loaded: Loaded) -> str:
        return (await asyncio.to_thread(bans, loaded.config)).get(self._id, "")

    async def _looked(self) -> Sight:
        try:
            here = self._examination = self._examination or Examination(self._id, self._settings)
        except ConfigError as error:
            raise Untried(error.message) from None
        told = await here.ask_time()
        listed = told if isinstance(told, FetchFailure) else await here.venue.products(self._settings.symbols)
        if isinstance(listed, FetchFailure):
            self._banned = listed.message if listed.kind is FailureKind.BANNED else ""
            raise Untried(listed.message)
        symbols = [s for s in self._settings.symbols if s in listed and not listed[s].halted]
        if not symbols:
            raise Untried("none of the symbols is listed and trades")
        return Sight(here.venue, self._settings, symbols, clock=SystemClock(), ask_time=here.ask_time)

    async def aclose(self) -> None:
        if self._examination:
            await self._examination.venue.aclose()
