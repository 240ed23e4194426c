"""How Binance's feed is spoken: combined streams, one of 1m klines a symbol.

https://developers.binance.com/docs/binance-spot-api-docs/web-socket-streams
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated

import msgspec

from ...model.candle import ExactCandle, rejection
from ...model.clock import IMPLAUSIBLE_MS
from ..feed.dialect import Dialect, Frame, Terms
from ..rows import UNDECODABLE
from ..text import excerpt, one_line
from ..venue import Event, FeedCandles, FeedFailure, Heard, Rejected
from .markets import Market
from .traits import CARRIED

__all__ = ["ASKS_EVERY_S", "BEHIND_MS", "BinanceDialect"]

_KLINES = "kline"
_ALIVE = "alive"
_STREAM = "@kline_1m"
_AT_ONCE = 100  # streams in one message
_PENDING_MOST = 1_000  # messages whose answer is waited for

ASKS_EVERY_S = 3.0
"""Far less than it takes, and often enough for the watchdog to trust the time between."""

BEHIND_MS = 3_000
"""A symbol's frames come every two seconds: what one tells vouches for the others until so long before."""

_LIFE_S = 86_400.0  # It ends each connection after a day.
_FIRST_WITHIN_S = 90.0  # Every symbol has a closing frame each minute, whatever it trades.


_Milliseconds = Annotated[int, msgspec.Meta(ge=0, lt=1 << 50)]


class _Kline(msgspec.Struct, gc=False):
    t: _Milliseconds
    i: str
    o: str
    h: str
    l: str  # noqa: E741
    c: str
    v: str
    x: bool


class _Data(msgspec.Struct, gc=False):
    e: str
    E: _Milliseconds
    s: str = ""
    k: _Kline | None = None


class _Error(msgspec.Struct):
    msg: str = "an error"


class _Message(msgspec.Struct, gc=False):
    stream: str = ""
    data: _Data | None = None
    id: int | None = None
    error: _Error | None = None
    msg: str = ""  # of an error in its other form
    # As it is said by those who are not on combined streams:
    e: str = ""
    E: _Milliseconds = 0


_MESSAGE = msgspec.json.Decoder(_Message)


class BinanceDialect(Dialect):
    """`feed.dialect.Dialect` of one of its markets. `now` is the venue's clock in Unix ms, None while
    unknown."""

    heartbeats = _ALIVE

    def __init__(
        self,
        url: str,
        market: Market,
        now: Callable[[], int | None],
        *,
        asks_every_s: float = ASKS_EVERY_S,
    ) -> None:
        self.url = url.rstrip("/") + market.stream
        # One frame a second is left to pongs. The list of subscriptions is asked for to hear that it lives:
        # where little is traded there is but a frame a minute.
        self.terms = Terms(
            frame_bytes=64 * 1024,
            id_bytes=256,
            frames_per_s=market.frames_per_s - 1 + int(1 / asks_every_s),
            keep_alive_s=asks_every_s,
            life_s=_LIFE_S,
            first_within_s=_FIRST_WITHIN_S,
        )
        self._now = now
        self._symbols: dict[str, Sequence[str]] = {}
        self._numbers = itertools.count(1)
        # Messages without an answer by their number: the ids that each subscribes to, and when it was said.
        self._pending: dict[int, tuple[tuple[str, ...], int]] = {}

    def channels(self, *, trades: bool) -> tuple[str, ...]:
        """The one of klines."""
        return (_KLINES,)

    def carry(self, symbols: Mapping[str, Sequence[str]]) -> None:
        """What still comes of those that are gone is no fault."""
        self._symbols = dict.fromkeys(self._symbols, ()) | dict(symbols)

    def subscribe(self, channel: str, ids: Sequence[str]) -> Sequence[str]:
        """As many messages as it takes."""
        return self._say("SUBSCRIBE", ids)

    def unsubscribe(self, channel: str, ids: Sequence[str]) -> Sequence[str]:
        """As many messages as it takes."""
        return self._say("UNSUBSCRIBE", ids)

    def keep_alive(self) -> Sequence[str]:
        """Ask for what is subscribed to: the answer comes whatever is traded."""
        return [_json({"method": "LIST_SUBSCRIPTIONS", "id": self._number()})]

    def decode(self, data: bytes) -> Frame:
        """The message in `data`. Never raises: what cannot be believed becomes `Rejected`."""
        try:
            message = _MESSAGE.decode(data)
        except UNDECODABLE:
            return _undecodable(data)
        told = message.data or _Data(message.e, message.E)
        if told.k is not None:
            return self._candle(told, told.k, data)
        if told.e == "serverShutdown":
            return Frame(_ALIVE, None, (_heard(told.E),), leaving=True)
        if said := message.error.msg if message.error else message.msg:
            ids, _ = self._pending.pop(message.id or 0, ((), 0))
            about = f": {ids[0]}" if len(ids) == 1 else ""
            return Frame("", None, (FeedFailure(one_line(f"{said}{about}")),))
        if message.id is not None:
            return self._answer(message.id)
        if told.e:
            return Frame(_ALIVE, None, (_heard(told.E),))
        return _undecodable(data)

    def _say(self, method: str, ids: Sequence[str]) -> list[str]:
        told = []
        for first in range(0, len(ids), _AT_ONCE):
            part = tuple(ids[first : first + _AT_ONCE])
            number = self._number(part if method == "SUBSCRIBE" else ())
            streams = [id_.lower() + _STREAM for id_ in part]
            told.append(_json({"method": method, "params": streams, "id": number}))
        return told

    def _number(self, ids: tuple[str, ...] = ()) -> int:
        """That of the next message, which subscribes to these."""
        number = next(self._numbers)
        self._pending[number] = ids, self._now() or 0
        while len(self._pending) > _PENDING_MOST:
            del self._pending[next(iter(self._pending))]
        return number

    def _answer(self, number: int) -> Frame:
        """An acknowledgement, which says nothing of whether a stream tells anything: any name is taken.

        It bears no stamp, but is no older than what it answers.
        """
        ids, said = self._pending.pop(number, ((), 0))
        events = (Heard(max(1, said - BEHIND_MS), reckoned=True),) if said else ()
        return Frame(_ALIVE, None, events, ((_KLINES, ids),) if ids else ())

    def _candle(self, told: _Data, k: _Kline, data: bytes) -> Frame:
        symbols = self._symbols.get(told.s)
        event: Event = _heard(told.E)
        if symbols is None or k.i != CARRIED.value:
            return Frame(_KLINES, None, (event,))
        candle = ExactCandle(k.t, k.o, k.h, k.l, k.c, k.v)
        now = self._now() or told.E
        # Its stamp may be ahead of what was heard, but not by years.
        latest = told.E if now < told.E <= now + IMPLAUSIBLE_MS else now
        if why := rejection(candle, CARRIED, latest):
            event = Rejected(why, excerpt(data), "candle", "candle")
        elif symbols:
            carried = tuple((symbol, CARRIED, candle, k.x) for symbol in symbols)
            # Of a minute that closed, the last frames of some come later than those of others.
            event = FeedCandles(told.E, False, carried, max(1, told.E - BEHIND_MS))
        return Frame(_KLINES, None, (event,))


def _heard(stamp: int) -> Heard:
    return Heard(max(1, stamp - BEHIND_MS))


def _undecodable(data: bytes) -> Frame:
    return Frame("", None, (Rejected("no message of the feed", excerpt(data), "frame", "undecodable"),))


def _json(message: object) -> str:
    return msgspec.json.encode(message).decode()
