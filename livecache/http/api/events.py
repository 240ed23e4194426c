"""Server-sent events: what Redis tells, as the streams of `/api/v1/stream` tell it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from ...keys.keyspace import Damaged, Keyspace, decode_member
from ...model.grid import ANYTIME
from ...model.series import Kind, SeriesId
from ...model.timeframe import Timeframe
from ...read.close_events import BEGINNING, entry_id
from ...read.reading import SeriesView
from ...read.standing import forming_in
from ...wire.scripts import text_of

__all__ = [
    "RETRY",
    "Happening",
    "closed_event",
    "entries_of",
    "forming_event",
    "framed",
    "position_of",
]

RETRY = b"retry: 2000\n\n"
"""Milliseconds until a client comes back whose connection broke."""

_text = msgspec.json.Encoder()


class Happening(NamedTuple):
    """What happened to a bucket of a series. `entry` is its id in its venue's stream of closes, if any."""

    series: SeriesId
    event: str
    data: bytes
    entry: str = ""

    def framed(self, position: str = "") -> bytes:
        """As it is sent; after it one is at that position."""
        return framed(self.event, self.data, position)


def position_of(entries: Mapping[str, str], venues: Sequence[str]) -> str:
    """One id for these places in the streams of closes of the venues, of which some may have none yet."""
    if len(venues) == 1:
        return entries.get(venues[0], "")
    return ",".join(f"{venue}={entries[venue]}" for venue in venues if venue in entries)


def entries_of(position: str, venues: Sequence[str]) -> dict[str, str]:
    """The places that such an id stands for. One of a single stream is the first venue's.

    Of a venue that it does not name nothing was told: that one's is the beginning. Raises `ValueError` for
    what is no id.
    """
    position = position if "=" in position else f"{venues[0]}={position}"
    parts = (part.partition("=") for part in position.split(","))
    told = {venue: entry_id(entry) for venue, _, entry in parts if venue in venues}
    return {venue: told.get(venue, BEGINNING) for venue in venues}


def framed(event: str, data: bytes, entry: str = "") -> bytes:
    """One event. `data` has no line breaks: JSON has none."""
    head = f"id: {entry}\n" if entry else ""
    return b"%bevent: %b\ndata: %b\n\n" % (head.encode(), event.encode(), data)


def closed_event(entry: str, fields: Mapping[Any, Any], keys: Keyspace) -> Happening | None:
    """An entry of the stream of closes as an event; None for one that cannot be understood."""
    told = {text_of(name): text_of(value) for name, value in fields.items()}
    series = keys.parse_series(told.get("series", ""))
    if series is None:
        return None
    try:
        kind, time = Kind(told["kind"]), int(told["time"])
        data = b'%b,"time":%d,"candle":%b,"replaced":%b}' % (
            _names(series),
            time,
            _candle(told["candle"], series.timeframe),
            _candle(told["replaced"], series.timeframe),
        )
    except (Damaged, KeyError, ValueError):
        return None
    return Happening(series, kind.value, data, entry)


def forming_event(view: SeriesView) -> Happening | None:
    """The bucket in progress of a series as an event; None if nobody vouches for it."""
    candle = forming_in(view)
    if candle is None:
        return None
    data = b'%b,"time":%d,"candle":%b}' % (_names(view.series), candle.time, candle.member().encode())
    return Happening(view.series, "forming", data)


def _names(series: SeriesId) -> bytes:
    venue, symbol, timeframe = series
    names = _text.encode(venue), _text.encode(symbol), timeframe.value.encode()
    return b'{"venue":%b,"symbol":%b,"timeframe":"%b"' % names


def _candle(text: str, timeframe: Timeframe) -> bytes:
    """A candle in an entry with its own digits, or null. Where its buckets lie, an entry does not say."""
    return b"null" if text == "null" else decode_member(text, timeframe, ANYTIME).member().encode()
