"""What Deribit is like: what it serves by request, and what its feed carries.

https://docs.deribit.com/api-reference/market-data/public-get_tradingview_chart_data
"""

from __future__ import annotations

from ...model.budget import Budget, Pool
from ...model.grid import EpochGrid
from ...model.timeframe import Timeframe
from ...model.traits import Carriage, Served, Traits

__all__ = ["CARRIED", "COST", "DAYS", "RESOLUTIONS", "credits_of", "traits_of"]

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

_ROWS_MOST = 5_000  # Of a longer page the newest come, and nothing tells that others are missing: for years
_DAYS_MOST = 150  # of days, which are few: older ones are asked for where they are wanted

DAYS = EpochGrid(Timeframe.D1.ms, 8 * Timeframe.H1.ms)
"""Its days open at 08:00 UTC."""


def credits_of(share: float) -> tuple[Budget, ...]:
    """What the venue allows, of which `share` is ours."""
    return (Pool("requests", 50_000 // COST, 10_000 / COST, share),)


def traits_of(page_limit: int, credits_share: float) -> Traits:
    """What it is like, before it has taught anything else, where so much is to be asked of it at once."""
    pages = dict.fromkeys(RESOLUTIONS, min(page_limit, _ROWS_MOST))
    pages[Timeframe.D1] = min(page_limit, _DAYS_MOST)
    return Traits(
        served={timeframe: Served(page, most=_ROWS_MOST) for timeframe, page in pages.items()},
        carries=(Carriage(CARRIED),),
        empty="flat",
        dated=True,
        grids={Timeframe.D1: DAYS},
        budgets=credits_of(credits_share),
    )
