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

import difflib
import tomllib
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import msgspec
from msgspec import Meta

from ..core.timeframe import Timeframe
from ..errors import ConfigError

__all__ = [
    "FORMS",
    "KINDS",
    "ClockSkew",
    "CloseFeed",
    "Delisted",
    "Drop",
    "Duplicate",
    "EdgeLag",
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
    "OfRequests",
    "Outage",
    "Refused",
    "RefusedSubscription",
    "Reorder",
    "ReplayedSnapshot",
    "Reset",
    "Revision",
    "ShortPage",
    "Silence",
    "StampAhead",
    "State",
    "Strike",
    "load_script",
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


class Silence(State, frozen=True, kw_only=True, tag="silence"):
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
    """Strikes at REST requests: those for candles of `timeframes`, all if empty, as with `products`."""

    timeframes: tuple[Timeframe, ...] = ()


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
    """A page lacks its oldest rows; this share of them stays. Nothing tells it from empty buckets."""

    keep: Annotated[float, Meta(ge=0, le=1)] = 0.5


class EdgeLag(State, frozen=True, kw_only=True, tag="edge_lag"):
    """Pages show the market as it was so many seconds ago: a bucket that has closed may look partial."""

    seconds: Annotated[float, Meta(gt=0, le=600)] = 20.0


class NewestAbsent(State, frozen=True, kw_only=True, tag="newest_absent"):
    """Pages do not show the bucket in progress."""


class Outage(State, frozen=True, kw_only=True, tag="outage"):
    """REST is down: every request's connection is cut. The feed goes on."""

    products: tuple[()] = ()


# --- both


class Refused(State, frozen=True, kw_only=True, tag="refused"):
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
    back: Annotated[int, Meta(ge=0, le=10_000)] = 2


Fault = (
    CloseFeed
    | Drop
    | Duplicate
    | Reorder
    | ReplayedSnapshot
    | Garbage
    | Mute
    | Silence
    | NoFinalUpdate
    | StampAhead
    | ClockSkew
    | HttpError
    | Hang
    | Reset
    | ShortPage
    | EdgeLag
    | NewestAbsent
    | Outage
    | Refused
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


def load_script(path: Path) -> FaultScript:
    """The script in a TOML file. `ConfigError` names the fault and the field that cannot be used."""
    try:
        table = tomllib.loads(path.read_text("utf-8-sig"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: is not UTF-8 text") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: is not TOML: {error}") from None
    _only_known(str(path), table, ("seed", "faults"))
    faults = table.get("faults", [])
    if not isinstance(faults, list):
        raise ConfigError(f"{path}: faults is no list", "begin each with [[faults]]")
    if not isinstance(seed := table.get("seed", 1), int):
        raise ConfigError(f"{path}: seed: {seed!r} is no whole number")
    return FaultScript(seed, tuple(_fault(f"{path}: fault {i + 1}", given) for i, given in enumerate(faults)))


def _fault(where: str, given: Any) -> Any:
    if not isinstance(given, dict):
        raise ConfigError(f"{where} is no table", "begin each with [[faults]]")
    name = given.get("kind")
    if name is None:
        raise ConfigError(f"{where} has no kind", f"one of {', '.join(KINDS)}")
    kind = KINDS.get(str(name))
    if kind is None:
        near = difflib.get_close_matches(str(name), KINDS, n=1)
        hint = f"did you mean {near[0]}? " if near else ""
        raise ConfigError(f"{where}: unknown kind {name!r}", f"{hint}one of {', '.join(KINDS)}")
    where = f"{where} ({name})"
    _only_known(where, given, ("kind", *kind.__struct_fields__))
    try:
        return msgspec.convert(given, kind)
    except msgspec.ValidationError as error:
        # "Expected `int` >= 1 - at `$.code`" says the same without its dress.
        problem, _, field = str(error).replace("`", "").replace("Expected", "expected").partition(" - at $")
        name = field.removeprefix(".")
        hint = f"any of {', '.join(FORMS)}" if name.startswith("forms") else ""
        raise ConfigError(f"{where}: {f'{name}: ' if name else ''}{problem}", hint) from None


def _only_known(where: str, given: dict[str, Any], known: Sequence[str]) -> None:
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"one of {', '.join(known)}"
            raise ConfigError(f"{where}: unknown key {name!r}", hint)


def moment_ms(at: Moment, start_ms: int) -> int:
    """The market time (Unix ms) of an episode's `at`, in a market that begins at `start_ms`."""
    if isinstance(at, datetime):
        return int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1000)
    return start_ms + int(at * 1000)
