"""`/api/v1/candles`: what is asked and answered. A candle is the stored member:
`[time, open, high, low, close, volume]`.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from ...model.candle import Candle
from .fields import ROWS_USUAL, FeedState, Moment, ReadTimeframe, Rows, Symbol, Time

__all__ = [
    "CandlesAnswer",
    "CandlesHead",
    "CandlesQuery",
]


class CandlesQuery(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename={"from_": "from"}
):
    """`/api/v1/candles`: the newest closed candles, or those that open within [from, to)."""

    symbol: Symbol
    timeframe: ReadTimeframe
    limit: Annotated[
        Rows | None,
        Meta(
            description=f"so many of the newest, {ROWS_USUAL} unless told otherwise; with `from` a bound only"
        ),
    ] = None
    at_least: Annotated[Rows | None, Meta(description="be content with so many; else `limit`")] = None
    from_: Annotated[Moment | None, Meta(description="candles that open at or after it")] = None
    to: Annotated[Moment | None, Meta(description="… and before it; else as far as is known")] = None
    settled: Annotated[bool, Meta(description="only what the venue's REST API has confirmed")] = False
    forming: Annotated[bool, Meta(description="the bucket in progress too")] = False


class CandlesHead(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A series and who vouches for it how far: all of an answer but its candles."""

    venue: str
    symbol: str
    timeframe: ReadTimeframe
    ready: Annotated[bool, Meta(description="as the writer says; `reason` is empty then")]
    reason: str
    feed: Annotated[FeedState, Meta(description="while it is down, candles come from REST, a little later")]
    contiguous_from: Annotated[Time, Meta(description="from here to known_through nothing is missing")]
    settled_through: Annotated[Time, Meta(description="before this REST has confirmed every bucket")]
    known_through: Annotated[Time, Meta(description="before this a bucket without a candle is proven empty")]
    closed_through: Annotated[Time, Meta(description="end of the last bucket to close, venue time")]
    forming_from: Annotated[
        Time, Meta(description="open of the bucket in progress if it was asked for, else 0")
    ]
    grid: Annotated[
        str,
        Meta(
            description="where its buckets lie, if in an exchange's sessions: `STEP in OPEN-CLOSE,…`, in ms"
        ),
    ] = ""


class CandlesAnswer(CandlesHead, frozen=True, kw_only=True):
    """What `/api/v1/candles` answers. A bucket between two candles that has none is proven empty."""

    forming: Annotated[
        Candle | None, Meta(description="null: not asked for, or nothing was traded in it yet")
    ]
    candles: Annotated[list[Candle], Meta(description="oldest first, the stored digits")]
