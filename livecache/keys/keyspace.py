"""The key space: every key's name (`Keyspace`), and how what it holds is written and read. Pure.

This is a public contract, which docs/keyspace.md describes. `SCHEMA` changes when a reader of the old one
would misread the new one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

import msgspec

from ..model.candle import ExactCandle, rejection
from ..model.coverage import Coverage
from ..model.grid import Grid
from ..model.series import Close, SeriesState, Update
from ..model.timeframe import Timeframe
from .names import Keyspace

__all__ = [
    "FORMING_HINT",
    "RETIRED",
    "SCHEMA",
    "SHARDS_MOST",
    "UNDECODABLE",
    "AliveRecord",
    "Damaged",
    "Keyspace",
    "LeaseRecord",
    "StateRecord",
    "decode_alive",
    "decode_ban",
    "decode_coverage",
    "decode_lease",
    "decode_member",
    "decode_state",
    "encode_alive",
    "encode_close",
    "encode_coverage",
    "encode_lease",
    "encode_state",
    "encode_update",
    "holder_of",
    "parse_member",
    "shards_of",
    "standing_of",
]

SCHEMA = 1

SHARDS_MOST = 64

RETIRED = "retired: it is not configured any more"
"""The reason in the state of a series that nobody fills any more."""

UNDECODABLE = (msgspec.DecodeError, UnicodeError, RecursionError)
"""What decoding any bytes may raise: what is nested a thousandfold exhausts the decoder's stack."""

_Millis = Annotated[int, msgspec.Meta(ge=0, lt=1 << 50)]
_Token = Annotated[int, msgspec.Meta(ge=0, lt=1 << 62)]


class Damaged(ValueError):
    """What a key holds cannot be read as what livecache writes there. Says why, in a few words."""


# --- members


_member = msgspec.json.Decoder(
    tuple[_Millis, msgspec.Raw, msgspec.Raw, msgspec.Raw, msgspec.Raw, msgspec.Raw]
)


def parse_member(raw: bytes | str) -> ExactCandle:
    """What a member says, believable or not, its digits verbatim. `Damaged` if it is no JSON candle."""
    try:
        time, *numbers = _member.decode(raw)
        return ExactCandle(time, *(bytes(number).decode() for number in numbers))
    except UNDECODABLE as error:
        raise Damaged(f"not a JSON candle: {error}") from None


def decode_member(raw: bytes | str, timeframe: Timeframe, grid: Grid | None = None) -> ExactCandle:
    """The candle in a member. `Damaged` if it cannot be believed. `grid`: if not what the timeframe says."""
    candle = parse_member(raw)
    if reason := rejection(candle, timeframe, None, grid):
        raise Damaged(reason)
    return candle


# --- state


@dataclass(frozen=True, slots=True)
class StateRecord:
    """A state hash, decoded: what vouches for the series, and what the writer notes beside it."""

    state: SeriesState
    count: int  # members that the set must have
    origin: str  # scheme and host that the history came from
    fence: int  # the token of the writer that wrote last
    revision: int  # the number of that writer's write
    schema: int
    updated_at: int  # Unix ms of the writer's host, for people; nothing is decided by it


def encode_state(
    state: SeriesState | None, *, origin: str, fence: int, revision: int, updated_at: int
) -> list[str | int]:
    """The hash as alternating fields and values; all but `count`, which only the script can know.

    Without a state, which then is as it was: only what every write changes.
    """
    if state is None:
        return ["revision", revision]
    return [
        *("ready", int(state.ready)),
        *("reason", state.reason),
        *("contiguous_from", state.contiguous_from),
        *("settled_through", state.settled_through),
        *("known_through", state.known_through),
        *("closed_through", state.closed_through),
        *("coverage", encode_coverage(state.coverage)),
        *("history_from", state.history_from),
        *("forming", state.forming),
        *("origin", origin),
        *("fence", fence),
        *("revision", revision),
        *("schema", SCHEMA),
        *("updated_at", updated_at),
        *(("grid", state.grid) if state.grid else ()),
    ]


_TIMES = "contiguous_from", "settled_through", "known_through", "closed_through", "history_from", "forming"


def decode_state(fields: Mapping[str, str], timeframe: Timeframe = Timeframe.M1) -> StateRecord:
    """The record in a series' state hash. `Damaged` names the field that is missing or makes no sense."""

    def text(name: str) -> str:
        try:
            return fields[name]
        except KeyError:
            raise Damaged(f"the state has no field {name}") from None

    def number(name: str) -> int:
        value = text(name)
        if not (value.isascii() and value.isdigit() and len(value) < 17):
            raise Damaged(f"{name} is {value[:40]!r}, not a number")
        return int(value)

    # The schema comes first: the fields of another one may well be others.
    if (schema := number("schema")) != SCHEMA:
        raise Damaged(f"schema is {schema}, not {SCHEMA}")
    state = SeriesState(
        ready=number("ready") == 1,
        reason=text("reason"),
        coverage=decode_coverage(text("coverage")),
        grid=fields.get("grid", ""),
        **{name: number(name) for name in _TIMES},
    )
    try:
        state.grid_of(timeframe)
    except ValueError:
        raise Damaged(f"grid is {state.grid[:40]!r}") from None
    return StateRecord(
        state=state,
        count=number("count"),
        origin=text("origin"),
        fence=number("fence"),
        revision=number("revision"),
        schema=schema,
        updated_at=number("updated_at"),
    )


_spans = msgspec.json.Decoder(list[tuple[int, int]])


def encode_coverage(coverage: Coverage) -> str:
    """The spans as JSON: `[[start,end],…]`, half-open, Unix ms."""
    return "[" + ",".join(f"[{start},{end}]" for start, end in coverage) + "]"


def decode_coverage(text: str) -> Coverage:
    """The coverage in such a JSON text. `Damaged` for anything else."""
    try:
        spans = _spans.decode(text)
    except UNDECODABLE:
        raise Damaged("coverage is not a list of spans") from None
    if any(not 0 <= start < end for start, end in spans):
        raise Damaged("coverage has a span that ends before it starts")
    return Coverage(spans)


# --- alive, lease


class AliveRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """What an alive key holds. `time` is the venue's clock, Unix ms; `feed` is "up" or "down".

    `leaving`: the instance was asked to stop, and another may come before the key expires.
    """

    instance: str
    time: _Millis
    feed: Annotated[str, msgspec.Meta(pattern="^(up|down)$")]
    leaving: bool = False


class LeaseRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the lease holds: who writes, and the fencing token of that tenure.

    Where the venue is split nobody writes by its own lease. It says into how many `shards`; each has a lease.
    """

    instance: str
    token: _Token
    shards: int = 0


_encoder = msgspec.json.Encoder()
_alive = msgspec.json.Decoder(AliveRecord)
_lease = msgspec.json.Decoder(LeaseRecord)


def encode_alive(record: AliveRecord) -> str:
    """The record as JSON."""
    return _encoder.encode(record).decode()


def decode_alive(raw: bytes | str) -> AliveRecord:
    """The record in such a JSON text. `Damaged` for anything else."""
    try:
        return _alive.decode(raw)
    except UNDECODABLE:
        raise Damaged("alive is not what livecache writes") from None


def encode_lease(record: LeaseRecord) -> str:
    """The record as JSON. The same record is always the same text, since scripts compare texts."""
    return _encoder.encode(record).decode()


def decode_lease(raw: bytes | str) -> LeaseRecord:
    """The record in such a JSON text. `Damaged` for anything else."""
    try:
        return _lease.decode(raw)
    except UNDECODABLE:
        raise Damaged("the lease is not what livecache writes") from None


def holder_of(raw: bytes | str | None) -> str | None:
    """The instance that such a text names; None where nobody holds the lease, or what is there is none."""
    try:
        return decode_lease(raw).instance if raw is not None else None
    except Damaged:
        return None


def shards_of(raw: bytes | str | None) -> int:
    """Into how many shards the venue is split, as its own lease says; 0 where it is not, or nobody lives."""
    try:
        return min(decode_lease(raw).shards, SHARDS_MOST) if raw is not None else 0
    except Damaged:
        return 0


def decode_ban(raw: bytes | str | None) -> int:
    """Until when the venue refuses everything, Unix ms of the host's clock; 0 where nobody says so."""
    text = raw.decode(errors="replace") if isinstance(raw, bytes) else raw or ""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 17 else 0


# --- what is announced


FORMING_HINT = b'{"kind":"forming"'
"""How a message begins that tells of the bucket in progress."""


def encode_update(update: Update) -> str:
    """A message for the `updates` channel: `{"kind":"closed","candle":[…]}`."""
    return f'{{"kind":"{update.kind.value}","candle":{update.candle.member()}}}'


def encode_close(close: Close, keys: Keyspace) -> list[str | int]:
    """An entry of the `closes` stream as alternating fields and values; JSON null for no candle."""
    return [
        *("series", keys.series_member(close.series)),
        *("time", close.time),
        *("kind", close.kind.value),
        *("candle", close.candle.member() if close.candle else "null"),
        *("replaced", close.replaced.member() if close.replaced else "null"),
    ]


def standing_of(reason: str) -> str:
    """How the venue stands to a product, by the reason of a series' state: "", "unknown" or "halted"."""
    word, separator, _ = reason.partition(": ")
    return word if separator and word in ("unknown", "halted") else ""
