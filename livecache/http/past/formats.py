"""Answers as they are sent: JSON, CSV or Arrow. What is not candles is in headers of the latter two."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import msgspec

from ...model.grid import SessionGrid
from ...read.candles import package
from ..answers import NotServed
from ..conditional import GZIP_FROM_BYTES, packed
from ..shapes.candles import CandlesHead, SplitOfShares
from .bounds import Window

if TYPE_CHECKING:
    from ...history.columns import Columns, Decimals

__all__ = ["MEDIA_TYPES", "Format", "Made", "arrow_of", "csv_of", "headers_of", "json_of", "made_of"]

Format = Literal["json", "csv", "arrow"]

MEDIA_TYPES: Mapping[Format, str] = {
    "json": "application/json",
    "csv": "text/csv",
    "arrow": "application/vnd.apache.arrow.stream",
}

_DOUBLE_MOST = 10**15
"""A decimal of fewer digits is the shortest text of its double."""

_PLACES = 4
"""A number that is no smaller than 10 to its negative is told without an exponent."""

_AT_A_TIME = 500  # of a millisecond at most

_COLUMNS = ("time", "open", "high", "low", "close", "volume")

_NAMES = ",".join(_COLUMNS).encode()

_SPANS_MOST = 50  # in a header

_encoder = msgspec.json.Encoder()


class Made(NamedTuple):
    """An answer as it is sent; without a body for who has it already."""

    body: bytes
    tag: str
    format: Format
    headers: Mapping[str, str]
    old: bool
    """Whether it may be held for a while."""
    gzipped: bool = False


def made_of(window: Window, form: Format, tag: str, *, gzip: bool) -> Made:
    """A window as it is sent."""
    head, rows = _head(window), window.history.rows
    if form == "json":
        body = b'%b,"candles":%b}' % (_encoder.encode(head)[:-1], json_of(rows))
    elif form == "csv":
        body = csv_of(json_of(rows)[2:-2].replace(b"],[", b"\n"))
    else:
        body = arrow_of([rows.time, *(each.floats() for each in rows.numbers)], head)
    headers = {} if form == "json" else headers_of(head)
    old = window.bounds.old and not (window.history.missing or window.history.converted)
    if gzip and len(body) >= GZIP_FROM_BYTES:
        return Made(packed(body), tag, form, headers, old, gzipped=True)
    return Made(body, tag, form, headers, old)


def _head(window: Window) -> CandlesHead:
    history, split = window.history, window.history.split
    venue, symbol, timeframe = history.series
    derived = history.derived_from
    return CandlesHead(
        venue=venue,
        symbol=symbol,
        timeframe=timeframe.value,
        from_=window.span.start,
        to=window.span.end,
        coverage=[*history.coverage],
        missing=[*history.missing],
        provisional=[*history.provisional],
        converted=[*history.converted],
        next_before=window.next_before,
        exhausted=window.next_before is None,
        ends=window.ends,
        listed=window.listed,
        derived_from=derived.value if derived else None,
        adjust=history.adjust,
        split=SplitOfShares(split.time, split.value) if split else None,
        grid=history.grid.text(*window.span) if isinstance(history.grid, SessionGrid) else "",
        job=window.job,
        revision=history.rows_revision,
    )


# --- candles


def json_of(rows: Columns) -> bytes:
    """A list of `[time, open, high, low, close, volume]`, in the venue's digits less trailing zeros."""
    times, columns = rows.time.tolist(), [_numbers(each) for each in rows.numbers]
    parts = []
    for first in range(0, len(times), _AT_A_TIME):  # in between the event loop has its turn
        part = slice(first, first + _AT_A_TIME)
        lines = zip(times[part], *(column[part] for column in columns), strict=True)
        parts.append(_encoder.encode([*lines])[1:-1])
    body = b"[%b]" % b",".join(parts)
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


def csv_of(lines: bytes) -> bytes:
    """A row of names, and then these; time is Unix ms."""
    return b"".join(b"%b\n" % line for line in (_NAMES, lines) if line)


def arrow_of(columns: Sequence[Any], head: CandlesHead) -> bytes:
    """An IPC stream: time as a timestamp in UTC, the others as doubles; the head is metadata of the schema.

    Raises `NotServed` without pyarrow.
    """
    try:
        pa = package("pyarrow", "pyarrow")
    except ModuleNotFoundError:
        raise NotServed(
            "not_acceptable",
            406,
            "format=arrow is made by pyarrow, which is not installed",
            "pip install 'livecache[pyarrow]' where the service runs, or ask for json or csv",
            again_s=None,
        ) from None
    kinds = [pa.timestamp("ms", "UTC"), *[pa.float64()] * (len(_COLUMNS) - 1)]
    schema = pa.schema([*zip(_COLUMNS, kinds, strict=True)], metadata={"livecache": _encoder.encode(head)})
    times, *numbers = columns
    arrays = [pa.array(times, pa.int64()).view(kinds[0]), *(pa.array(each, pa.float64()) for each in numbers)]
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, schema) as stream:
        stream.write_batch(pa.record_batch(arrays, schema=schema))
    body: bytes = sink.getvalue().to_pybytes()
    return body


def headers_of(head: CandlesHead) -> dict[str, str]:
    """What is not candles, a header `Livecache-…` a field; stretches as `start-end`, the oldest 50."""
    told = msgspec.to_builtins(head)
    return {f"Livecache-{name.replace('_', '-').title()}": _header(value) for name, value in told.items()}


def _header(value: object) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(f"{start}-{end}" for start, end in value[:_SPANS_MOST])
    if isinstance(value, dict):
        return " ".join(map(str, value.values()))
    if value is None or isinstance(value, bool):
        return "" if value is None else str(value).lower()
    return str(value).encode("ascii", "backslashreplace").decode().replace("\r", " ").replace("\n", " ")
