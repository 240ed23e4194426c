"""Binance's REST side: its clock, its list, klines, and what it makes of who asks too much.

https://developers.binance.com/docs/binance-spot-api-docs/rest-api
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import msgspec

from ...clock import Clock
from ...model.candle import ExactCandle
from ...model.timeframe import Timeframe
from ..clock import MarketClock
from ..face import Ask, Counts
from ..market.charted import Charted, OutOfOrder, printed
from ..market.market import Market as Traded
from ..trouble.faults import Answer, Faults, RequestRecord
from .options import MARKETS, BinanceOptions

__all__ = ["Exchange", "symbols_of"]

_MINUTE_MS = Timeframe.M1.ms
_BAN_MOST_S = 3 * 86_400.0
_OFF_GRID_MS = 1_694_789  # as seen in 2018: 28:14.789 after the hour
_STATUSES = frozenset({"TRADING", "END_OF_DAY", "HALT", "BREAK", "CANCEL_ONLY", "SETTLING"})


def symbols_of(market: Traded) -> dict[str, str]:
    """What Binance calls the market's products: dollars are USDT, and there is no dash."""
    parts = ((product, *product.partition("-")[::2]) for product in market.products())
    return {base + ("USDT" if quote == "USD" else quote): product for product, base, quote in parts}


class Exchange:
    """Answers requests, counts their weight, refuses what is too much, and bans who goes on."""

    def __init__(
        self,
        market: Traded,
        clock: MarketClock,
        options: BinanceOptions,
        *,
        faults: Faults,
        host_clock: Clock,
    ) -> None:
        self.options = options
        self.symbols: Mapping[str, str] = symbols_of(market)
        self.requests: deque[RequestRecord] = deque(maxlen=options.max_requests_logged)
        self.counts = Counts()
        self.bans = 0
        self._of = MARKETS[options.api]
        self._chart = Charted(OutOfOrder(market, [each[:2] for each in options.outages]), options.since_ms)
        self._market = market
        self._clock = clock
        self._faults = faults
        self._host = host_clock
        rate = options.requests_per_second
        self._allowed = 120 * rate if rate else options.weight_a_minute or self._of.weight_a_minute
        self._minute = 0  # of market time, whose weight is counted
        self._used = 0
        self._strikes = 0
        self._banned_until_s = 0.0
        self._bans_s = options.ban_s

    async def handle(self, ask: Ask) -> Answer | None:
        """The answer to one request, after its latency; None if a fault cuts the connection."""
        path = ask.path.removeprefix(f"{self._of.api}/") if ask.path.startswith(self._of.api) else ""
        interval = next((t for t in Timeframe if t.value == ask.get("interval")), None)
        start, end = (_integer(ask.get(name)) for name in ("startTime", "endTime"))
        record = RequestRecord(
            at=self._host.monotonic(),
            path=ask.path,
            product=self.symbols.get(ask.get("symbol"), ""),
            granularity=ask.get("interval"),
            start=None if start is None else start // 1000,
            end=None if end is None else end // 1000,
            timeframe=interval,
        )
        self.requests.append(record)
        self.counts.requests += 1
        self.counts.candle_requests += path == "klines"

        async def proceed() -> Answer:
            weight = {"exchangeInfo": self._of.list_weight, "klines": self._page_weight(ask)}.get(path, 1)
            refused = self._refused(weight)
            await self._pause()
            answer = refused or self._answer(ask, path)
            await self._pause()
            used = {"X-MBX-USED-WEIGHT-1M": str(self._used), "X-MBX-USED-WEIGHT": str(self._used)}
            return replace(answer, headers={**used, **answer.headers})

        answer = await self._faults.rest(record, proceed)
        if answer is not None:
            record.status = answer.status
            self.counts.refused += answer.status in (418, 429)
        return answer

    def rows(self, symbol: str, timeframe: Timeframe, start: int, end: int, now: int) -> list[ExactCandle]:
        """Its rows of the buckets that open in `[start, end)`, Unix ms, as it prints them."""
        rows = self._chart.rows(self.symbols[symbol], timeframe, start, end, now)
        for outage in self.options.outages:
            rows = [
                row
                for row in rows
                if not (outage.begin <= row.time and timeframe.grid.end(row.time) <= outage.end)
            ]
            if timeframe is Timeframe.H1:
                rows = [
                    msgspec.structs.replace(row, time=row.time + _OFF_GRID_MS)
                    if outage.end <= row.time < outage.odd_until
                    else row
                    for row in rows
                ]
        return printed(rows, _decimals)

    def _since(self, symbol: str) -> int:
        return self._chart.since(self.symbols[symbol])

    def lists(self, symbol: str) -> bool:
        """Whether there is such a symbol now."""
        return symbol in self.symbols and self._faults.lists(self.symbols[symbol])

    # --- limits

    def _refused(self, weight: int) -> Answer | None:
        """Count a request, and refuse it if that is too much; who goes on all the same is banned."""
        now_s, minute = self._host.monotonic(), self._clock.now() // _MINUTE_MS
        if minute != self._minute:
            self._minute, self._used, self._strikes = minute, self.options.foreign_weight, 0
        if now_s < self._banned_until_s:
            return self._banned(self._banned_until_s - now_s)
        self._used += weight
        if self._used <= self._allowed:
            return None
        self._strikes += 1
        if self._strikes > self.options.bans_after:
            self.bans += 1
            lasts_s, self._bans_s = self._bans_s, min(2 * self._bans_s, _BAN_MOST_S)
            self._banned_until_s = now_s + lasts_s
            return self._banned(lasts_s)
        left_s = self._clock.real_s((minute + 1) * _MINUTE_MS - self._clock.now())
        said = f"Too much request weight used; current limit is {self._allowed} request weight per 1 MINUTE."
        return _error(429, -1003, said, {"Retry-After": str(math.ceil(left_s))})

    def _banned(self, left_s: float) -> Answer:
        until = self._clock.now() + int(left_s * 1000 * self._clock.speed)
        said = f"Way too much request weight used; IP banned until {until}. Please use WebSocket Streams."
        return _error(418, -1003, said, {"Retry-After": str(math.ceil(left_s))})

    def _page_weight(self, ask: Ask) -> int:
        return self._of.weight(_integer(ask.get("limit")) or 500)

    async def _pause(self) -> None:
        if self.options.latency_s:
            await self._host.sleep(self.options.latency_s / 2)

    # --- answers

    def _answer(self, ask: Ask, path: str) -> Answer:
        if ask.method != "GET":
            return Answer(405, b"", "text/html")
        if path == "ping":
            return _json({})
        if path == "time":
            return _json({"serverTime": self._clock.now()})
        if path == "exchangeInfo":
            return self._list(ask)
        if path == "klines":
            return self._klines(ask)
        return Answer(404, b"<html><body><h2>404 Not found</h2></body></html>", "text/html")

    def _list(self, ask: Ask) -> Answer:
        wanted = [ask.get("symbol")] if ask.get("symbol") else []
        if asked := ask.get("symbols"):
            try:
                wanted = msgspec.json.decode(asked, type=list[str])
            except msgspec.DecodeError:
                return _error(400, -1100, "Illegal characters found in parameter 'symbols'.")
        if self.options.api == "usdm":
            wanted = []  # It knows no such parameter.
        if not all(map(self.lists, wanted)):
            return _error(400, -1121, "Invalid symbol.")
        weight: dict[str, Any] = {"interval": "MINUTE", "intervalNum": 1, "limit": self._allowed}
        listed = [self._symbol(name) for name in wanted or self.symbols if self.lists(name)]
        told: dict[str, Any] = {"timezone": "UTC", "serverTime": self._clock.now(), "symbols": listed}
        return _json(told | {"rateLimits": [{"rateLimitType": "REQUEST_WEIGHT", **weight}]})

    def _symbol(self, symbol: str) -> dict[str, Any]:
        product = self.symbols[symbol]
        base, _, quote = product.partition("-")
        told = self._faults.listed(product)
        status = str(told.get("status", "")).upper() if told else "TRADING"
        one: dict[str, Any] = {
            "symbol": symbol,
            "status": status if status in _STATUSES else "BREAK",
            "baseAsset": base,
            "quoteAsset": symbol.removeprefix(base) or quote,
        }
        if self.options.api == "usdm":
            since = self._since(symbol)
            one |= {"pair": symbol, "contractType": "PERPETUAL", "onboardDate": since}
        return one

    def _klines(self, ask: Ask) -> Answer:
        symbol, interval = ask.get("symbol"), ask.get("interval")
        if not symbol:
            return _error(400, -1102, "Mandatory parameter 'symbol' was not sent, was empty/null.")
        if not self.lists(symbol):
            return _error(400, -1121, "Invalid symbol.")
        timeframe = next((t for t in Timeframe if t.value == interval), None)
        if timeframe is None or interval in self.options.rejected_granularities:
            return _error(400, -1120, "Invalid interval.")
        limit = min(_integer(ask.get("limit")) or 500, self._of.rows)
        options = self._faults.options(self.symbols[symbol], self.options)
        seen = self._clock.now() - options.edge_lag_ms
        start, end = _integer(ask.get("startTime")), _integer(ask.get("endTime"))
        last = seen if end is None else min(end, seen)
        grid = timeframe.grid
        if start is None:
            start = grid.back(grid.floor(last) + 1, limit)
        elif limit < grid.count(start := max(start, grid.floor(self._since(symbol))), last + 1):
            last = grid.after(grid.ceil(start), limit) - 1  # the oldest win
        rows = self.rows(symbol, timeframe, start, last + 1, seen)[:limit]
        if not options.forming_bucket and rows and grid.end(rows[-1].time) > seen:
            rows.pop()
        rows = self._faults.page(self.symbols[symbol], timeframe, rows, newest=False)
        return Answer(200, _klines_json(rows, timeframe, self.options.outages))


def _integer(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else None


def _decimals(number: str) -> str:
    """With eight of them, as the venue prints every number."""
    whole, _, fraction = number.partition(".")
    return f"{whole}.{fraction:0<8}"


def _klines_json(rows: Sequence[ExactCandle], timeframe: Timeframe, outages: Sequence[Any]) -> bytes:
    """Twelve columns; those that nobody reads here are made up. Before an outage a row ends early."""
    told = []
    for r in rows:
        end = timeframe.grid.end(timeframe.floor(r.time)) + r.time - timeframe.floor(r.time)
        end = min([end, *(o.begin for o in outages if r.time < o.begin < end)])
        trades = 0 if float(r.volume) == 0 else 7
        told.append(
            f'[{r.time},"{r.open}","{r.high}","{r.low}","{r.close}","{r.volume}",{end - 1},'
            f'"0.00000000",{trades},"0.00000000","0.00000000","0"]'
        )
    return f"[{','.join(told)}]".encode()


def _json(body: object) -> Answer:
    return Answer(200, msgspec.json.encode(body))


def _error(status: int, code: int, said: str, headers: Mapping[str, str] | None = None) -> Answer:
    return Answer(status, msgspec.json.encode({"code": code, "msg": said}), headers=headers or {})
