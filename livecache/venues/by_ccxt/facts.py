"""What an exchange is like, as ccxt's tables tell. Pure: they come in as data."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from ...model.budget import Spacing
from ...model.timeframe import Timeframe
from ...model.traits import Served, Traits
from .settings import CcxtSettings

__all__ = ["traits_of"]

# Of bigger buckets nobody tells where they begin: they are added up from days.
_BIGGEST = Timeframe.D1

_PAGE = 100  # where nothing is told: no exchange is known to give less
_EVERY_MS = 1_000.0

_CANDLES = re.compile("kline|candle|ohlc|chart", re.IGNORECASE)  # paths that may be those of candles

# What ccxt's tables do not tell: closed buckets that are to be had, the newest.
_KEEPS = {"kraken": 720}


def traits_of(
    exchange: str,
    settings: CcxtSettings,
    *,
    timeframes: Mapping[str, Any],
    features: Mapping[str, Any] | None,
    api: Mapping[str, Any],
    every_ms: float | None,
    clock: bool = True,
) -> Traits:
    """What an exchange with these tables is like: `every_ms` is its `rateLimit`, for a request that costs 1;
    `clock` says whether it tells its time.

    An absent row proves nothing: nobody tells whether it means that nothing was traded. A flat one does.
    """
    told = [limit for limit in _limits(features or {}) if limit >= 2]
    page = settings.page_limit or min(told, default=_PAGE)
    reach = settings.keeps or _KEEPS.get(exchange, 0)
    served = {
        t: Served(min(page, reach or page), reach=reach)
        for t in sorted(Timeframe, key=lambda t: t.ms)
        if t.value in timeframes and t.ms <= _BIGGEST.ms
    }
    dearest = max((cost for path, cost in _costs(api) if _CANDLES.search(path)), default=1.0)
    per_s = settings.requests_per_second or 1_000 / ((every_ms or _EVERY_MS) * max(1.0, dearest))
    budgets = (Spacing("requests", per_s, yields=True),)
    return Traits(served, empty="flat", clock=clock, budgets=budgets)


def _limits(features: Mapping[str, Any]) -> Iterator[int]:
    """The longest pages of each kind of market."""
    for name, inner in features.items():
        if not isinstance(inner, Mapping):
            continue
        if name == "fetchOHLCV" and isinstance(inner.get("limit"), int):
            yield inner["limit"]
        yield from _limits(inner)


def _costs(api: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """What a request to each path costs, in units of `rateLimit`."""
    for path, inner in api.items():
        if isinstance(inner, int | float):
            yield path, float(inner)
        elif isinstance(inner, Mapping) and isinstance(inner.get("cost"), int | float):
            yield path, float(inner["cost"])
        elif isinstance(inner, Mapping):
            yield from _costs(inner)
