"""What a Deribit can be configured with."""

from __future__ import annotations

import re
from typing import Annotated, ClassVar

from msgspec import Meta

from ..settings import FedSettings

__all__ = ["SETTINGS", "DeribitSettings"]

# BTC-PERPETUAL, BTC_USDC-PERPETUAL, ETH_USDC (spot), BTC-25DEC26, XRP_USDC-25DEC26-0d625-C (0.625).
_SYMBOL = re.compile(r"[A-Z0-9]+(_[A-Z0-9]+)?(-[A-Z0-9_]*([0-9]d[0-9]+)?[A-Z0-9_]*)*", re.ASCII)
_SYMBOL_MOST = 100  # characters: looking at a name takes the square of its length
_CCXT = re.compile(r"([A-Z0-9]+)/([A-Z0-9]+)(?::([A-Z0-9]+))?", re.ASCII)


class DeribitSettings(FedSettings, frozen=True, forbid_unknown_fields=True):
    """See docs/configuration.md."""

    LIVE: ClassVar[frozenset[str]] = FedSettings.LIVE | {"credits_share", "instruments_per_connection"}

    symbols: tuple[str, ...] = ("BTC-PERPETUAL", "ETH-PERPETUAL")
    rest_url: str = "https://www.deribit.com"
    ws_url: str = "wss://www.deribit.com"
    credits_share: Annotated[float, Meta(gt=0, le=1)] = 0.5  # of the pool: others ask from this address too
    # Buckets a page, of 5,000 that the venue gives: but for years few need more, and all has to be read.
    page_limit: Annotated[int, Meta(ge=1, le=5_000)] = 500
    instruments_per_connection: Annotated[int, Meta(ge=1, le=500)] = 250

    def symbol_problem(self, symbol: str) -> tuple[str, str] | None:
        if len(symbol) > _SYMBOL_MOST:
            return f"a name of {len(symbol)} characters", "they look like BTC-PERPETUAL"
        if _SYMBOL.fullmatch(symbol):
            return None
        near = _near(symbol.strip().upper())
        meant = f"did you mean {near}? " if near else ""
        return f"{symbol!r} is not the name of an instrument", f"{meant}they look like BTC-PERPETUAL"


def _near(symbol: str) -> str:
    """The instrument that is meant by a name as others write it; "" if none can be told."""
    if not (written := _CCXT.fullmatch(symbol)):
        return symbol if _SYMBOL.fullmatch(symbol) else ""
    base, quote, settled = written.groups()
    if settled is None and quote != "USD":
        return f"{base}_{quote}"
    return f"{base}-PERPETUAL" if quote == "USD" else f"{base}_{quote}-PERPETUAL"


SETTINGS = DeribitSettings
