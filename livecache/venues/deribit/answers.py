"""Bodies of Deribit's answers: JSON-RPC, candles in columns, instruments, and refusals by their code. Pure.

https://docs.deribit.com/articles/errors
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, TypeVar

import msgspec

from ...model.candle import ExactCandle
from ...model.grid import Grid
from ..net.http import Answer, refusal
from ..rows import UNDECODABLE, DecodedPage, Wire, clean_page, malformed, number_text, page_of
from ..text import one_line
from ..venue import FailureKind, FetchFailure, Page, PageRequest, Product

__all__ = ["RpcError", "decode_page", "decode_products", "decode_time", "failure_of", "refused"]

# Bounded, because arithmetic and printing of boundless integers is neither cheap nor always possible.
_Milliseconds = Annotated[int, msgspec.Meta(ge=0, lt=1 << 50)]

_T = TypeVar("_T")


_NONE = msgspec.Raw(b"[]")


class RpcError(msgspec.Struct):
    """Why there is no result. `data` may say which parameter it is about, or how long to wait."""

    code: int = 0
    message: Any = ""  # a text; whatever else stands there must not hide the code
    data: Any = None

    @property
    def text(self) -> str:
        """What it says, in words, on one line."""
        told = [self.message.replace("_", " ") if isinstance(self.message, str) else ""]
        if isinstance(self.data, dict):
            told += [f"{name} {self.data[name]}" for name in ("param", "reason") if self.data.get(name)]
        return one_line(f"{': '.join(filter(None, told))} ({self.code})")


class _Columns(msgspec.Struct, gc=False):
    # `cost`, which is the volume in the quote currency, is not read.
    ticks: msgspec.Raw = msgspec.Raw(b"null")  # An answer of another kind is not one without candles.
    status: Any = ""
    open: msgspec.Raw = _NONE
    high: msgspec.Raw = _NONE
    low: msgspec.Raw = _NONE
    close: msgspec.Raw = _NONE
    volume: msgspec.Raw = _NONE  # in the base currency

    @property
    def numbers(self) -> tuple[msgspec.Raw, ...]:
        return self.open, self.high, self.low, self.close, self.volume


class _Instrument(msgspec.Struct, gc=False):
    instrument_name: Annotated[str, msgspec.Meta(min_length=1)]
    # Of any type: what cannot be read of it must not hide that the instrument is there.
    is_active: Any = True
    creation_timestamp: Any = 0  # Unix ms


class _Rpc(msgspec.Struct):
    result: msgspec.Raw = msgspec.Raw()
    error: RpcError | None = None


_RPC = msgspec.json.Decoder(_Rpc)
_COLUMNS = msgspec.json.Decoder(_Columns)
_TICKS = msgspec.json.Decoder(list[_Milliseconds])
_LIST = msgspec.json.Decoder(list[msgspec.Raw])
_INSTRUMENT = msgspec.json.Decoder(_Instrument)
_TIME = msgspec.json.Decoder(_Milliseconds)

_KINDS = {
    10028: FailureKind.REFUSED,  # too_many_requests
    10066: FailureKind.REFUSED,  # too_many_concurrent_requests
    10020: FailureKind.UNKNOWN_SYMBOL,  # invalid or unsupported instrument
    13019: FailureKind.UNKNOWN_SYMBOL,  # its order book is closed: it has expired
    13020: FailureKind.UNKNOWN_SYMBOL,  # instrument_not_found
    10040: FailureKind.SERVER,  # retry
    10041: FailureKind.SERVER,  # settlement_in_progress
    10047: FailureKind.SERVER,  # matching_engine_queue_full
    11051: FailureKind.SERVER,  # system_maintenance
    11094: FailureKind.SERVER,  # internal_server_error
}
_OF_PARAMETER = {
    "instrument_name": FailureKind.UNKNOWN_SYMBOL,
    "resolution": FailureKind.UNSUPPORTED_TIMEFRAME,
}
_INVALID_PARAMETERS = -32602
_WAIT_BELOW_S = 1e9  # What is longer is no number of seconds.


def refused(answer: Answer) -> FetchFailure:
    """What an answer other than 200 means."""
    try:
        error = _RPC.decode(answer.body).error
    except UNDECODABLE:
        error = None
    return refusal(answer) if error is None else failure_of(error, answer.status, answer.retry_after_s)


def failure_of(error: RpcError, status: int, retry_after_s: float | None = None) -> FetchFailure:
    """What an error means. It may come in an answer 200 as well."""
    data = error.data if isinstance(error.data, dict) else {}
    kind = _KINDS.get(error.code)
    if kind is None and error.code == _INVALID_PARAMETERS:
        kind = _OF_PARAMETER.get(str(data.get("param")))
    wait = data.get("wait")  # seconds
    if isinstance(wait, int | float) and not isinstance(wait, bool) and 0 <= wait < _WAIT_BELOW_S:
        retry_after_s = max(retry_after_s or 0.0, float(wait))
    return FetchFailure(kind or FailureKind.of_status(status), error.text, status, retry_after_s)


def decode_page(
    request: PageRequest, grid: Grid, answer: Answer, now: int | None
) -> DecodedPage | FetchFailure:
    """The candles in an answer 200, and what of it cannot be believed, which costs its own bucket.

    `grid` is where buckets lie; `now`: the venue's clock, Unix ms.
    """
    columns = _result(answer, _COLUMNS)
    if isinstance(columns, FetchFailure):
        return columns
    if columns.status == "no_data" and bytes(columns.ticks) in (b"[]", b"null"):
        return DecodedPage(Page(request, ()))
    rows = _rows(columns)
    if rows is not None and (page := clean_page(request, grid, rows, now)):  # nearly always
        return page
    try:
        ticks, *numbers = (_LIST.decode(column) for column in (columns.ticks, *columns.numbers))
    except UNDECODABLE as error:
        return malformed(error, answer.body)
    if any(len(column) != len(ticks) for column in numbers):
        # Which row lacks a number nobody can tell, so none is believed.
        lengths = ", ".join(str(len(column)) for column in (ticks, *numbers))
        return FetchFailure(FailureKind.MALFORMED, f"columns of different lengths: {lengths}", answer.status)
    wires = (_wire(tick, row) for tick, *row in zip(ticks, *numbers, strict=True))
    return page_of(request, grid, wires, now)


def decode_products(answer: Answer) -> dict[str, Product] | FetchFailure:
    """What is listed, by name. What has expired is not."""
    raws = _result(answer, _LIST)
    if isinstance(raws, FetchFailure):
        return raws
    products: dict[str, Product] = {}
    for raw in raws:
        try:
            instrument = _INSTRUMENT.decode(raw)
        except UNDECODABLE:
            continue  # What cannot be read cannot be asked for; the others can.
        name = instrument.instrument_name
        created = instrument.creation_timestamp
        listed = created if isinstance(created, int) and 0 < created < 1 << 50 else 0
        products[name] = Product(name, "not active" if instrument.is_active is False else "", listed)
    return products


def decode_time(answer: Answer) -> int | FetchFailure:
    """The venue's clock, Unix ms."""
    return _result(answer, _TIME)


def _result(answer: Answer, decoder: msgspec.json.Decoder[_T]) -> _T | FetchFailure:
    try:
        rpc = _RPC.decode(answer.body)
        if rpc.error is not None:
            return failure_of(rpc.error, answer.status, answer.retry_after_s)
        return decoder.decode(rpc.result)
    except UNDECODABLE as error:
        return malformed(error, answer.body)


def _wire(tick: msgspec.Raw, row: Sequence[msgspec.Raw]) -> Wire:
    """A row in the venue's own digits, which never pass through a float."""
    raw = b",".join(bytes(each) for each in (tick, *row))
    try:
        time = _TIME.decode(tick)
    except UNDECODABLE:
        return Wire(None, None, "its time cannot be read", raw)
    numbers = [number_text(each) for each in row]
    if None in numbers:
        return Wire(time, None, "a price or the volume cannot be read", raw)
    return Wire(time, ExactCandle(time, *(number or "" for number in numbers)), "", raw)


def _rows(columns: _Columns) -> list[ExactCandle] | None:
    """The rows of columns that are as they should be; None of any others."""
    try:
        ticks = _TICKS.decode(columns.ticks)
        texts = [_texts(column) for column in columns.numbers]
    except UNDECODABLE:
        return None
    if any(len(column) != len(ticks) for column in texts):
        return None
    return [ExactCandle(*row) for row in zip(ticks, *texts, strict=True)]


def _texts(column: msgspec.Raw) -> list[str]:
    """The numbers of a column as they stand there. Of anything else nobody believes what this makes."""
    inside = bytes(column).decode("ascii").strip()[1:-1]
    return "".join(inside.split()).split(",") if inside else []
