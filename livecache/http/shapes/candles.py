"""`/api/v1/candles`: what is asked and answered. A candle is the stored member:
`[time, open, high, low, close, volume]`.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from ...equities.adjust import Adjust
from ...model.candle import Candle
from .fields import ROWS_USUAL, FeedState, Moment, ReadTimeframe, Rows, Stretch, Symbol, Time

__all__ = [
    "BUCKETS_USUAL",
    "FILL_USUAL_S",
    "CandlesAnswer",
    "CandlesHead",
    "CandlesQuery",
    "SplitOfShares",
]

BUCKETS_USUAL = 500

FILL_USUAL_S, _FILL_MOST_S = 2.0, 8.0


class CandlesQuery(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename={"from_": "from"}
):
    """`/api/v1/candles`: the newest closed candles, those within [from, to), or those before a time."""

    symbol: Symbol
    timeframe: ReadTimeframe
    limit: Annotated[
        Rows | None,
        Meta(
            description=f"so many of the newest, {ROWS_USUAL} unless told otherwise; with `before` so many "
            f"buckets, {BUCKETS_USUAL}; with `from` a bound only"
        ),
    ] = None
    at_least: Annotated[Rows | None, Meta(description="be content with so many; else `limit`")] = None
    from_: Annotated[Moment | None, Meta(description="candles that open at or after it")] = None
    to: Annotated[Moment | None, Meta(description="… and before it; else as far as is known")] = None
    before: Annotated[
        Moment | None, Meta(description="of the buckets that have ended by then the newest, as far as known")
    ] = None
    settled: Annotated[bool, Meta(description="only what the venue's REST API has confirmed")] = False
    forming: Annotated[bool, Meta(description="the bucket in progress too")] = False
    fill: Annotated[bool, Meta(description="have what is missing fetched, if that is not much")] = True
    timeout: Annotated[
        float, Meta(ge=0, le=_FILL_MOST_S, description="so many seconds it may take to be fetched")
    ] = FILL_USUAL_S
    partial: Annotated[bool, Meta(description="be content with what there is; `missing` tells the rest")] = (
        False
    )
    adjust: Annotated[
        Adjust, Meta(description="shares as of today, as traded that day (`none`), or less dividends (`all`)")
    ] = "splits"
    format: Annotated[
        Literal["json", "csv", "arrow"] | None, Meta(description="else as `Accept` says, else json")
    ] = None


class SplitOfShares(msgspec.Struct, frozen=True):
    """A split that is accounted for."""

    time: Annotated[Time, Meta(description="it holds from here on")]
    ratio: Annotated[str, Meta(description="the new shares for the old ones: `4/1`")]


class CandlesHead(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename={"from_": "from"}):
    """A series and who vouches for it how far: all of an answer but its candles.

    From `ready` to `forming_from` of candles that are kept warm, from `from` on of years.
    """

    venue: str
    symbol: str
    timeframe: ReadTimeframe
    ready: Annotated[bool, Meta(description="as the writer says; `reason` is empty then")] | UnsetType = UNSET
    reason: str | UnsetType = UNSET
    feed: (
        Annotated[FeedState, Meta(description="while it is down, candles come from REST, a little later")]
        | UnsetType
    ) = UNSET
    contiguous_from: (
        Annotated[Time, Meta(description="from here to known_through nothing is missing")] | UnsetType
    ) = UNSET
    settled_through: (
        Annotated[Time, Meta(description="before this REST has confirmed every bucket")] | UnsetType
    ) = UNSET
    known_through: (
        Annotated[Time, Meta(description="before this a bucket without a candle is proven empty")] | UnsetType
    ) = UNSET
    closed_through: (
        Annotated[Time, Meta(description="end of the last bucket to close, venue time")] | UnsetType
    ) = UNSET
    forming_from: (
        Annotated[Time, Meta(description="open of the bucket in progress if it was asked for, else 0")]
        | UnsetType
    ) = UNSET
    from_: Annotated[Time, Meta(description="open of the first bucket that is meant")] | UnsetType = UNSET
    to: Annotated[Time, Meta(description="end of the last one")] | UnsetType = UNSET
    coverage: Annotated[list[Stretch], Meta(description="what of it is known")] | UnsetType = UNSET
    missing: Annotated[list[Stretch], Meta(description="what is not")] | UnsetType = UNSET
    provisional: Annotated[list[Stretch], Meta(description="known, but not final yet")] | UnsetType = UNSET
    converted: (
        Annotated[list[Stretch], Meta(description="what was read before a split, and converted")] | UnsetType
    ) = UNSET
    next_before: (
        Annotated[Time | None, Meta(description="ask for this `before` to go on; null where `exhausted`")]
        | UnsetType
    ) = UNSET
    exhausted: Annotated[bool, Meta(description="nothing is to be had before it")] | UnsetType = UNSET
    ends: (
        Annotated[
            Literal["", "listing", "reach", "silence"],
            Meta(
                description="why: it was not listed yet, the venue tells of nothing older, "
                "or for 1,000 days before it nothing was traded"
            ),
        ]
        | UnsetType
    ) = UNSET
    listed: (
        Annotated[Time | None, Meta(description="when its first candle opens; null where nobody knows")]
        | UnsetType
    ) = UNSET
    derived_from: (
        Annotated[str | None, Meta(description="the timeframe that was added up, for a part of it at least")]
        | UnsetType
    ) = UNSET
    adjust: Adjust | UnsetType = UNSET
    split: SplitOfShares | UnsetType | None = UNSET
    job: Annotated[int | None, Meta(description="what fetches what is missing")] | UnsetType = UNSET
    revision: (
        Annotated[int, Meta(ge=0, description="grows with each change to what is stored of the series")]
        | UnsetType
    ) = UNSET
    grid: (
        Annotated[
            str,
            Meta(
                description="where its buckets lie, if in an exchange's sessions: "
                "`STEP in OPEN-CLOSE,…`, in ms"
            ),
        ]
        | UnsetType
    ) = UNSET


class CandlesAnswer(CandlesHead, frozen=True, kw_only=True):
    """What `/api/v1/candles` answers. A bucket between two candles that has none is proven empty, unless
    it is `missing`.
    """

    forming: (
        Annotated[Candle | None, Meta(description="null: not asked for, or nothing was traded in it yet")]
        | UnsetType
    ) = UNSET
    candles: Annotated[list[Candle], Meta(description="oldest first, the stored digits")]
