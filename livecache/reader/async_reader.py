"""`AsyncReader`: the same reads, awaited."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Mapping
from typing import Any, Self, SupportsIndex, Unpack

from ..errors import ReadError
from ..keys.keyspace import Keyspace
from ..model.candle import Candle
from ..model.series import FIRST_VENUE, SeriesId
from ..model.timeframe import Timeframe
from ..read.answer import Empty
from ..read.answers import Answers
from ..read.asking import Asked, Seconds, Time, counted
from ..read.candles import Candles
from ..read.close_events import CloseEvent, closes_of
from ..read.ohlcv import ohlcv
from ..read.orders import Patience, follow, follow_many, wait_ready
from ..read.questions import ReadOptions
from ..read.reading import Core, SeriesView
from ..wire.addresses import as_address
from .async_links import AsyncLink
from .history import AsyncHistoryReads, Connections
from .reader import MAX_LAG_S, PATIENCE_S, TIMEOUT_S
from .service_status import ServiceStatus, status

__all__ = ["AsyncReader"]


class AsyncReader(AsyncHistoryReads):
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
        venue: str | None = None,
        max_lag: Seconds = MAX_LAG_S,
        client: Any = None,
        history: str | None = None,
    ) -> None:
        self._link, self._history = AsyncLink(url, client), Connections(history)
        keys = Keyspace(prefix, FIRST_VENUE if venue is None else venue, self._link.database)
        self._core = Core(keys, max_lag, named=venue is not None)

    def __reduce__(self) -> tuple[Any, ...]:
        core, link = self._core, self._link
        options = {"prefix": core.keys.prefix, "venue": core.asked_venue, "max_lag": core.max_lag_s}
        return as_address(self, link.asked_url, link.owns, history=self._history.url, **options)

    async def candles(
        self,
        symbol: str,
        timeframe: str | Timeframe,
        count: SupportsIndex | None = None,
        *,
        limit: SupportsIndex | None = None,
        settled: bool = False,
        forming: bool = False,
        empty: Empty = "skip",
        max_lag: Seconds | None = None,
        at_least: SupportsIndex | None = None,
        newest_within: Seconds | None = None,
    ) -> Candles:
        """See `Reader.candles`."""
        request = self._core.request(
            symbol,
            timeframe,
            count if limit is None else counted(count, limit),
            settled=settled,
            forming=forming,
            empty=empty,
            max_lag=max_lag,
            at_least=at_least,
            newest_within=newest_within,
        )
        return await self._newest(request)

    async def latest(
        self,
        symbol: str,
        timeframe: str | Timeframe,
        *,
        settled: bool = False,
        max_lag: Seconds | None = None,
    ) -> Candle:
        """See `Reader.latest`."""
        return (await self.candles(symbol, timeframe, 1, settled=settled, max_lag=max_lag))[-1]

    async def range(
        self,
        symbol: str,
        timeframe: str | Timeframe,
        start: Time,
        end: Time,
        *,
        settled: bool = False,
        empty: Empty = "skip",
        max_lag: Seconds | None = None,
    ) -> Candles:
        """See `Reader.range`."""
        request = self._core.range_request(
            symbol, timeframe, start, end, settled=settled, empty=empty, max_lag=max_lag
        )
        return await self._link.drive(self._core.read(request))

    async def many(
        self,
        wanted: Asked,
        timeframe: str | Timeframe | None = None,
        count: SupportsIndex | None = None,
        *,
        limit: SupportsIndex | None = None,
        **options: Unpack[ReadOptions],
    ) -> Answers[Candles | ReadError]:
        """See `Reader.many`."""
        requests = self._core.requests(wanted, timeframe, count, limit, options)
        return Answers(await self._link.drive(self._core.answers(requests)))

    async def fetch_ohlcv(
        self,
        symbol: str,
        timeframe: str | Timeframe = "1m",
        since: Time | None = None,
        limit: SupportsIndex | None = None,
        params: Mapping[str, Any] | None = None,
    ) -> list[list[float]]:
        """See `Reader.fetch_ohlcv`."""
        return await self._link.drive(ohlcv(self._core, symbol, timeframe, since, limit, params))

    async def wait_ready(
        self,
        wanted: Asked,
        timeframe: str | Timeframe | None = None,
        count: SupportsIndex | None = None,
        *,
        limit: SupportsIndex | None = None,
        timeout: Seconds | None = TIMEOUT_S,  # noqa: ASYNC109  as `Reader` has it; it raises what was amiss
        **options: Unpack[ReadOptions],
    ) -> Answers[Candles]:
        """See `Reader.wait_ready`."""
        requests = self._core.requests(wanted, timeframe, count, limit, options)
        orders = wait_ready(self._core, requests, Patience(timeout, "timeout"))
        answer: dict[SeriesId, Candles]
        (answer,) = [given async for given in self._link.iterate(orders)]
        return Answers(answer)

    def follow(
        self,
        symbol: str,
        timeframe: str | Timeframe,
        count: SupportsIndex | None = None,
        *,
        limit: SupportsIndex | None = None,
        patience: Seconds | None = PATIENCE_S,
        **options: Unpack[ReadOptions],
    ) -> AsyncGenerator[Candles, None]:
        """See `Reader.follow`. However many there are, in one event loop they share two connections.

        To leave the loop early, close it: by `contextlib.aclosing`, or with the task.

        >>> async def main():
        ...     async with AsyncReader() as reader, aclosing(reader.follow("BTC-USD", "5m", 60)) as answers:
        ...         async for candles in answers:
        ...             return candles[-1].close
        >>> asyncio.run(main())
        76324.18
        """
        request = self._core.request(symbol, timeframe, counted(count, limit), **options)
        return self._link.iterate(follow(self._core, request, Patience(patience)))

    def follow_many(
        self,
        wanted: Asked,
        timeframe: str | Timeframe | None = None,
        count: SupportsIndex | None = None,
        *,
        limit: SupportsIndex | None = None,
        patience: Seconds | None = PATIENCE_S,
        **options: Unpack[ReadOptions],
    ) -> AsyncGenerator[tuple[SeriesId, Candles | ReadError], None]:
        """See `Reader.follow_many`; and `follow` for how to leave it."""
        requests = self._core.requests(wanted, timeframe, count, limit, options)
        return self._link.iterate(follow_many(self._core, requests, Patience(patience)))

    def closes(
        self,
        *,
        after: str | None = None,
        series: Iterable[SeriesId | tuple[str, str | Timeframe] | str] | None = None,
        patience: Seconds | None = PATIENCE_S,
    ) -> AsyncGenerator[CloseEvent, None]:
        """See `Reader.closes`; and `follow` for how to leave it."""
        orders = closes_of(self._core, after, Patience(patience), series, self._link.patience_s)
        return self._link.iterate(orders)

    async def state(self, symbol: str, timeframe: str | Timeframe) -> SeriesView:
        """See `Reader.state`."""
        return (await self._link.drive(self._core.views_of([(symbol, timeframe)])))[0]

    async def states(
        self, series: Iterable[SeriesId | tuple[str, str | Timeframe]] | None = None
    ) -> list[SeriesView]:
        """See `Reader.states`."""
        views = self._core.views
        return await self._link.drive(
            views(await self.series()) if series is None else self._core.views_of([*series])
        )

    async def series(self) -> list[SeriesId]:
        """See `Reader.series`."""
        return await self._link.drive(self._core.all_series())

    async def status(self) -> ServiceStatus:
        """See `Reader.status`."""
        return await self._link.drive(status(self._core))

    async def aclose(self) -> None:
        """Close the connections, unless the client is your own."""
        await self._link.aclose()
        self._history.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()
