"""`AsyncReader`: the same reads, awaited."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Sequence
from types import TracebackType
from typing import Any, Self, Unpack

from ..core.candle import Candle
from ..core.series import SeriesId
from ..core.timeframe import Timeframe
from ..errors import ReadError
from .answer import Empty
from .async_links import AsyncLink
from .candles import Candles
from .close_events import CloseEvent, closes
from .keyspace import Keyspace
from .orders import Patience, follow, wait_ready
from .reader import MAX_LAG_S, PATIENCE_S, TIMEOUT_S
from .reading import Core, ReadOptions, SeriesView
from .service_status import ServiceStatus, status

__all__ = ["AsyncReader"]


class AsyncReader:
    """`Reader` over `redis.asyncio`: the same methods, awaited. `client` is a `redis.asyncio.Redis`.

    >>> async def main():
    ...     async with AsyncReader() as reader:
    ...         print(await reader.candles("BTC-USD", "5m", 60))
    >>> asyncio.run(main())
    <Candles: 60 of BTC-USD 5m, feed up, age 15000 ms>
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        prefix: str = "livecache",
        venue: str = "coinbase",
        max_lag: float = MAX_LAG_S,
        client: Any = None,
    ) -> None:
        self._link = AsyncLink(url, client)
        self._core = Core(Keyspace(prefix, venue, self._link.database), max_lag)

    async def candles(
        self,
        symbol: str,
        timeframe: str | Timeframe,
        count: int,
        *,
        settled: bool = False,
        forming: bool = False,
        empty: Empty = "skip",
        max_lag: float | None = None,
        at_least: int | None = None,
        newest_within: float | None = None,
    ) -> Candles:
        """See `Reader.candles`."""
        request = self._core.request(
            symbol,
            timeframe,
            count,
            settled=settled,
            forming=forming,
            empty=empty,
            max_lag=max_lag,
            at_least=at_least,
            newest_within=newest_within,
        )
        return await self._link.drive(self._core.read(request))

    async def latest(
        self, symbol: str, timeframe: str | Timeframe, *, settled: bool = False, max_lag: float | None = None
    ) -> Candle:
        """See `Reader.latest`."""
        return (await self.candles(symbol, timeframe, 1, settled=settled, max_lag=max_lag))[-1]

    async def range(
        self,
        symbol: str,
        timeframe: str | Timeframe,
        start: int,
        end: int,
        *,
        settled: bool = False,
        empty: Empty = "skip",
        max_lag: float | None = None,
    ) -> Candles:
        """See `Reader.range`."""
        request = self._core.range_request(
            symbol, timeframe, start, end, settled=settled, empty=empty, max_lag=max_lag
        )
        return await self._link.drive(self._core.read(request))

    async def many(
        self, wanted: Iterable[tuple[str, str | Timeframe, int]], **options: Unpack[ReadOptions]
    ) -> dict[SeriesId, Candles | ReadError]:
        """See `Reader.many`."""
        requests = [self._core.request(*one, **options) for one in wanted]
        outcomes = await self._link.drive(self._core.read_many(requests))
        return {r.series: outcome for r, outcome in zip(requests, outcomes, strict=True)}

    async def wait_ready(
        self,
        wanted: Iterable[tuple[str, str | Timeframe, int]],
        *,
        timeout: float | None = TIMEOUT_S,  # noqa: ASYNC109  as `Reader` has it; it raises what was amiss
        **options: Unpack[ReadOptions],
    ) -> dict[SeriesId, Candles]:
        """See `Reader.wait_ready`."""
        requests = [self._core.request(*one, **options) for one in wanted]
        orders = wait_ready(self._core, requests, Patience(timeout))
        answer: dict[SeriesId, Candles]
        (answer,) = [given async for given in self._link.iterate(orders)]
        return answer

    def follow(
        self,
        symbol: str,
        timeframe: str | Timeframe,
        count: int,
        *,
        patience: float | None = PATIENCE_S,
        **options: Unpack[ReadOptions],
    ) -> AsyncGenerator[Candles, None]:
        """See `Reader.follow`. To leave the loop early, close it: by `contextlib.aclosing`, or with the task.

        >>> async def main():
        ...     async with AsyncReader() as reader, aclosing(reader.follow("BTC-USD", "5m", 60)) as answers:
        ...         async for candles in answers:
        ...             return candles[-1].close
        >>> asyncio.run(main())
        76324.18
        """
        request = self._core.request(symbol, timeframe, count, **options)
        return self._link.iterate(follow(self._core, request, Patience(patience)))

    def closes(
        self, *, after: str | None = None, patience: float | None = PATIENCE_S
    ) -> AsyncGenerator[CloseEvent, None]:
        """See `Reader.closes`; and `follow` for how to leave it."""
        return self._link.iterate(closes(self._core.keys, after, Patience(patience)))

    async def state(self, symbol: str, timeframe: str | Timeframe) -> SeriesView:
        """See `Reader.state`."""
        return (await self._link.drive(self._core.views([self._core.series_id(symbol, timeframe)])))[0]

    async def states(self, series: Sequence[SeriesId] | None = None) -> list[SeriesView]:
        """See `Reader.states`."""
        return await self._link.drive(self._core.views(await self.series() if series is None else series))

    async def series(self) -> list[SeriesId]:
        """See `Reader.series`."""
        return await self._link.drive(self._core.all_series())

    async def status(self) -> ServiceStatus:
        """See `Reader.status`."""
        return await self._link.drive(status(self._core.keys))

    async def aclose(self) -> None:
        """Close the connections, unless the client is your own."""
        await self._link.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()
