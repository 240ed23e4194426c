"""`/api/v1/repair`: have a span of one series read again. `livecache repair` asks here.

    POST {"symbol": "BTC-USD", "timeframe": "5m", "start": 1771588500000, "end": 1771588800000}
    202  {"symbol": …, "timeframe": …, "start": …, "end": …, "pages": 1, "waiting": 1}
    GET  ?symbol=BTC-USD&timeframe=5m
    200  {"symbol": …, "timeframe": …, "pages": 0}

What is refused is answered with a problem: 400 for what makes no sense, 404
for a series that nobody fills, 503 while too much is waiting. Who may ask is decided before.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from aiohttp import web

from ...engine.repairs import RepairDesk
from ...errors import RepairNotNow
from ...model.naming import ambiguous, split_venue
from ...model.timeframe import Timeframe
from ..answers import answer, decode
from ..shapes.fields import Symbol
from ..source import parse
from .instance import Instance

__all__ = ["PATH", "RepairAnswer", "RepairRequest", "Repairs", "RepairsLeft", "RepairsQuery"]

PATH = "/api/v1/repair"

_Name = Annotated[str, msgspec.Meta(min_length=1, max_length=8)]
_Millis = Annotated[int, msgspec.Meta(ge=0, lt=1 << 47)]


class RepairsQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whose repairs are asked for."""

    symbol: Symbol
    timeframe: _Name


class RepairRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[start, end)` of one series, Unix ms; without one of them, as far as is kept."""

    symbol: Symbol
    timeframe: _Name
    start: _Millis | None = None
    end: _Millis | None = None


class RepairAnswer(msgspec.Struct, frozen=True):
    """What is read again, how many pages that takes, and how many are waiting in all."""

    symbol: str
    timeframe: str
    start: int
    end: int
    pages: int
    waiting: int


class RepairsLeft(msgspec.Struct, frozen=True):
    """How many pages of one series are still to be read."""

    symbol: str
    timeframe: str
    pages: int


class Repairs:
    """The handlers."""

    def __init__(self, instance: Instance) -> None:
        self._instance = instance

    async def order(self, request: web.BaseRequest) -> web.StreamResponse:
        """Take an order: POST."""
        asked: RepairRequest = await decode(request, RepairRequest)
        timeframe = Timeframe.parse(asked.timeframe)
        desk, symbol = self._desk(asked.symbol)
        plan = desk.order(symbol, timeframe, asked.start, asked.end)
        span = (plan.start, plan.end, plan.pages, plan.waiting)
        return answer(RepairAnswer(asked.symbol, timeframe.value, *span), 202)

    async def left(self, request: web.BaseRequest) -> web.StreamResponse:
        """Tell how much of a series' repairs is left: GET."""
        asked = parse(request, RepairsQuery)
        symbol, timeframe = asked.symbol, Timeframe.parse(asked.timeframe)
        desk, name = self._desk(symbol)
        return answer(RepairsLeft(symbol, timeframe.value, desk.left(name, timeframe)))

    def _desk(self, symbol: str) -> tuple[RepairDesk, str]:
        """Where repairs of that symbol are ordered, and its name there. May raise UnknownSeries."""
        venues = self._instance.places
        venue, name = split_venue(symbol, venues)
        engines = self._instance.engines
        if venue is None and len(venues) > 1:
            found = [
                one
                for one in engines
                if any(name in engine.live.timeline.symbols for engine in venues[one].engines)
            ]
            if len(found) > 1:
                raise ambiguous(name, found)
            venue = found[0] if found else None
        venue = venue or next(iter(venues), "")
        if venue not in engines:
            raise RepairNotNow("this process has no service to ask yet", "ask again in a minute")
        return (self._instance.engine_of(venue, name) or engines[venue]).repairs, name
