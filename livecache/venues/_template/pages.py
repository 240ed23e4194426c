"""REQUIRED. The bodies of its answers. Pure: the same body means the same for ever."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from ...model.candle import ExactCandle, rejection
from ...model.grid import Grid
from ...model.timeframe import Timeframe
from ..net.http import Answer, refusal
from ..rows import UNDECODABLE, DecodedPage
from ..text import complaint
from ..venue import FailureKind, FetchFailure, Page, PageRequest, Rejected

__all__ = ["Row", "decoded", "doubt", "page_of", "refused"]

Row = tuple[int, str, str, str, str, str]
"""Its open in Unix ms, then open, high, low, close and volume, in the venue's own digits: never as floats."""

_T = TypeVar("_T")


def decoded(answer: Answer, shape: type[_T]) -> _T | FetchFailure:
    """The body of an answer 200. What is not of that shape is a failure, and never an exception."""
    try:
        return msgspec.json.decode(answer.body, type=shape)
    except UNDECODABLE:
        return FetchFailure(FailureKind.MALFORMED, complaint(answer.body), 200)


def doubt(row: Row, timeframe: Timeframe, grid: Grid, now: int | None) -> str:
    """Why a row cannot be believed; "" if it can. `now` is the venue's clock, Unix ms."""
    return rejection(ExactCandle(*row), timeframe, now, grid) or ""


def page_of(request: PageRequest, rows: list[Row], grid: Grid, now: int | None) -> DecodedPage:
    """The page in its rows: within the request, oldest first, and a bad one costs its own bucket."""
    inside = sorted(row for row in rows if request.start <= row[0] < request.end)
    wrong = {grid.floor(row[0]): why for row in inside if (why := doubt(row, request.timeframe, grid, now))}
    good = tuple(ExactCandle(*row) for row in inside if row[0] not in wrong)
    rejected = tuple(Rejected(why, f"the row of {time}") for time, why in wrong.items())
    return DecodedPage(Page(request, good, frozenset(wrong), wrong, len(wrong)), rejected)


def refused(answer: Answer) -> FetchFailure:
    """An answer other than 200: a symbol that there is not, or what such a status means anywhere.

    OPTIONAL: PAGE_TOO_LONG and UNSUPPORTED_TIMEFRAME where the venue says so, and is to be believed.
    """
    if answer.status == 404 and b"no such symbol" in answer.body:
        return FetchFailure(FailureKind.UNKNOWN_SYMBOL, complaint(answer.body), 404)
    return refusal(answer)
