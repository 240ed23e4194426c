"""Windows of years, read off the event loop.

Nothing of the history, and no numpy, is loaded before somebody asks.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from ...errors import ConfigError, Incomplete, NotReady, OutsideCalendar, RedisUnavailable
from ...model.coverage import Coverage
from ...model.timeframe import iso, readable
from ...read.reading import Core, Steps
from ...reader.async_links import AsyncLink
from ...reader.history import Place
from ...reader.reader import MAX_LAG_S
from ..answers import NotServed
from ..source import Source
from ..watch.instance import Instance
from .bounds import Ask, Bounds, Ends, Window, bounds_of
from .filling import NOTHING, Filled, Filler
from .flights import Flights
from .formats import Format, Made, made_of
from .tags import named_in, tag_of_version

if TYPE_CHECKING:
    from ...reader.years import Reading

__all__ = ["Ask", "Ends", "Past", "Wanted", "Window"]

_T = TypeVar("_T")

_THREADS = 2
_REDIS_S = 10.0  # for all that one read asks of Redis at a time
_SHOWN = 3


class Wanted(NamedTuple):
    """An answer as a client wants it."""

    ask: Ask
    format: Format = "json"
    gzip: bool = False
    held: str = ""
    """Its If-None-Match: of what it has already it gets no body."""


class _Try(NamedTuple):
    """One of two attempts at the same: what the first one lacks may be fetched before the `last`."""

    wanted: Wanted
    last: bool
    job: int | None = None
    """What fetches the rest."""


class _Look(NamedTuple):
    """What was seen at once: a window, or the tag of an answer that the client has already; else both."""

    window: Window | None
    made: Made | None


class Past:
    """Reads windows in threads of its own. `close` it at the end."""

    def __init__(self, source: Source, instance: Instance) -> None:
        self._source, self._instance = source, instance
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="past")
        self._flights = Flights[_Try, _Look]()
        self._core: tuple[Any, Core] | None = None
        self._place = Place("off")
        self._filler = Filler(instance)

    @property
    def kept(self) -> bool:
        """Whether years are kept."""
        return self._instance.history_path is not None

    async def window(self, ask: Ask) -> Window:
        """What is known of it.

        Raises `Incomplete` where that is not all, unless a part will do, `NotReady` where years are not
        kept, `UnknownSeries`, `ConfigError`, and whatever a reader of years raises.
        """
        look = await self._looked(Wanted(ask), partial(self._look, encode=False))
        assert look.window is not None  # nothing was held
        return look.window

    async def answer(self, wanted: Wanted) -> Made:
        """The same as it is sent. What many ask for at once is read once."""

        async def look(this: _Try) -> _Look:
            return await self._flights(this, partial(self._look, this, encode=True))

        made = (await self._looked(wanted, look)).made
        assert made is not None
        return made

    async def in_thread(self, work: Callable[[], _T]) -> _T:
        """What that gives, which takes too long for the event loop."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, work)

    async def close(self) -> None:
        """Read nothing more."""
        await self._filler.close()
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def _looked(self, wanted: Wanted, look: Callable[[_Try], Awaitable[_Look]]) -> _Look:
        """What is there, once what is missing has been fetched, or is on its way."""
        ask, filled = wanted.ask, NOTHING
        found = await look(_Try(wanted, last=not ask.fill))
        if ask.fill and found.window and (missing := found.window.history.missing):
            filled = await self._filler.fill(found.window.history.series, missing, ask.timeout_s)
            if filled.tried or ask.partial:
                found = await look(_Try(wanted, True, filled.job))
        if found.window and found.window.history.missing and not ask.partial:
            raise self._lacking(found.window, filled)
        return found

    async def _look(self, this: _Try, *, encode: bool) -> _Look:
        link, core = self._way()
        loop = asyncio.get_running_loop()

        def drive(steps: Steps[Any]) -> Any:
            asked = asyncio.run_coroutine_threadsafe(link.drive(steps), loop)
            try:
                return asked.result(_REDIS_S)
            except TimeoutError:
                asked.cancel()
                raise RedisUnavailable(f"Redis does not answer within {_REDIS_S:g} s") from None

        return await self.in_thread(partial(self._read, this, core, drive, encode=encode))

    def _way(self) -> tuple[AsyncLink, Core]:
        """The way to Redis, by which all venues are found."""
        way = self._source.way()
        if self._core is None or self._core[0] is not way:
            core = Core(replace(way.core.keys), MAX_LAG_S, named=False)
            core.learnt(way.venues, dict.fromkeys(way.venues, ()))
            self._core = way, core
        return way.link, self._core[1]

    # --- in a thread

    def _read(self, this: _Try, core: Core, drive: Callable[[Steps[Any]], Any], *, encode: bool) -> _Look:
        if find_spec("numpy") is None:
            raise NotServed(
                *("not_ready", 503, "years are read by numpy, which is not installed"),
                "pip install 'livecache[history]' where the service runs",
                again_s=None,
            )
        from ...reader.wish import wish_of
        from ...reader.years import Reading, Years

        wanted, ask = this.wanted, this.wanted.ask
        try:
            timeframe = readable(ask.timeframe)
            wish = wish_of(ask.start or 0, ask.end, gaps="allow", adjust=ask.adjust)._replace(vouched=True)
            place = self._opened(self._instance.history_path)
            with place.opened() as store:
                reading = Reading(Years(core, drive, place), store, ask.symbol, timeframe, wish)
                bounds = self._bounds(reading, ask)
                tag = ""
                if encode:
                    whole, version = reading.version(*bounds.span)
                    tag = tag_of_version(wanted.format, bounds, reading.series, version)
                    if whole and named_in(wanted.held, tag):
                        return _Look(None, Made(b"", tag, wanted.format, {}, bounds.old))
                history = reading.answer(*bounds.span)
                whole = not history.missing
                window = Window(history, bounds, reading.listed or None, None if whole else this.job)
            made = None
            if encode and (whole or (this.last and ask.partial)):
                made = made_of(window, wanted.format, tag, gzip=wanted.gzip)
            return _Look(window, made)
        except OutsideCalendar as error:
            raise ConfigError(error.message, error.hint) from None
        except ValueError as error:
            raise ConfigError(str(error)) from None

    def _opened(self, path: Path | None) -> Place:
        """Where the history is; none before its file is made."""
        url = "off" if path is None or not path.exists() else f"sqlite:///{path}"
        if self._place.url != url:
            self._place = Place(url)
        return self._place

    def _bounds(self, reading: Reading, ask: Ask) -> Bounds:
        series = [source.series for source in reading.sources]
        kept = Coverage(span for each in series for span in reading.kept(each))
        known = kept | Coverage(span for each in series for span in reading.known_of(each))
        wall = int(self._instance.clock.wall() * 1000)
        engine = self._instance.engines.get(reading.series.venue)
        oldest = 0
        if engine is not None:
            now = known.spans[-1].end if known else wall
            oldest = min(engine.venue.traits.oldest(each.timeframe, now) for each in series)
        return bounds_of(
            reading.grid, ask, known=known, kept=kept, listed=reading.listed, oldest=oldest, wall=wall
        )

    def _lacking(self, window: Window, filled: Filled) -> NotReady:
        """Why it is not whole."""
        history, grid = window.history, window.history.grid
        want, have = grid.count(*window.span), sum(grid.count(*span) for span in history.coverage)
        spans = history.missing.spans
        shown = ", ".join(f"[{iso(start)}, {iso(end)})" for start, end in spans[:_SHOWN])
        more = f" and {len(spans) - _SHOWN} more" if len(spans) > _SHOWN else ""
        told = f"{history.series}: {have} of {want} buckets are known, not those of {shown}{more}"
        if not self.kept:
            return NotReady(told, f"{NO_YEARS}; {_PART}", have=have, want=want)
        told += f"; {filled.error}" if filled.error else ""
        return Incomplete(
            told, _PART, have=have, want=want, missing=spans, job=filled.job, again_s=filled.again_s
        )


_PART = "partial=true gives what there is"

NO_YEARS = "older candles are kept where history.url is set"
