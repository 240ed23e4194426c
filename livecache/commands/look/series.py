"""`livecache series`: which series there are."""

from __future__ import annotations

import json

from ...config.schema import Config
from ..reading import open_reader

__all__ = ["list_series"]


def list_series(config: Config, *, as_json: bool) -> None:
    """Print a line for each series that is filled, `BTC-USD 5m`. Raises RedisUnavailable."""
    with open_reader(config) as reader:
        there = reader.series()
    if as_json:
        print(json.dumps({"series": [{"symbol": s.symbol, "timeframe": s.timeframe.value} for s in there]}))
    else:
        for series in there:
            print(f"{series.symbol} {series.timeframe}")
