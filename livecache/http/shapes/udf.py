"""What UDF asks and answers, as its protocol has it: times are Unix seconds, resolutions its own."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from .fields import Symbol
from .problem import Problem

__all__ = [
    "FOUND_MOST",
    "SymbolType",
    "UdfBars",
    "UdfConfig",
    "UdfError",
    "UdfFound",
    "UdfHistoryQuery",
    "UdfName",
    "UdfNoData",
    "UdfSearchQuery",
    "UdfSymbol",
    "UdfSymbolQuery",
]

FOUND_MOST = 100

Seconds = Annotated[float, Meta(ge=-1e11, le=1e11)]  # the adapter divides, and looks back before 1970

Resolution = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=8,
        description="minutes (5, 60, 240), or 1D, 1W, 1M",
        extra_json_schema={"pattern": "^([1-9][0-9]{0,4}|[1-9]?[0-9]{0,3}[DWM])$"},
    ),
]


SymbolType = Literal["crypto", "stock"]


class UdfName(msgspec.Struct, frozen=True):
    """Something to choose by in a search."""

    value: str
    name: str
    desc: str = ""


class UdfConfig(msgspec.Struct, frozen=True, kw_only=True):
    """`/udf/config`: what this feed can do."""

    supported_resolutions: list[Resolution]
    exchanges: Annotated[list[UdfName], Meta(description="the venues")]
    symbols_types: list[UdfName]
    supports_search: bool = True
    supports_group_request: bool = False
    supports_marks: bool = False
    supports_timescale_marks: bool = False
    supports_time: bool = True


class UdfSymbolQuery(msgspec.Struct, frozen=True):
    """`/udf/symbols`."""

    symbol: Symbol


class UdfSymbol(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A symbol, as a chart has to know it."""

    name: str
    ticker: Annotated[str, Meta(description="venue:SYMBOL, by which its candles are asked for")]
    description: str
    type: SymbolType
    exchange: str
    listed_exchange: str
    timezone: str
    session: Annotated[str, Meta(description="24x7, or the hours of its exchange")]
    session_holidays: Annotated[str, Meta(description="YYYYMMDD,… when it is closed all day")] = ""
    corrections: Annotated[str, Meta(description="HHMM-HHMM:YYYYMMDD,…;… of days with other hours")] = ""
    minmov: int
    pricescale: Annotated[int, Meta(ge=1, description="10 to the power of its prices' decimal places")]
    volume_precision: int
    has_intraday: bool
    has_daily: bool
    has_weekly_and_monthly: bool
    intraday_multipliers: list[str]
    supported_resolutions: list[Resolution]
    data_status: Literal["streaming"]
    format: Literal["price"]


class UdfSearchQuery(msgspec.Struct, frozen=True):
    """`/udf/search`."""

    query: Annotated[str, Meta(max_length=128, description="a part of a symbol; all without")] = ""
    type: Annotated[str, Meta(max_length=32)] = ""
    exchange: Annotated[str, Meta(max_length=32, description="one venue's id")] = ""
    limit: Annotated[int, Meta(ge=1, le=1_000, description=f"at most {FOUND_MOST} are told")] = 30


class UdfFound(msgspec.Struct, frozen=True, kw_only=True):
    """One symbol that a search has found."""

    symbol: str
    full_name: str
    description: str
    exchange: str
    ticker: str
    type: SymbolType


class UdfHistoryQuery(msgspec.Struct, frozen=True, kw_only=True, rename={"from_": "from"}):
    """`/udf/history`."""

    symbol: Symbol
    resolution: Resolution
    to: Annotated[Seconds, Meta(description="bars before it")]
    from_: Annotated[Seconds | None, Meta(description="… and not before this, unless countback says")] = None
    countback: Annotated[
        Annotated[int, Meta(ge=0, le=1_000_000)] | None,
        Meta(description="so many bars; no more than 5,000 come, the newest"),
    ] = None


class UdfBars(msgspec.Struct, frozen=True, kw_only=True):
    """Bars without a gap, oldest first, a column a field."""

    s: Literal["ok"] = "ok"
    t: Annotated[
        list[int], Meta(description="the bar's open; of days, weeks and months 00:00 UTC of the first day")
    ]
    o: list[float]
    h: list[float]
    l: list[float]  # noqa: E741  the protocol's name
    c: list[float]
    v: list[float]


class UdfError(Problem, frozen=True, kw_only=True):
    """A problem, as a chart reads it."""

    s: Literal["error"] = "error"
    errmsg: str


class UdfNoData(msgspec.Struct, frozen=True, kw_only=True):
    """There are no bars in what was asked for."""

    s: Literal["no_data"] = "no_data"
    nextTime: Annotated[int | None, Meta(description="where older bars may be; null: there are none")] = None
