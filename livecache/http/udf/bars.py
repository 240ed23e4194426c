"""The bars of a stretch: what Redis keeps, and before it what the history does. Never over a hole."""

from __future__ import annotations

from typing import NamedTuple

from ...errors import OutOfSync
from ...model.timeframe import Timeframe
from ...read.candles import Candles
from ..shapes.fields import ROWS_MOST
from ..source import Source

__all__ = ["Found", "Gathering", "Wanted"]

Row = tuple[float, ...]
"""Time (Unix ms), open, high, low, close, volume."""


class Wanted(NamedTuple):
    """The newest `most` that open in `[start, end)`, Unix ms; without a start, however far back."""

    symbol: str
    timeframe: Timeframe
    end: int
    start: int | None
    most: int


class Found(NamedTuple):
    """Oldest first, up to the end of what was asked for without a gap."""

    rows: list[Row]
    older: int | None
    """Where there may be older ones, if there are none: before the end of this bucket. None: nowhere."""


class Gathering:
    """Reads for `/udf/history`."""

    def __init__(self, source: Source) -> None:
        self._source = source

    async def of(self, wanted: Wanted) -> Found:
        """The bars. Raises what a reader raises where there are none for want of knowing."""
        newest = await self._newest(wanted)
        return Found(_taken(newest, wanted), None)

    async def _newest(self, wanted: Wanted) -> Candles:
        """What Redis keeps, with the bucket in progress if anybody vouches for it."""
        way = self._source.way()

        async def read(count: int, *, forming: bool) -> Candles:
            request = way.core.request(wanted.symbol, wanted.timeframe, count, forming=forming, at_least=1)
            return await way.link.drive(way.core.read(request))

        try:
            return await read(ROWS_MOST, forming=True)
        except OutOfSync:
            return await read(ROWS_MOST, forming=False)


def _taken(candles: Candles, wanted: Wanted) -> list[Row]:
    within = [tuple(one) for one in candles if (wanted.start or 0) <= one.time < wanted.end]
    return within[-wanted.most :]
