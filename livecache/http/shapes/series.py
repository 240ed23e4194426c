"""How series and markets stand: `/api/v1/series`, `/api/v1/markets`."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from .fields import TheVenue, Time, TimeframeName

__all__ = [
    "MarketRow",
    "MarketsAnswer",
    "SeriesAnswer",
    "SeriesRow",
    "VenueRow",
]


class SeriesRow(msgspec.Struct, frozen=True, kw_only=True):
    """How one series stands. All times are 0, and there is no lag, while nothing is known."""

    venue: str
    symbol: str
    timeframe: TimeframeName
    state: Literal[
        "ready",
        "short",
        "unknown",
        "halted",
        "stale",
        "warming",
        "lagging",
        "hole",
        "failing",
        "damaged",
    ]
    reason: str
    feed: Annotated[
        Literal["up", "down", "none", ""],
        Meta(description='"none" where there is no feed; "" where nobody vouches'),
    ]
    candles: Annotated[int, Meta(ge=0, description="in Redis, the bucket in progress among them")]
    contiguous_from: Time
    settled_through: Time
    known_through: Time
    closed_through: Time
    lag_ms: Annotated[
        int | None, Meta(description="how far settled_through is behind the last bucket to close")
    ]
    last: Annotated[float | None, Meta(description="the newest price")]
    last_time: Annotated[int | None, Meta(description="open of the bucket that it is of")]


class VenueRow(msgspec.Struct, frozen=True, kw_only=True):
    """One venue of several."""

    venue: str
    time: Annotated[Time, Meta(description="its clock at the last sign of life; 0 without one")]
    trouble: Annotated[
        str, Meta(description="what its part of the service has ended by, or why nothing is told of it")
    ]


class SeriesAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What `/api/v1/series` answers: in the configured order, all timeframes of a symbol together."""

    venue: TheVenue
    venues: list[VenueRow] | UnsetType = UNSET
    time: Annotated[Time, Meta(description="the venue's clock at the last sign of life; 0 without one")]
    total: int
    ready: int
    series: list[SeriesRow]


class MarketRow(msgspec.Struct, frozen=True, kw_only=True):
    """One symbol, and its course over a day as far as that is known."""

    venue: str
    symbol: str
    last: Annotated[float | None, Meta(description="the newest price")]
    last_time: Annotated[int | None, Meta(description="open of the bucket that it is of")]
    day_ago: Annotated[
        float | None, Meta(description="the price 24 h before `time`, or up to a bucket earlier; else null")
    ]
    since: Annotated[Time, Meta(description="when `closes` begins; 0 without one")]
    closes: Annotated[
        list[float], Meta(description="33 prices at even steps from `since` to `time`, or none")
    ]


class MarketsAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What `/api/v1/markets` answers: in the configured order, 2,000 symbols at most."""

    venue: TheVenue
    venues: list[VenueRow] | UnsetType = UNSET
    time: Annotated[Time, Meta(description="the venue's clock when it was looked at; 0 without one")]
    markets: list[MarketRow]
