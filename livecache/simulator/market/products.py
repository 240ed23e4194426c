"""The products of the seeded market: real names, plausible levels, and how often each trades."""

from __future__ import annotations

import hashlib
from enum import StrEnum
from typing import NamedTuple

from ...errors import ConfigError

__all__ = ["DEFAULT_PRODUCTS", "USDC_ALIASES", "Liquidity", "Product"]


class Liquidity(StrEnum):
    """How often a product trades."""

    LIQUID = "liquid"  # in every minute
    THIN = "thin"  # in about one 5m bucket in five
    VERY_THIN = "very-thin"  # in about one 5m bucket in fifty

    @property
    def trades_per_day(self) -> int:
        """Trades on an average day."""
        return _TRADES_PER_DAY[self]


# Scattered evenly, 64 trades hit a fifth of a day's 288 buckets, and 6 a fiftieth.
_TRADES_PER_DAY = {Liquidity.LIQUID: 28_800, Liquidity.THIN: 64, Liquidity.VERY_THIN: 6}


class Product(NamedTuple):
    """One product of a `SeededMarket`.

    `price` is the level it moves around, in the quote currency. Prices have `price_decimals` and volumes
    `base_decimals` digits after the point. It has no history before `listed_ms` (Unix ms, rounded down to a
    day).
    """

    id: str
    price: float
    price_decimals: int
    base_decimals: int = 8
    liquidity: Liquidity = Liquidity.LIQUID
    listed_ms: int = 0

    @classmethod
    def parse(cls, text: str) -> Product:
        """The product that `BTC-USD` or `ANY-USD:thin` describes. `ConfigError` if it describes none.

        A known name brings its own level; any other gets one that follows from the name.
        """
        name, _, kind = text.strip().partition(":")
        known = {p.id: p for p in DEFAULT_PRODUCTS}.get(name)
        if not kind and known:
            return known
        try:
            liquidity = Liquidity(kind or Liquidity.LIQUID)
        except ValueError:
            raise ConfigError(
                f"unknown liquidity {kind!r} of {name}", f"one of {', '.join(Liquidity)}"
            ) from None
        base, _, quote = name.partition("-")
        if not (base.isalnum() and quote.isalnum()):
            raise ConfigError(
                f"{name!r} is not a product id",
                "write it like BTC-USD or ANY-USD:thin, whatever the venue calls it",
            )
        if known:
            return known._replace(liquidity=liquidity)
        price = 1 + int.from_bytes(hashlib.sha256(name.encode()).digest()[:2], "big") % 200
        return cls(name, float(price), 4, 8, liquidity)


DEFAULT_PRODUCTS: tuple[Product, ...] = (
    Product("BTC-USD", 67_000, 2),
    Product("ETH-USD", 2_700, 2),
    Product("SOL-USD", 150, 2),
    Product("XRP-USD", 2.1, 4, 6),
    Product("DOGE-USD", 0.17, 5, 1),
    Product("ADA-USD", 0.62, 4),
    Product("AVAX-USD", 24, 2),
    Product("LINK-USD", 14.5, 3),
    Product("LTC-USD", 88, 2),
    Product("BCH-USD", 420, 2),
    Product("DOT-USD", 4.1, 3),
    Product("UNI-USD", 7.4, 3, 6),
    Product("AAVE-USD", 190, 2, 3),
    Product("NEAR-USD", 2.6, 3),
    Product("ATOM-USD", 4.4, 3),
    Product("XLM-USD", 0.28, 6),
    Product("HBAR-USD", 0.18, 5, 1),
    Product("SUI-USD", 3.3, 4, 1),
    Product("APT-USD", 4.9, 2),
    Product("ARB-USD", 0.35, 4, 2),
    Product("OP-USD", 0.71, 3, 2),
    Product("SHIB-USD", 0.0000128, 8, 0),
    Product("FIL-USD", 2.6, 3, 3),
    Product("ETC-USD", 17.2, 2),
    Product("ICP-USD", 5.2, 3, 4),
    Product("GRT-USD", 0.091, 4, 2, Liquidity.THIN),
    Product("KNC-USD", 0.33, 4, 1, Liquidity.THIN),
    Product("BAND-USD", 0.64, 3, 2, Liquidity.THIN),
    Product("RAD-USD", 0.72, 2, 2, Liquidity.VERY_THIN),
)
"""The liquid ones first, then three thin ones and a very thin one."""

USDC_ALIASES: dict[str, str] = {"BTC-USDC": "BTC-USD", "ETH-USDC": "ETH-USD", "SOL-USDC": "SOL-USD"}
