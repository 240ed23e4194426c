"""What goes wrong at a Deribit, drawn at random: the same seed draws the same."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace

import msgspec

from ..clock import MarketClock
from ..market.market import Market
from ..trouble.faults import Answer, Faults, FeedFrame, HangUp, RequestRecord
from .exchange import LOCKED, TOO_MANY, RpcFault, answer_of
from .feed import CHANNEL

__all__ = ["DeribitFaults", "refusing"]

_TICK = re.compile(r'"channel":"([^"]+)","data":\{"tick":(\d+)')
_OF_REQUESTS = ("too many", "unequal columns", "locked", "cut")  # one after the other
_FRAMES_UNTIL_CUT = 150
_COLUMNS = ("ticks", "open", "high", "low", "close", "volume")


def refusing(status: int, retry_after_s: int | None) -> Answer:
    """An error of that status in its words."""
    fault = {429: TOO_MANY, 503: LOCKED}.get(status) or RpcFault(11094, "internal_server_error", status)
    headers = {} if retry_after_s is None else {"Retry-After": str(retry_after_s)}
    return replace(_refusing(fault), headers=headers)


class DeribitFaults(Faults):
    """Until `until_ms` (market time) answers go wrong with the probability `share`, and feeds are cut.

    `counts`: how often what did.
    """

    def __init__(self, seed: int, until_ms: int, share: float = 0.05) -> None:
        self.counts: Counter[str] = Counter()
        self._chance = random.Random(seed)
        self._until_ms = until_ms
        self._share = share
        self._struck = self._frames = 0
        self._told: dict[str, tuple[str, str]] = {}  # the last frame of each channel: its tick, and the text
        self._mute_until_ms = 0

    def attach(self, market: Market, clock: MarketClock) -> Market:
        self._clock = clock
        return market

    async def rest(self, request: RequestRecord, proceed: Callable[[], Awaitable[Answer]]) -> Answer | None:
        if not self._strikes():
            return await proceed()
        kind = _OF_REQUESTS[self._struck % len(_OF_REQUESTS)]
        if kind == "unequal columns" and request.timeframe is None:
            return await proceed()
        self._struck += 1
        self.counts[kind] += 1
        if kind == "cut":
            return None
        if kind == "unequal columns":
            return _unequal(await proceed(), self._chance)
        return _refusing(TOO_MANY if kind == "too many" else LOCKED)

    def frame(self, frame: FeedFrame) -> Iterable[str | HangUp]:
        if frame.channel != CHANNEL:
            return (frame.text,)
        found = _TICK.search(frame.text)
        assert found
        channel, tick = found.groups()
        before, self._told[channel] = self._told.get(channel), (tick, frame.text)
        if before and before[0] != tick and self._clock.now() < self._until_ms:
            self.counts["tick after the next"] += 1
            return (frame.text, before[1])
        self._frames += 1
        if self._frames % _FRAMES_UNTIL_CUT == 0 and self._clock.now() < self._until_ms:
            self.counts["too many, and the end"] += 1
            return (frame.text, answer_of(RpcFault(10028, TOO_MANY.message), 9, 0, 0), HangUp(1000))
        return (frame.text,)

    def mute(self, channel: str, product: str, subscribed_ms: int) -> bool:
        if channel != "heartbeats":
            return False
        now = self._clock.now()
        if now >= self._mute_until_ms and self._strikes():
            self.counts["tests unanswered"] += 1
            self._mute_until_ms = now + 60_000
        return now < self._mute_until_ms

    def _strikes(self) -> bool:
        return self._clock.now() < self._until_ms and self._chance.random() < self._share


def _refusing(fault: RpcFault) -> Answer:
    return Answer(fault.status, answer_of(fault, None, 0, 0).encode())


def _unequal(answer: Answer, chance: random.Random) -> Answer:
    """One number of one column is missing."""
    body = msgspec.json.decode(answer.body, type=dict[str, msgspec.Raw])
    if "result" not in body:
        return answer
    result = msgspec.json.decode(body["result"], type=dict[str, msgspec.Raw])
    name = chance.choice(_COLUMNS)
    column = msgspec.json.decode(result[name], type=list[msgspec.Raw])
    if column:
        del column[chance.randrange(len(column))]
    result[name] = msgspec.Raw(msgspec.json.encode(column))
    body["result"] = msgspec.Raw(msgspec.json.encode(result))
    return replace(answer, body=msgspec.json.encode(body))
