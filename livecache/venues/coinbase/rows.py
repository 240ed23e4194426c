"""Rows of a page of Coinbase's that have another form than they should. Pure."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation

import msgspec

from ...model.candle import ExactCandle
from ..rows import UNDECODABLE, Wire, number_text
from ..text import one_line

__all__ = ["loose_row"]

_SECONDS_MOST = 1 << 40
_NUMBERS = ("open", "high", "low", "close", "volume")
_Fields = dict[str, msgspec.Raw]
_FIELDS = msgspec.json.Decoder(_Fields)


def loose_row(raw: bytes) -> Wire:
    """A row in any form: what of it can be read, is. Numbers stand for text and text for numbers."""
    try:
        fields = _FIELDS.decode(raw)
    except UNDECODABLE as error:
        return Wire(None, None, one_line(f"an unreadable candle: {error}"), raw)
    time = _time(fields.get("start"))
    numbers = {name: number_text(fields.get(name)) for name in _NUMBERS}
    wrong = [name for name, number in numbers.items() if number is None]
    if time is None:
        return Wire(None, None, "its time cannot be read", raw)
    if wrong:
        missing = all(name not in fields for name in wrong)
        return Wire(time, None, f"{', '.join(wrong)} {'missing' if missing else 'cannot be read'}", raw)
    return Wire(time, ExactCandle(time, *(number or "" for number in numbers.values())), "", raw)


def _time(raw: msgspec.Raw | None) -> int | None:
    """Unix ms, or None if it is no whole number of seconds that can be a time."""
    text = number_text(raw)
    if text is None:
        return None
    try:
        seconds = Decimal(text)
    except InvalidOperation:
        return None
    if not seconds.is_finite() or not 0 <= seconds < _SECONDS_MOST or seconds != int(seconds):
        return None
    return int(seconds) * 1000
