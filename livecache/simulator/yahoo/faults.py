"""What goes wrong at a Yahoo: as it is told to, or drawn at random. The same seed draws the same."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, Literal, get_args

import msgspec

from ...clock import Clock, SystemClock
from ..clock import MarketClock
from ..market.market import Market
from ..market.revised import RevisedMarket
from ..trouble.faults import Answer, Faults, RequestRecord
from .oddities import ODDITIES, Oddity, odd_chart

__all__ = ["REFUSALS", "Refusal", "YahooFaults"]

Refusal = Literal[
    "429", "429 with a time", "429 in 200", "999", "403", "html", "consent", "nothing", "no result", "down",
    "500", "401", "404", "seven days", "cut", "hang", "cut json",
]  # fmt: skip
REFUSALS: tuple[Refusal, ...] = get_args(Refusal)

_HTML = '<!DOCTYPE html>\n<html lang="en-us"><body></body></html>'
_CONSENT = '<html><body><form action="/consent" method="post">Before you continue</form></body></html>'
_DOWN = (
    "<html><title>Yahoo! - 999 Unable to process request at this time -- error 999</title>"
    "Will be right back...</html>"
)
_HANGS_S = 60.0
_ROUNDED_UP_S = 0.5  # as Retry-After is
_AT_RANDOM: tuple[Refusal | Oddity, ...] = (
    *("429", "cut", "down", "html", "today twice", "429 with a time", "500", "null rows", "cut json"),
    *("clock stamps", "429 in 200", "unequal columns", "each twice", "hang", "negative", "no quote"),
    *("before and after hours", "newest first", "no result", "huge", "consent", "no close"),
)


def _html(status: int, text: str, **headers: str) -> Answer:
    return Answer(status, text.encode(), "text/html", headers)


def _chart(status: int, code: str, said: str) -> Answer:
    error = {"code": code, "description": said}
    return Answer(status, msgspec.json.encode({"chart": {"result": None, "error": error}}))


_ANSWERS: dict[str, Answer] = {
    "429": _html(429, "Too Many Requests\r\n"),
    "429 with a time": _html(429, "Too Many Requests\r\n", **{"Retry-After": "20"}),
    "429 in 200": _html(200, "Too Many Requests\r\n"),
    "999": _html(999, _DOWN),
    "403": _html(403, "<html><body>Forbidden</body></html>"),
    "html": _html(200, _HTML),
    "consent": _html(200, _CONSENT),
    "nothing": Answer(200, b""),
    "no result": Answer(200, b'{"chart":{"result":null,"error":null}}'),
    "down": _html(503, _DOWN),
    "500": _chart(500, "Internal Server Error", "java.lang.NullPointerException"),
    "401": Answer(
        401, b'{"finance":{"result":null,"error":{"code":"Unauthorized","description":"Invalid Crumb"}}}'
    ),
    "404": _chart(404, "Not Found", "No data found, symbol may be delisted"),
    "seven days": _chart(
        422,
        "Unprocessable Entity",
        "1m data not available for startTime=1 and endTime=2. Only 7 days worth of 1m granularity data are "
        "allowed to be fetched per request.",
    ),
}


class YahooFaults(Faults):
    """Until `until_ms` (market time) answers go wrong with the probability `share`, and as `strike` says.

    `market` may have things revised in it. `counts`: how often what did; "asked all the same" is the
    client's doing: within the time of a refusal that named one.
    """

    def __init__(
        self, seed: int = 1, until_ms: int = 0, share: float = 0.05, *, host_clock: Clock | None = None
    ) -> None:
        self.counts: Counter[str] = Counter()
        self._chance = random.Random(seed)
        self._until_ms = until_ms
        self._share = share
        self._host = host_clock or SystemClock()
        self._struck = 5 * seed  # each seed begins elsewhere among them
        self._coming: list[tuple[str, str, int]] = []  # what, for which symbol, its Retry-After
        self._wait_until_s = 0.0

    def strike(
        self, kind: Refusal | Oddity, symbol: str = "", *, times: int = 1, retry_after_s: int = 0
    ) -> None:
        """Have the next `times` requests, of that symbol if one is named, go wrong so."""
        if kind not in (*REFUSALS, *ODDITIES):
            raise ValueError(f"nothing is known to go wrong by the name of {kind!r}")
        self._coming += [(kind, symbol, retry_after_s)] * times

    def attach(self, market: Market, clock: MarketClock) -> Market:
        self._clock = clock
        self.market = RevisedMarket(market)
        return self.market

    async def rest(self, request: RequestRecord, proceed: Callable[[], Awaitable[Answer]]) -> Answer | None:
        kind, wait_s = self._next(request)
        self.counts["asked all the same"] += request.at < self._wait_until_s
        if not kind:
            return await proceed()
        self.counts[kind] += 1
        if kind == "cut":
            return None
        if kind == "hang":
            await self._host.sleep(_HANGS_S)
            return None
        if kind == "cut json":
            answer = await proceed()
            return replace(answer, body=answer.body[: len(answer.body) * 2 // 3])
        if answered := _ANSWERS.get(kind):
            headers = {**answered.headers, **({"Retry-After": str(wait_s)} if wait_s else {})}
            if told := headers.get("Retry-After"):
                self._wait_until_s = max(self._wait_until_s, request.at + int(told) - _ROUNDED_UP_S)
            return replace(answered, headers=headers)
        return _odd(await proceed(), kind)

    def _next(self, request: RequestRecord) -> tuple[str, int]:
        """What happens to this one, and with which Retry-After."""
        for number, (kind, symbol, wait_s) in enumerate(self._coming):
            if symbol in ("", request.product):
                del self._coming[number]
                return kind, wait_s
        if not request.product or self._clock.now() >= self._until_ms:
            return "", 0
        if self._chance.random() >= self._share:
            return "", 0
        self._struck += 1
        return _AT_RANDOM[self._struck % len(_AT_RANDOM)], 0


def _odd(answer: Answer, oddity: Any) -> Answer:
    if answer.status != 200:
        return answer
    body = msgspec.json.decode(answer.body)
    body["chart"]["result"] = [odd_chart(each, oddity) for each in body["chart"]["result"]]
    return replace(answer, body=msgspec.json.encode(body))
