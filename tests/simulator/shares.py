"""A simulated Yahoo that is asked without a socket, for the tests of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Collection, Mapping, Sequence
from datetime import date
from typing import Any

from livecache.equities.calendar import Calendar, calendar_named
from livecache.simulator import Faults
from livecache.simulator.face import Ask
from livecache.simulator.market.market import beneath
from livecache.simulator.yahoo.exchange import CHART
from livecache.simulator.yahoo.face import YahooFace
from livecache.simulator.yahoo.market import ShareMarket
from livecache.simulator.yahoo.options import YahooOptions
from livecache.simulator.yahoo.shares import Share, Split

from .support import StillClock

__all__ = ["DAY", "NEW_YORK", "NOON", "SHARES", "Bench", "ms"]

DAY = 86_400_000
NOON = 1_784_131_200_000  # 2026-07-15 12:00 in New York


def _calendar() -> Calendar:
    found = calendar_named("XNYS")
    assert found is not None
    return found


NEW_YORK = _calendar()

SHARES = (
    Share("AAPL"),
    Share("MSFT", dividends=False),
    Share("SPLIT", splits=(Split(date(2026, 6, 15), 4), Split(date(2026, 3, 2), 3, 2))),
    Share("REVERSE", splits=(Split(date(2026, 5, 4), 1, 8),)),
    Share("HALT", halted=(date(2026, 7, 9),)),
    Share("IPO", listed_ms=1_780_666_200_000),  # 2026-06-05
    Share("GONE", delisted_ms=1_775_000_000_000),
    Share("OLD", renamed="AAPL"),
    Share("THIN", thin=True),
    Share("^GSPC", price=5_000.0),
    Share("BRK-A", price=700_000.0),
)


def ms(text: str, clock: str = "09:30") -> int:
    """The session's open on that day, or a time of it in New York; Unix ms."""
    day, (hours, minutes) = date.fromisoformat(text), map(int, clock.split(":"))
    opened = NEW_YORK.session_on(day)
    assert opened is not None, f"no session on {text}"
    return opened + ((hours - 9) * 60 + minutes - 30) * 60_000


class Bench:
    """One exchange, at a time that stands still."""

    def __init__(
        self,
        now: int = NOON,
        *,
        shares: Sequence[Share] = SHARES,
        closed: Collection[date] = (),
        faults: Faults | None = None,
        **options: Any,
    ) -> None:
        self.clock = StillClock()
        self.market_clock = self.clock.market(now)
        self.shares = ShareMarket(NEW_YORK, shares, closed=closed)
        self.faults = faults or Faults()
        market = self.faults.attach(self.shares, self.market_clock)
        assert beneath(market) is self.shares
        told = YahooOptions(**{"oddities": (), "requests_per_second": 0, **options})
        self.face = YahooFace(market, self.market_clock, told, faults=self.faults, host_clock=self.clock)
        self.truth = self.face.truth
        self.cookie: str | None = None
        self.headers: Mapping[str, str] = {}

    def get(self, path: str, **query: object) -> tuple[int, Any]:
        """Status and body, decoded if it is JSON."""
        asked = {name: [str(value)] for name, value in query.items()}
        answer = asyncio.run(self.face.handle(Ask("GET", path, asked, path, cookie=self.cookie)))
        assert answer is not None
        self.headers = answer.headers
        return answer.status, json.loads(answer.body) if answer.body[:1] == b"{" else answer.body.decode()

    async def status(self, symbol: str, **query: object) -> int | None:
        """Of a chart; None if the connection was cut."""
        asked = {name: [str(value)] for name, value in query.items()}
        answer = await self.face.handle(Ask("GET", CHART + symbol, asked, CHART + symbol))
        return None if answer is None else answer.status

    def refusal(self, symbol: str, **query: object) -> tuple[int, str]:
        """Of a chart: status and description."""
        status, body = self.get(CHART + symbol, **query)
        return status, body["chart"]["error"]["description"]

    def chart(self, symbol: str, start: int, end: int, interval: str = "1d") -> dict[str, Any]:
        """The result of one, between two times in Unix ms."""
        query = {"period1": start // 1000, "period2": end // 1000, "interval": interval}
        status, body = self.get(CHART + symbol, **query, events="div,splits")
        assert status == 200 and body["chart"]["error"] is None, body
        (result,) = body["chart"]["result"]
        return dict(result)
