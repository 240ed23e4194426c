"""The candles API: its routes, and what runs behind them."""

from __future__ import annotations

from collections.abc import Sequence

from ...clock import Clock
from ..ordering.desk import Desk
from ..ordering.jobs import JOB, JOBS, RETRY, Board, Jobs
from ..ordering.orders import BACKFILL, UPDATE, Orders
from ..past.window import Past
from ..route import Route
from ..source import REQUESTS_PER_S, Source, asked
from ..udf.feed import Feed
from ..watch.instance import Instance
from .candles import PATH as CANDLES
from .candles import CandlesRoute
from .hub import Hub
from .identity import PATH as SERVICE
from .identity import Identity
from .markets import PATH as MARKETS
from .markets import markets
from .openapi import INDEX, OpenApi
from .openapi import PATH as OPENAPI
from .stream import PATH as STREAM
from .stream import Streams
from .table import PATH as SERIES
from .table import table

__all__ = ["Api"]


class Api:
    """`routes` are served; `run` goes on beside them. None is public: see guard.py."""

    def __init__(self, instance: Instance, clock: Clock, per_s: float = REQUESTS_PER_S) -> None:
        source = Source(instance, clock, per_s)
        self._desk = Desk(instance)
        board, orders = Board(self._desk, clock), Orders(instance, self._desk)
        jobs = Jobs(instance, board)
        self._hub = Hub(source, clock, board)
        self._past = Past(source, instance)
        candles, series = CandlesRoute(source, self._past), table(source, clock)
        streams = Streams(source, self._hub, self._desk)
        openapi = OpenApi()
        self.routes: Sequence[Route] = (
            Route("GET", INDEX, asked(source, openapi.show_index)),
            Route("GET", CANDLES, asked(source, candles.show)),
            Route("GET", SERIES, asked(source, series.show)),
            Route("GET", MARKETS, asked(source, markets(source, series, clock).show)),
            Route("GET", SERVICE, asked(source, Identity(instance).show)),
            Route("GET", STREAM, asked(source, streams.show), endless=True),
            Route("POST", BACKFILL, asked(source, orders.backfill), orders=True),
            Route("POST", UPDATE, asked(source, orders.update), orders=True),
            Route("GET", JOBS, asked(source, jobs.show)),
            Route("GET", JOB, asked(source, jobs.show_one)),
            Route("DELETE", JOB, asked(source, jobs.cancel), orders=True),
            Route("POST", RETRY, asked(source, jobs.retry), orders=True),
            Route("GET", OPENAPI, asked(source, openapi.show)),
            *Feed(source, self._past, instance, clock).routes,
        )

    async def run(self) -> None:
        """Listen for the streams until cancelled; then nothing is read any more."""
        try:
            async with self._desk:
                await self._hub.run()
        finally:
            await self._past.close()
