"""The stream of closes, seen from a reader: what its entries say, and how one follows it without a gap."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

import msgspec

from ..errors import ClosesLost, ReadError, RedisUnavailable
from ..keys.keyspace import UNDECODABLE, Keyspace
from ..model.candle import Candle
from ..model.series import SeriesId
from ..model.timeframe import moment
from ..wire.scripts import text_of
from .orders import Give, Orders, Patience, Pause, in_turn
from .reading import Core, Steps, checked

__all__ = [
    "BEGINNING",
    "BLOCK_MS",
    "ENTRIES_A_READ",
    "CloseEvent",
    "Decode",
    "Entry",
    "closes",
    "closes_of",
    "decode_event",
    "entries_after",
    "entry_id",
    "newest_entry",
]

Entry = tuple[Any, Mapping[Any, Any]]
"""An entry as the client returns it: its id and its fields."""

Decode = Callable[[str, Mapping[Any, Any], Keyspace], Any]
"""Makes something of an entry's id and fields, or None, which is passed over."""

BLOCK_MS = 1_000
"""How long one wait for a new entry lasts: well below the 2.5 s after which a client gives an answer up."""

ENTRIES_A_READ = 100

BEGINNING = "0-0"  # before the first entry of any stream
_ID = re.compile(r"\d{1,20}(-\d{1,20})?", re.ASCII)

_candle = msgspec.json.Decoder(Candle | None)
_time = msgspec.json.Decoder(int)


class CloseEvent(msgspec.Struct, frozen=True):
    """One entry of the `closes` stream: what became of a bucket. Immutable."""

    id: str
    """The entry's id in the stream: go on after it with `closes(after=event.id)`."""
    series: SeriesId
    kind: Literal["closed", "settled", "revised"]
    """`closed`: the first word on it. `settled`: REST confirms or corrects it. `revised`: changed later."""
    time: int
    """The bucket's open, Unix ms."""
    candle: Candle | None
    """What it holds; None: proven empty."""
    replaced: Candle | None
    """What readers saw in this bucket before, if anything."""

    @property
    def empty(self) -> bool:
        """Whether nothing was traded in it: then there is no candle."""
        return self.candle is None

    @property
    def datetime(self) -> datetime:
        """The bucket's open, as a datetime in UTC."""
        return moment(self.time)


def entry_id(after: str) -> str:
    """An entry's id in full, `ms-number`; "0" stands before all. `ValueError` for what is no id."""
    if not (isinstance(after, str) and _ID.fullmatch(after)):
        raise ValueError(f"after is an entry's id such as '1771589100000-0', '0', or None, not {after!r}")
    return after if "-" in after else f"{after}-0"


def closes(
    keys: Keyspace,
    after: str | None,
    patience: Patience,
    decode: Decode | None = None,
    *,
    only: Collection[str] | None = None,
    patience_s: float | None = None,
) -> Orders:
    """Give each entry after that one, in the stream's order; `ClosesLost` where some may be missing.

    None: those that come from now on. Raises `ValueError` at once for what is no id. What is given, `decode`
    makes of an entry, unless it makes None. `only`: those of these series or symbols, as entries name them.
    `patience_s`: after so long a client gives a reply up, None: never.
    """
    decode = decode or decode_event
    if only is not None:
        decode = _narrowed(decode, only)
    return _closes(keys, None if after is None else entry_id(after), patience, decode, patience_s)


def closes_of(
    core: Core,
    after: str | None,
    patience: Patience,
    series: Iterable[Any] | None,
    patience_s: float | None,
) -> Orders:
    """`closes` of the only venue that there is, as `Reader.closes` explains them."""
    chosen = series if series is None or isinstance(series, str) else list(series)

    def make(begin: str | None) -> Orders:
        return closes(core.only(), begin, patience, only=core.names(chosen), patience_s=patience_s)

    def once_filled() -> Orders:
        begin = after
        while True:
            try:
                yield from in_turn(core.learn_anew())
                orders = make(begin)
                if (yield from in_turn(core.is_filled())):
                    break
                begin = begin or BEGINNING  # All of it comes from now on.
                yield _waiting(core.keys, BEGINNING, patience_s)
            except RedisUnavailable as error:
                yield Pause(patience.wait_s(error))
        yield from orders

    orders = make(after)  # It refuses at once what makes no sense.
    return orders if core.asked_venue is not None else once_filled()


def newest_entry(keys: Keyspace) -> Steps[str]:
    """The id of the newest entry; "0-0" while there is none."""
    (newest,) = yield [("XREVRANGE", keys.closes, "+", "-", "COUNT", 1)]
    return next((text_of(entry) for entry, _ in checked(newest, keys.closes)), BEGINNING)


def entries_after(keys: Keyspace, last: str, until: str = "+") -> Steps[Sequence[Entry]]:
    """Some of the entries after that one, the oldest first; [] if there is none. `ClosesLost` as `closes`."""
    # That one is asked for too. While it is there, none after it is gone: a stream loses its oldest.
    (reply,) = yield [("XRANGE", keys.closes, last, until, "COUNT", ENTRIES_A_READ + 1)]
    entries: Sequence[Entry] = checked(reply, keys.closes)
    if last == BEGINNING:
        return entries
    if not entries or text_of(entries[0][0]) != last:
        raise ClosesLost(keys.closes, last)
    return entries[1:]


def _narrowed(decode: Decode, only: Collection[str]) -> Decode:
    def narrowed(entry: str, fields: Mapping[Any, Any], keys: Keyspace) -> Any:
        raw = fields.get(b"series", fields.get("series"))
        name = "" if raw is None else text_of(raw)
        # One that does not say whose it is, is told as damaged.
        chosen = raw is None or name in only or name.rpartition(":")[0] in only
        return decode(entry, fields, keys) if chosen else None

    return narrowed


def _waiting(keys: Keyspace, last: str, patience_s: float | None) -> list[tuple[Any, ...]]:
    """The command that waits a moment for an entry after that one."""
    block_ms = BLOCK_MS if not patience_s else max(1, min(BLOCK_MS, int(patience_s * 500)))
    return [("XREAD", "BLOCK", block_ms, "STREAMS", keys.closes, last)]


def _closes(
    keys: Keyspace, last: str | None, patience: Patience, decode: Decode, patience_s: float | None
) -> Orders:
    while True:
        try:
            if last is None:
                last = yield from newest_entry(keys)
            entries = yield from entries_after(keys, last)
            patience.renew()
            for raw_id, fields in entries:
                last = text_of(raw_id)
                event = decode(last, fields, keys)
                if event is not None:
                    yield Give(event)
            if not entries:
                yield _waiting(keys, last, patience_s)
        except RedisUnavailable as error:
            yield Pause(patience.wait_s(error))


def decode_event(entry: str, fields: Mapping[Any, Any], keys: Keyspace) -> CloseEvent | None:
    """What an entry says; None if it is of a timeframe that this version does not know.

    `ReadError` names the entry if it cannot be read.
    """
    told = {text_of(name): text_of(value) for name, value in fields.items()}
    try:
        kind = told["kind"]
        if kind not in ("closed", "settled", "revised"):
            raise ValueError(f"kind is {kind[:40]!r}")
        candle, replaced = _candle.decode(told["candle"]), _candle.decode(told["replaced"])
        time = _time.decode(told["time"])
        series = keys.parse_series(told["series"])
    except (KeyError, ValueError, *UNDECODABLE) as error:
        raise ReadError(
            f"the entry {entry} of {keys.closes} cannot be read: {str(error)[:200]}",
            f"to pass over it, go on with closes(after={entry!r})",
        ) from None
    # mypy does not narrow a str to the literals that it was compared with.
    return CloseEvent(entry, series, kind, time, candle, replaced) if series else None  # type: ignore[arg-type]
