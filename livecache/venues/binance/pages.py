"""Bodies of Binance's REST answers: klines, the list of symbols, the time, refusals. Pure.

https://developers.binance.com/docs/binance-spot-api-docs/rest-api
"""

from __future__ import annotations

import re
from typing import Annotated, Any, NamedTuple

import msgspec

from ...model.candle import ExactCandle
from ...model.grid import Grid
from ..net.http import Answer
from ..rows import UNDECODABLE, DecodedPage, Wire, clean_page, malformed, number_text, page_of
from ..text import complaint, one_line
from ..venue import FailureKind, FetchFailure, PageRequest, Product

__all__ = ["Listed", "decode_list", "decode_page", "decode_time", "refusal"]

# Bounded, because arithmetic and printing of boundless integers is neither cheap nor always possible.
_Milliseconds = Annotated[int, msgspec.Meta(ge=0, lt=1 << 50)]

_WEIGHT_MOST = 1_000_000  # a minute: it allows thousands
_TOO_MUCH = -1003
_LIMITS_S = 300.0  # No limit of its is over a longer time: who is to wait longer is banned.
_COUNTRY_S = 3600.0  # so long nothing is asked for where the venue serves nobody
_FIREWALL_S = 300.0  # so long the firewall shuts out, if it does not say


class _Row(msgspec.Struct, array_like=True, gc=False):
    """What is wanted of twelve fields."""

    time: _Milliseconds
    open: str
    high: str
    low: str
    close: str
    volume: str


class _Time(msgspec.Struct):
    serverTime: _Milliseconds


class _Symbol(msgspec.Struct):
    symbol: Annotated[str, msgspec.Meta(min_length=1)]
    # Of any type: what cannot be read of it must not hide that the symbol is there.
    status: Any = ""


class _List(msgspec.Struct):
    symbols: list[msgspec.Raw]
    rateLimits: Any = None


class _Refusal(msgspec.Struct):
    code: int = 0


class Listed(NamedTuple):
    """What is listed, by symbol, and what weight the venue allows in a minute, None where it does not say."""

    products: dict[str, Product]
    weight_a_minute: int | None


_ROWS = msgspec.json.Decoder(list[_Row])
_RAWS = msgspec.json.Decoder(list[msgspec.Raw])
_ROW = msgspec.json.Decoder(_Row)
_TIME = msgspec.json.Decoder(_Time)
_LIST = msgspec.json.Decoder(_List)
_SYMBOL = msgspec.json.Decoder(_Symbol)
_REFUSAL = msgspec.json.Decoder(_Refusal)

_BANNED_UNTIL = re.compile(r"banned until (\d{13})\b")


def decode_page(request: PageRequest, grid: Grid, body: bytes, now: int | None) -> DecodedPage | FetchFailure:
    """The klines in `body`, which come oldest first, as a page, and those that cannot be believed.

    What cannot be believed costs its own bucket: after an outage of the venue rows may lie off the grid for
    days. `now`: the venue's clock, Unix ms.
    """
    try:
        rows = [ExactCandle(*msgspec.structs.astuple(row)) for row in _ROWS.decode(body)]
    except UNDECODABLE:
        try:
            raws = _RAWS.decode(body)
        except UNDECODABLE as error:
            return malformed(error, body)
        wires = (_wire(bytes(raw)) for raw in raws)
    else:
        if page := clean_page(request, grid, rows, now):  # nearly always
            return page
        wires = (Wire(row.time, row, "", row.member().encode()) for row in rows)
    return page_of(request, grid, wires, now)


def _wire(raw: bytes) -> Wire:
    """A row in any form: what of it can be read, is."""
    try:
        fields = _RAWS.decode(raw)[:6]
        time = msgspec.json.decode(fields[0], type=_Milliseconds)
    except (*UNDECODABLE, IndexError) as error:
        return Wire(None, None, one_line(f"an unreadable candle: {error}"), raw)
    numbers = [number_text(field) for field in fields[1:]]
    if len(numbers) < 5 or None in numbers:
        return Wire(time, None, "a price or the volume is missing, or cannot be read", raw)
    return Wire(time, ExactCandle(time, *(number or "" for number in numbers)), "", raw)


def decode_list(body: bytes) -> Listed | FetchFailure:
    """What is listed. A symbol that is not traded now is halted: no candle of it is to be expected."""
    try:
        told = _LIST.decode(body)
    except UNDECODABLE as error:
        return malformed(error, body)
    products: dict[str, Product] = {}
    for raw in told.symbols:
        try:
            one = _SYMBOL.decode(raw)
        except UNDECODABLE:
            continue  # One that cannot be read cannot be asked for; the others can.
        status = one.status if isinstance(one.status, str) else ""
        halted = "" if status == "TRADING" else one_line(status.lower().replace("_", " "))
        # Since when it is listed is not read: `onboardDate` of USD-M is later than the first candles of some.
        products[one.symbol] = Product(one.symbol, halted)
    return Listed(products, _weight_a_minute(told.rateLimits))


def _weight_a_minute(limits: Any) -> int | None:
    """What an address may use in a minute, of limits of any form; None where they do not say."""
    for each in limits if isinstance(limits, list) else ():
        match each:
            case {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": int(n)}:
                return n if n is not True and 1 <= n <= _WEIGHT_MOST else None
    return None


def decode_time(body: bytes) -> int | FetchFailure:
    """The venue's clock, Unix ms."""
    try:
        return _TIME.decode(body).serverTime
    except UNDECODABLE as error:
        return malformed(error, body)


def refusal(answer: Answer, now: int) -> FetchFailure:
    """What an answer other than 200 means. `now`: the venue's clock, or the host's, Unix ms."""
    status, wait_s, said = answer.status, answer.retry_after_s, complaint(answer.body)
    try:
        code = _REFUSAL.decode(answer.body).code
    except UNDECODABLE:
        code = 0
    kind = FailureKind.of_status(status)
    if code == _TOO_MUCH and not kind.too_fast:
        kind = FailureKind.REFUSED  # whatever its status is
    if kind.too_fast and (until := _BANNED_UNTIL.search(said)):
        kind, wait_s = FailureKind.BANNED, wait_s or max(0.0, (int(until[1]) - now) / 1000)
    elif status == 451:  # The country of this address: whatever is asked for, and for good.
        kind, wait_s = FailureKind.BANNED, _COUNTRY_S
    elif status == 403:  # The firewall before it, for asking too much or oddly.
        kind, wait_s = FailureKind.REFUSED, _FIREWALL_S if wait_s is None else wait_s
    elif status == 408:
        kind = FailureKind.SERVER
    elif status == 400 and (code == -1121 or (code == -1100 and "'symbol" in said)):
        kind = FailureKind.UNKNOWN_SYMBOL
    elif status == 400 and code == -1120:
        kind = FailureKind.UNSUPPORTED_TIMEFRAME
    if kind is FailureKind.REFUSED and (wait_s or 0.0) > _LIMITS_S:
        kind = FailureKind.BANNED
    return FetchFailure(kind, f"HTTP {status}: {said}" if said else f"HTTP {status}", status, wait_s)
