"""Windows of years, read off the event loop.

Nothing of the history, and no numpy, is loaded before somebody asks.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from ...errors import (
    ConfigError,
    DamagedBlock,
    Incomplete,
    NotReady,
    OutsideCalendar,
    RedisUnavailable,
    UnknownSeries,
)
from ...model.coverage import Coverage
from ...model.naming import split_venue
from ...model.timeframe import Timeframe, iso, readable
from ...read.reading import Core, Steps
from ...reader.async_links import AsyncLink
from ...reader.history import Connections
from ...reader.reader import MAX_LAG_S
from ..answers import NotServed
from ..source import KNOWN_S, Source
from ..watch.instance import Instance
from .bounds import Ask, Bounds, Ends, Window, bounds_of, whole
from .cells import filled_by
from .filling import NOTHING, Filler
from .filling import Filled as Outcome
from .flights import Flights
from .formats import Format, Made, made_of
from .tags import named_in, tag_of_version

if TYPE_CHECKING:
    from ...reader.hot import Filled
    from ...reader.years import Reading

__all__ = ["Ask", "Ends", "Past", "Question", "Wanted", "Window"]

_T = TypeVar("_T")

_THREADS = 2
_REDIS_S = 10.0  # for all that one read asks of Redis at a time
_SHOWN = 3

_NEAREST_MS = 300 * 86_400_000  # days that are asked for before those that lie further back

_SEEN_MOST = 1_000
_SEEN_S = 10.0
_WRITTEN_S = 1.0


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


Question = tuple[str, str]
"""Path and query of a request as they came, and what it accepts."""

_File = tuple[int, int, int] | None


class _Seen(NamedTuple):
    """The tag of an answer that was read of this file."""

    made: Made
    file: _File
    until_s: float


class Past:
    """Reads windows in threads of its own. `close` it at the end."""

    def __init__(self, source: Source, instance: Instance) -> None:
        self._source, self._instance = source, instance
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="past")
        self._flights = Flights[_Try, _Look]()
        self._core: tuple[Any, Core] | None = None
        self._connections = Connections("off")
        self._filler = Filler(instance)
        self._clock = instance.clock
        self._seen: dict[Question, _Seen] = {}
        self._known: dict[frozenset[str], tuple[float, Filled]] = {}

    @property
    def kept(self) -> bool:
        """Whether years are kept."""
        return self._instance.history_place is not None

    async def window(self, ask: Ask) -> Window:
        """What is known of it.

        Raises `Incomplete` where that is not all, unless a part will do, `NotReady` where years are not
        kept, `UnknownSeries`, `ConfigError`, and whatever a reader of years raises.
        """
        look = await self._looked(Wanted(ask), partial(self._look, encode=False))
        assert look.window is not None  # nothing was held
        return look.window

    async def answer(self, wanted: Wanted, question: Question) -> Made:
        """The same as it is sent, to that `question`. What many ask for at once is read once."""

        async def look(this: _Try) -> _Look:
            return await self._flights(this, partial(self._look, this, encode=True))

        file = self._instance.history_written()
        made = (await self._looked(wanted, look)).made
        assert made is not None
        self._note(question, file, made)
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
        first = _Try(wanted, last=not ask.fill)
        try:
            found = await look(first)
        except UnknownSeries:
            if not ask.fill or not await self._filler.begin(ask.symbol, readable(ask.timeframe)):
                raise
            found = await look(first)
        except DamagedBlock:
            if not ask.fill:
                raise
            await self._filler.heal(ask.symbol)
            found = await look(first)
        if ask.fill and found.window and (missing := found.window.history.missing):
            filled = await self._filler.fill(found.window.history.series, missing, ask.timeout_s)
            if filled.tried or ask.partial:
                found = await look(_Try(wanted, True, filled.job))
        if ask.fill and not filled.too_many and found.window and (unproven := found.window.unproven):
            days = found.window.history.series._replace(timeframe=Timeframe.D1)
            await self._filler.fill(days, unproven, 0.0)
        if found.window and found.window.history.missing and not ask.partial:
            raise self._lacking(found.window, filled)
        return found

    async def _look(self, this: _Try, *, encode: bool) -> _Look:
        link, core = self._way()
        loop = asyncio.get_running_loop()

        def drive(steps: Steps[Any]) -> Any:
            try:
                first = next(steps)
            except StopIteration as done:  # it is known already
                return done.value
            asked = asyncio.run_coroutine_threadsafe(link.drive(_begun(first, steps)), loop)
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

    def held(self, question: Question, held: str) -> Made | None:
        """What a client has already, where nothing has been written since that was last looked at."""
        seen = self._seen.get(question) if held else None
        if (
            seen is None
            or self._clock.monotonic() >= seen.until_s
            or seen.file != self._instance.history_written()
            or not named_in(held, seen.made.tag)
        ):
            return None
        return seen.made

    def _note(self, question: Question, file: _File, made: Made) -> None:
        """Remember the tag of what is not changed any more."""
        # A file's time is as coarse as a timer's tick: of one that was just written it tells nothing.
        settled = file is not None and self._clock.wall() - file[0] / 1e9 > _WRITTEN_S
        if not made.old or not settled:
            return
        if len(self._seen) >= _SEEN_MOST:
            self._seen.clear()
        until_s = self._clock.monotonic() + _SEEN_S
        self._seen[question] = _Seen(made._replace(body=b""), file, until_s)

    def _filled(self, core: Core, names: set[str]) -> Steps[Filled]:
        """What is filled, as it was a second ago at most."""
        from ...reader.hot import filled

        now_s, key = self._clock.monotonic(), frozenset(names)
        until_s, found = self._known.get(key, (0.0, None))
        if found is None or now_s >= until_s:
            found = yield from filled(core, names)
            if len(self._known) >= _SEEN_MOST:
                self._known.clear()
            self._known[key] = now_s + KNOWN_S, found
        return found

    # --- in a thread

    def _read(self, this: _Try, core: Core, drive: Callable[[Steps[Any]], Any], *, encode: bool) -> _Look:
        try:
            from ...reader.wish import wish_of
            from ...reader.years import Reading, Years
        except ModuleNotFoundError:
            raise NotServed(
                *("not_ready", 503, "years are read by numpy, which is not installed"),
                "pip install 'livecache[history]' where the service runs",
                again_s=None,
            ) from None
        wanted, ask = this.wanted, this.wanted.ask
        try:
            timeframe = readable(ask.timeframe)
            wish = wish_of(ask.start or 0, ask.end, gaps="allow", adjust=ask.adjust)._replace(vouched=True)
            connections = self._connected()
            with connections.opened() as store:
                years = Years(core, drive, connections, self._filled)
                try:
                    reading = Reading(years, store, self._ours(ask.symbol), timeframe, wish)
                except UnknownSeries:
                    if ":" not in ask.symbol:
                        raise
                    reading = Reading(years, store, ask.symbol, timeframe, wish)
                reading.check_shares()
                bounds, silent, unproven = self._bounds(reading, ask)
                tag = ""
                if encode:
                    whole, version = reading.version(*bounds.span)
                    job = None if whole else this.job
                    tag = tag_of_version(wanted.format, bounds, reading.series, [*version, job])
                    if whole and named_in(wanted.held, tag):
                        return _Look(None, Made(b"", tag, wanted.format, {}, bounds.old))
                history = reading.answer(*bounds.span)
                whole = not history.missing
                listed = reading.listed or silent or None
                window = Window(history, bounds, listed, None if whole else this.job, unproven)
            made = None
            if encode and (whole or (this.last and ask.partial)):
                made = made_of(window, wanted.format, tag, gzip=wanted.gzip)
            return _Look(window, made)
        except OutsideCalendar as error:
            raise ConfigError(error.message, error.hint) from None
        except ValueError as error:
            raise ConfigError(str(error)) from None

    def _ours(self, symbol: str) -> str:
        """With the venue, where one is served and none is named: the file may hold others' years, too."""
        venues = self._instance.places
        if len(venues) > 1 or split_venue(symbol, venues)[0]:
            return symbol
        return f"{next(iter(venues))}:{symbol}"

    def _connected(self) -> Connections:
        """To the history; to none before its file is made."""
        place = self._instance.history_place
        there = place if place and place.exists() else None
        if self._connections.place != there:
            self._connections = Connections("off", there)
        return self._connections

    def _bounds(self, reading: Reading, ask: Ask) -> tuple[Bounds, int, Coverage]:
        """What is meant; before what nothing was for years, else 0; and which days may prove such."""
        grid, series = reading.grid, [source.series for source in reading.sources]
        kept = Coverage(span for each in series for span in reading.kept(each))
        there = (reading.kept(each) | reading.known_of(each) for each in series)
        known = Coverage(span for each in there for span in whole(grid, each))
        now = int(self._instance.clock.wall() * 1000)
        engine = self._instance.engines.get(reading.series.venue)
        oldest, final, days = 0, 0, False
        if engine is not None:
            traits, heard = engine.venue.traits, engine.live.now()
            edge = heard or (known.spans[-1].end if known else now)
            timeframes = {each.timeframe for each in series}
            if bigger := filled_by(reading.series.timeframe, 0, traits, edge):
                timeframes.add(bigger)  # nothing of it may be stored yet
            oldest = min(traits.oldest(each, edge) for each in timeframes)
            if heard:
                final = traits.final_by(heard, engine.live.timeline.policy.settle_delay_ms)
            days = Timeframe.D1 in traits.served and not (traits.dated or traits.begins or traits.prepends)
        meant = partial(
            bounds_of,
            *(grid, ask),
            known=known,
            kept=kept,
            listed=reading.listed,
            oldest=oldest,
            final=final,
            now=now,
        )
        bounds = meant()
        if bounds.next_before is None or (silence := reading.silence(bounds.span.start)) is None:
            return bounds, 0, Coverage()
        first, unproven = silence
        if unproven:  # of most symbols the nearest days have candles, which move the first one back
            nearest = unproven.clip(first - _NEAREST_MS, first) or unproven
            return bounds, 0, nearest if days else Coverage()
        return meant(silent=first), first, Coverage()

    def _lacking(self, window: Window, filled: Outcome) -> NotReady:
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


def _begun(first: Sequence[tuple[Any, ...]], steps: Steps[_T]) -> Steps[_T]:
    """Steps that have begun: these commands are next."""
    commands = first
    try:
        while True:
            commands = steps.send((yield commands))
    except StopIteration as done:
        result: _T = done.value
        return result


_PART = "partial=true gives what there is"

NO_YEARS = "older candles are kept where history.url is set"
