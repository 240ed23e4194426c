"""What Binance is like: what it serves by REST, and what its feed carries.

https://developers.binance.com/docs/binance-spot-api-docs/rest-api/market-data-endpoints#klinecandlestick-data
"""

from __future__ import annotations

from ...model.budget import Window
from ...model.timeframe import Timeframe
from ...model.traits import Carriage, Served, Traits
from .markets import Market

__all__ = ["CARRIED", "USED_WEIGHT", "traits_of"]

CARRIED = Timeframe.M1
"""One stream a symbol; what is bigger is rolled up. Each bucket's last frame says that it is the last."""

USED_WEIGHT = "X-MBX-USED-WEIGHT-1M"
"""The header with what the address has used in this minute, other programs included."""

_WEIGHT = "weight"


def traits_of(market: Market, share: float, weight_a_minute: int | None = None) -> Traits:
    """What that market is like, of whose minute we take a share. It serves all timeframes by their names."""
    size = weight_a_minute or market.weight_a_minute
    lighter = tuple((most, {_WEIGHT: weight}) for most, weight in market.lighter)
    return Traits(
        served=dict.fromkeys(Timeframe, Served(market.page, {_WEIGHT: market.weight}, lighter)),
        carries=(Carriage(CARRIED, flag=True),),
        empty="flat",
        order="stamp",
        prepends=True,
        begins=True,
        budgets=(Window(_WEIGHT, size, usage=USED_WEIGHT, share=share),),
        list_costs={_WEIGHT: market.list_weight},
    )
