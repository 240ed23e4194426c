"""A window of years: which buckets are meant, what is known of them, and whether anything lies before.

Nothing of the history, and no numpy, is loaded before somebody asks.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeVar

import msgspec

from ...equities.adjust import Adjust
from ...errors import ConfigError, Incomplete, NotReady, OutsideCalendar, RedisUnavailable
from ...model.coverage import Span
from ...model.grid import Grid, SessionGrid
from ...model.timeframe import iso, readable
from ...read.candles import package
from ...read.reading import Core, Steps
from ...reader.async_links import AsyncLink
from ...reader.history import Place
from ...reader.reader import MAX_LAG_S
from ..shapes.candles import CandlesHead, SplitOfShares
from ..source import Source
from ..watch.instance import Instance
from .formats import json_of

if TYPE_CHECKING:
    from ...history.answer.history import History
    from ...reader.years import Reading

__all__ = ["Ask", "Ends", "Past", "Window"]

_head = msgspec.json.Encoder()

_T = TypeVar("_T")

_THREADS = 2
_REDIS_S = 10.0  # for all that one read asks of Redis at a time
_SHOWN = 3

Ends = Literal["", "listing", "reach"]


class Ask(NamedTuple):
    """A stretch of one series: `[start, end)`, or the newest `limit` buckets that end by `before`.

    Times are Unix ms. Without an end it goes as far as anything is known, and so it does without `before`.
    """

    symbol: str
    timeframe: str
    start: int | None = None
    end: int | None = None
    before: int | None = None
    limit: int = 500
    adjust: Adjust = "splits"
    fill: bool = True
    timeout_s: float = 2.0
    partial: bool = False


@dataclass(frozen=True, slots=True)
class Window:
    """What is known of the buckets that were meant."""

    history: History
    span: Span
    """From the open of the first to the end of the last of them; empty where there are none."""
    next_before: int | None
    """What to ask for by `before` to go on where this one begins. None: nothing is to be had before it."""
    ends: Ends
    """Why that is so: it was not listed yet, or the venue tells of nothing older. "" where neither is."""
    listed: int | None
    """When its first candle opens, where that is known."""
    job: int | None = None
    """What fetches the part that is missing, if anything does."""


class Past:
    """Reads windows in threads of its own. `close` it at the end."""

    def __init__(self, source: Source, instance: Instance) -> None:
        self._source, self._instance = source, instance
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="past")
        self._core: tuple[Any, Core] | None = None
        self._place = Place("off")

    @property
    def kept(self) -> bool:
        """Whether years are kept."""
        return self._instance.history_path is not None

    async def window(self, ask: Ask) -> Window:
        """What is known of it.

        Raises `Incomplete` where that is not all, unless a part will do, `NotReady` where years are not
        kept, `UnknownSeries`, `ConfigError`, and whatever a reader of years raises.
        """
        link, core = self._way()
        loop = asyncio.get_running_loop()

        def drive(steps: Steps[Any]) -> Any:
            asked = asyncio.run_coroutine_threadsafe(link.drive(steps), loop)
            try:
                return asked.result(_REDIS_S)
            except TimeoutError:
                asked.cancel()
                raise RedisUnavailable(f"Redis does not answer within {_REDIS_S:g} s") from None

        window = await self._threaded(partial(self._read, ask, core, drive))
        if window.history.missing and not ask.partial:
            raise self._lacking(window)
        return window

    async def encoded(self, window: Window) -> bytes:
        """It as JSON, as `CandlesAnswer` describes it."""
        return await self._threaded(partial(body_of, window))

    def close(self) -> None:
        """Read nothing more."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def _threaded(self, work: Callable[[], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._pool, work)

    def _way(self) -> tuple[AsyncLink, Core]:
        """The way to Redis, by which all venues are found."""
        way = self._source.way()
        if self._core is None or self._core[0] is not way:
            core = Core(replace(way.core.keys), MAX_LAG_S, named=False)
            core.learnt(way.venues, dict.fromkeys(way.venues, ()))
            self._core = way, core
        return way.link, self._core[1]

    # --- in a thread

    def _read(self, ask: Ask, core: Core, drive: Callable[[Steps[Any]], Any]) -> Window:
        package("numpy", "history")
        from ...reader.wish import wish_of
        from ...reader.years import Reading, Years

        try:
            timeframe = readable(ask.timeframe)
            wish = wish_of(ask.start or 0, ask.end, gaps="allow", adjust=ask.adjust)._replace(vouched=True)
            with self._opened(self._instance.history_path).opened() as store:
                reading = Reading(Years(core, drive, self._place), store, ask.symbol, timeframe, wish)
                return self._look(reading, ask)
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

    def _look(self, reading: Reading, ask: Ask) -> Window:
        grid, known = reading.grid, [reading.known_of(source.series) for source in reading.sources]
        through = max((each.spans[-1].end for each in known if each), default=0)
        now = through or int(self._instance.clock.wall() * 1000)
        known_from = min((each.spans[0].start for each in known if each), default=now)
        first, ends = self._first(reading, now, known_from)
        start, end = _span(grid, ask, now) if ask.start is not None else _newest(grid, ask, now, first)
        more = start > first and grid.far_back(start, 1) < start
        return Window(
            reading.answer(start, end),
            Span(start, end),
            start if more else None,
            ends if start <= first else "",
            reading.listed or None,
        )

    def _first(self, reading: Reading, now: int, known_from: int) -> tuple[int, Ends]:
        """Before which nothing is to be had, and why; 0 where nothing is known to end."""
        grid, listed = reading.grid, reading.listed
        engine = self._instance.engines.get(reading.series.venue)
        oldest = [0]
        if engine is not None:
            oldest = [engine.venue.traits.oldest(each.series.timeframe, now) for each in reading.sources]
        first = grid.floor(listed) if listed and grid.count(0, listed + 1) else 0
        reach = grid.floor(min(*oldest, known_from)) if all(oldest) else 0
        return max(first, reach), "reach" if reach > first else "listing" if first else ""

    def _lacking(self, window: Window) -> NotReady:
        """Why it is not whole."""
        history, grid = window.history, window.history.grid
        want, have = grid.count(*window.span), sum(grid.count(*span) for span in history.coverage)
        spans = history.missing.spans
        shown = ", ".join(f"[{iso(start)}, {iso(end)})" for start, end in spans[:_SHOWN])
        more = f" and {len(spans) - _SHOWN} more" if len(spans) > _SHOWN else ""
        told = f"{history.series}: {have} of {want} buckets are known, not those of {shown}{more}"
        if not self.kept:
            return NotReady(told, f"{NO_YEARS}; {_PART}", have=have, want=want)
        return Incomplete(told, _PART, have=have, want=want, missing=spans, job=window.job)


def _span(grid: Grid, ask: Ask, now: int) -> Span:
    """The buckets that open in what is asked for. Raises ConfigError."""
    assert ask.start is not None
    start = grid.ceil(ask.start)
    end = grid.closed(max(now, start)) if ask.end is None else grid.end(grid.floor(ask.end - 1))
    buckets = grid.count(start, end)
    if ask.end is None and not buckets:
        return Span(start, start)
    if not 0 < buckets <= ask.limit:
        told = f"[{ask.start}, {end if ask.end is None else ask.end}) holds the opens of {buckets} buckets"
        raise ConfigError(told, f"ask for 1 to {ask.limit} of them")
    return Span(start, end)


def _newest(grid: Grid, ask: Ask, now: int, first: int) -> Span:
    """The newest buckets that end by then, but for those before `first`."""
    end = grid.closed(now if ask.before is None else min(ask.before, now))
    start = max(0, min(max(grid.far_back(end, ask.limit), first), end))
    return Span(start, max(start, end))


def body_of(window: Window) -> bytes:
    """It as JSON."""
    history, split = window.history, window.history.split
    venue, symbol, timeframe = history.series
    derived = history.derived_from
    head = _head.encode(
        CandlesHead(
            venue=venue,
            symbol=symbol,
            timeframe=timeframe.value,
            from_=window.span.start,
            to=window.span.end,
            coverage=[*history.coverage],
            missing=[*history.missing],
            provisional=[*history.provisional],
            converted=[*history.converted],
            next_before=window.next_before,
            exhausted=window.next_before is None,
            ends=window.ends,
            listed=window.listed,
            derived_from=derived.value if derived else None,
            adjust=history.adjust,
            split=SplitOfShares(split.time, split.value) if split else None,
            grid=history.grid.text(*window.span) if isinstance(history.grid, SessionGrid) else "",
            job=window.job,
            revision=history.revision,
        )
    )
    return b'%b,"candles":%b}' % (head[:-1], json_of(history.rows))


_PART = "partial=true gives what there is"

NO_YEARS = "older candles are kept where history.url is set"
