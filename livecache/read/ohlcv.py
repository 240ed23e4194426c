"""ccxt's own call, `fetch_ohlcv`, answered from what is kept; without a socket, as reading.py is."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, SupportsIndex

import msgspec

from ..errors import NotReady, UnknownSeries
from ..model.candle import Candle
from ..model.naming import split_venue
from ..model.timeframe import Timeframe, iso
from ..wire.scripts import text_of
from .answer import State
from .asking import Time, time_of, whole_number
from .candles import Candles
from .questions import COUNT_MAX
from .reading import Core, Steps
from .standing import state_of

__all__ = ["ohlcv"]

_PARAMS = ("forming", "settled", "max_lag")

_SEPARATORS = re.compile(r"[-/:_]")


def ohlcv(
    core: Core,
    symbol: str,
    timeframe: str | Timeframe,
    since: Time | None,
    limit: SupportsIndex | None,
    params: Mapping[str, Any] | None,
) -> Steps[list[list[float]]]:
    """Rows as `Reader.fetch_ohlcv` explains them."""
    options = dict(params or {})
    if unknown := [name for name in options if name not in _PARAMS]:
        raise ValueError(f"params holds {', '.join(_PARAMS)} at most, not {unknown[0]!r}")
    most = COUNT_MAX if limit is None else whole_number("limit", limit, COUNT_MAX)
    begin = 0 if since is None else time_of("since", since)
    name = symbol.replace("/", "-") if isinstance(symbol, str) else symbol
    count = most if since is None else COUNT_MAX
    request = core.request(name, timeframe, count, **options)
    # Fewer are no error here.
    try:
        candles, reply = yield from core.read_with_reply(replace(request, at_least=0))
    except UnknownSeries:
        # Not every venue writes a dash where ccxt writes a stroke.
        if (meant := (yield from _alike(core, symbol))) is None:
            raise
        request = core.request(meant, timeframe, count, **options)
        candles, reply = yield from core.read_with_reply(replace(request, at_least=0))
    closed = [candle for candle in candles if candle.time < candles.known_through]
    if len(closed) < request.count:
        _refuse_a_hole(candles, reply, len(closed), begin)
    asked = [candle for candle in closed if candle.time >= begin]
    rows = asked[:most] if since is not None else asked[-most:]
    if len(rows) == len(asked) and len(candles) > len(closed):
        rows.append(candles[-1])
    return [list(candle) for candle in rows]


def _alike(core: Core, symbol: str) -> Steps[str | None]:
    """The only symbol that is this one in another spelling (see `_same`); None for none, or several."""
    there = yield from core.all_series()
    venues = core.venues or ()
    venue, name = split_venue(symbol, venues)
    found = {
        (one.venue, one.symbol) for one in there if venue in (None, one.venue) and _same(one.symbol, name)
    }
    if len(found) != 1:
        return None
    (its, meant) = found.pop()
    return f"{its}:{meant}" if len(venues) > 1 else meant


def _same(one: str, other: str) -> bool:
    """Whether two symbols differ in nothing but which separators they have, or in one having none at all."""
    parts, others = _SEPARATORS.split(one), _SEPARATORS.split(other)
    # T-USDT is no TUS-DT: where both say where the base ends, they have to agree.
    both = len(parts) > 1 and len(others) > 1
    return parts == others if both else "".join(parts) == "".join(others)


def _refuse_a_hole(candles: Candles, reply: Any, known: int, begin: int) -> None:
    """`NotReady` if older candles are kept, and of the hole between some of it is asked for."""
    fields, _, _, members, _ = reply
    reason = text_of(fields[2] or b"")
    series = candles.series
    grid = State.of(fields, series, str(series)).grid
    # Where the search back has ended, what lies before is nothing that anybody fills.
    if len(members) <= known or state_of(ready=not reason, reason=reason) == "short":
        return
    if grid.ceil(begin) < candles.contiguous_from:
        newest = msgspec.json.decode(members[known], type=Candle).time
        # A bucket of what is added up may hold the whole hole.
        end = end if (end := grid.end(newest)) < candles.contiguous_from else newest
        raise NotReady(
            f"{series}: a hole: not all is known between {iso(end)} and {iso(candles.contiguous_from)}",
            "it is being filled; fewer, or a later since, can be had now",
            have=known,
        )
