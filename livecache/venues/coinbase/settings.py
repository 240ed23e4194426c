"""What a Coinbase can be configured with."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, ClassVar

from msgspec import Meta, structs

from ..settings import FedSettings, Rate

__all__ = ["SETTINGS", "CoinbaseSettings"]

# A product id: BTC-USD, 00-USD, BTC-PERP-INTX.
_SYMBOL = re.compile(r"[A-Z0-9._]+(-[A-Z0-9._]+)+", re.ASCII)


class CoinbaseSettings(FedSettings, frozen=True, forbid_unknown_fields=True):
    """See docs/configuration.md."""

    LIVE: ClassVar[frozenset[str]] = FedSettings.LIVE | {"requests_per_second", "products_per_connection"}
    SECRETS: ClassVar[tuple[str, ...]] = ("KEY_NAME", "KEY_SECRET")
    KEY_REMEDY: ClassVar[str] = (
        "create another at https://portal.cdp.coinbase.com/access/api, for reading only"
    )

    symbols: tuple[str, ...] = ("BTC-USD", "ETH-USD")
    rest_url: str = "https://api.coinbase.com"
    ws_url: str = "wss://advanced-trade-ws.coinbase.com"
    requests_per_second: Rate = 9.0  # real seconds; a refusal lowers it for a while
    page_limit: Annotated[int, Meta(ge=1, le=350)] = 330  # buckets a page; 349 or 350 is the venue's edge
    products_per_connection: Annotated[int, Meta(ge=1, le=1000)] = 100
    key_file: str = ""  # a CDP key's JSON file; or the secrets in the environment

    def symbol_problem(self, symbol: str) -> tuple[str, str] | None:
        if _SYMBOL.fullmatch(symbol):
            return None
        upper = symbol.strip().upper()
        near = f"did you mean {upper}? " if _SYMBOL.fullmatch(upper) else ""
        return f"{symbol!r} is not the name of a product", f"{near}they look like BTC-USD"

    def without_key(self) -> CoinbaseSettings:
        return structs.replace(self, key_file="")

    def key_of(self, venue: str, environ: Mapping[str, str]) -> str:
        from .auth import load_key

        key = load_key(self.key_file, environ, venue)
        return key.name if key is not None else ""


SETTINGS = CoinbaseSettings
