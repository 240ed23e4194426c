"""Orders of work on years of candles, and the jobs that they come to."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from .fields import ReadTimeframe, Symbol, Time

__all__ = [
    "SYMBOLS_AN_ORDER_MOST",
    "BackfillRequest",
    "JobRow",
    "JobRows",
    "JobsAnswer",
    "JobsQuery",
    "OrderAnswer",
    "UpdateRequest",
]

SYMBOLS_AN_ORDER_MOST = 1_000

_ROWS_MOST, _ROWS_USUAL = 1_000, 100

_Moment = Annotated[int, Meta(ge=0, lt=1 << 47)] | Annotated[str, Meta(min_length=1, max_length=40)]

_Symbols = Annotated[list[Symbol], Meta(min_length=1, max_length=SYMBOLS_AN_ORDER_MOST)]

_Timeframes = Annotated[list[ReadTimeframe], Meta(min_length=1, max_length=20)]

_Venue = Annotated[str, Meta(min_length=1, max_length=32)]

_Order = Annotated[int, Meta(ge=1, lt=1 << 53)]

StateName = Literal["pending", "running", "waiting", "succeeded", "failed", "cancelled"]


class BackfillRequest(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    omit_defaults=True,
    forbid_unknown_fields=True,
    rename={"from_": "from"},
):
    """What is missing of `[from, to)` of some series is to be fetched; with `force` all of it, once more."""

    symbols: _Symbols
    timeframes: Annotated[_Timeframes | None, Meta(description="else those that are kept")] = None
    timeframe: Annotated[ReadTimeframe | None, Meta(description="a single one, in place of these")] = None
    from_: Annotated[_Moment, Meta(description="Unix ms, or ISO-8601", examples=["2025-01-01"])]
    to: Annotated[_Moment | None, Meta(description="else now")] = None
    force: Annotated[bool, Meta(description="also what is known")] = False


class UpdateRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is newer than what is known of some series is to be fetched, and the newest of that once more."""

    symbols: Annotated[_Symbols | None, Meta(description="else all that are configured")] = None
    timeframes: Annotated[_Timeframes | None, Meta(description="else those that are kept")] = None
    timeframe: Annotated[ReadTimeframe | None, Meta(description="a single one, in place of these")] = None


class OrderAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What an order comes to. Jobs for the same that were under way already are among them."""

    status: Annotated[Literal["accepted", "complete"], Meta(description="complete: there is nothing to do")]
    job_id: Annotated[int | None, Meta(description="the first of them")]
    jobs: list[int]
    order: Annotated[int, Meta(description="its number: /api/v1/jobs?order=")]


class JobsQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`/api/v1/jobs`: which ones."""

    state: Annotated[list[StateName], Meta(description="once for each; else all", max_length=6)] = []
    symbol: Annotated[Symbol | None, Meta(description="BTC-USD; or venue:BTC-USD")] = None
    venue: _Venue | None = None
    order: Annotated[_Order | None, Meta(description="of one order")] = None
    limit: Annotated[int, Meta(ge=1, le=_ROWS_MOST)] = _ROWS_USUAL


class JobRows(msgspec.Struct, frozen=True, kw_only=True):
    """Rows that its pages brought."""

    inserted: int
    revised: int
    same: int
    rejected: int


class JobRow(msgspec.Struct, frozen=True, kw_only=True, rename={"from_": "from"}):
    """One job. `covered` and `wanted` count buckets."""

    id: int
    state: StateName
    venue: str
    symbol: str
    timeframe: str
    from_: Time
    to: Time
    force: Annotated[bool, Meta(description="also what is known is asked for")]
    covered: Annotated[int, Meta(ge=0, description="buckets that need not be asked for any more")]
    wanted: Annotated[int, Meta(ge=0, description="all of its buckets")]
    progress: Annotated[float, Meta(ge=0, le=1, description="covered of wanted")]
    eta_s: Annotated[
        float | None, Meta(description="seconds to go at the pace between looks; null before the second one")
    ]
    error: Annotated[str, Meta(description="why its last attempt failed; else empty")]
    attempts: Annotated[int, Meta(ge=0, description="failures in a row")]
    retry_at: Annotated[int | None, Meta(description="when the next attempt begins, Unix ms; else null")]
    created: Time
    finished: Annotated[int | None, Meta(description="Unix ms; null while it is not over")]
    worker: Annotated[str, Meta(description="the instance that works on it; else empty")]
    pages: Annotated[int, Meta(ge=0)]
    rows: JobRows


class JobsAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What `/api/v1/jobs` answers: the newest first."""

    jobs: list[JobRow]
    counts: Annotated[dict[StateName, int], Meta(description="of all jobs, by state")]
