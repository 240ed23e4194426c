"""The settings: one frozen struct a section, each key with its default, its range and a word on it.

`config.toml` at the root of the repository repeats keys and defaults for people; a test keeps both equal.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address
from typing import Annotated, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from ..model.timeframe import TIMEFRAME_PRIORITY, Timeframe
from ..redis_url import url_problem

__all__ = [
    "BackfillConfig",
    "CacheConfig",
    "CoinbaseConfig",
    "Config",
    "HttpConfig",
    "LogConfig",
    "RedisConfig",
    "VenuesConfig",
    "listen_address",
    "problems",
    "symbol_problems",
]

# Upper bounds are there so that a slip of the keyboard (`nan`, `inf`, a year in seconds) is told at once.
Seconds = Annotated[float, Meta(gt=0, le=3600)]
Rate = Annotated[float, Meta(gt=0, le=1000)]


class RedisConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    url: str = "embedded"  # or redis://, rediss://, unix://, redis+sentinel://
    prefix: Annotated[str, Meta(min_length=1, max_length=100)] = "livecache"
    data_dir: str = ""  # of the embedded server; "" is the user's data directory


class CacheConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    timeframes: tuple[Timeframe, ...] = TIMEFRAME_PRIORITY  # in priority order
    candles: Annotated[int, Meta(ge=1, le=10_000)] = 100  # kept and wanted, a series
    min_candles: Annotated[int, Meta(ge=1, le=10_000)] = 60  # ready from here on
    widen_pages: Annotated[int, Meta(ge=0, le=100)] = (
        4  # pages a thin symbol is searched back beyond the first
    )
    # Venue seconds a closed bucket may stay unknown before a series is not ready.
    max_lag: Annotated[int, Meta(ge=1, le=86_400)] = 600
    # Whether a symbol that the venue does not know or trade holds readiness back: only with "all".
    require: Literal["known", "all"] = "known"


class CoinbaseConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    symbols: tuple[str, ...] = ("BTC-USD", "ETH-USD")  # in priority order
    rest_url: str = "https://api.coinbase.com"
    ws_url: str = "wss://advanced-trade-ws.coinbase.com"
    requests_per_second: Rate = 9.0  # real seconds; a refusal lowers it for a while
    settle_delay: Annotated[float, Meta(ge=0, le=3600)] = 10.0  # seconds of the venue's clock
    request_timeout: Seconds = 10.0  # real seconds for one request, all told
    page_limit: Annotated[int, Meta(ge=1, le=350)] = 330  # buckets a page; 349 or 350 is the venue's edge
    products_per_connection: Annotated[int, Meta(ge=1, le=1000)] = 100
    silence_timeout: Seconds = 15.0  # real seconds without any frame before a reconnection
    key_file: str = ""  # a CDP key's JSON file; or LIVECACHE_COINBASE_KEY_NAME and _KEY_SECRET


class VenuesConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    coinbase: CoinbaseConfig = CoinbaseConfig()


class BackfillConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    # Both or neither: at most `batch_size` requests start in any `batch_delay_ms`.
    batch_size: Annotated[int, Meta(ge=1, le=10_000)] | None = None
    batch_delay_ms: Annotated[int, Meta(ge=1, le=3_600_000)] | None = None


class HttpConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    listen: str = "127.0.0.1:8787"  # address:port; "off" serves nothing
    token_file: str = ""  # asked for by all but health and metrics; or LIVECACHE_HTTP_TOKEN


class LogConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    level: Literal["TRACE", "DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    format: Literal["text", "json"] = "text"


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    redis: RedisConfig = RedisConfig()
    cache: CacheConfig = CacheConfig()
    venues: VenuesConfig = VenuesConfig()
    backfill: BackfillConfig = BackfillConfig()
    http: HttpConfig = HttpConfig()
    log: LogConfig = LogConfig()


# A Coinbase product id: BTC-USD, 00-USD, BTC-PERP-INTX. Nothing in it can break a key or a hash tag.
_SYMBOL = re.compile(r"[A-Z0-9._]+(-[A-Z0-9._]+)+", re.ASCII)


def problems(config: Config) -> Iterator[tuple[str, str, str]]:
    """What types and ranges cannot say: (dotted key, what is wrong with it, hint) of each unusable value."""
    redis, cache, coinbase = config.redis, config.cache, config.venues.coinbase
    yield from _redis_problems(redis)
    yield from _list_problems("cache.timeframes", cache.timeframes)
    if cache.candles < cache.min_candles:
        yield (
            "cache.candles",
            f"{cache.candles} is less than cache.min_candles ({cache.min_candles})",
            "keep at least as many candles as make a series ready",
        )
    yield from symbol_problems("venues.coinbase.symbols", coinbase.symbols)
    yield from _url_problems("venues.coinbase.rest_url", coinbase.rest_url, ("https", "http"))
    yield from _url_problems("venues.coinbase.ws_url", coinbase.ws_url, ("wss", "ws"))
    size, delay = config.backfill.batch_size, config.backfill.batch_delay_ms
    if (size is None) != (delay is None):
        given, other = ("batch_size", "batch_delay_ms") if delay is None else ("batch_delay_ms", "batch_size")
        yield f"backfill.{given}", f"is set without backfill.{other}", "set both, or neither"
    try:
        listen_address(config.http.listen)
    except ValueError as error:
        hint = 'address:port, such as 127.0.0.1:8787, [::1]:8787 or 0.0.0.0:8787; "off" serves nothing'
        yield "http.listen", f"{config.http.listen!r}: {error}", hint


def symbol_problems(key: str, symbols: tuple[str, ...]) -> Iterator[tuple[str, str, str]]:
    """What is wrong with a list of symbols: (`key`, what, hint)."""
    yield from _list_problems(key, symbols)
    for symbol in symbols:
        if not _SYMBOL.fullmatch(symbol):
            upper = symbol.strip().upper()
            near = f"did you mean {upper}? " if _SYMBOL.fullmatch(upper) else ""
            yield key, f"{symbol!r} is not the name of a product", f"{near}they look like BTC-USD"


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


def _list_problems(key: str, items: tuple[str, ...]) -> Iterator[tuple[str, str, str]]:
    if not items:
        yield key, "is empty", "name at least one"
    for item in dict.fromkeys(item for item in items if items.count(item) > 1):
        yield key, f"names {str(item)!r} twice", "name each once, in priority order"


def _url_problems(key: str, url: str, schemes: tuple[str, str]) -> Iterator[tuple[str, str, str]]:
    example = f"{schemes[0]}://host or {schemes[1]}://host:port"
    try:
        parts = urlsplit(url)
    except ValueError as error:
        yield key, f"is not a URL: {error}", f"it looks like {example}"
        return
    if parts.scheme not in schemes or not parts.hostname:
        yield key, f"{url!r} is not such a URL", f"it looks like {example}"
    elif parts.username is not None or parts.password is not None:
        yield key, "holds a user or a password", "a key goes into venues.coinbase.key_file"
    elif odd := _ODD.search(url):
        yield key, f"holds {_character(odd[0])}", f"it looks like {example}"
    else:
        yield from _port_problems(key, url)


# White space, what is not printed, what begins a query or a fragment, and what no URL holds as it is.
_ODD = re.compile(r"[^!-~]|[?#\"<>\\^`{|}]")


def _character(odd: str) -> str:
    """What such a character is, for people."""
    return {" ": "a space", "?": "a query", "#": "a fragment"}.get(odd, f"{odd!r}, which no URL holds")


def _port_problems(key: str, url: str) -> Iterator[tuple[str, str, str]]:
    try:
        _ = urlsplit(url).port
    except ValueError:
        yield key, "its port is not a number from 0 to 65535", "it looks like scheme://host:port"
