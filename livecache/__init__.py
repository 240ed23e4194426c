"""livecache keeps the latest candles of every symbol and timeframe warm in Redis. This is its public face.

    from livecache import Reader

    candles = Reader("redis://localhost:6379").candles("BTC-USD", "5m", 60)

Names are imported when they are first used; reading needs redis, hiredis and msgspec, and nothing else.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .errors import (
        AccessDenied,
        ClosesLost,
        ConfigError,
        EmbeddedError,
        ForeignKey,
        Incomplete,
        LeaseHeld,
        LivecacheError,
        NodeUnavailable,
        NotListed,
        NotReady,
        NotTraded,
        OutOfSync,
        ReadError,
        RedisUnavailable,
        Stale,
        UnknownSeries,
        UnknownSymbol,
        UnknownTimeframe,
    )
    from .model.candle import Candle
    from .model.series import SeriesId
    from .model.timeframe import Timeframe
    from .read.answers import Answers
    from .read.candles import Candles
    from .read.close_events import CloseEvent
    from .reader.async_reader import AsyncReader
    from .reader.reader import Reader
    from .reader.service_status import ServiceStatus

__version__ = "0.2.0"

__all__ = [
    "AccessDenied",
    "Answers",
    "AsyncReader",
    "Candle",
    "Candles",
    "CloseEvent",
    "ClosesLost",
    "ConfigError",
    "EmbeddedError",
    "ForeignKey",
    "Incomplete",
    "LeaseHeld",
    "LivecacheError",
    "NodeUnavailable",
    "NotListed",
    "NotReady",
    "NotTraded",
    "OutOfSync",
    "ReadError",
    "Reader",
    "RedisUnavailable",
    "SeriesId",
    "ServiceStatus",
    "Stale",
    "Timeframe",
    "UnknownSeries",
    "UnknownSymbol",
    "UnknownTimeframe",
    "__version__",
]

_HOME = {
    "Answers": ".read.answers",
    "AsyncReader": ".reader.async_reader",
    "Candle": ".model.candle",
    "Candles": ".read.candles",
    "CloseEvent": ".read.close_events",
    "Reader": ".reader.reader",
    "SeriesId": ".model.series",
    "ServiceStatus": ".reader.service_status",
    "Timeframe": ".model.timeframe",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOME.get(name, ".errors"), __name__), name)
    globals()[name] = value  # so that this is asked once a name
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
