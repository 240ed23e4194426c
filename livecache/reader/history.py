"""What both readers can read of years of candles. Nothing of the history is loaded before it is asked for."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypedDict, Unpack

from ..embedded.state import default_data_dir
from ..equities.adjust import Adjust
from ..errors import ConfigError, NotReady
from ..keys.history_place import Place, place_problem
from ..model.timeframe import Timeframe
from ..read.answer import Empty, Request
from ..read.asking import Time
from ..read.candles import Candles, package
from ..read.reading import Core

if TYPE_CHECKING:
    from ..history.answer.history import History
    from ..history.store import HistoryDatabase
    from .async_links import AsyncLink
    from .links import RedisLink
    from .years import Years

__all__ = [
    "AsyncHistoryReads",
    "Connections",
    "Gaps",
    "HistoryOptions",
    "HistoryReads",
    "Source",
]

Gaps = Literal["raise", "allow"]
Source = Literal["auto", "stored", "derived"]

_IDLE_MOST = 4  # connections: of threads that have read at the same time


class HistoryOptions(TypedDict, total=False):
    """The options of `Reader.history`, as it explains them."""

    gaps: Gaps
    empty: Empty
    source: Source
    as_of: Time | None
    settled: bool
    adjust: Adjust


class Connections:
    """To a reader's history. They stay open: to open one takes as long as most reads."""

    def __init__(self, url: str | None, place: Place | None = None) -> None:
        """A `place` counts before the URL. Raises `ConfigError` for what is no URL of a history."""
        self._idle: list[tuple[int, HistoryDatabase]] = []  # each with the process that opened it
        self.url, self.place = _checked(url), place

    @contextmanager
    def opened(self) -> Iterator[HistoryDatabase | None]:
        """The store; None where nobody has named one, and none lies beside the embedded server."""
        place = self.place or _place_of(self.url)
        if place is None:
            yield None
            return
        store = self._taken(place)
        try:
            store.check()
            yield store
        except BaseException:
            store.close()
            raise
        if len(self._idle) < _IDLE_MOST:
            self._idle.append((os.getpid(), store))
        else:
            store.close()

    def _taken(self, place: Place) -> HistoryDatabase:
        """A connection of this process to what lies there now."""
        from ..history.opening import open_history

        while self._idle:
            with suppress(IndexError):  # another thread was sooner
                process, store = self._idle.pop()
                if process == os.getpid() and not store.moved:
                    return store
                store.close()
        return open_history(place, read_only=True)

    def close(self) -> None:
        """Close the idle connections."""
        while self._idle:
            with suppress(IndexError):
                self._idle.pop()[1].close()

    __del__ = close


def _checked(url: str | None) -> str | None:
    if url and (problem := place_problem(url)):
        raise ConfigError(f"history: {problem[0]}", problem[1])
    return url


def _place_of(url: str | None) -> Place | None:
    """The place of that URL, else of LIVECACHE_HISTORY_URL, else the file beside the embedded server.

    None where nobody has named one, and that one is not there. Raises `ConfigError`.
    """
    url = _checked(url or os.environ.get("LIVECACHE_HISTORY_URL")) or ""
    own = os.environ.get("LIVECACHE_REDIS_DATA_DIR")
    password_file = os.environ.get("LIVECACHE_HISTORY_PASSWORD_FILE", "")
    place = Place.of(url, Path(own).expanduser() if own else default_data_dir(), password_file)
    return None if url == "off" or (not url and not place.exists()) else place


def _goes_on(request: Request, outcome: Candles | NotReady, history: Connections) -> bool:
    """Whether what Redis keeps is not enough, and the rest may be in a history."""
    if isinstance(outcome, NotReady):
        short = type(outcome) is NotReady and outcome.want == request.count
    else:
        forming = outcome.forming and outcome[-1].time == outcome.forming
        short = len(outcome) - bool(forming) < request.count
    return short and _place_of(history.url) is not None and find_spec("numpy") is not None


class HistoryReads:
    """The part of `Reader` that reads years."""

    _core: Core
    _link: RedisLink
    _history: Connections

    def history(
        self,
        symbol: str,
        timeframe: str | Timeframe,
        start: Time,
        end: Time | None = None,
        *,
        gaps: Gaps = "raise",
        empty: Empty = "skip",
        source: Source = "auto",
        as_of: Time | None = None,
        settled: bool = False,
        adjust: Adjust = "splits",
    ) -> History:
        """All candles that open within [start, end), of Redis and of the history. See `History`.

        They are settled, but where an exchange has final candles only after its next open: what was shown of
        the newest before is told by `.provisional`.

        Neither livecache nor Redis has to run: then it is what is stored. numpy has to be installed, the
        extra `livecache[history]`.

        Args:
            end: without it, as far as anything is known.
            gaps: "raise": all of the stretch has to be known. "allow": what is not is told by `.missing`.
            empty: what stands for a bucket without a trade. "skip": nothing. "carry": the last close, with
                volume 0; NaN where none is known. "null": NaN.
            source: "stored": the series itself. "derived": the exact sums of a smaller timeframe. "auto": the
                series itself, and sums where it lacks something.
            as_of: what was stored at that time, within the last ninety days: without what was learnt since.
            settled: only what is settled.
            adjust: of shares. "splits": as they are stored, all in today's shares. "none": as they were
                traded that day, volume too. "all": for dividends, too, as doubles; of ten decimal places.

        Raises:
            Incomplete: something is missing, and `gaps` does not allow it. A `NotReady`.
            UnknownSeries: nothing of it is stored, nor of what adds up to it.
            DamagedBlock: what is stored there cannot be believed; a running livecache fetches it again.
            StoreUnusable: the file cannot be read, or is not there although it was named.
        """
        return self._years().read(
            *(symbol, timeframe, start, end),
            gaps=gaps,
            empty=empty,
            source=source,
            as_of=as_of,
            settled=settled,
            adjust=adjust,
        )

    def history_batches(
        self,
        symbol: str,
        timeframe: str | Timeframe,
        start: Time,
        end: Time | None = None,
        *,
        rows: int = 500_000,
        **options: Unpack[HistoryOptions],
    ) -> Iterator[History]:
        """The same, oldest first, in parts of so many buckets: for more than fits into memory.

        Raises as `history` does, each part for itself, and `HistoryChanged` if what was given is revised
        meanwhile.
        """
        return self._years().batches(symbol, timeframe, start, end, rows=rows, **options)

    def _newest(self, request: Request) -> Candles:
        """The newest candles; what Redis keeps no more of the history."""
        outcome: Candles | NotReady
        try:
            outcome = self._link.drive(self._core.read(request))
        except NotReady as error:
            outcome = error
        if _goes_on(request, outcome, self._history):
            from .newest import newest

            outcome = newest(self._years(), request, outcome)
        if isinstance(outcome, NotReady):
            raise outcome
        return outcome

    def _years(self) -> Years:
        package("numpy", "history")
        from .years import Years

        return Years(self._core, self._link.drive, self._history)


class AsyncHistoryReads:
    """The part of `AsyncReader` that reads years: in a thread, since a file blocks."""

    _core: Core
    _link: AsyncLink
    _history: Connections

    async def history(
        self,
        symbol: str,
        timeframe: str | Timeframe,
        start: Time,
        end: Time | None = None,
        **options: Unpack[HistoryOptions],
    ) -> History:
        """See `Reader.history`."""
        years = await self._years()
        return await asyncio.to_thread(years.read, symbol, timeframe, start, end, **options)

    async def history_batches(
        self,
        symbol: str,
        timeframe: str | Timeframe,
        start: Time,
        end: Time | None = None,
        *,
        rows: int = 500_000,
        **options: Unpack[HistoryOptions],
    ) -> AsyncIterator[History]:
        """See `Reader.history_batches`."""
        years = await self._years()
        batches = years.batches(symbol, timeframe, start, end, rows=rows, **options)
        while (batch := await asyncio.to_thread(next, batches, None)) is not None:
            yield batch

    async def _newest(self, request: Request) -> Candles:
        outcome: Candles | NotReady
        try:
            outcome = await self._link.drive(self._core.read(request))
        except NotReady as error:
            outcome = error
        if _goes_on(request, outcome, self._history):
            years = await self._years()
            from .newest import newest

            outcome = await asyncio.to_thread(newest, years, request, outcome)
        if isinstance(outcome, NotReady):
            raise outcome
        return outcome

    async def _years(self) -> Years:
        loop, link = asyncio.get_running_loop(), self._link

        def drive(steps: Any) -> Any:
            return asyncio.run_coroutine_threadsafe(link.drive(steps), loop).result()

        def load() -> Years:
            package("numpy", "history")
            from .years import Years

            return Years(self._core, drive, self._history)

        return await asyncio.to_thread(load)
