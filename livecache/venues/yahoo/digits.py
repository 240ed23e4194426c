"""Yahoo's numbers as text: most are 32-bit floats, printed with the digits of 64-bit ones. Pure."""

from __future__ import annotations

from decimal import Decimal
from math import frexp, ldexp
from struct import Struct

__all__ = ["number_text"]

_FLOAT32 = Struct("<f")
_BITS = 24  # of a 32-bit float, without its exponent
_FEWEST, _MOST = 6, 9  # digits: so few always survive in 32 bits, and so many tell all of them
_ABSURD = 10**28  # no candle holds it, and printing it may take for ever
_WHOLE_BELOW = 1e15  # a float below it tells a whole number exactly


def number_text(value: object) -> str | None:
    """A number of an answer with the digits that say what it is; None for anything else, NaN among it.

    What has come through 32 bits gets the fewest digits that tell it there: 187.15, not 187.14999389648438.
    Anything else keeps its own.
    """
    if isinstance(value, int):
        return str(value) if not isinstance(value, bool) and abs(value) < _ABSURD else None
    if not isinstance(value, float) or value - value != 0:
        return None
    if value.is_integer() and -_WHOLE_BELOW < value < _WHOLE_BELOW:
        return str(int(value))
    text = _shortest(value) or repr(value)
    return format(Decimal(text), "f") if "e" in text else text


def _shortest(value: float) -> str | None:
    """The fewest digits that tell a 32-bit float; None if it is none."""
    try:
        if _FLOAT32.unpack(_FLOAT32.pack(value))[0] != value:
            return None
    except OverflowError:
        return None
    part, exponent = frexp(value)
    # What lies nearer to it than to the next one; below a power of two that one is twice as near.
    near = ldexp(0.5, exponent - _BITS - (abs(part) == 0.5))
    for digits in range(_FEWEST, _MOST):
        text = f"{value:.{digits}g}"
        if abs(float(text) - value) < near:
            return text
    return f"{value:.{_MOST}g}"
