"""The newest candles, where more are wanted than are kept warm: it goes on into years, as readers do."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec

from ...model.candle import Candle
from ...read.answer import Verbatim
from ...read.candles import Candles
from .bounds import Ask
from .formats import json_of
from .window import Past

if TYPE_CHECKING:
    from ...history.columns import Columns

__all__ = ["with_older"]

_ROUNDS = 4  # each over four times as many buckets: of a thin market few of them have a candle

_decoder = msgspec.json.Decoder(list[Candle])


async def with_older(past: Past, read: Verbatim, count: int) -> Verbatim:
    """It with so many candles before it as make `count`, or as there are without a gap.

    Nothing is fetched for it. Raises what `Past.window` does.
    """
    candles = read.candles
    wanted, buckets = count - len(read.members), count
    venue, symbol, timeframe = candles.series
    for _ in range(_ROUNDS):
        ask = Ask(f"{venue}:{symbol}", timeframe.value, before=candles.contiguous_from, limit=buckets)
        window = await past.window(ask._replace(fill=False, partial=True))
        history = window.history
        if not history.grid.agrees(read.grid) or not history.coverage:
            return read
        whole = history.coverage.spans[-1]
        if whole.end < read.grid.closed(candles.contiguous_from):
            return read
        rows = history.rows.clip(whole.start, whole.end)
        if len(rows) >= wanted or whole.start > window.span.start or window.next_before is None:
            break
        buckets *= 4
    few = rows.take(slice(-wanted, None))
    return await past.in_thread(lambda: _joined(read, few, read.grid.ceil(whole.start)))


def _joined(read: Verbatim, rows: Columns, since: int) -> Verbatim:
    """Both; of the years' candles none is missing from `since` on."""
    older = [b"[%b]" % each for each in json_of(rows)[2:-2].split(b"],[") if each]
    told = read.candles
    candles = Candles(
        [*_decoder.decode(b"[%b]" % b",".join(older)), *told],
        series=told.series,
        contiguous_from=since,
        settled_through=told.settled_through,
        known_through=told.known_through,
        forming=told.forming,
        feed=told.feed,
        age=told.age,
        synthetic=frozenset(),
        standing=told.standing,
    )
    return replace(read, candles=candles, members=[*older, *read.members])
