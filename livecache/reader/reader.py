"""The reader: what an indicator imports. A thin shell; `reading.Core` and orders.py decide.

A read neither waits nor falls back to anything: an answer is right and vouched for, or it is an error. What
waits says so by its name: `wait_ready`, `follow` and `closes`.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping
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
from ..wire.connecting import resolve_url
from .history import Connections, HistoryReads
from .links import RedisLink
from .service_status import ServiceStatus, status

__all__ = ["MAX_LAG_S", "PATIENCE_S", "TIMEOUT_S", "Reader", "resolve_url"]

MAX_LAG_S = 600.0
"""Venue seconds that a closed bucket may stay unknown before a read is `Stale`."""

PATIENCE_S = 30.0
"""Seconds that something may be amiss before `follow` and `closes` raise it: a take-over takes ten."""

TIMEOUT_S = 60.0
"""Seconds that `wait_ready` waits: 25 symbols are warm in ten."""


class Reader(HistoryReads):
    """Reads candles from Redis. Threads may share one, as they may redis-py's client.

    Args:
        url: `redis://`, `rediss://`, `unix://`, `redis+sentinel://` (docs/redis.md). Without it
            LIVECACHE_REDIS_URL, else the embedded server.
        prefix: the writer's `redis.prefix`.
        venue: the only one to read. None: all that there are, usually one. Where several have a symbol it is
            `venue:SYMBOL`; `closes` and `status` are one venue's, and then want it named.
        max_lag: seconds of the venue's clock that a closed bucket may be missing before it is `Stale`.
        client: a `redis.Redis` of your own instead of a URL (a cluster's, a sentinel's). It returns bytes.
        history: where years lie, by URL. Without it LIVECACHE_HISTORY_URL, else the embedded file.

    >>> with Reader() as reader:
    ...     reader.candles("BTC-USD", "5m", 60)
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
        self._link, self._history = RedisLink(url, client), Connections(history)
        keys = Keyspace(prefix, FIRST_VENUE if venue is None else venue, self._link.database)
        self._core = Core(keys, max_lag, named=venue is not None)

    def __reduce__(self) -> tuple[Any, ...]:
        core, link = self._core, self._link
        options = {"prefix": core.keys.prefix, "venue": core.asked_venue, "max_lag": core.max_lag_s}
        return as_address(self, link.asked_url, link.owns, history=self._history.url, **options)

    # --- one answer

    def candles(
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
        """The newest `count` closed candles, oldest first, without a gap. `limit` is another word for it.

        Those that Redis keeps no more come from the history, if there is one (see `history`).

        Args:
            settled: only those that the venue's REST API has confirmed.
            forming: and after them the bucket in progress, as one more.
            empty: what stands for a bucket without a trade. "skip": nothing, and `count` counts candles.
                "carry": the previous close with volume 0. "null": NaN. With these two it counts buckets.
            max_lag: another bound than the reader's on how old the answer may be: seconds of the venue's
                clock since the first bucket that is not in it has closed. 0: every closed bucket, or `Stale`.
            at_least: be content with so many, where the venue has no more.
            newest_within: seconds of the venue's clock since the newest candle ended. More, and the answer is
                `NotTraded`: a halted product's candles are true, and hours or days old. None: any.

        Raises:
            NotReady: fewer are there; the message says why.
                `NotListed`, one of these: the venue does not know the symbol.
            Stale: nobody vouches, or the newest bucket is overdue.
                `NotTraded`, one of these: nothing was traded within `newest_within`.
            OutOfSync: `forming` was asked for, and the feed does not vouch for it.
            UnknownSeries: nobody fills this series.
            RedisUnavailable: Redis cannot be reached.

        >>> candles = reader.candles("BTC-USD", "5m", 60)
        >>> candles[-1].time, candles[-1].close, candles.feed
        (1771588800000, 76324.18, 'up')
        >>> try:
        ...     reader.candles("BTC-USD", "5m", 500)
        ... except NotReady as error:
        ...     print(error.have, error.want)
        100 500
        """
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
        return self._newest(request)

    def latest(
        self,
        symbol: str,
        timeframe: str | Timeframe,
        *,
        settled: bool = False,
        max_lag: Seconds | None = None,
    ) -> Candle:
        """The newest closed candle. Raises as `candles` does.

        >>> reader.latest("BTC-USD", "5m").close
        76324.18
        """
        return self.candles(symbol, timeframe, 1, settled=settled, max_lag=max_lag)[-1]

    def range(
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
        """All closed candles that open within [start, end). `NotReady` unless all of it is known.

        A time is Unix ms, an aware datetime (a pandas Timestamp is one), a numpy.datetime64, or ISO 8601.

        >>> hour = reader.range("BTC-USD", "5m", 1771585200000, 1771588800000)
        >>> len(hour), hour[0].time, hour[-1].time
        (12, 1771585200000, 1771588500000)
        """
        request = self._core.range_request(
            symbol, timeframe, start, end, settled=settled, empty=empty, max_lag=max_lag
        )
        return self._link.drive(self._core.read(request))

    def many(
        self,
        wanted: Asked,
        timeframe: str | Timeframe | None = None,
        count: SupportsIndex | None = None,
        *,
        limit: SupportsIndex | None = None,
        **options: Unpack[ReadOptions],
    ) -> Answers[Candles | ReadError]:
        """Many series in few round trips: each gives candles or its own error. See `Answers`.

        Args:
            wanted: symbols, all of this timeframe and count. With a count alone, series, or pairs of symbol
                and timeframe; with neither, `(symbol, timeframe, count)` for each.
            options: those of `candles`, the same for all.

        >>> for series, answer in reader.many(["BTC-USD", "SOL-USD"], "5m", 60).items():
        ...     print(series.symbol, type(answer).__name__)
        BTC-USD Candles
        SOL-USD UnknownSeries
        >>> reader.many([("BTC-USD", "5m", 60), ("BTC-USD", "1h", 30)])["BTC-USD", "1h"]
        <Candles: 30 of BTC-USD 1h, feed up, age 315000 ms>
        """
        requests = self._core.requests(wanted, timeframe, count, limit, options)
        return Answers(self._link.drive(self._core.answers(requests)))

    def fetch_ohlcv(
        self,
        symbol: str,
        timeframe: str | Timeframe = "1m",
        since: Time | None = None,
        limit: SupportsIndex | None = None,
        params: Mapping[str, Any] | None = None,
    ) -> list[list[float]]:
        """ccxt's own call: closed candles as `[time, open, high, low, close, volume]`, oldest first.

        Fewer than `limit` are no error, a hole is: `NotReady`. Else it raises as `candles` does. See
        docs/coming-from-ccxt.md.

        Args:
            symbol: `BTC/USD` or `BTC-USD`.
            since: from this time on, inclusive: Unix ms, or what `range` takes. None: whatever is kept.
            limit: at most so many: the first since `since`, without it the newest. None: all.
            params: `{"forming": True}`: and the bucket in progress as the last row, as one more. `settled`
                and `max_lag` as for `candles`.

        >>> reader.fetch_ohlcv("BTC/USD", "5m", limit=1)
        [[1771588800000, 76356.18, 76363.64, 76324.18, 76324.18, 1.01426472]]
        """
        return self._link.drive(ohlcv(self._core, symbol, timeframe, since, limit, params))

    # --- over time

    def wait_ready(
        self,
        wanted: Asked,
        timeframe: str | Timeframe | None = None,
        count: SupportsIndex | None = None,
        *,
        limit: SupportsIndex | None = None,
        timeout: Seconds | None = TIMEOUT_S,
        **options: Unpack[ReadOptions],
    ) -> Answers[Candles]:
        """The candles of all these series, once every one of them can be read: what `many` takes and gives.

        Args:
            timeout: seconds to wait for that, None for ever. A server that is away is waited for as well.

        Raises:
            NotReady: not all can be read in time. `have` and `want` count series; the message tells why the
                first of them cannot, and so does its `__cause__`.
            NotListed: the venue does not know a symbol, at once: waiting brings no candle of it.
            RedisUnavailable: the server is still away.

        >>> reader.wait_ready(["BTC-USD"], "5m", 60, timeout=30)["BTC-USD"]
        <Candles: 60 of BTC-USD 5m, feed up, age 15000 ms>
        """
        requests = self._core.requests(wanted, timeframe, count, limit, options)
        orders = wait_ready(self._core, requests, Patience(timeout, "timeout"))
        answer: dict[SeriesId, Candles]
        (answer,) = self._link.iterate(orders)
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
    ) -> Generator[Candles, None, None]:
        """The newest `count` candles now, and anew whenever something in them or about them has changed.

        Each is what `candles` with the same options returns at that moment; what was changed again before you
        came back for more is one answer, the newest. It subscribes before it reads, survives a server that
        restarts or moves, and reads again every few seconds in case that a hint was lost.

        Args:
            patience: seconds that `candles` may have no answer, or Redis be away, before the iterator ends by
                raising why: `Stale`, `NotReady`, `OutOfSync`, `RedisUnavailable`. 0: at once. None: never,
                and meanwhile it gives nothing.

        >>> for candles in reader.follow("BTC-USD", "5m", 60, patience=5):
        ...     print(candles[-1].time, candles.close[-1])
        ...     break  # or compute, for ever
        1771588800000 76324.18
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
    ) -> Generator[tuple[SeriesId, Candles | ReadError], None, None]:
        """`follow`, of what `many` takes, over two connections: a series, and its candles or its error.

        One that cannot be read ends nothing: once that has lasted for the patience its error is given, once,
        and its candles again as soon as there are any.

        Args:
            patience: seconds that a series may have no answer before its error is given, and that Redis may
                be away before the iterator ends by `RedisUnavailable`. None: neither ever happens.

        >>> for series, candles in reader.follow_many(["BTC-USD"], "5m", 60):
        ...     if not isinstance(candles, ReadError):
        ...         print(series.symbol, candles.close[-1])
        ...     break  # or compute, for ever
        BTC-USD 76324.18
        """
        requests = self._core.requests(wanted, timeframe, count, limit, options)
        return self._link.iterate(follow_many(self._core, requests, Patience(patience)))

    def closes(
        self,
        *,
        after: str | None = None,
        series: Iterable[SeriesId | tuple[str, str | Timeframe] | str] | None = None,
        patience: Seconds | None = PATIENCE_S,
    ) -> Generator[CloseEvent, None, None]:
        """What becomes of every bucket of every series: closed, settled, revised. Waits for the next.

        At least once: drop repeats by series, kind, time and candle. An entry comes before its candle is in
        the set.

        Args:
            after: the id of the last event that you have dealt with; "0": all that are kept, about 10,000;
                None: those that come from now on.
            series: only what happens to these: series, pairs of symbol and timeframe, or symbols.
            patience: seconds that Redis may be away before the iterator ends by `RedisUnavailable`.

        Raises:
            ClosesLost: the entry `after` is gone, and with it perhaps some that follow: the stream was
                trimmed while nobody looked, or Redis was emptied.

        >>> for event in reader.closes(after="0", series=["BTC-USD"]):
        ...     close = None if event.empty else event.candle.close
        ...     print(event.id, event.series.timeframe, event.kind, event.time, close)
        ...     if close is not None:  # something was traded
        ...         break
        1771589110000-0 1h settled 1771581600000 None
        1771589110000-1 5m settled 1771588800000 76324.18
        """
        orders = closes_of(self._core, after, Patience(patience), series, self._link.patience_s)
        return self._link.iterate(orders)

    # --- how it stands

    def state(self, symbol: str, timeframe: str | Timeframe) -> SeriesView:
        """How one series stands, whatever it is worth.

        >>> view = reader.state("BTC-USD", "5m")
        >>> view.record.state.ready, view.members, view.alive.feed
        (True, 101, 'up')
        """
        return self._link.drive(self._core.views_of([(symbol, timeframe)]))[0]

    def states(
        self, series: Iterable[SeriesId | tuple[str, str | Timeframe]] | None = None
    ) -> list[SeriesView]:
        """How these series stand; without an argument, all that are configured."""
        return self._link.drive(
            self._core.views(self.series()) if series is None else self._core.views_of([*series])
        )

    def series(self) -> list[SeriesId]:
        """The configured series in the configured order: all timeframes of the first symbol, and so on.

        >>> [(series.symbol, str(series.timeframe)) for series in reader.series()]
        [('BTC-USD', '5m'), ('BTC-USD', '1h')]
        """
        return self._link.drive(self._core.all_series())

    def status(self) -> ServiceStatus:
        """Who fills the cache, who vouches for it, and how the feed fares.

        >>> status = reader.status()
        >>> status.alive, status.connected, status.symbols
        (True, True, {'BTC-USD': 'up'})
        """
        return self._link.drive(status(self._core))

    def close(self) -> None:
        """Close the connections, unless the client is your own."""
        self._link.close()
        self._history.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
