"""`livecache series`: which series there are."""

from __future__ import annotations

import json

from ...config.schema import Config
from ..reading import open_reader, shown

__all__ = ["list_series"]


def list_series(config: Config, *, as_json: bool) -> None:
    """Print a line for each series that is filled, `BTC-USD 5m`; with the venue where there are several.

    Raises RedisUnavailable.
    """
    with open_reader(config) as reader:
        there = reader.series()
    if as_json:
        told = [
            {"venue": one.venue, "symbol": shown(one, there), "timeframe": one.timeframe.value}
            for one in there
        ]
        print(json.dumps({"series": told}))
    else:
        for series in there:
            print(f"{shown(series, there)} {series.timeframe}")
