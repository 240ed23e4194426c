"""What all commands that look at the cache share: where Redis is, and how times are shown."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from ..cache.embedded_state import find_url

if TYPE_CHECKING:
    from ..cache.reader import Reader
    from ..config import Config

__all__ = ["VENUE", "duration", "open_reader", "redis_url_of", "utc"]

VENUE = "coinbase"


def redis_url_of(config: Config) -> str:
    """The URL of the Redis in use: the configured one, or that of the embedded server that runs now.

    Raises RedisUnavailable where none runs.
    """
    if config.redis.url != "embedded":
        return config.redis.url
    return find_url(Path(config.redis.data_dir) if config.redis.data_dir else None)


def open_reader(config: Config) -> Reader:
    """A reader of what this configuration's service writes. Raises RedisUnavailable."""
    from ..cache.reader import Reader

    url = redis_url_of(config)
    return Reader(url, prefix=config.redis.prefix, venue=VENUE, max_lag=config.cache.max_lag)


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
