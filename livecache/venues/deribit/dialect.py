"""How Deribit's feed is spoken: JSON-RPC over a websocket.

https://docs.deribit.com/api-reference/subscription-channels/charttradesinstrument_nameresolution

What is sent by itself bears no stamp, only answers do. So something is asked every second, which also
tells that the connection lives; the other frames come after the last stamp and after what their candle opens.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any

import msgspec

from ...model.candle import ExactCandle, rejection
from ...model.clock import IMPLAUSIBLE_MS
from ..feed.dialect import Dialect, Frame, Terms
from ..rows import UNDECODABLE, number_text
from ..text import excerpt, one_line, without_numbers
from ..venue import Event, FailureKind, FeedCandles, FeedFailure, Heard, Rejected, Subscribed
from .answers import RpcError, failure_of
from .traits import CARRIED, RESOLUTIONS

__all__ = ["ASKS_EVERY_S", "BEHIND_MS", "CHANNEL", "HEARTBEATS", "PATH", "DeribitDialect"]

PATH = "/ws/api/v2"
CHANNEL = "chart.trades"
HEARTBEATS = "heartbeat"
_PLATFORM = "platform_state"

ASKS_EVERY_S = 1.0
"""A twentieth of what the venue takes, and often enough for buckets to close soon."""

BEHIND_MS = 2_000
"""What comes by itself may be sent so much later than an answer of the same moment."""

_FRAMES_PER_S = 3  # The venue takes 3.3 subscriptions a second.
_HEARTBEAT_S = 30  # after which the venue asks whether we are there
_UNANSWERED_MOST = 100

_FRAME_BYTES = 64 * 1024
_ID_BYTES = 256  # An answer lists the channels.

_Microseconds = Annotated[int, msgspec.Meta(ge=0, lt=1 << 60)]
_Milliseconds = Annotated[int, msgspec.Meta(gt=0, lt=1 << 50)]


class _Candle(msgspec.Struct, gc=False):
    tick: _Milliseconds
    open: msgspec.Raw
    high: msgspec.Raw
    low: msgspec.Raw
    close: msgspec.Raw
    volume: msgspec.Raw


class _Lock(msgspec.Struct):
    price_index: str
    locked: bool


class _Params(msgspec.Struct, gc=False):
    channel: str = ""
    type: str = ""
    data: msgspec.Raw = msgspec.Raw()


class _Message(msgspec.Struct, gc=False):
    """What the venue sends: an answer, which has an id, or what comes by itself, which has a method."""

    method: str = ""
    params: _Params | None = None
    id: int | None = None
    result: msgspec.Raw = msgspec.Raw()
    error: RpcError | None = None
    usOut: _Microseconds = 0


_MESSAGE = msgspec.json.Decoder(_Message)
_CANDLE = msgspec.json.Decoder(_Candle)
_CHANNELS = msgspec.json.Decoder(list[str])
_LOCK = msgspec.json.Decoder(_Lock)


class DeribitDialect(Dialect):
    """`feed.dialect.Dialect` of Deribit. `now` is the venue's clock in Unix ms, None while unknown.

    Something is asked every `asks_every_s`.
    """

    heartbeats = HEARTBEATS

    def __init__(
        self, url: str, now: Callable[[], int | None], *, asks_every_s: float = ASKS_EVERY_S
    ) -> None:
        self.url = url.rstrip("/") + PATH
        self.terms = Terms(
            frame_bytes=_FRAME_BYTES,
            id_bytes=_ID_BYTES,
            frames_per_s=_FRAMES_PER_S + int(1 / asks_every_s),
            keep_alive_s=asks_every_s,
        )
        self._now = now
        self._symbols: dict[str, tuple[str, ...]] = {}  # by their channel's name
        self._stamp = 0  # the newest that an answer bore
        self._past = 0  # the clock, when it was last looked at: what opened before it needs no other look
        self._last_id = 0
        self._asked: dict[int, tuple[str, ...]] = {}  # which instruments a request subscribes to
        self._locked: frozenset[str] = frozenset()  # indices; a new connection is not told of them

    def channels(self, *, trades: bool) -> tuple[str, ...]:
        """The one of candles. Trades are not asked for: candles come of each minute."""
        return (CHANNEL,)

    def carry(self, symbols: Mapping[str, Sequence[str]]) -> None:
        """What still comes of those that are gone is no fault."""
        gone = dict.fromkeys(self._symbols, ())
        self._symbols = gone | {_channel(id_): tuple(names) for id_, names in symbols.items()}

    def opening(self) -> Sequence[str]:
        """The venue is to ask whether we are there, and to say when nothing can be traded."""
        self._stamp, self._asked = 0, {}
        return [
            self._request("public/set_heartbeat", {"interval": _HEARTBEAT_S}),
            self._request("public/subscribe", {"channels": [_PLATFORM]}),
        ]

    def subscribe(self, channel: str, ids: Sequence[str]) -> Sequence[str]:
        """One request for all of them."""
        text = self._request("public/subscribe", {"channels": [_channel(id_) for id_ in ids]})
        while len(self._asked) >= _UNANSWERED_MOST:
            del self._asked[next(iter(self._asked))]
        self._asked[self._last_id] = tuple(ids)
        return [text]

    def unsubscribe(self, channel: str, ids: Sequence[str]) -> Sequence[str]:
        """One request for all of them."""
        return [self._request("public/unsubscribe", {"channels": [_channel(id_) for id_ in ids]})]

    def keep_alive(self) -> Sequence[str]:
        """Something to be answered, for the answer bears the time."""
        return [self._request("public/test", {})]

    def decode(self, data: bytes) -> Frame:
        """The message in `data`. Never raises: what cannot be believed becomes `Rejected`."""
        try:
            message = _MESSAGE.decode(data)
        except UNDECODABLE as error:
            return _no_frame(one_line(f"undecodable frame: {error}"), data, "undecodable")
        if message.method == "subscription" and message.params is not None:
            return self._told(message.params)
        if message.method == HEARTBEATS and message.params is not None:
            asks = message.params.type == "test_request"
            return Frame(HEARTBEATS, None, self._alive(), replies=tuple(self.keep_alive()) if asks else ())
        if message.id is None and message.error is None:
            return _no_frame("a frame that is no answer and has no method", data, "no method")
        return self._answered(message)

    # --- what comes by itself

    def _told(self, params: _Params) -> Frame:
        if params.channel == _PLATFORM:
            return self._state(params)
        symbols = self._symbols.get(params.channel)
        if symbols is None and not params.channel.startswith(CHANNEL):
            return Frame(params.channel or HEARTBEATS, None, self._alive())
        try:
            wire = _CANDLE.decode(params.data)
        except UNDECODABLE as error:
            unread = _rejected(f"an unreadable candle: {error}", params, "an unreadable candle")
            return Frame(CHANNEL, None, (*self._alive(), unread))
        numbers = [number_text(each) for each in (wire.open, wire.high, wire.low, wire.close, wire.volume)]
        candle = ExactCandle(wire.tick, *(number or "" for number in numbers))
        reason = rejection(candle, CARRIED, self._latest(wire.tick))
        if symbols is None:
            reason = "a candle of an instrument that was not asked for"
        if reason:
            return Frame(CHANNEL, None, (*self._alive(), _rejected(reason, params)))
        # It opened before it was told of, and the venue is no earlier than it has said. What others traded by
        # then may still be on its way.
        stamp, through = max(self._stamp, wire.tick), max(1, self._stamp - BEHIND_MS)
        carried = tuple((symbol, CARRIED, candle, False) for symbol in symbols or ())
        told = (FeedCandles(stamp, False, carried, through),) if carried else self._alive()
        traded = self._locked and not candle.flat
        still = self._lock(_index(params.channel), locked=False) if traded else None
        return Frame(CHANNEL, None, told, still=still)

    def _state(self, params: _Params) -> Frame:
        """An index of the platform was locked or unlocked. What else is said of it is not heeded."""
        try:
            lock = _LOCK.decode(params.data)
        except UNDECODABLE:
            return Frame(_PLATFORM, None, self._alive())
        events, still = self._alive(), self._lock(lock.price_index, locked=lock.locked)
        if lock.locked and still is not None:
            events += (FeedFailure(f"the venue says: {lock.price_index} is locked", passing=True),)
        return Frame(_PLATFORM, None, events, still=still)

    def _lock(self, index: str, *, locked: bool) -> frozenset[str] | None:
        """The symbols of which nothing can be traded, if these are others now."""
        before, own = self._locked, {channel: _index(channel) for channel in self._symbols}
        self._locked = before | {index} & set(own.values()) if locked else before - {index}
        if self._locked == before:
            return None
        return frozenset(s for channel, i in own.items() if i in self._locked for s in self._symbols[channel])

    def _latest(self, tick: int) -> int | None:
        """The venue's time, for whatever may not be later. A tick is its word as well, if none absurd."""
        if tick <= self._past:
            return self._past
        if (now := self._now()) is None:
            return None
        self._past = max(now, self._stamp)
        return max(self._past, tick if tick <= self._past + IMPLAUSIBLE_MS else 0)

    def _alive(self) -> tuple[Event, ...]:
        return (Heard(self._stamp - BEHIND_MS),) if self._stamp else ()

    # --- answers

    def _answered(self, message: _Message) -> Frame:
        stamp = message.usOut // 1000
        now = self._now()
        if now is None or stamp <= now + IMPLAUSIBLE_MS:
            stamp = self._stamp = max(self._stamp, stamp)
        heard: tuple[Event, ...] = (Heard(stamp - BEHIND_MS),) if stamp else ()
        asked = self._asked.pop(message.id, ()) if message.id is not None else ()
        if message.error is not None:
            kind = failure_of(message.error, 200).kind
            passing = kind is FailureKind.SERVER or kind.too_fast
            return Frame("", None, (FeedFailure(f"the venue says: {message.error.text}", passing=passing),))
        if not asked:
            return Frame(HEARTBEATS, None, heard)
        try:
            listed = frozenset(_CHANNELS.decode(message.result))
        except UNDECODABLE as error:
            unread = Rejected(
                one_line(f"an unreadable answer: {error}"), excerpt(bytes(message.result)), "frame", "answer"
            )
            return Frame(HEARTBEATS, None, (*heard, unread))
        taken = tuple(id_ for id_ in asked if _channel(id_) in listed)
        # The venue says nothing of what it does not take but that it is not in the list.
        events: list[Event] = [
            FeedFailure(f"the venue does not subscribe to {id_}") for id_ in asked if id_ not in taken
        ]
        symbols = tuple(symbol for id_ in taken for symbol in self._symbols.get(_channel(id_), ()))
        events += [Subscribed(symbols, stamp)] if symbols and stamp else heard
        return Frame("answer", None, tuple(events), ((CHANNEL, taken),))

    def _request(self, method: str, parameters: Mapping[str, Any]) -> str:
        self._last_id += 1
        request = {"jsonrpc": "2.0", "id": self._last_id, "method": method, "params": parameters}
        return msgspec.json.encode(request).decode()


def _channel(id_: str) -> str:
    return f"{CHANNEL}.{id_}.{RESOLUTIONS[CARRIED]}"


def _index(channel: str) -> str:
    """The price index of the instrument of that channel, by which the venue locks it."""
    base = channel.removeprefix(f"{CHANNEL}.").partition(".")[0].partition("-")[0].lower()
    return base if "_" in base else f"{base}_usd"


def _rejected(reason: str, params: _Params, code: str = "") -> Rejected:
    payload = excerpt(params.channel.encode() + b" " + bytes(params.data))
    return Rejected(one_line(reason), payload, "candle", code or without_numbers(reason))


def _no_frame(reason: str, data: bytes, code: str) -> Frame:
    return Frame("", None, (Rejected(reason, excerpt(data), "frame", code),))
