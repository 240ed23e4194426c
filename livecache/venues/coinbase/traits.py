"""What Coinbase is like: what it serves by REST, and what its feed carries.

https://docs.cdp.coinbase.com/coinbase-app/advanced-trade-apis/websocket/websocket-channels#candles-channel
"""

from __future__ import annotations

from ...model.timeframe import Timeframe
from ...model.traits import Carriage, Served, Traits
from .pages import GRANULARITIES

__all__ = ["CARRIED", "TRAITS"]

CARRIED = Timeframe.M5
"""The one timeframe of the candles channel. None of its candles says that it is the last of its bucket."""

TRAITS = Traits(
    served=dict.fromkeys(GRANULARITIES, Served(page=330)), carries=(Carriage(CARRIED),), trades=True
)
"""Before it has taught anything else."""
