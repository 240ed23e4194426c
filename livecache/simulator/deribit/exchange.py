"""What the simulated Deribit answers, by HTTP and over the websocket alike, and what that costs.

https://docs.deribit.com/articles/json-rpc-overview
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from ...clock import Clock
from ...model.candle import ExactCandle
from ..clock import MarketClock
from ..face import Ask, Counts
from ..market.charted import OutOfOrder
from ..market.market import Market
from ..options import ServerOptions
from ..trouble.faults import Answer, Faults, RequestRecord
from .chart import RESOLUTIONS, Chart, instruments_of

__all__ = ["API", "LOCKED", "TOO_MANY", "Credits", "DeribitOptions", "Exchange", "RpcFault", "answer_of"]

API = "/api/v2/"
_CANDLES = "public/get_tradingview_chart_data"
_NEVER_MS = 32_503_708_800_000  # when a perpetual expires, as the venue prints it


@dataclass(frozen=True, slots=True)
class DeribitOptions(ServerOptions):
    """Beside what all faces have."""

    requests_per_second: int = 20  # so many credits come back; …
    burst: int = 100  # … and so many are in the pool. Heartbeats and subscriptions cost as much
    rows_most: int = 5_001  # of a longer request the newest come
    created_ms: int = 1_534_167_754_000  # when its instruments were listed: nothing is there of before
    locked: bool = False  # maintenance
    locks: tuple[
        tuple[int, int], ...
    ] = ()  # market time (Unix ms) in which nothing can be traded, and is told
    test_after_s: float | None = None  # real seconds until it asks whether a client is there; None: as agreed
    test_patience_s: float = 5.0  # … and for how long it waits


class RpcFault(Exception):
    """Why there is no result."""

    def __init__(
        self, code: int, message: str, status: int = 400, data: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(message)
        self.code, self.message, self.status, self.data = code, message, status, data


TOO_MANY = RpcFault(10028, "too_many_requests", 429, {"wait": 1})
LOCKED = RpcFault(11051, "system_maintenance", 503)


class Credits:
    """What may be asked for: a pool of so many requests, which refills by so many a real second."""

    def __init__(self, options: DeribitOptions, host: Clock) -> None:
        self._most, self._per_s, self._host = float(options.burst), options.requests_per_second, host
        self._left, self._at_s = self._most, host.monotonic()

    def take(self) -> bool:
        """Whether one more may be asked; a refused one costs nothing."""
        now_s = self._host.monotonic()
        self._left = min(self._most, self._left + (now_s - self._at_s) * self._per_s)
        self._at_s = now_s
        if self._left < 1:
            return False
        self._left -= 1
        return True


class Exchange:
    """Answers requests, and logs those that come by HTTP.

    `requests` holds the newest ones in order of arrival; `counts` counts all.
    """

    def __init__(
        self,
        market: Market,
        clock: MarketClock,
        options: DeribitOptions,
        *,
        faults: Faults,
        host_clock: Clock,
    ) -> None:
        self.options = options
        self.symbols: Mapping[str, str] = instruments_of(market)
        self.chart = Chart(OutOfOrder(market, options.locks), self.symbols, options.created_ms)
        self.credits = Credits(options, host_clock)
        self.requests: deque[RequestRecord] = deque(maxlen=options.max_requests_logged)
        self.counts = Counts()
        self._clock = clock
        self._faults = faults
        self._host = host_clock
        self._turn = asyncio.Lock()  # many pages at once would keep the feed from its turn
        self._methods: dict[str, Callable[[Mapping[str, Any]], Any]] = {
            "public/test": lambda _: {"version": "1.2.26"},
            "public/get_time": lambda _: clock.now(),
            "public/get_instruments": self._listed,
            _CANDLES: self._candles,
        }

    def knows(self, instrument: str) -> bool:
        """Whether there is such an instrument now."""
        return instrument in self.symbols and self._faults.lists(self.symbols[instrument])

    def call(self, method: str, parameters: Mapping[str, Any]) -> Any:
        """The result of a method that is for both. Raises RpcFault."""
        if self.options.locked:
            raise LOCKED
        if method not in self._methods:
            raise RpcFault(-32601, "Method not found")
        return self._methods[method](parameters)

    async def handle(self, ask: Ask) -> Answer | None:
        """The answer to one request by HTTP, after its latency; None if a fault cuts the connection."""
        method = ask.path.removeprefix(API)
        parameters = {name: values[0] for name, values in ask.query.items() if values}
        resolution = parameters.get("resolution", "")
        record = RequestRecord(
            at=self._host.monotonic(),
            path=ask.path,
            product=self.symbols.get(parameters.get("instrument_name", ""), ""),
            granularity=resolution,
            timeframe=RESOLUTIONS.get(resolution),
            start=_seconds(parameters.get("start_timestamp", "")),
            end=_seconds(parameters.get("end_timestamp", "")),
        )
        self.requests.append(record)
        self.counts.requests += 1
        self.counts.candle_requests += method == _CANDLES

        async def proceed() -> Answer:
            began_us = self._clock.now_ns() // 1000
            try:
                if not self.credits.take():
                    raise TOO_MANY
                if self.options.latency_s:
                    await self._host.sleep(self.options.latency_s / 2)
                async with self._turn:
                    await asyncio.sleep(0)
                    told: Any = self.call(method, parameters)
            except RpcFault as fault:
                told = fault
            if self.options.latency_s:
                await self._host.sleep(self.options.latency_s / 2)
            body = answer_of(told, None, began_us, self._clock.now_ns() // 1000)
            return Answer(told.status if isinstance(told, RpcFault) else 200, body.encode())

        answer = await self._faults.rest(record, proceed)
        if answer is not None:
            record.status = answer.status
            self.counts.refused += answer.status == 429
        return answer

    def _listed(self, parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
        if parameters.get("expired") in ("true", True):
            return []
        wanted = parameters.get("currency", "any")
        listed = [self._instrument(name) for name in self.symbols if self.knows(name)]
        return [each for each in listed if wanted in ("any", each["settlement_currency"])]

    def _instrument(self, name: str) -> dict[str, Any]:
        base, _, quote = self.symbols[name].partition("-")
        spot = not name.endswith("-PERPETUAL")
        told = {
            "instrument_name": name,
            "kind": "spot" if spot else "future",
            "instrument_type": "linear" if spot else "reversed",
            "base_currency": base,
            "quote_currency": quote,
            "counter_currency": quote,
            "settlement_currency": quote if spot else base,
            "settlement_period": "" if spot else "perpetual",
            "creation_timestamp": self.chart.created(name),
            "expiration_timestamp": _NEVER_MS,
            "is_active": True,
        }
        halted = bool(self._faults.listed(self.symbols[name]))
        return told | ({"is_active": False} if halted else {})

    def _candles(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        instrument = parameters.get("instrument_name")
        if not isinstance(instrument, str) or not self.knows(instrument):
            raise RpcFault(13020, "instrument_not_found")
        timeframe = RESOLUTIONS.get(str(parameters.get("resolution")))
        if timeframe is None:
            data = {"param": "resolution", "reason": "value not allowed"}
            raise RpcFault(-32602, "Invalid params", data=data)
        bounds = []
        for name in ("start_timestamp", "end_timestamp"):
            if not (text := str(parameters.get(name, ""))).isdecimal():
                raise RpcFault(-32602, "Invalid params", data={"param": name, "reason": "must be a number"})
            bounds.append(int(text))
        start, end = bounds
        options = self._faults.options(self.symbols[instrument], self.options)
        seen = self._clock.now() - options.edge_lag_ms
        grid = self.chart.grid(timeframe)
        # The start is exclusive and the end inclusive; no more than so many rows are looked at.
        first = max(start + 1, grid.back(min(end, seen) + 1, self.options.rows_most))
        rows = self.chart.rows(instrument, timeframe, first, end + 1, seen)
        if not options.forming_bucket and rows and grid.end(rows[-1].time) > seen:
            rows.pop()
        return _columns(self._faults.page(self.symbols[instrument], timeframe, rows, newest=True))


def answer_of(told: object, request: object, in_us: int, out_us: int) -> str:
    """An answer as JSON-RPC has it: `told` is the result or an RpcFault; the times are Unix µs."""
    body: dict[str, Any] = {"jsonrpc": "2.0"}
    body |= {"usIn": in_us, "usOut": out_us, "usDiff": out_us - in_us, "testnet": False}
    if request is not None:
        body["id"] = request
    if isinstance(told, RpcFault):
        data = {} if told.data is None else {"data": told.data}
        body["error"] = {"code": told.code, "message": told.message} | data
    else:
        body["result"] = told
    return msgspec.json.encode(body).decode()


def _columns(rows: list[ExactCandle]) -> dict[str, Any]:
    """Numbers by columns, with the digits that the chart has."""
    columns: dict[str, Any] = {"status": "ok" if rows else "no_data", "ticks": [row.time for row in rows]}
    for name in ("open", "high", "low", "close", "volume"):
        columns[name] = msgspec.Raw(f"[{','.join([getattr(row, name) for row in rows])}]")
    columns["cost"] = [round(float(row.close) * float(row.volume), 2) for row in rows]
    return columns


def _seconds(text: str) -> int | None:
    return int(text) // 1000 if text.isascii() and text.isdigit() and len(text) < 16 else None
