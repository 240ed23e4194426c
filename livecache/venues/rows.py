"""Rows of a page of candles: which can be believed, and which buckets the others leave in doubt. Pure.

One row that cannot be believed costs its own bucket. Where it does not even tell which that is, its
neighbours do: rows come in order of time.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from itertools import islice, pairwise
from operator import gt, lt
from typing import NamedTuple

import msgspec

from ..model.candle import ExactCandle, plain_number, rejection
from ..model.coverage import Span
from ..model.grid import Grid
from .text import complaint, excerpt, one_line
from .venue import FailureKind, FetchFailure, Page, PageRequest, Rejected

__all__ = ["UNDECODABLE", "DecodedPage", "Wire", "clean_page", "malformed", "number_text", "page_of"]

UNDECODABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""Text that is not UTF-8 raises UnicodeDecodeError, absurd nesting RecursionError."""

_TEXT = msgspec.json.Decoder(str)

_ROWS_MOST = 10_000  # of a page with something odd in it: twice the longest that is asked for


class Wire(NamedTuple):
    """One row as it came: its time in Unix ms or None, its candle or None, and why it cannot be believed."""

    time: int | None
    candle: ExactCandle | None
    reason: str
    raw: bytes


class DecodedPage(NamedTuple):
    """A page, and the rows of it that cannot be believed, for the log."""

    page: Page
    rejected: Sequence[Rejected] = ()


def clean_page(
    request: PageRequest, grid: Grid, rows: Iterable[ExactCandle], now: int | None
) -> DecodedPage | None:
    """The page of rows that are as they should be: oldest first, none twice, each believed. Else None."""
    inside: list[ExactCandle] = []
    previous = -1
    for row in rows:
        if row.time <= previous:
            return None
        previous = row.time
        if request.start <= row.time < request.end:
            if rejection(row, request.timeframe, now, grid):
                return None
            inside.append(row)
    return DecodedPage(Page(request, tuple(inside)))


def page_of(
    request: PageRequest, grid: Grid, rows_told: Iterable[Wire], now: int | None
) -> DecodedPage | FetchFailure:
    """The page that these rows make. `grid` is where buckets lie; `now`: the venue's clock, Unix ms.

    Rows outside the request are dropped; of two different ones for one bucket neither is believed. More of
    them than any venue is asked for are no page.
    """
    wires: Sequence[Wire] = list(islice(rows_told, _ROWS_MOST + 1))
    if len(wires) > _ROWS_MOST:
        return FetchFailure(FailureKind.MALFORMED, f"an answer of more than {_ROWS_MOST} candles", 200)
    wires = _newest_first(wires)
    placed = _in_order([wire.time for wire in wires])
    order = sorted(placed)
    rows: dict[int, ExactCandle] = {}
    free: dict[Span, list[int]] = {}  # the buckets without a row, of each stretch that was looked at
    doubtful: dict[int, str] = {}
    rejected: list[Rejected] = []

    def reject(wire: Wire, reason: str, *buckets: int) -> None:
        told = Rejected(one_line(reason), excerpt(wire.raw))
        rejected.append(told)
        for bucket in buckets:
            doubtful.setdefault(bucket, told.reason)

    for index in placed:
        time, candle, reason, _ = wire = wires[index]
        if time is None or not request.start <= time < request.end:
            continue
        if candle is not None:
            reason = rejection(candle, request.timeframe, now, grid) or ""
        if candle is None or reason:
            reject(wire, reason, grid.floor(time))
        else:
            rows[time] = candle
    for index, wire in enumerate(wires):
        if index in placed:
            continue
        time, candle, reason, _ = wire
        other = rows.get(time) if time is not None else None
        if candle is not None and other is not None and rejection(candle, request.timeframe, now, grid):
            candle = None  # What are no numbers cannot be compared.
        same = other is not None and candle is not None and other.equals(candle)
        span = _between(request, grid, wires, order, index)
        anew = span not in free
        if anew:
            free[span] = [bucket for bucket in grid.opens(*span) if bucket not in rows]
        claimed = () if time is None or same else (grid.floor(time),)
        if same or free[span] or claimed:
            reason = reason or f"its time {time} is out of order, or there twice"
            reject(wire, reason, *(free[span] if anew else ()), *claimed)
    for bucket in doubtful:
        rows.pop(bucket, None)
    inside = {t: why for t, why in doubtful.items() if request.start <= t < request.end}
    good = tuple(rows[time] for time in sorted(rows))
    return DecodedPage(Page(request, good, frozenset(inside), inside, len(rejected)), tuple(rejected))


def malformed(error: Exception, body: bytes) -> FetchFailure:
    """An answer 200 that cannot be read."""
    told = one_line(f"not the expected answer ({error}): {complaint(body)}")
    return FetchFailure(FailureKind.MALFORMED, told, 200)


def _newest_first(wires: Sequence[Wire]) -> Sequence[Wire]:
    pairs = list(pairwise(wire.time for wire in wires if wire.time is not None))
    rising, falling = (sum(1 for one, other in pairs if of(one, other)) for of in (lt, gt))
    return wires[::-1] if rising > falling else wires


def _in_order(times: Sequence[int | None]) -> frozenset[int]:
    """The indices of the longest run of times that fall strictly: the others are where they do not belong."""
    ends: list[int] = []  # the negated time that ends the best run of each length
    last: list[int] = []
    before: dict[int, int] = {}
    for index, time in enumerate(times):
        if time is None:
            continue
        length = bisect_left(ends, -time)
        if length == len(ends):
            ends.append(-time)
            last.append(index)
        else:
            ends[length], last[length] = -time, index
        before[index] = last[length - 1] if length else -1
    found: set[int] = set()
    index = last[-1] if last else -1
    while index >= 0:
        found.add(index)
        index = before[index]
    return frozenset(found)


def _between(
    request: PageRequest, grid: Grid, wires: Sequence[Wire], order: Sequence[int], index: int
) -> Span:
    """The stretch between the neighbours of a row that is out of place: it was meant for a bucket of it.

    If it has a time, either it or the row beside it is wrong: then those beyond count. `order`: the indices
    of the rows that are in place.
    """
    known = 1 + int(wires[index].time is not None)
    place = bisect_left(order, index)
    first, last = request.start, request.end
    if place + known <= len(order):
        first = max(first, grid.after(wires[order[place + known - 1]].time or 0))
    if place >= known:
        last = min(last, grid.floor(wires[order[place - known]].time or 0))
    return Span(first, last)


def number_text(raw: msgspec.Raw | None) -> str | None:
    """The text of a number, or of what stands in its place; None for null, lists and the like."""
    data = bytes(raw).strip() if raw is not None else b""
    try:
        text = _TEXT.decode(data) if data[:1] == b'"' else data.decode("ascii")
    except UNDECODABLE:
        return None
    if not text or len(text) > 128 or text in ("null", "true", "false") or text[0] in "[{":
        return None
    return plain_number(text)
