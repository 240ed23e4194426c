"""The settings: one frozen struct a section, each key with its default, its range and a word on it.

`config.toml` at the root of the repository repeats keys and defaults for people; a test keeps both equal.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from ipaddress import IPv4Address, IPv6Address
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from ..errors import UnknownTimeframe
from ..keys.history_place import place_problem
from ..model.policy import CANDLES_MAX, word_problem
from ..model.timeframe import TIMEFRAME_PRIORITY, Timeframe
from ..redis_url import url_problem
from ..venues.registry import DEFAULT, settings_of
from ..venues.settings import Count, Problem, VenueSettings, list_problems
from .indicators import need_of, warmup_of
from .since import since_of

__all__ = [
    "BackfillConfig",
    "CacheConfig",
    "Config",
    "HistoryConfig",
    "HttpConfig",
    "LogConfig",
    "RedisConfig",
    "listen_address",
    "problems",
]


_ORIGIN = re.compile(r"https?://([a-z0-9.-]+|\[[0-9a-f:.]+\])(:\d{1,5})?", re.ASCII)


class RedisConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    url: str = "embedded"  # or redis://, rediss://, unix://, redis+sentinel://, redis+cluster://
    prefix: Annotated[str, Meta(min_length=1, max_length=100)] = "livecache"
    data_dir: str = ""  # of the embedded server; "" is the user's data directory


class CacheConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    timeframes: tuple[Timeframe, ...] = TIMEFRAME_PRIORITY  # in priority order
    candles: Count = 100  # kept and wanted, a series
    min_candles: Count = 60  # ready from here on
    indicators: tuple[str, ...] = ()  # raise both counts to what these need: `rsi(14)`
    widen_pages: Annotated[int, Meta(ge=0, le=100)] = (
        4  # pages a thin symbol is searched back beyond the first
    )
    # Venue seconds a closed bucket may stay unknown before a series is not ready.
    max_lag: Annotated[int, Meta(ge=1, le=86_400)] = 600
    # Whether a symbol that the venue does not know or trade holds readiness back: only with "all".
    require: Literal["known", "all"] = "known"


class BackfillConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    # Both or neither: at most `batch_size` requests start in any `batch_delay_ms`.
    batch_size: Annotated[int, Meta(ge=1, le=10_000)] | None = None
    batch_delay_ms: Annotated[int, Meta(ge=1, le=3_600_000)] | None = None


class HistoryConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    url: str = "off"  # "embedded" is a file in the data directory; or sqlite:///path, postgresql://host/db
    password_file: str = ""  # of the database; or in the URL, PGPASSWORD or ~/.pgpass
    layout: Literal["rows", "packed"] = "rows"  # of a database that is made now; "packed" takes less room
    timeframes: tuple[Timeframe, ...] = ()  # that are filled; () are those of the cache
    since: str = "100d"  # how far back; for one timeframe alone: "100d, 1d=5y"
    # Of a venue's budgets, the most that filling takes beside the live service.
    share: Annotated[float, Meta(gt=0, le=1)] = 0.5
    fill_pages: Annotated[int, Meta(ge=0, le=100)] = 5  # most that one read may cause; 0: none


class HttpConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    listen: str = "127.0.0.1:8787"  # address:port; "off" serves nothing
    token_file: str = ""  # asked for by all but health and metrics; or LIVECACHE_HTTP_TOKEN
    read_token_file: str = ""  # another one, which only reads; or LIVECACHE_HTTP_READ_TOKEN
    origins: tuple[str, ...] = ()  # web pages of other sites that may read


class LogConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    level: Literal["TRACE", "DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    format: Literal["text", "json"] = "text"


def default_venues() -> dict[str, VenueSettings]:
    """What is filled where nobody says."""
    return {DEFAULT: settings_of(DEFAULT)()}


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    redis: RedisConfig = RedisConfig()
    cache: CacheConfig = CacheConfig()
    venues: Mapping[str, VenueSettings] = msgspec.field(default_factory=default_venues)  # by their ids
    backfill: BackfillConfig = BackfillConfig()
    history: HistoryConfig = HistoryConfig()
    http: HttpConfig = HttpConfig()
    log: LogConfig = LogConfig()

    def cache_of(self, venue: str) -> CacheConfig:
        """What holds for the venue of that id: its own counts and timeframes, else those of all.

        The counts are at least what the indicators need.
        """
        settings, cache = self.venues[venue], self.cache
        indicators = cache.indicators if settings.indicators is None else settings.indicators
        need = need_of(indicators)
        return msgspec.structs.replace(
            cache,
            timeframes=settings.timeframes or cache.timeframes,
            candles=max(settings.candles or cache.candles, need),
            min_candles=max(settings.min_candles or cache.min_candles, need),
            indicators=indicators,
        )


def problems(config: Config) -> Iterator[Problem]:
    """What types and ranges cannot say: (dotted key, what is wrong with it, hint) of each unusable value."""
    yield from _redis_problems(config.redis)
    for problem in _cache_problems(config.cache):
        yield f"cache.{problem[0]}", *problem[1:]
    for venue, settings in config.venues.items():
        for name, what, hint in (*_own_cache_problems(config, venue), *settings.problems()):
            yield f"venues.{venue}.{name}", what, hint
    size, delay = config.backfill.batch_size, config.backfill.batch_delay_ms
    if (size is None) != (delay is None):
        given, other = ("batch_size", "batch_delay_ms") if delay is None else ("batch_delay_ms", "batch_size")
        yield f"backfill.{given}", f"is set without backfill.{other}", "set both, or neither"
    if misplaced := place_problem(config.history.url):
        yield "history.url", *misplaced
    for what, hint in list_problems(config.history.timeframes) if config.history.timeframes else ():
        yield "history.timeframes", what, hint
    try:
        since_of(config.history.since)
    except (ValueError, UnknownTimeframe) as error:
        hint = 'such as "100d", "2016-12-01", "listing" or "100d, 1d=5y"'
        yield "history.since", f"{config.history.since!r}: {error.args[0]}", hint
    for origin in config.http.origins:
        if origin != "*" and not _ORIGIN.fullmatch(origin):
            hint = 'scheme and host alone, such as "https://charts.example.com", or "*" for all'
            yield "http.origins", f"{origin!r} is not an origin", hint
    try:
        listen_address(config.http.listen)
    except ValueError as error:
        hint = 'address:port, such as 127.0.0.1:8787, [::1]:8787 or 0.0.0.0:8787; "off" serves nothing'
        yield "http.listen", f"{config.http.listen!r}: {error}", hint


def _cache_problems(cache: CacheConfig) -> Iterator[Problem]:
    for problem in list_problems(cache.timeframes):
        yield "timeframes", *problem
    yield from _indicator_problems(cache.indicators)
    if max(cache.candles, need_of(cache.indicators)) < cache.min_candles:
        yield (
            "candles",
            f"{cache.candles} is less than cache.min_candles ({cache.min_candles})",
            "keep at least as many candles as make a series ready",
        )


def _own_cache_problems(config: Config, venue: str) -> Iterator[Problem]:
    """What is wrong with that which the venue has of its own, in place of [cache]'s."""
    settings, cache = config.venues[venue], config.cache_of(venue)
    if settings.timeframes is not None:
        for problem in list_problems(settings.timeframes):
            yield "timeframes", *problem
    yield from _indicator_problems(settings.indicators or ())
    if (settings.candles or settings.min_candles) and cache.candles < cache.min_candles:
        name = "candles" if settings.candles else "min_candles"
        what = f"{cache.candles} candles are kept, and {cache.min_candles} wanted (min_candles)"
        yield name, what, "keep at least as many candles as make a series ready"
    word = word_problem(int((settings.confirm_after or 0) * 1000), cache.max_lag * 1000)
    if word:
        yield "confirm_after", *word


def _indicator_problems(indicators: tuple[str, ...]) -> Iterator[Problem]:
    for problem in list_problems(indicators) if indicators else ():
        yield "indicators", *problem
    for one in map(warmup_of, indicators):
        if one.candles > CANDLES_MAX:
            what = f"{one.indicator} needs {one.candles:,} candles, and at most {CANDLES_MAX:,} are kept"
            yield "indicators", what, "a smaller number, or a bigger timeframe"


def listen_address(text: str) -> tuple[str, int] | None:
    """(IP address or localhost, port) of `http.listen`; None for "off" and "". Raises ValueError.

    Names are not taken: what one resolves to, and so who can connect, may change.
    """
    if text in ("off", ""):
        return None
    host, separator, port = text.rpartition(":")
    if not (port.isascii() and port.isdecimal() and len(port) <= 5 and int(port) <= 65535):
        raise ValueError("its port is not a number from 0 to 65535")
    if not separator:
        raise ValueError(f"it is a port alone: did you mean 127.0.0.1:{int(port)}?")
    if host == "localhost":
        return host, int(port)
    bracketed = host.startswith("[") and host.endswith("]")
    try:
        return str(IPv6Address(host[1:-1]) if bracketed else IPv4Address(host)), int(port)
    except ValueError:
        raise ValueError(_no_address(host)) from None


def _no_address(host: str) -> str:
    """What is wrong with what stands before the port."""
    if not host:
        return "there is no address before its port"
    if host.count(":") > 1 and not host.startswith("["):
        return f"{host!r} is no address: an IPv6 address stands in brackets"
    return f"{host!r} is no IP address, and not localhost"


def _redis_problems(redis: RedisConfig) -> Iterator[tuple[str, str, str]]:
    if redis.url != "embedded" and (problem := url_problem(redis.url)):
        yield "redis.url", *problem
    if re.search(r"[\s{}]", redis.prefix):
        yield (
            "redis.prefix",
            f"{redis.prefix!r} holds a space or a brace",
            "braces are Redis Cluster's hash tags",
        )
