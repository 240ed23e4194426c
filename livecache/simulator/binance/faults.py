"""What goes wrong at a Binance, drawn at random: the same seed draws the same."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace

from ...model.timeframe import Timeframe
from ..clock import MarketClock
from ..market.market import Market
from ..market.revised import RevisedMarket
from ..trouble.faults import Answer, Faults, FeedFrame, HangUp, RequestRecord

__all__ = ["BinanceFaults", "refusing"]

_TOO_MUCH = (
    b'{"code":-1003,"msg":"Too much request weight used; current limit is 6000 request weight per 1 MINUTE."}'
)
_BANNED = b'{"code":-1003,"msg":"Way too much request weight used; IP banned until 1."}'
_COUNTRY = b'{"code":0,"msg":"Service unavailable from a restricted location."}'
_ANSWERS = {
    "429": Answer(429, _TOO_MUCH, headers={"Retry-After": "20"}),
    "418": Answer(418, _BANNED, headers={"Retry-After": "120"}),
    "403": Answer(403, b"<html><title>Request blocked.</title></html>", "text/html"),
    "408": Answer(408, b'{"code":-1007,"msg":"Timeout waiting for response from backend server."}'),
    "503": Answer(503, b'{"code":-1008,"msg":"Server is currently overloaded with other requests."}'),
    "451": Answer(451, _COUNTRY),
}
_OF_REQUESTS = ("503", "cut", "429", "408", "cut", "418", "503", "403")  # one after the other
_ROUNDED_UP_MS = 500  # as Retry-After is
_UNDER_WAY_MS = 1_000  # what was asked before a refusal came is no disobedience

_LOST, _LATE, _TWICE = 0.2, 0.1, 0.1  # shares of the last frames of buckets
_LATE_MOST_MS = 120_000
_FRAMES_UNTIL_CUT = 150
_SILENT_MS = 240_000
_REVISED_BACK = 3  # buckets of 5m


def refusing(status: int, retry_after_s: int | None) -> Answer:
    """An error of that status in its words."""
    unknown = b'{"code":-1000,"msg":"An unknown error occurred while processing the request."}'
    headers = {} if retry_after_s is None else {"Retry-After": str(retry_after_s)}
    return replace(_ANSWERS.get(str(status), Answer(status, unknown)), headers=headers)


class BinanceFaults(Faults):
    """Until `until_ms` (market time) answers go wrong with the probability `share`, and the feed as it may.

    Once in that time nothing is told behind acknowledgements for four minutes, and once closed candles are
    revised. `counts`: how often what did; "asked all the same", in spite of a refusal, is the client's doing.
    """

    def __init__(self, seed: int, until_ms: int, share: float = 0.05) -> None:
        self.counts: Counter[str] = Counter()
        self._chance = random.Random(seed)
        self._until_ms = until_ms
        self._share = share
        self._struck = self._frames = 0
        self._next: tuple[str, Answer | None] = ("", None)
        self._refused = (Answer(200, b""), 0, 0)  # how, since when and until when
        self._late: list[tuple[int, int, str]] = []  # when, on which connection

    def strike(self, kind: str, wait_s: int = 0) -> None:
        """Have the next request answered so: "418", "451", … With `wait_s` that is its Retry-After."""
        headers = {"Retry-After": str(wait_s)} if wait_s else _ANSWERS[kind].headers
        self._next = kind, replace(_ANSWERS[kind], headers=headers)

    def attach(self, market: Market, clock: MarketClock) -> Market:
        self._clock = clock
        self._market = RevisedMarket(market)
        lasts = max(0, self._until_ms - clock.start_ms)
        self._silent_ms = clock.start_ms + int(lasts * self._chance.uniform(0.2, 0.6))
        self._revised_ms = clock.start_ms + int(lasts * self._chance.uniform(0.2, 0.6))
        return self._market

    async def rest(self, request: RequestRecord, proceed: Callable[[], Awaitable[Answer]]) -> Answer | None:
        now = self._clock.now()
        answer, since, until = self._refused
        if now < until:
            self.counts["asked all the same"] += now > since + _UNDER_WAY_MS
            return answer
        (kind, told), self._next = self._next, ("", None)
        if not kind:
            if not self._strikes():
                return await proceed()
            kind = _OF_REQUESTS[self._struck % len(_OF_REQUESTS)]
            told = _ANSWERS.get(kind)
            self._struck += 1
        self.counts[kind] += 1
        if told is None:
            return None
        if wait := told.headers.get("Retry-After"):
            left_ms = int(wait) * 1000 - _ROUNDED_UP_MS
            self._refused = told, now, now + int(left_ms * self._clock.speed)
        return told

    def frame(self, frame: FeedFrame) -> Iterable[str | HangUp]:
        if frame.channel != "candles":
            return (frame.text,)
        now = self._clock.now()
        self._revise(now)
        due = [text for at, session, text in self._late if at <= now and session == frame.session]
        self._late = [late for late in self._late if late[0] > now]
        sent: list[str | HangUp] = [*due, frame.text]
        if now >= self._until_ms:
            return sent
        if '"x":true' in frame.text:
            fate = self._chance.random()
            if fate < _LOST + _LATE:
                self.counts["last frame lost" if fate < _LOST else "last frame late"] += 1
                sent.pop()
            if _LOST <= fate < _LOST + _LATE:
                at = now + self._chance.randrange(_LATE_MOST_MS)
                self._late.append((at, frame.session, frame.text))
            elif _LOST + _LATE <= fate < _LOST + _LATE + _TWICE:
                self.counts["last frame twice"] += 1
                self._late.append((now + self._chance.randrange(_LATE_MOST_MS), frame.session, frame.text))
        self._frames += 1
        if self._frames % _FRAMES_UNTIL_CUT == 0:
            self.counts["feed cut"] += 1
            sent.append(HangUp())
        return sent

    def mute(self, channel: str, product: str, subscribed_ms: int) -> bool:
        now = self._clock.now()
        silent = self._silent_ms <= now < min(self._silent_ms + _SILENT_MS, self._until_ms)
        self.counts["silence behind an acknowledgement"] |= silent
        return silent

    def _revise(self, now: int) -> None:
        if self._revised_ms <= now < self._until_ms:
            self._revised_ms = self._until_ms
            bucket = Timeframe.M5.floor(now) - _REVISED_BACK * Timeframe.M5.ms
            for product in self._market.products():
                self.counts["revised"] += self._market.revise(product, bucket, now)

    def _strikes(self) -> bool:
        return self._clock.now() < self._until_ms and self._chance.random() < self._share
