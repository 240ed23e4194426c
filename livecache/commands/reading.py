"""What the commands that look at the cache share: where Redis is, which series is meant, how times look."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from ..embedded.state import find_url
from ..errors import ConfigError, UnknownSeries
from ..model.naming import find_symbol, near_names
from ..model.series import SeriesId
from ..model.timeframe import Multiple, Timeframe, readable, time_in

if TYPE_CHECKING:
    import redis

    from ..config.schema import Config
    from ..keys.keyspace import Keyspace
    from ..reader.reader import Reader

__all__ = [
    "choose_series",
    "connect",
    "duration",
    "find_series",
    "keyspace_of",
    "moment_of",
    "open_reader",
    "redis_url_of",
    "shown",
    "utc",
    "venue_of",
]

_CONNECT_S = 2.0
_COMMAND_S = 5.0


def venue_of(config: Config) -> str:
    """The id of the venue that is looked at."""
    return next(iter(config.venues))


def redis_url_of(config: Config) -> str:
    """The URL of the Redis in use: the configured one, or that of the embedded server that runs now.

    Raises RedisUnavailable where none runs.
    """
    if config.redis.url != "embedded":
        return config.redis.url
    return find_url(Path(config.redis.data_dir) if config.redis.data_dir else None)


def open_reader(config: Config) -> Reader:
    """A reader of what this configuration's service writes. Raises RedisUnavailable."""
    from ..reader.reader import Reader

    url = redis_url_of(config)
    return Reader(url, prefix=config.redis.prefix, max_lag=config.cache.max_lag)


def keyspace_of(config: Config, venue: str = "") -> Keyspace:
    """The names of the keys that this configuration's service writes for that venue, or for the first one."""
    from ..keys.keyspace import Keyspace

    return Keyspace(config.redis.prefix, venue or venue_of(config))


@contextmanager
def connect(
    config: Config, *, connect_s: float = _CONNECT_S, command_s: float = _COMMAND_S
) -> Iterator[redis.Redis]:
    """A client of the Redis in use, for what a `Reader` does not read.

    Raises RedisUnavailable, also in place of redis-py's errors within.
    """
    import redis
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    from ..wire.cluster import is_cluster_client
    from ..wire.connecting import client_for
    from ..wire.refusals import CLIENT_ERRORS, ERRORS, unavailable

    with client_for(
        redis,
        redis_url_of(config),
        retry=Retry(NoBackoff(), 0),
        socket_connect_timeout=connect_s,
        socket_timeout=command_s,
    ) as client:
        try:
            if is_cluster_client(client):
                client.get_primaries()  # which connects it
            else:
                client.connection_pool.release(client.connection_pool.get_connection())
        except ERRORS as error:
            raise unavailable(error) from None
        try:
            yield client
        except CLIENT_ERRORS as error:  # Once connected, redis-py makes them of a socket's errors as well.
            raise unavailable(error) from None


def find_series(
    there: Sequence[SeriesId], symbol: str, timeframe: str, *, multiples: bool = False
) -> SeriesId:
    """The series of these names, in any case of letters; the symbol may be `venue:SYMBOL`.

    With `multiples` it may be one that can be added up of what is there.

    Raises UnknownTimeframe, or UnknownSeries with what was probably meant.
    """
    of = readable(timeframe) if multiples else Timeframe.parse(timeframe)
    known = _symbols(there)
    found = find_symbol(symbol, known)
    if found is not None:
        wanted = SeriesId(*found, of)
        if wanted in there:
            return wanted
        if multiples and (several := _added_up(there, found, of)):
            return several
        of_symbol = [series.timeframe for series in there if series[:2] == found]
        raise UnknownSeries(
            f"nobody fills {found[1]} {of}", f"of {found[1]} there are {', '.join(of_symbol)}"
        )
    raise UnknownSeries(f"nobody fills {symbol.upper()} {of}", _meant(symbol, known))


def choose_series(
    there: Sequence[SeriesId],
    symbols: Sequence[str] | None,
    timeframes: Sequence[Timeframe] | None,
    *,
    multiples: bool = False,
) -> list[SeriesId]:
    """Those of the series that are meant; None means all. Raises UnknownSeries for what names none.

    With `multiples` also what is not there, but can be added up of what is.
    """
    known = _symbols(there)
    meant: set[tuple[str, str]] = set()
    for symbol in symbols or ():
        found = find_symbol(symbol, known)
        if found is None:
            raise UnknownSeries(f"nobody fills {symbol.upper()}", _meant(symbol, known))
        meant.add(found)
    chosen = [
        series
        for series in there
        if (symbols is None or series[:2] in meant) and (timeframes is None or series.timeframe in timeframes)
    ]
    if multiples:
        found_here = dict.fromkeys(one[:2] for one in there if symbols is None or one[:2] in meant)
        absent = ((found, of) for found in found_here for of in timeframes or () if (*found, of) not in there)
        chosen += [several for found, of in absent if (several := _added_up(there, found, of))]
    if not chosen and (symbols is not None or timeframes is not None):
        raise UnknownSeries("nobody fills such a series", _LISTED)
    return chosen


def _added_up(there: Sequence[SeriesId], found: tuple[str, str], of: Timeframe) -> SeriesId | None:
    """The multiple of what is there of a symbol; None for what is none. Reading it tells for sure."""
    several = Multiple(of.value)
    parts = [one for one in there if one[:2] == found and one.timeframe in several.sources]
    return SeriesId(*found, several) if parts else None  # type: ignore[arg-type]  # named as one


_LISTED = "`livecache series` lists those that are filled"


def shown(series: SeriesId, there: Iterable[SeriesId]) -> str:
    """Its symbol, with the venue where there are several."""
    several = any(one.venue != series.venue for one in there)
    return f"{series.venue}:{series.symbol}" if several else series.symbol


def _symbols(there: Sequence[SeriesId]) -> dict[str, dict[str, None]]:
    """The symbols of each venue, in their order."""
    known: dict[str, dict[str, None]] = {}
    for series in there:
        known.setdefault(series.venue, {})[series.symbol] = None
    return known


def _meant(wrong: str, known: Mapping[str, Collection[str]]) -> str:
    """A hint at the symbols that are nearest."""
    near = near_names(wrong, known)
    return f"did you mean {' or '.join(near)}?" if near else _LISTED


def moment_of(option: str, text: str) -> int:
    """A time in Unix ms, from ISO 8601 (UTC if it names no zone) or Unix ms. Raises ConfigError."""
    time = time_in(text)
    if time is None and text.isascii() and text.isdigit():
        time = int(text[:18])
    if time is None:
        raise ConfigError(
            f"{option} {text[:40]!r} is not a time", "such as 2026-02-20T12:00, in UTC, or Unix ms"
        )
    return max(0, time)


def utc(time: int) -> str:
    """A Unix ms time for people: `2026-02-19 23:15:00`, UTC; `-` for 0."""
    return datetime.fromtimestamp(time / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S") if time else "-"


def duration(ms: int) -> str:
    """A length of time for people, in its two largest units: `3h 5m`, `12s`."""
    seconds = max(0, ms) // 1000
    units = ((86_400, "d"), (3600, "h"), (60, "m"), (1, "s"))
    for position, (size, _) in enumerate(units):
        if seconds >= size:
            pair = units[position : position + 2]
            counts = [(seconds // pair[0][0], pair[0][1])]
            counts += [(seconds % pair[0][0] // size, unit) for size, unit in pair[1:]]
            return " ".join(f"{count}{unit}" for count, unit in counts if count)
    return "0s"
