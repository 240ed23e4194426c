"""Candles as they are sent, in the venue's digits less trailing zeros."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from ...history.columns import Columns, Decimals

__all__ = ["json_of"]

_DOUBLE_MOST = 10**15
"""A decimal of fewer digits is the shortest text of its double."""

_PLACES = 4
"""A number that is no smaller than 10 to its negative is told without an exponent."""

_rows = msgspec.json.Encoder()


def json_of(rows: Columns) -> bytes:
    """A list of `[time, open, high, low, close, volume]`."""
    columns = [_numbers(each) for each in rows.numbers]
    body = _rows.encode([*zip(rows.time.tolist(), *columns, strict=True)])
    return body.replace(b".0,", b",").replace(b".0]", b"]")


def _numbers(decimals: Decimals) -> Sequence[float | msgspec.Raw]:
    """Numbers that an encoder tells in these digits; as doubles where it does, which is much quicker."""
    if decimals.wide or (abs(decimals.scaled) >= _DOUBLE_MOST).any():
        return [msgspec.Raw(text.encode()) for text in decimals.texts()]
    numbers: list[float | msgspec.Raw] = decimals.floats().tolist()
    small = (abs(decimals.scaled) < 10.0 ** (decimals.scale - _PLACES)) & (decimals.scaled != 0)
    at = small.nonzero()[0]
    for where, text in zip(at.tolist(), decimals.take(at).texts(), strict=True):
        numbers[where] = msgspec.Raw(text.encode())
    return numbers
