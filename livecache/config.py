"""Configuration: config.toml, LIVECACHE_* and flags, decoded into frozen structs."""

from __future__ import annotations

import msgspec

from .core.timeframe import TIMEFRAME_PRIORITY, Timeframe

__all__ = [
    "BackfillConfig",
    "CacheConfig",
    "CoinbaseConfig",
    "Config",
    "LogConfig",
    "RedisConfig",
    "VenuesConfig",
]


class RedisConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    url: str = "embedded"  # or redis://, rediss://, unix://
    prefix: str = "livecache"
    data_dir: str = ""  # of the embedded server; "" is the user's data directory


class CacheConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    timeframes: tuple[Timeframe, ...] = TIMEFRAME_PRIORITY  # in priority order
    candles: int = 100  # kept and wanted, a series
    min_candles: int = 60  # ready from here on
    widen_pages: int = 4  # pages a thin symbol is searched back beyond the first
    max_lag: int = 600  # venue seconds a closed bucket may stay unknown before a series is not ready


class CoinbaseConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    symbols: tuple[str, ...] = ("BTC-USD", "ETH-USD")  # in priority order
    rest_url: str = "https://api.coinbase.com"
    ws_url: str = "wss://advanced-trade-ws.coinbase.com"
    requests_per_second: float = 9.0  # real seconds; a refusal lowers it for a while
    settle_delay: float = 10.0  # seconds of the venue's clock
    request_timeout: float = 10.0  # real seconds for one request, all told
    page_limit: int = 330  # buckets a page; 349 or 350 is the venue's edge
    products_per_connection: int = 100
    silence_timeout: float = 15.0  # real seconds without any frame before a reconnection
    key_file: str = ""  # a CDP key's JSON file; or LIVECACHE_COINBASE_KEY_NAME and _KEY_SECRET


class VenuesConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    coinbase: CoinbaseConfig = CoinbaseConfig()


class BackfillConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    batch_size: int | None = None  # with batch_delay_ms: at most so many requests start in any such delay
    batch_delay_ms: int | None = None


class LogConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    level: str = "INFO"
    format: str = "text"  # or json


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    redis: RedisConfig = RedisConfig()
    cache: CacheConfig = CacheConfig()
    venues: VenuesConfig = VenuesConfig()
    backfill: BackfillConfig = BackfillConfig()
    log: LogConfig = LogConfig()
