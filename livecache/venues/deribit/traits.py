"""What Deribit is like: what it serves by request, and what its feed carries.

https://docs.deribit.com/api-reference/market-data/public-get_tradingview_chart_data
"""

from __future__ import annotations

from ...model.budget import Budget, Pool
from ...model.grid import EpochGrid
from ...model.timeframe import Timeframe
from ...model.traits import Carriage, Served, Traits

__all__ = ["CARRIED", "COST", "RESOLUTIONS", "TRAITS", "credits_of"]

RESOLUTIONS: dict[Timeframe, str] = {
    Timeframe.M1: "1",
    Timeframe.M3: "3",
    Timeframe.M5: "5",
    Timeframe.M15: "15",
    Timeframe.M30: "30",
    Timeframe.H1: "60",
    Timeframe.H2: "120",
    Timeframe.D1: "1D",
}
"""How the venue names the timeframes. Not among them are 360 and 720: a day opens at 08:00, and nobody has
said whether these do so too. They are added up from two hours, which divide both.
"""

CARRIED = Timeframe.M1
"""The one timeframe that the feed is asked for. No candle of it says that it is the last of its bucket."""

COST = 500
"""Credits of one request, whichever it is."""

_ROWS_MOST = 5_000  # Of a longer page the newest come, and nothing tells that others are missing.
_DAYS = EpochGrid(Timeframe.D1.ms, 8 * Timeframe.H1.ms)


def credits_of(share: float) -> tuple[Budget, ...]:
    """What the venue allows, of which `share` is ours."""
    return (Pool("credits", 50_000, 10_000.0, share),)


TRAITS = Traits(
    served=dict.fromkeys(RESOLUTIONS, Served(_ROWS_MOST, {"credits": COST})),
    carries=(Carriage(CARRIED),),
    empty="flat",
    grids={Timeframe.D1: _DAYS},
    budgets=credits_of(0.5),
)
"""Before it has taught anything else."""
