"""Yahoo's numbers as text: most are 32-bit floats, printed with the digits of 64-bit ones. Pure."""

from __future__ import annotations

from decimal import Decimal
from struct import Struct

__all__ = ["number_text"]

_FLOAT32 = Struct("<f")
_LEAST_DIGITS, _MOST_DIGITS = 6, 9  # so many always survive in 32 bits, and so many tell all of them
_INTEGER_BELOW = 1e15  # a float below it tells a whole number exactly


def number_text(value: object) -> str | None:
    """A number of an answer with the digits that say what it is; None for anything else, NaN among it.

    What has come through 32 bits gets the fewest digits that tell it there: 187.15, not 187.14999389648438.
    Anything else keeps its own.
    """
    if isinstance(value, int):
        return None if isinstance(value, bool) else str(value)
    if not isinstance(value, float) or value - value != 0:
        return None
    if value.is_integer() and -_INTEGER_BELOW < value < _INTEGER_BELOW:
        return str(int(value))
    text = repr(value)
    if len(text) > _LEAST_DIGITS + 2:
        text = _shortest(value) or text
    return format(Decimal(text), "f") if "e" in text else text


def _shortest(value: float) -> str | None:
    """The fewest digits that tell a 32-bit float; None if it is none."""
    pack, unpack = _FLOAT32.pack, _FLOAT32.unpack
    try:
        if unpack(pack(value))[0] != value:
            return None
    except OverflowError:
        return None
    for digits in range(_LEAST_DIGITS, _MOST_DIGITS):
        text = f"{value:.{digits}g}"
        if unpack(pack(float(text)))[0] == value:
            return text
    return f"{value:.{_MOST_DIGITS}g}"
