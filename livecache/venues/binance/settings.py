"""What a Binance can be configured with."""

from __future__ import annotations

import re
from typing import Annotated, ClassVar, Literal

from msgspec import Meta, structs

from ..settings import FedSettings, Seconds
from .markets import MARKETS

__all__ = ["SETTINGS", "BinanceSettings"]

# BTCUSDT, BTCUSDT_260327; the venue says that there may be others than these letters, but no small ones.
_SYMBOL = re.compile(r"(?:[A-Z0-9_.]|[^\x00-\x7f])+")
_SEPARATORS = re.compile(r"[-/: ]")


class BinanceSettings(FedSettings, frozen=True, forbid_unknown_fields=True):
    """See docs/configuration.md."""

    LIVE: ClassVar[frozenset[str]] = FedSettings.LIVE | {"share"}

    symbols: tuple[str, ...] = ("BTCUSDT", "ETHUSDT")
    market: Literal["spot", "usdm", "us"] = "spot"
    rest_url: str = ""  # "": the market's own; see `markets`
    ws_url: str = ""
    share: Annotated[float, Meta(gt=0, le=1)] = 0.8  # of what an address may ask for in a minute
    silence_timeout: Seconds = 20.0  # real seconds without any message before a reconnection

    def __post_init__(self) -> None:
        market = MARKETS[self.market]
        structs.force_setattr(self, "rest_url", self.rest_url or market.rest_url)
        structs.force_setattr(self, "ws_url", self.ws_url or market.ws_url)

    def symbol_problem(self, symbol: str) -> tuple[str, str] | None:
        if (problem := super().symbol_problem(symbol)) or _SYMBOL.fullmatch(symbol):
            return problem
        meant = _SEPARATORS.sub("", symbol.partition(":")[0]).upper()  # BTC/USDT:USDT, as ccxt has it
        near = f"did you mean {meant}? " if _SYMBOL.fullmatch(meant) else ""
        return f"{symbol!r} is not the name of a symbol", f"{near}they look like BTCUSDT"


SETTINGS = BinanceSettings
