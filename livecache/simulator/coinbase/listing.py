"""Products and trades in the venue's JSON shapes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from ...model.timeframe import Timeframe
from ..market.market import Market, MarketTrade

__all__ = ["MAX_TRADES", "newest_trades", "product_json", "trade_json", "trade_time"]

MAX_TRADES = 100
"""The venue shows no more at once, neither in an answer nor in a snapshot."""

_LOOK_BACK_MS = (10 * 60_000, 24 * 3_600_000, 30 * 24 * 3_600_000)


def product_json(market: Market, product: str, now_ms: int) -> dict[str, Any]:
    """One product (or alias) with the fields that matter; `price` is the last one traded."""
    aliases = market.aliases()
    data_of = aliases.get(product, product)
    increments = market.increments(data_of)
    base, _, quote = product.partition("-")
    day = Timeframe.D1
    # A thin product may not have traded today; one that did not this week shows no price, as at the venue.
    days = market.candles(data_of, day, day.floor(now_ms) - 7 * day.ms, now_ms, now_ms)
    return {
        "product_id": product,
        "price": days[-1].close if days else "",
        "volume_24h": days[-1].volume if days else "",
        "base_increment": increments.base,
        "quote_increment": increments.price,
        "price_increment": increments.price,
        "base_name": base,
        "quote_name": quote,
        "is_disabled": False,
        "new": False,
        "status": "online",
        "cancel_only": False,
        "limit_only": False,
        "post_only": False,
        "trading_disabled": False,
        "auction_mode": False,
        "product_type": "SPOT",
        "quote_currency_id": quote,
        "base_currency_id": base,
        "fcm_trading_session_details": None,
        "alias": aliases.get(product, ""),
        "alias_to": [alias for alias, of in aliases.items() if of == product],
        "base_display_symbol": base,
        "quote_display_symbol": quote,
        "view_only": False,
        "display_name": product,
        "product_venue": "CBE",
    }


def newest_trades(market: Market, product: str, from_ms: int, to_ms: int) -> list[MarketTrade]:
    """The newest trades of `[from_ms, to_ms)`, newest first, at most `MAX_TRADES` and of the last 30 days."""
    trades: list[MarketTrade] = []
    # Look back further until there are enough: liquid products have hundreds in minutes, thin ones few a day.
    for look_back_ms in _LOOK_BACK_MS:
        trades = market.trades(product, max(from_ms, to_ms - look_back_ms), to_ms)
        if len(trades) >= MAX_TRADES or to_ms - look_back_ms <= from_ms:
            break
    return trades[: -MAX_TRADES - 1 : -1]


def trade_json(trade: MarketTrade) -> dict[str, str]:
    """One trade, as market_trades frames and the ticker endpoint both show it."""
    return {
        "product_id": trade.product,
        "trade_id": str(trade.trade_id),
        "price": trade.price,
        "size": trade.size,
        "time": trade_time(trade.time_us),
        "side": trade.side,
    }


def trade_time(time_us: int) -> str:
    """RFC 3339 with microseconds."""
    seconds, micros = divmod(time_us, 1_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{micros:06d}Z"
