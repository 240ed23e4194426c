"""Bodies of Coinbase's REST answers: candles, products, the time, and complaints of every shape. Pure.

https://docs.cdp.coinbase.com/api-reference/advanced-trade-api/rest-api/products/get-public-product-candles
"""

from __future__ import annotations

import re
from typing import Annotated, Any

import msgspec

from ...model.candle import ExactCandle
from ...model.timeframe import Timeframe
from ..rows import UNDECODABLE, DecodedPage, clean_page, malformed, page_of
from ..text import complaint, one_line
from ..venue import FailureKind, FetchFailure, PageRequest, Product
from .rows import loose_row

__all__ = ["GRANULARITIES", "decode_page", "decode_products", "decode_time", "refusal"]

GRANULARITIES: dict[Timeframe, str] = {
    Timeframe.M1: "ONE_MINUTE",
    Timeframe.M5: "FIVE_MINUTE",
    Timeframe.M15: "FIFTEEN_MINUTE",
    Timeframe.M30: "THIRTY_MINUTE",
    Timeframe.H1: "ONE_HOUR",
    Timeframe.H2: "TWO_HOUR",
    Timeframe.H4: "FOUR_HOUR",
    Timeframe.H6: "SIX_HOUR",
    Timeframe.D1: "ONE_DAY",
}
"""How the venue names the timeframes."""


# Bounded, because arithmetic and printing of boundless integers is neither cheap nor always possible.
_Seconds = Annotated[int, msgspec.Meta(ge=0, lt=1 << 40)]
_Milliseconds = Annotated[int, msgspec.Meta(ge=0, lt=1 << 50)]


class _Row(msgspec.Struct, gc=False):
    start: _Seconds  # as text
    low: str
    high: str
    open: str
    close: str
    volume: str


class _CandlesBody(msgspec.Struct, gc=False):
    candles: list[_Row]


class _LooseCandlesBody(msgspec.Struct):
    candles: list[msgspec.Raw]


class _Product(msgspec.Struct, gc=False):
    product_id: Annotated[str, msgspec.Meta(min_length=1)]
    alias: str | None = (
        ""  # of BTC-USDC: BTC-USD. Not of USDT-USDC and a few more, which have their own feed.
    )
    # Of any type: what cannot be read of them must not hide that the product is there. Not among them is
    # `limit_only`: limit orders meet each other.
    status: Any = ""
    is_disabled: Any = False
    trading_disabled: Any = False
    view_only: Any = False
    auction_mode: Any = False  # orders gather until it opens
    cancel_only: Any = False
    post_only: Any = False  # no order may meet another


_HALTS = {
    "is_disabled": "disabled",
    "trading_disabled": "trading disabled",
    "view_only": "view only",
    "auction_mode": "in auction",
    "cancel_only": "cancel only",
    "post_only": "post only",
}


class _LooseProductsBody(msgspec.Struct):
    products: list[msgspec.Raw]


class _TimeBody(msgspec.Struct):
    epochMillis: _Milliseconds  # as text


# `strict=False` reads numbers from text, which is how Coinbase writes them.
_CANDLES_BODY = msgspec.json.Decoder(_CandlesBody, strict=False)
_LOOSE_CANDLES_BODY = msgspec.json.Decoder(_LooseCandlesBody)
_PRODUCTS_BODY = msgspec.json.Decoder(_LooseProductsBody)
_PRODUCT = msgspec.json.Decoder(_Product)
_TIME_BODY = msgspec.json.Decoder(_TimeBody, strict=False)

_NO_NUMBER = re.compile(rb"(?<=[:,\[])(\s*)-?(?:NaN|Infinity|inf|nan)(?=\s*[,}\]])")
"""What careless writers of JSON make of such a number. It costs its row, as any other that is none."""


def decode_page(request: PageRequest, body: bytes, now: int | None) -> DecodedPage | FetchFailure:
    """The candles in `body`, which arrive newest first as text, as a page.

    Both of the venue's bounds are inclusive and repeats are possible: rows outside the request are dropped.
    What cannot be believed costs its own bucket. `now`: the venue's clock, Unix ms.
    """
    try:
        rows = _CANDLES_BODY.decode(body).candles
    except UNDECODABLE:
        try:
            raws = _LOOSE_CANDLES_BODY.decode(_NO_NUMBER.sub(rb"null", body)).candles
        except UNDECODABLE as error:
            return malformed(error, body)
        wires = (loose_row(bytes(raw)) for raw in raws)
    else:
        oldest_first = map(_row, reversed(rows))
        if page := clean_page(request, request.timeframe.grid, oldest_first, now):  # nearly always
            return page
        wires = (loose_row(msgspec.json.encode(row)) for row in rows)
    return page_of(request, request.timeframe.grid, wires, now)


def _row(wire: _Row) -> ExactCandle:
    return ExactCandle(wire.start * 1000, wire.open, wire.high, wire.low, wire.close, wire.volume)


def decode_products(body: bytes) -> dict[str, Product] | FetchFailure:
    """What is listed, by id."""
    try:
        raws = _PRODUCTS_BODY.decode(body).products
    except UNDECODABLE as error:
        return malformed(error, body)
    products: dict[str, Product] = {}
    for raw in raws:
        try:
            product = _PRODUCT.decode(raw)
        except UNDECODABLE:
            continue  # A product that cannot be read cannot be asked for; the others can.
        products[product.product_id] = Product(product.alias or product.product_id, _halted(product))
    return products


def _halted(product: _Product) -> str:
    """Why nothing can be traded, in a few words; "" if it can."""
    told = [product.status.strip().lower()] if isinstance(product.status, str) else []
    told = [one_line(word) for word in told if word not in ("", "online")]
    told += [words for name, words in _HALTS.items() if getattr(product, name) in (True, "true", "True")]
    return ", ".join(told).replace(";", ",")


def decode_time(body: bytes) -> int | FetchFailure:
    """The venue's clock, Unix ms."""
    try:
        return _TIME_BODY.decode(body).epochMillis
    except UNDECODABLE as error:
        return malformed(error, body)


def refusal(status: int, body: bytes, *, signed: bool, retry_after_s: float | None = None) -> FetchFailure:
    """What an answer other than 200 means. `signed`: the request bore a key's signature."""
    said = complaint(body)
    message = f"HTTP {status}: {said}" if said else f"HTTP {status}"
    return FetchFailure(_kind(status, said, signed), message, status, retry_after_s)


def _kind(status: int, said: str, signed: bool) -> FailureKind:
    if status in (401, 403) and signed:
        return FailureKind.UNAUTHORIZED
    if status == 401:
        # A public endpoint has nothing to authorize: it throttles (coinbase-advanced-py#60).
        return FailureKind.REFUSED
    if status == 404 and "NOT_FOUND" in said:
        # Any other 404 is not the venue's: a wrong rest_url, a proxy.
        return FailureKind.UNKNOWN_SYMBOL
    if status == 400 and "number of candles requested should be less than" in said:
        return FailureKind.PAGE_TOO_LONG
    if status == 400 and "granularity" in said.lower():
        return FailureKind.UNSUPPORTED_TIMEFRAME
    return FailureKind.of_status(status)
