"""Yahoo's face: charts by HTTP, and no websocket."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from aiohttp import web

from ...clock import Clock
from ...equities.calendar import Calendar, calendar_named
from ...errors import ConfigError
from ..clock import MarketClock
from ..face import FaceKind, TwoSided
from ..market.market import Market, beneath
from ..trouble.faults import Faults
from .exchange import Exchange, refused
from .faults import YahooFaults
from .market import ShareMarket
from .options import YahooOptions
from .shares import parse_shares
from .truth import Truth

__all__ = ["FACES", "YahooFace"]


class YahooFace(TwoSided):
    """`simulator.face.Face`, of a `ShareMarket`. Raises ConfigError for another one."""

    exchange: Exchange

    def __init__(
        self,
        market: Market,
        clock: MarketClock,
        options: YahooOptions,
        *,
        faults: Faults,
        keys: object = None,
        host_clock: Clock,
    ) -> None:
        shares = beneath(market)
        if not isinstance(shares, ShareMarket):
            raise ConfigError(
                "the simulated yahoo needs a market of shares",
                "leave --csv out; in Python, give it a ShareMarket",
            )
        exchange = Exchange(shares, market, clock, options, faults=faults, host_clock=host_clock)
        super().__init__(options, exchange, _NoFeed(), exchange.symbols)
        self.truth = Truth(exchange.chart, clock, options.edge_lag_ms)
        """What was really traded, and has to be stored."""


class _NoFeed:
    """There is nothing to subscribe to."""

    async def serve(self, request: web.Request) -> web.WebSocketResponse:
        raise web.HTTPNotFound

    async def run(self) -> None:
        await asyncio.Event().wait()  # until cancelled

    async def close_all(self, code: int | None) -> int:
        return 0


def _market(
    seed: int, symbols: Sequence[str], start_ms: int, since_ms: int, listed: Mapping[str, int]
) -> Market:
    calendar = calendar_named("XNYS")
    assert isinstance(calendar, Calendar)
    shares = parse_shares(symbols, start_ms, calendar.days)
    names = [share.symbol for share in shares]
    for name in listed:
        if name not in names:
            raise ConfigError(
                f"--listed names {name!r}, which is not traded", f"one of {', '.join(names[:20])}, …"
            )
    dated = [s._replace(listed_ms=listed.get(s.symbol, s.listed_ms or since_ms)) for s in shares]
    return ShareMarket(calendar, dated, seed=seed)


FACES = {"yahoo": FaceKind(YahooOptions, YahooFace, "yahoo", {}, YahooFaults, refused, _market, feed=False)}
