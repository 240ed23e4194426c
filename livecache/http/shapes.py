"""The candles API's requests and answers. They parse, they encode, and `/openapi.json` is made of them.

Times are Unix ms of the venue's clock; `…_through` are exclusive ends. A candle is the stored member:
`[time, open, high, low, close, volume]`.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from ..model.candle import Candle

__all__ = [
    "ROWS_MOST",
    "ROWS_USUAL",
    "SERIES_A_STREAM_MOST",
    "AliveAnswer",
    "CandlesAnswer",
    "CandlesHead",
    "CandlesQuery",
    "ClosedEvent",
    "ErrorAnswer",
    "ErrorKind",
    "FormingEvent",
    "IndexAnswer",
    "LostEvent",
    "MarketRow",
    "MarketsAnswer",
    "NoQuery",
    "ReadyAnswer",
    "SeriesAnswer",
    "SeriesRow",
    "ServiceAnswer",
    "StartedAnswer",
    "StateEvent",
    "StreamQuery",
]

ROWS_MOST = 5_000  # candles in an answer
ROWS_USUAL = 100
SERIES_A_STREAM_MOST = 100

Symbol = Annotated[
    str, Meta(min_length=1, max_length=128, description="as the venue names it: BTC-USD; or venue:BTC-USD")
]
TimeframeName = Literal["1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "8h", "12h", "1d", "1w", "1M"]
ReadTimeframe = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=20,
        description="one that is kept, or a whole multiple of one: 5m, 45m, 2d, 1M (a month)",
        extra_json_schema={"pattern": "^[1-9][0-9]{0,5}[mhdwM]$"},
    ),
]
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
FeedState = Literal["up", "down"]
_ENTRY = r"[0-9]{1,20}(-[0-9]{1,20})?"
_AT_VENUE = rf"[a-z][a-z0-9-]{{0,31}}={_ENTRY}"
EventId = Annotated[str, Meta(pattern=rf"^({_ENTRY}|{_AT_VENUE}(,{_AT_VENUE})*)$", max_length=4_000)]
RoleName = Annotated[
    Literal["starting", "waiting", "writing"], Meta(description="waiting: for another one's lease")
]
Reasons = Annotated[list[str], Meta(description="why not, the first 20 of them; else empty")]
SeriesName = Annotated[str, Meta(min_length=1, max_length=140, description="BTC-USD:5m; or venue:BTC-USD:5m")]
TheVenue = Annotated[str, Meta(description='"" where there are several: then `venues` has them')]


# --- requests


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


class NoQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`/api/v1/series`: there is nothing to say."""


class StreamQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`/api/v1/stream`: the series to tell of, and where to go on."""

    series: Annotated[
        list[SeriesName],
        Meta(
            min_length=1,
            max_length=SERIES_A_STREAM_MOST,
            description="the parameter, once for each; or `*` alone for what closes, settles and is revised "
            "of all",
        ),
    ]
    after: Annotated[
        EventId | None,
        Meta(description="the id of the last event that was dealt with; Last-Event-ID counts before it"),
    ] = None


# --- answers


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


class VenueStands(msgspec.Struct, frozen=True, kw_only=True):
    """How the process serves one venue of several. Not everybody is told the instance and the origin."""

    role: RoleName
    trouble: Annotated[str, Meta(description="what its part of the service has ended by; else empty")]
    instance: str | UnsetType = UNSET
    origin: str | UnsetType = UNSET
    ready: Annotated[bool, Meta(description="whether all of its series are")] | UnsetType = UNSET


Venues = Annotated[dict[str, VenueStands], Meta(description="by their ids, where there are several")]


class ServiceAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What `/api/v1/service` answers: who that is. Texts are empty while there is nothing to say yet."""

    version: str
    instance: Annotated[str, Meta(description="host, process and a random word: as in the alive keys")]
    role: RoleName
    started_at: Annotated[
        int, Meta(ge=0, description="when the process started, Unix ms of its host's clock")
    ]
    uptime_s: Annotated[float, Meta(ge=0)]
    venue: TheVenue
    venues: Venues | UnsetType = UNSET
    origin: Annotated[str, Meta(description="scheme and host that the history comes from")]
    redis: Annotated[str, Meta(description="where the candles are, without user and password")]
    prefix: str
    config: Annotated[str, Meta(description="the file, and the variables and flags that win over it")]
    history: (
        Annotated[dict[str, str], Meta(description="of each venue whose history is kept, its trouble, or ''")]
        | UnsetType
    ) = UNSET


class IndexAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What `/api/v1` answers: what there is."""

    version: str
    paths: Annotated[dict[str, str], Meta(description="what is at each of them")]


class AliveAnswer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What `/healthz` answers. Not everybody is told the last three."""

    alive: bool
    role: RoleName
    reasons: Reasons
    version: str
    uptime_s: Annotated[float, Meta(ge=0)]
    instance: str | UnsetType = UNSET
    redis: str | UnsetType = UNSET
    config: str | UnsetType = UNSET
    venues: Venues | UnsetType = UNSET


class StartedAnswer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What `/startupz` answers. `series` where Redis had to be looked at."""

    started: bool
    role: RoleName
    reasons: Reasons
    series: int | UnsetType = UNSET
    venues: Venues | UnsetType = UNSET


class ReadyAnswer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What `/readyz` answers."""

    ready: bool
    role: RoleName
    reasons: Reasons
    series: int
    venues: Venues | UnsetType = UNSET


ErrorKind = Literal[
    "bad_request",
    "unknown_series",
    "too_many",
    "too_many_streams",
    "starting",
    "not_listed",
    "not_ready",
    "stale",
    "out_of_sync",
    "unreadable",
    "redis_unavailable",
    "not_now",
    "unauthorized",
    "forbidden",
    "not_found",
    "method_not_allowed",
    "too_long",
    "not_json",
    "timeout",
    "bug",
]


class ErrorAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Why there is no such answer, and what to do about it."""

    error: Annotated[str, Meta(min_length=1)]
    hint: str
    kind: ErrorKind


# --- events


class StateEvent(msgspec.Struct, frozen=True, kw_only=True):
    """How the series of a stream stand: at first, when it changes, and every few seconds."""

    time: Annotated[Time, Meta(description="the venue's clock at the last sign of life; 0 without one")]
    error: Annotated[str, Meta(description="why nothing can be told; then `series` is empty")]
    series: list[SeriesRow]


class FormingEvent(msgspec.Struct, frozen=True, kw_only=True):
    """The bucket in progress, as it trades."""

    venue: str
    symbol: str
    timeframe: TimeframeName
    time: Time
    candle: Candle


class ClosedEvent(msgspec.Struct, frozen=True, kw_only=True):
    """`closed`, `settled` or `revised`: what became of a bucket, and what readers saw there before."""

    venue: str
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
