"""The candles API's requests and answers. They parse, they encode, and `/openapi.json` is made of them.

Times are Unix ms of the venue's clock; `…_through` are exclusive ends. A candle is the stored member:
`[time, open, high, low, close, volume]`.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from ..core.candle import Candle

__all__ = [
    "ROWS_MOST",
    "ROWS_USUAL",
    "SERIES_A_STREAM_MOST",
    "CandlesAnswer",
    "CandlesHead",
    "CandlesQuery",
    "ClosedEvent",
    "ErrorAnswer",
    "ErrorKind",
    "FormingEvent",
    "LostEvent",
    "NoQuery",
    "SeriesAnswer",
    "SeriesRow",
    "ServiceAnswer",
    "StateEvent",
    "StreamQuery",
]

ROWS_MOST = 5_000  # candles in an answer
ROWS_USUAL = 100
SERIES_A_STREAM_MOST = 100

Symbol = Annotated[str, Meta(min_length=1, max_length=128, description="as the venue names it: BTC-USD")]
TimeframeName = Literal["1m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "1d"]
Moment = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=40,
        description="Unix ms, or ISO-8601: 2026-02-20T12:00:00Z, 2026-02-20; without a zone it is UTC",
    ),
]
Rows = Annotated[int, Meta(ge=1, le=ROWS_MOST)]
Time = Annotated[int, Meta(ge=0, description="Unix ms, venue time")]
Feed = Literal["up", "down"]
EventId = Annotated[str, Meta(pattern=r"^[0-9]{1,20}(-[0-9]{1,20})?$")]
SeriesName = Annotated[str, Meta(min_length=3, max_length=140, description="BTC-USD:5m")]


# --- requests


class CandlesQuery(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename={"from_": "from"}
):
    """`/api/v1/candles`: the newest closed candles, or those that open within [from, to)."""

    symbol: Symbol
    timeframe: TimeframeName
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


class NoQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`/api/v1/series`: there is nothing to say."""


class StreamQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`/api/v1/stream`: the series to tell of, and where to go on."""

    series: Annotated[
        list[SeriesName],
        Meta(min_length=1, max_length=SERIES_A_STREAM_MOST, description="the parameter, once for each"),
    ]
    after: Annotated[
        EventId | None,
        Meta(description="the id of the last event that was dealt with; Last-Event-ID counts before it"),
    ] = None


# --- answers


class CandlesHead(msgspec.Struct, frozen=True, kw_only=True):
    """A series and who vouches for it how far: all of an answer but its candles."""

    venue: str
    symbol: str
    timeframe: TimeframeName
    ready: Annotated[bool, Meta(description="as the writer says; `reason` is empty then")]
    reason: str
    feed: Annotated[Feed, Meta(description="while it is down, candles come from REST, a little later")]
    contiguous_from: Annotated[Time, Meta(description="from here to known_through nothing is missing")]
    settled_through: Annotated[Time, Meta(description="before this REST has confirmed every bucket")]
    known_through: Annotated[Time, Meta(description="before this a bucket without a candle is proven empty")]
    closed_through: Annotated[Time, Meta(description="end of the last bucket to close, venue time")]
    forming_from: Annotated[
        Time, Meta(description="open of the bucket in progress if it was asked for, else 0")
    ]


class CandlesAnswer(CandlesHead, frozen=True, kw_only=True):
    """What `/api/v1/candles` answers. A bucket between two candles that has none is proven empty."""

    forming: Annotated[
        Candle | None, Meta(description="null: not asked for, or nothing was traded in it yet")
    ]
    candles: Annotated[list[Candle], Meta(description="oldest first, the stored digits")]


class SeriesRow(msgspec.Struct, frozen=True, kw_only=True):
    """How one series stands. All times are 0, and there is no lag, while nothing is known."""

    symbol: str
    timeframe: TimeframeName
    state: Literal["ready", "short", "stale", "warming", "lagging", "hole", "failing", "damaged"]
    reason: str
    feed: Annotated[Literal["up", "down", ""], Meta(description='"" where nobody vouches')]
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


class SeriesAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What `/api/v1/series` answers: by symbol, and then from the shortest timeframe to the longest."""

    venue: str
    time: Annotated[Time, Meta(description="the venue's clock at the last sign of life; 0 without one")]
    total: int
    ready: int
    series: list[SeriesRow]


class ServiceAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What `/api/v1/service` answers: who that is. Texts are empty while there is nothing to say yet."""

    version: str
    instance: Annotated[str, Meta(description="host, process and a random word: as in the alive keys")]
    role: Annotated[
        Literal["starting", "waiting", "writing"], Meta(description="waiting: for another one's lease")
    ]
    started_at: Annotated[
        int, Meta(ge=0, description="when the process started, Unix ms of its host's clock")
    ]
    uptime_s: Annotated[float, Meta(ge=0)]
    venue: str
    origin: Annotated[str, Meta(description="scheme and host that the history comes from")]
    redis: Annotated[str, Meta(description="where the candles are, without user and password")]
    prefix: str
    config: Annotated[str, Meta(description="the file, and the variables and flags that win over it")]


ErrorKind = Literal[
    "bad_request",
    "unknown_series",
    "too_many",
    "too_many_streams",
    "starting",
    "not_ready",
    "stale",
    "out_of_sync",
    "unreadable",
    "redis_unavailable",
]


class ErrorAnswer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Why there is no such answer, and what to do about it. Without `kind`: the server itself refused."""

    error: Annotated[str, Meta(min_length=1)]
    hint: str
    kind: ErrorKind | None = None


# --- events


class StateEvent(msgspec.Struct, frozen=True, kw_only=True):
    """How the series of a stream stand: at first, when it changes, and every few seconds."""

    time: Annotated[Time, Meta(description="the venue's clock at the last sign of life; 0 without one")]
    error: Annotated[str, Meta(description="why nothing can be told; then `series` is empty")]
    series: list[SeriesRow]


class FormingEvent(msgspec.Struct, frozen=True, kw_only=True):
    """The bucket in progress, as it trades."""

    symbol: str
    timeframe: TimeframeName
    time: Time
    candle: Candle


class ClosedEvent(msgspec.Struct, frozen=True, kw_only=True):
    """`closed`, `settled` or `revised`: what became of a bucket, and what readers saw there before."""

    symbol: str
    timeframe: TimeframeName
    time: Time
    candle: Annotated[Candle | None, Meta(description="null: proven empty")]
    replaced: Candle | None


class LostEvent(msgspec.Struct, frozen=True, kw_only=True):
    """What was to be gone on from, or what follows it, is not kept any more: read the candles anew."""

    after: str
    error: str
    hint: str
