"""The venue's REST side: requests in, answers out. It knows no socket; `server.py` connects it to one.

https://docs.cdp.coinbase.com/coinbase-app/advanced-trade-apis/rest-api
"""

from __future__ import annotations

import re
from collections import OrderedDict, deque
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from ...clock import Clock, SystemClock
from ...model.candle import ExactCandle
from ...model.timeframe import Timeframe
from ..clock import MarketClock
from ..face import Ask, Counts
from ..market.market import Market
from ..options import ServerOptions
from ..trouble.faults import Answer, Faults, RequestRecord
from .auth import KeyRing
from .listing import MAX_TRADES, newest_trades, product_json, trade_json

__all__ = ["API", "GRANULARITIES", "Exchange"]

API = "/api/v3/brokerage"

GRANULARITIES: dict[str, Timeframe] = {
    "ONE_MINUTE": Timeframe.M1,
    "FIVE_MINUTE": Timeframe.M5,
    "FIFTEEN_MINUTE": Timeframe.M15,
    "THIRTY_MINUTE": Timeframe.M30,
    "ONE_HOUR": Timeframe.H1,
    "TWO_HOUR": Timeframe.H2,
    "FOUR_HOUR": Timeframe.H4,
    "SIX_HOUR": Timeframe.H6,
    "ONE_DAY": Timeframe.D1,
}

_ROUTE = re.compile(
    rf"{API}/(?:time|(?P<market>market/)?products(?:/(?P<product>[^/]+)(?:/(?P<what>candles|ticker))?)?)"
)
_CACHED_ANSWERS = 1_024
_REFUSED = b'{"errors":[{"id":"rate_limit_exceeded","message":"Too many requests"}]}'


class Exchange:
    """Answers requests, keeps to its rate limit, and logs every request.

    `requests` holds the newest ones in order of arrival; `counts` counts all.
    """

    def __init__(
        self,
        market: Market,
        clock: MarketClock,
        options: ServerOptions | None = None,
        *,
        faults: Faults | None = None,
        keys: KeyRing | None = None,
        host_clock: Clock | None = None,
    ) -> None:
        self._market = market
        self._clock = clock
        self._options = options = options or ServerOptions()
        self._faults = faults or Faults()
        self._keys = keys or KeyRing()
        self._host = host_clock or SystemClock()
        self.requests: deque[RequestRecord] = deque(maxlen=options.max_requests_logged)
        self.counts = Counts()
        self._public: deque[float] = deque(maxlen=options.requests_per_second)
        self._private: deque[float] = deque(maxlen=options.private_requests_per_second)
        self._edge: OrderedDict[str, tuple[float, Answer]] = OrderedDict()
        # A cached page must not be older than a second of market time, or a fast market would look broken.
        self._edge_s = options.edge_cache_s * min(1.0, clock.real_s(1000))

    async def handle(self, ask: Ask) -> Answer | None:
        """The answer to one request, after its latency; None if a fault cuts the connection."""
        route = _ROUTE.fullmatch(ask.path)
        record = RequestRecord(
            at=self._host.monotonic(),
            path=ask.path,
            product=(route and route["product"]) or "",
            granularity=ask.get("granularity"),
            timeframe=GRANULARITIES.get(ask.get("granularity")),
            start=_integer(ask.get("start")),
            end=_integer(ask.get("end")),
        )
        self.requests.append(record)
        self.counts.requests += 1
        self.counts.candle_requests += route is not None and route["what"] == "candles"

        async def proceed() -> Answer:
            private = ask.path.startswith(f"{API}/products")
            admitted = self._admit(self._private if private else self._public, record.at)
            if self._options.latency_s:
                await self._host.sleep(self._options.latency_s / 2)
            if not admitted:
                answer = Answer(429, _REFUSED)
            elif private and not self._allows(ask):
                answer = Answer(401, b"Unauthorized", "text/plain")
            elif private:
                answer = self._answer(ask, route)
            else:
                answer = self._from_edge(ask, route)
            if self._options.latency_s:
                await self._host.sleep(self._options.latency_s / 2)
            return answer

        answer = await self._faults.rest(record, proceed)
        if answer is not None:
            record.status = answer.status
            self.counts.refused += answer.status == 429
            self.counts.unauthorized += answer.status == 401
        return answer

    def _admit(self, window: deque[float], at: float) -> bool:
        """Whether one more request fits into the second that ends now. Refused ones do not count."""
        if not window.maxlen or (len(window) == window.maxlen and at - window[0] < 1.0):
            return False
        window.append(at)
        return True

    def _from_edge(self, ask: Ask, route: re.Match[str] | None) -> Answer:
        """The answer of the edge: the same for the same address for a while."""
        now = self._host.monotonic()
        expires, answer = self._edge.get(ask.url, (0.0, None))
        if answer is not None and now < expires:
            self.counts.cached += 1
            return _marked(answer, "HIT")
        answer = self._answer(ask, route)
        if answer.status == 200 and self._edge_s > 0:
            self._edge[ask.url] = (now + self._edge_s, answer)
            self._edge.move_to_end(ask.url)
            if len(self._edge) > _CACHED_ANSWERS:
                self._edge.popitem(last=False)
        return _marked(answer, "MISS")

    def _allows(self, ask: Ask) -> bool:
        return self._keys.allows_rest(ask.authorization, ask.method, ask.path, self._clock.now())

    def _answer(self, ask: Ask, route: re.Match[str] | None) -> Answer:
        if route is None or ask.method != "GET":
            return _error(404, "NOT_FOUND", "no such endpoint")
        if ask.path == f"{API}/time":
            return self._time()
        product = route["product"]
        if product is None:
            return self._products(ask)
        if not self._knows(product):
            return _error(404, "NOT_FOUND", f"Product {product} not supported")
        if route["what"] == "candles":
            return self._candles(ask, product)
        if route["what"] == "ticker":
            return self._ticker(ask, product)
        return _json(self._listed(product, self._clock.now()))

    def _knows(self, product: str) -> bool:
        """Whether a product or alias can be asked for now."""
        aliases = self._market.aliases()
        known = product in aliases or product in self._market.products()
        return known and self._faults.lists(product) and self._faults.lists(aliases.get(product, product))

    def _listed(self, product: str, now: int) -> dict[str, Any]:
        told = product_json(self._market, product, now)
        return {**told, **self._faults.listed(self._market.aliases().get(product, product))}

    def _time(self) -> Answer:
        now = self._clock.now()
        iso = datetime.fromtimestamp(now // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return _json({"iso": iso, "epochSeconds": str(now // 1000), "epochMillis": str(now)})

    def _products(self, ask: Ask) -> Answer:
        wanted = set(ask.query.get("product_ids", ()))
        ids = [*self._market.products(), *self._market.aliases()]
        if ask.get("product_type") not in ("", "SPOT"):
            ids = []
        ids = [i for i in ids if (not wanted or i in wanted) and self._knows(i)]
        offset = _integer(ask.get("offset")) or 0
        limit = _integer(ask.get("limit")) or len(ids)
        page = ids[offset : offset + limit]
        now = self._clock.now()
        pagination = {"prev_cursor": "", "next_cursor": "", "has_next": False, "has_prev": False}
        products = [self._listed(i, now) for i in page]
        return _json({"products": products, "num_products": len(page), "pagination": pagination})

    def _candles(self, ask: Ask, product: str) -> Answer:
        name = ask.get("granularity")
        timeframe = GRANULARITIES.get(name)
        options = self._faults.options(product, self._options, timeframe)
        if timeframe is None or name in options.rejected_granularities:
            return _invalid("granularity argument is invalid")
        limit = _integer(ask.get("limit"))
        start, end = _integer(ask.get("start")), _integer(ask.get("end"))
        now = self._clock.now()
        if not ask.get("start") and not ask.get("end"):
            # Undocumented but seen: without a window the newest buckets come.
            end = now // 1000
            start = end - timeframe.ms // 1000 * min(
                limit or options.max_buckets - 1, options.max_buckets - 1
            )
        if start is None or end is None or start > end:
            return _invalid("start and end argument is invalid")
        if (end - start) * 1000 // timeframe.ms + 1 > options.max_buckets:
            # The venue's own words, with the space at their end.
            return _invalid(
                "start and end argument is invalid - number of candles requested should be less than "
                f"{options.max_buckets} "
            )
        seen = now - options.edge_lag_ms
        data_of = self._market.aliases().get(product, product)
        # Both bounds are inclusive on the open of a bucket.
        rows = self._market.candles(data_of, timeframe, start * 1000, end * 1000 + 1, seen)
        if not options.forming_bucket and rows and rows[-1].time + timeframe.ms > seen:
            rows.pop()
        rows = self._faults.page(product, timeframe, rows, newest=True)[::-1]
        return Answer(200, _candles_json(rows[:limit] if limit else rows))

    def _ticker(self, ask: Ask, product: str) -> Answer:
        limit = _integer(ask.get("limit")) or MAX_TRADES
        if limit > 1000:
            return _error(500, "INTERNAL", "internal error")
        now = self._clock.now()
        start, end = _integer(ask.get("start")), _integer(ask.get("end"))
        to_ms = now if end is None else min(end * 1000 + 1, now)
        data_of = self._market.aliases().get(product, product)
        newest = newest_trades(self._market, data_of, (start or 0) * 1000, to_ms)[:limit]
        price = newest[0].price if newest else ""
        rows = [trade_json(t) | {"product_id": product, "bid": "", "ask": ""} for t in newest]
        return _json({"trades": rows, "best_bid": price, "best_ask": price})


def _integer(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 13 else None


def _candles_json(rows: Sequence[ExactCandle]) -> bytes:
    """The venue's body. Its digits need no escaping, and a template is the quickest encoder."""
    body = ",".join(
        f'{{"start":"{r.time // 1000}","low":"{r.low}","high":"{r.high}","open":"{r.open}",'
        f'"close":"{r.close}","volume":"{r.volume}"}}'
        for r in rows
    )
    return f'{{"candles":[{body}]}}'.encode()


def _json(body: object) -> Answer:
    return Answer(200, msgspec.json.encode(body))


def _error(status: int, error: str, message: str) -> Answer:
    return Answer(status, msgspec.json.encode({"error": error, "message": message}))


def _invalid(details: str) -> Answer:
    body = {"error": "INVALID_ARGUMENT", "error_details": details, "message": details}
    return Answer(400, msgspec.json.encode(body))


def _marked(answer: Answer, status: str) -> Answer:
    """As the edge sends it, with the venue's max-age of four hours, which no client must believe."""
    headers = {"cache-control": "public, max-age=14400", "cf-cache-status": status}
    return Answer(answer.status, answer.body, answer.content_type, headers)
