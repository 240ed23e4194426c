"""Candles in PostgreSQL's binary form of COPY. Pure; needs numpy."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..columns import Array, Columns, Decimals

__all__ = ["SINCE_MS", "packed"]

SINCE_MS = 946_684_800_000
"""2000-01-01: from there PostgreSQL counts."""

_HEADER, _END = b"PGCOPY\n\xff\r\n\0" + bytes(8), b"\xff\xff"
_BASE = 10_000  # a digit of a `numeric`
_NEGATIVE = 0x4000
_PLACES_MOST = 16  # so that four digits at a time fit into int64


def packed(series: int, rows: Columns) -> bytes | None:
    """These rows of a series; None where a number is too long for arrays."""
    if any(each.wide or each.scale > _PLACES_MOST for each in rows.numbers):
        return None
    columns = [_digits(each) for each in rows.numbers]
    fields: list[tuple[str, str] | tuple[str, str, tuple[int]]] = [
        *(("fields", ">i2"), ("series_size", ">i4"), ("series", ">i4"), ("time_size", ">i4"), ("time", ">i8"))
    ]
    for n, digits in enumerate(columns):
        fields += [(f"size{n}", ">i4"), (f"count{n}", ">i2"), (f"weight{n}", ">i2"), (f"sign{n}", ">u2")]
        fields += [(f"scale{n}", ">u2"), (f"digits{n}", ">i2", (digits.shape[1],))]
    table = np.empty(len(rows), np.dtype(fields))
    table["fields"], table["series_size"], table["series"], table["time_size"] = 7, 4, series, 8
    table["time"] = (rows.time - SINCE_MS) * 1000
    for n, (digits, number) in enumerate(zip(columns, rows.numbers, strict=True)):
        count = digits.shape[1]
        table[f"size{n}"], table[f"count{n}"], table[f"scale{n}"] = 8 + 2 * count, count, number.scale
        table[f"weight{n}"] = count - 1 - -(-number.scale // 4)
        table[f"sign{n}"] = np.where(number.scaled < 0, _NEGATIVE, 0)
        table[f"digits{n}"] = digits
    return _HEADER + table.tobytes() + _END


def _digits(numbers: Decimals) -> npt.NDArray[np.int16]:
    """A line each, of as many digits of four places before and after the point as any of them needs."""
    size = 10**numbers.scale
    absolute: Array = np.abs(numbers.scaled)
    whole, part = np.divmod(absolute, size)
    after = -(-numbers.scale // 4)
    part = part * 10 ** (4 * after - numbers.scale)
    before = max(1, -(-len(str(int(whole.max(initial=0)))) // 4))
    digits = np.empty((len(absolute), before + after), np.int16)
    for at in range(before - 1, -1, -1):
        whole, digits[:, at] = np.divmod(whole, _BASE)
    for at in range(before + after - 1, before - 1, -1):
        part, digits[:, at] = np.divmod(part, _BASE)
    return digits
