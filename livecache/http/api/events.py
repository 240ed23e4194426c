"""Server-sent events: what Redis tells, as the streams of `/api/v1/stream` tell it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from ...keys.keyspace import Damaged, Keyspace, decode_member
from ...model.series import Kind, SeriesId
from ...read.reading import SeriesView
from ...read.standing import forming_in
from ...wire.scripts import text_of

__all__ = ["RETRY", "Happening", "closed_event", "forming_event", "framed"]

RETRY = b"retry: 2000\n\n"
"""Milliseconds until a client comes back whose connection broke."""

_text = msgspec.json.Encoder()


class Happening(NamedTuple):
    """What happened to a bucket of a series, ready to be sent."""

    series: SeriesId
    message: bytes
    id: str = ""  # in the stream of closes


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
            _candle(told["candle"], series),
            _candle(told["replaced"], series),
        )
    except (Damaged, KeyError, ValueError):
        return None
    return Happening(series, framed(kind.value, data, entry), entry)


def forming_event(view: SeriesView) -> Happening | None:
    """The bucket in progress of a series as an event; None if nobody vouches for it."""
    candle = forming_in(view)
    if candle is None:
        return None
    data = b'%b,"time":%d,"candle":%b}' % (_names(view.series), candle.time, candle.member().encode())
    return Happening(view.series, framed("forming", data))


def _names(series: SeriesId) -> bytes:
    return b'{"symbol":%b,"timeframe":"%b"' % (_text.encode(series.symbol), series.timeframe.value.encode())


def _candle(text: str, series: SeriesId) -> bytes:
    """A stored candle with its own digits, or null."""
    return b"null" if text == "null" else decode_member(text, series.timeframe).member().encode()
