"""A script of faults as plain data: what goes wrong, when, and for how long.

In TOML, times in seconds of market time:

    seed = 7

    [[faults]]
    kind = "close"      # once, at the first chance after a minute
    at = 60
    code = 1001

    [[faults]]
    kind = "mute"       # the candles channel of one product, for ten minutes
    at = 2026-10-01T12:30:00Z
    lasts = 600
    products = ["ETH-USD"]
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal, get_args

import msgspec
from msgspec import Meta

from ...model.timeframe import Timeframe

__all__ = [
    "ANSWER_FORMS",
    "FORMS",
    "KINDS",
    "PAGE_FORMS",
    "ROW_FORMS",
    "AnswerForm",
    "ClockSkew",
    "CloseFeed",
    "Delisted",
    "Drop",
    "Duplicate",
    "EdgeLag",
    "EmptyPage",
    "Episode",
    "Fault",
    "FaultScript",
    "Form",
    "Garbage",
    "Halted",
    "Hang",
    "HttpError",
    "Mute",
    "NewestAbsent",
    "NoFinalUpdate",
    "OddAnswer",
    "OddPage",
    "OfRequests",
    "Outage",
    "PageForm",
    "RefusedSubscription",
    "Reorder",
    "ReplayedSnapshot",
    "Reset",
    "Revision",
    "RowForm",
    "ShortPage",
    "SilentFeed",
    "SpoiltRow",
    "StampAhead",
    "State",
    "Strike",
    "Unreachable",
    "moment_ms",
]

_YEAR_S = 366 * 86_400
Moment = Annotated[float, Meta(ge=0, le=_YEAR_S)] | datetime
Seconds = Annotated[float, Meta(ge=0, le=_YEAR_S)]
Span = Annotated[float, Meta(gt=0, le=_YEAR_S)]
Share = Annotated[float, Meta(gt=0, le=1)]

Form = Literal[
    "truncated",
    "not_json",
    "unknown_channel",
    "unknown_type",
    "nan",
    "negative",
    "upside_down",
    "year_2100",
    "other_product",
]
FORMS: tuple[Form, ...] = get_args(Form)

RowForm = Literal[
    "nan",
    "infinity",
    "exponent",
    "huge",
    "negative",
    "open_below_low",
    "wrong_time",
    "off_grid",
    "twice",
    "null",
    "missing",
    "number",
    "text",
]
ROW_FORMS: tuple[RowForm, ...] = get_args(RowForm)
"""Of these only "exponent" and "number" can be believed."""

AnswerForm = Literal[
    "no_content", "nothing", "html", "other_json", "cut_json", "cut_gzip", "no_gzip", "stall"
]
ANSWER_FORMS: tuple[AnswerForm, ...] = get_args(AnswerForm)

PageForm = Literal[
    "oldest_first", "shuffled", "each_twice",
    "milliseconds", "microseconds", "a_bucket_late", "other_timeframe", "other_product",
]  # fmt: skip
PAGE_FORMS: tuple[PageForm, ...] = get_args(PageForm)
"""Of these only those of the first line can be believed."""

Halt = Literal[
    "is_disabled", "trading_disabled", "view_only", "auction_mode", "cancel_only", "limit_only", "post_only"
]


class Episode(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind"):
    """Something that goes wrong. `at`: seconds of market time after the start, or a time (UTC if naive)."""

    at: Moment = 0.0


class Strike(Episode, frozen=True, kw_only=True):
    """Strikes at chances: once, at the first, where `lasts` is 0; else at each until then.

    `products`: those it is about, all if empty. `share`: the probability that a chance is taken.
    """

    lasts: Seconds = 0.0
    products: tuple[str, ...] = ()
    share: Share = 1.0


class State(Episode, frozen=True, kw_only=True):
    """Holds for `lasts` seconds. `products`: those it is about, all if empty."""

    lasts: Span
    products: tuple[str, ...] = ()


# --- the feed


class CloseFeed(Strike, frozen=True, kw_only=True, tag="close"):
    """A connection is closed with that code or cut off without a word; `behind`: after a frame of candles."""

    products: tuple[()] = ()  # A connection is nobody's.
    code: Annotated[int, Meta(ge=1000, le=4999)] | Literal["abort"] = 1001
    behind: bool = False


class Drop(Strike, frozen=True, kw_only=True, tag="drop"):
    """A frame is lost: the next one's sequence number jumps."""


class Duplicate(Strike, frozen=True, kw_only=True, tag="duplicate"):
    """A frame is sent twice."""


class Reorder(Strike, frozen=True, kw_only=True, tag="reorder"):
    """A frame comes after the next one."""


class ReplayedSnapshot(Strike, frozen=True, kw_only=True, tag="snapshot"):
    """The product's snapshot of the subscription comes again in mid-stream, before an update."""


class Garbage(Strike, frozen=True, kw_only=True, tag="garbage"):
    """A frame of candles comes in one of these forms; without any, in a random one."""

    forms: tuple[Form, ...] = ()


class Mute(State, frozen=True, kw_only=True, tag="mute"):
    """The candles channel says nothing, without a jump, while heartbeats go on.

    `cured`: a client that subscribes anew meanwhile hears it again.
    """

    cured: bool = False


class SilentFeed(State, frozen=True, kw_only=True, tag="silence"):
    """Nothing comes but acknowledgements, heartbeats neither; the socket stays open.

    `cured`: a client that subscribes anew meanwhile hears it again.
    """

    products: tuple[()] = ()
    cured: bool = False


class NoFinalUpdate(State, frozen=True, kw_only=True, tag="no_final_update"):
    """The last update of a bucket, after its end, does not come."""


class StampAhead(State, frozen=True, kw_only=True, tag="stamp_ahead"):
    """Frames are stamped so many seconds ahead. GET /time tells the truth."""

    products: tuple[()] = ()
    seconds: Annotated[float, Meta(gt=0, le=100 * _YEAR_S)] = 600.0


class ClockSkew(State, frozen=True, kw_only=True, tag="clock_skew"):
    """Frames and GET /time tell a time so many seconds from that of the candles; negative: too early.

    Nothing refutes a clock that is ahead: pages then show buckets as they were before their end, and a
    client that goes by the venue's clock alone must take them for settled until it reads them again.
    """

    products: tuple[()] = ()
    seconds: Annotated[float, Meta(ge=-_YEAR_S, le=_YEAR_S)] = -30.0


# --- REST


class OfRequests(Strike, frozen=True, kw_only=True):
    """Strikes at requests: for candles of `timeframes`, any if empty, and for `least` buckets or more."""

    timeframes: tuple[Timeframe, ...] = ()
    least: Annotated[int, Meta(ge=0)] = 0


class HttpError(OfRequests, frozen=True, kw_only=True, tag="http_error"):
    """An answer with that status: JSON for 400, 429 and 500, plain text for 401, HTML for others.

    `retry_after`: that header, in seconds.
    """

    status: Annotated[int, Meta(ge=400, le=599)] = 500
    retry_after: Annotated[int, Meta(ge=0, le=86_400)] | None = None


class Hang(OfRequests, frozen=True, kw_only=True, tag="hang"):
    """No answer; after so many real seconds the connection is cut."""

    seconds: Annotated[float, Meta(gt=0, le=600)] = 60.0


class Reset(OfRequests, frozen=True, kw_only=True, tag="reset"):
    """The headers and half the body come, and then the connection is cut."""


class ShortPage(OfRequests, frozen=True, kw_only=True, tag="short_page"):
    """A page is cut where the venue cuts one that is too long; this share of its rows stays."""

    keep: Annotated[float, Meta(ge=0, le=1)] = 0.5


class EmptyPage(OfRequests, frozen=True, kw_only=True, tag="empty_page"):
    """A page comes without any row, as if nothing had been traded in all of it."""


class SpoiltRow(OfRequests, frozen=True, kw_only=True, tag="spoilt_row"):
    """Every so many-th bucket's row comes in one of these forms; without any, in a random one."""

    forms: tuple[RowForm, ...] = ()
    every: Annotated[int, Meta(ge=2, le=10_000)] = 30


class OddAnswer(OfRequests, frozen=True, kw_only=True, tag="odd_answer"):
    """The answer is none to what was asked, in one of these forms; without any, in a random one."""

    forms: tuple[AnswerForm, ...] = ()


class OddPage(OfRequests, frozen=True, kw_only=True, tag="odd_page"):
    """A page comes in one of these forms, each row of which looks right; without any, in a random one."""

    forms: tuple[PageForm, ...] = ()


class EdgeLag(State, frozen=True, kw_only=True, tag="edge_lag"):
    """Pages, of these timeframes, show the market as it was so long ago: a closed bucket may look partial."""

    timeframes: tuple[Timeframe, ...] = ()
    seconds: Annotated[float, Meta(gt=0, le=3_600)] = 20.0


class NewestAbsent(State, frozen=True, kw_only=True, tag="newest_absent"):
    """Pages do not show the bucket in progress."""


class Outage(State, frozen=True, kw_only=True, tag="outage"):
    """REST is down: every request's connection is cut. The feed goes on."""

    products: tuple[()] = ()


# --- both


class Unreachable(State, frozen=True, kw_only=True, tag="refused"):
    """The exchange is gone: connections are cut and new ones refused."""

    products: tuple[()] = ()


class Delisted(State, frozen=True, kw_only=True, tag="delisted"):
    """The exchange does not know these products any more: 404, and nothing on the feed."""

    products: Annotated[tuple[str, ...], Meta(min_length=1)]
    lasts: Span = float(_YEAR_S)


class Halted(Episode, frozen=True, kw_only=True, tag="halted"):
    """The exchange halts these products for good: nothing is traded from then on, and its list says so.

    `status` and `flags` are what the list says; REST goes on answering with what there was, and the feed
    takes a subscription and has nothing to tell.
    """

    products: Annotated[tuple[str, ...], Meta(min_length=1)]
    status: str = "delisted"
    flags: tuple[Halt, ...] = ("trading_disabled", "view_only")


class RefusedSubscription(State, frozen=True, kw_only=True, tag="refused_subscription"):
    """A subscription that names one of these is refused by an error frame.

    `whole`: nothing of its list is taken; else all but these. `named`: the error says whom it is about;
    `told`: there is an error at all.
    """

    products: Annotated[tuple[str, ...], Meta(min_length=1)]
    whole: bool = True
    named: bool = True
    told: bool = True


class Revision(Episode, frozen=True, kw_only=True, tag="revision"):
    """A candle changes for good: it, and those that hold it, have more volume and a higher high than before.

    It is the 5m candle `back` buckets before the last one that has closed at that time.
    """

    products: tuple[str, ...] = ()
    back: Annotated[int, Meta(ge=0, le=2_000_000)] = 2


Fault = (
    CloseFeed
    | Drop
    | Duplicate
    | Reorder
    | ReplayedSnapshot
    | Garbage
    | Mute
    | SilentFeed
    | NoFinalUpdate
    | StampAhead
    | ClockSkew
    | HttpError
    | Hang
    | Reset
    | ShortPage
    | EmptyPage
    | SpoiltRow
    | OddAnswer
    | OddPage
    | EdgeLag
    | NewestAbsent
    | Outage
    | Unreachable
    | Delisted
    | Halted
    | RefusedSubscription
    | Revision
)

KINDS: dict[str, type[Episode]] = {str(kind.__struct_config__.tag): kind for kind in get_args(Fault)}
"""Every kind of fault, by its name in a script."""


class FaultScript(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Faults in any order. The same `seed` makes the same choices at the same chances."""

    seed: int = 1
    faults: tuple[Fault, ...] = ()


def moment_ms(at: Moment, start_ms: int) -> int:
    """The market time (Unix ms) of an episode's `at`, in a market that begins at `start_ms`."""
    if isinstance(at, datetime):
        return int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1000)
    return start_ms + int(at * 1000)
