"""What goes over Coinbase's websocket: frames to events, and subscriptions out. Pure.

https://docs.cdp.coinbase.com/coinbase-app/advanced-trade-apis/websocket/websocket-channels

A frame of the expected shape is decoded in one pass. Whatever does not fit goes the slow way, which keeps
each part of it that can be believed and rejects the rest, so that nothing on the wire raises.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, TypeVar

import msgspec

from ...model.candle import NUMBER, ExactCandle, FeedCandle, rejection, within_bounds
from ...model.clock import IMPLAUSIBLE_MS
from ..feed.dialect import Frame
from ..rows import UNDECODABLE
from ..text import excerpt, one_line, without_numbers
from ..venue import Event, FeedCandles, FeedFailure, Heard, Rejected, Subscribed, Trade, Trades
from .traits import CARRIED

__all__ = ["CANDLES", "HEARTBEATS", "TRADES", "FrameDecoder", "subscription", "unsubscription"]

CANDLES = "candles"  # always 5m: the channel ignores a granularity
TRADES = "market_trades"
HEARTBEATS = "heartbeats"
_ACK = "subscriptions"


# A datetime decoded by msgspec costs half of what its text would with a cached parser (0.8 against 1.0 µs a
# frame), and is checked at once. Coinbase's nanoseconds are rounded to microseconds.
_Stamp = Annotated[datetime, msgspec.Meta(tz=True)]
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


# Bounded, because arithmetic and printing of boundless integers is neither cheap nor always possible.
_Seconds = Annotated[int, msgspec.Meta(ge=0, lt=1 << 40)]
_Count = Annotated[int, msgspec.Meta(ge=0, lt=1 << 62)]


class _Candle(msgspec.Struct, gc=False):
    start: _Seconds  # as text
    high: str
    low: str
    open: str
    close: str
    volume: str
    product_id: str


class _CandlesEvent(msgspec.Struct, gc=False):
    type: str
    candles: list[_Candle]


class _Trade(msgspec.Struct, gc=False):
    product_id: str
    trade_id: _Count  # as text
    price: str
    size: str
    time: _Stamp


class _TradesEvent(msgspec.Struct, gc=False):
    type: str
    trades: list[_Trade]


class _AckEvent(msgspec.Struct, gc=False):
    subscriptions: dict[str, list[str]]


class _CandlesFrame(msgspec.Struct, gc=False, tag_field="channel", tag=CANDLES):
    timestamp: _Stamp
    sequence_num: _Count
    events: list[_CandlesEvent]


class _TradesFrame(msgspec.Struct, gc=False, tag_field="channel", tag=TRADES):
    timestamp: _Stamp
    sequence_num: _Count
    events: list[_TradesEvent]


# Events of heartbeats are not read: `heartbeat_counter` is the server process's, int or text by the year,
# and `current_time` is Go's `time.String()`. The envelope's stamp says it all.
class _HeartbeatsFrame(msgspec.Struct, gc=False, tag_field="channel", tag=HEARTBEATS):
    timestamp: _Stamp
    sequence_num: _Count


class _AckFrame(msgspec.Struct, gc=False, tag_field="channel", tag=_ACK):
    timestamp: _Stamp
    sequence_num: _Count
    events: list[_AckEvent]


_ABSENT = msgspec.Raw(b"null")


class _Envelope(msgspec.Struct):
    """Any message at all, as little as possible assumed."""

    channel: str | None = ""
    type: str | None = ""
    message: msgspec.Raw = _ABSENT
    reason: msgspec.Raw = _ABSENT
    error: msgspec.Raw = _ABSENT
    product_ids: msgspec.Raw = _ABSENT
    timestamp: msgspec.Raw = _ABSENT
    sequence_num: _Count | None = None
    events: msgspec.Raw = msgspec.Raw(b"[]")


class _LooseEvent(msgspec.Struct):
    type: str | None = ""
    candles: list[msgspec.Raw] | None = None
    trades: list[msgspec.Raw] | None = None


# `strict=False` reads numbers from text, which is how Coinbase writes nearly all of them.
_FRAME = msgspec.json.Decoder(_CandlesFrame | _TradesFrame | _HeartbeatsFrame | _AckFrame, strict=False)
_ENVELOPE = msgspec.json.Decoder(_Envelope, strict=False)
_STAMP = msgspec.json.Decoder(_Stamp)
_TEXT = msgspec.json.Decoder(str | None)
_EVENTS = msgspec.json.Decoder(list[msgspec.Raw])
_ONE_EVENT = msgspec.json.Decoder(_LooseEvent)
_ONE_CANDLE = msgspec.json.Decoder(_Candle, strict=False)
_ONE_TRADE = msgspec.json.Decoder(_Trade, strict=False)

_Item = TypeVar("_Item")

_NUMBER = re.compile(NUMBER, re.ASCII)

# A trade is stamped by the matching engine and its message by another machine, whose clock may lag a little.
_SKEW_MS = 1_000


class FrameDecoder:
    """Turns the bytes of one connection's messages into events.

    `symbols` maps each id that the feed carries to the ids that were asked for (BTC-USD to BTC-USD and
    BTC-USDC). `now` is the venue's clock in Unix ms, None while unknown; a frame's own stamp counts as now
    if it is plausibly later.
    """

    def __init__(self, symbols: Mapping[str, Sequence[str]], now: Callable[[], int | None]) -> None:
        self._symbols: dict[str, tuple[str, ...]] = {}
        self._now = now
        self._past = 0  # the clock, when it was last looked at: what opened before it needs no other look
        self.carry(symbols)

    def carry(self, symbols: Mapping[str, Sequence[str]]) -> None:
        """Other ids from now on. What still comes of those that are gone is no news, and no fault."""
        gone = dict.fromkeys(self._symbols, ())
        self._symbols = gone | {carried: tuple(asked) for carried, asked in symbols.items()}

    def decode(self, data: bytes) -> Frame:
        """The message in `data`. Never raises: what cannot be believed becomes `Rejected`."""
        try:
            frame = _FRAME.decode(data)
        except UNDECODABLE:
            return self._salvage(data)
        stamp = _milliseconds(frame.timestamp)
        if isinstance(frame, _CandlesFrame):
            return Frame(CANDLES, frame.sequence_num, self._candles(frame.events, stamp))
        if isinstance(frame, _TradesFrame):
            return Frame(TRADES, frame.sequence_num, self._trades(frame.events, stamp))
        if isinstance(frame, _HeartbeatsFrame):
            return Frame(HEARTBEATS, frame.sequence_num, (Heard(stamp),))
        listed = {c: ids for event in frame.events for c, ids in event.subscriptions.items()}
        known = tuple((c, tuple(i for i in ids if i in self._symbols)) for c, ids in listed.items())
        return Frame(_ACK, frame.sequence_num, (self._ack(frame.events, stamp),), known)

    def _candles(self, events: Iterable[_CandlesEvent], stamp: int) -> tuple[Event, ...]:
        now = self._past
        told: list[Event] = []
        rejected: list[Event] = []
        for event in events:
            candles: list[FeedCandle] = []
            for wire in event.candles:
                candle = ExactCandle(
                    wire.start * 1000, wire.open, wire.high, wire.low, wire.close, wire.volume
                )
                if candle.time > now:
                    now = self._latest(stamp)
                symbols = self._symbols.get(wire.product_id)
                if symbols is None:
                    rejected.append(_rejected("a candle of a product that was not asked for", wire))
                elif reason := rejection(candle, CARRIED, now):
                    rejected.append(_rejected(reason, wire))
                else:
                    for symbol in symbols:
                        candles.append((symbol, CARRIED, candle, False))
            if candles:
                told.append(FeedCandles(stamp, event.type == "snapshot", tuple(candles)))
        if told and not rejected:  # nearly always
            return tuple(told)
        return (*(told or (Heard(stamp),)), *rejected)

    def _trades(self, events: Iterable[_TradesEvent], stamp: int) -> tuple[Event, ...]:
        latest = self._latest(stamp) + _SKEW_MS
        told: list[Event] = []
        rejected: list[Event] = []
        for event in events:
            trades: list[Trade] = []
            for wire in event.trades:
                time = _milliseconds(wire.time)
                symbols = self._symbols.get(wire.product_id)
                if symbols is None:
                    rejected.append(_rejected("a trade of a product that was not asked for", wire))
                elif reason := _trade_rejection(wire, time, latest):
                    rejected.append(_rejected(reason, wire))
                else:
                    trades += [Trade(s, wire.trade_id, wire.price, wire.size, time) for s in symbols]
            if trades:
                trades.sort(key=_trade_id)  # newest first on the wire
                told.append(Trades(stamp, event.type == "snapshot", tuple(trades)))
        return (*(told or (Heard(stamp),)), *rejected)

    def _ack(self, events: Iterable[_AckEvent], stamp: int) -> Event:
        # An ack lists all that the connection is subscribed to, and sometimes nothing although data flows.
        listed = [carried for event in events for carried in event.subscriptions.get(CANDLES, ())]
        symbols = [symbol for carried in listed for symbol in self._symbols.get(carried, ())]
        return Subscribed(tuple(symbols), stamp) if symbols else Heard(stamp)

    def _salvage(self, data: bytes) -> Frame:
        """The slow way, for error frames, unknown channels, and frames with something odd in them."""
        try:
            envelope = _ENVELOPE.decode(data)
        except UNDECODABLE as error:
            return Frame("", None, (_unreadable("undecodable frame", error, data, "frame"),))
        if envelope.type == "error":
            complaint = one_line(_complaint(envelope)) or "no reason given"
            return Frame("", envelope.sequence_num, (FeedFailure(f"the venue says: {complaint}"),))
        if not envelope.channel:
            rejected = Rejected("a frame of no channel", excerpt(data), "frame", "no channel")
            return Frame("", envelope.sequence_num, (rejected,))
        try:
            stamp = _milliseconds(_STAMP.decode(envelope.timestamp))
        except UNDECODABLE as error:
            rejected = _unreadable("a frame without a time", error, data, "frame")
            return Frame(envelope.channel, envelope.sequence_num, (rejected,))
        return Frame(envelope.channel, envelope.sequence_num, self._salvaged(envelope, stamp))

    def _salvaged(self, envelope: _Envelope, stamp: int) -> tuple[Event, ...]:
        if envelope.channel not in (CANDLES, TRADES):
            return (Heard(stamp),)
        try:
            raws = _EVENTS.decode(envelope.events)
        except UNDECODABLE as error:
            events = bytes(envelope.events)
            return (Heard(stamp), _unreadable("events of no known shape", error, events, "frame"))
        unreadable: list[Event] = []
        loose = _readable(raws, _ONE_EVENT, "event", unreadable, kind="frame")
        if envelope.channel == CANDLES:
            candles = [
                _CandlesEvent(e.type or "", _readable(e.candles or (), _ONE_CANDLE, "candle", unreadable))
                for e in loose
            ]
            return (*self._candles(candles, stamp), *unreadable)
        trades = [
            _TradesEvent(e.type or "", _readable(e.trades or (), _ONE_TRADE, "trade", unreadable))
            for e in loose
        ]
        return (*self._trades(trades, stamp), *unreadable)

    def _latest(self, stamp: int) -> int:
        """The venue's time: the frame's own stamp may be ahead of what was heard, but not by years."""
        now = self._now()
        if now is None:
            return stamp
        self._past = now
        return stamp if now < stamp <= now + IMPLAUSIBLE_MS else now


def subscription(channel: str, products: Sequence[str] = (), token: str | None = None) -> str:
    """The message that subscribes to a channel; heartbeats take no products. `token`: a fresh JWT."""
    return _request("subscribe", channel, products, token)


def unsubscription(channel: str, products: Sequence[str], token: str | None = None) -> str:
    """The message that ends the subscription to these products of a channel. `token`: a fresh JWT."""
    return _request("unsubscribe", channel, products, token)


def _request(kind: str, channel: str, products: Sequence[str], token: str | None) -> str:
    message: dict[str, str | Sequence[str]] = {"type": kind, "channel": channel}
    if products:
        message["product_ids"] = products
    if token is not None:
        message["jwt"] = token
    return msgspec.json.encode(message).decode()


def _milliseconds(time: datetime) -> int:
    return (time - _EPOCH) // _MILLISECOND


def _trade_id(trade: Trade) -> int:
    return trade.trade_id


def _trade_rejection(wire: _Trade, time: int, latest: int) -> str | None:
    if wire.trade_id <= 0:
        return f"{wire.trade_id} is no trade id"
    if not (_NUMBER.fullmatch(wire.price) and _NUMBER.fullmatch(wire.size)):
        return "a trade's price or size is not a plain number"
    if not (within_bounds(wire.price) and within_bounds(wire.size)):
        return "a trade's price or size is absurdly large or fine"
    if float(wire.price) <= 0:
        return "a trade's price is not positive"
    if time > latest:
        return f"a trade at {time} is in the future of the venue's clock"
    return None


def _complaint(envelope: _Envelope) -> str:
    """What an error frame says, whichever of its fields says it and however: texts, lists and objects."""
    fields = (envelope.message, envelope.reason, envelope.error, envelope.product_ids)
    return ": ".join(text for field in fields if (text := _as_text(bytes(field))))


def _as_text(field: bytes) -> str:
    try:
        return _TEXT.decode(field) or ""
    except UNDECODABLE:
        return field.decode("utf-8", "replace")


def _readable(
    raws: Iterable[msgspec.Raw],
    decoder: msgspec.json.Decoder[_Item],
    what: str,
    unreadable: list[Event],
    *,
    kind: str = "",
) -> list[_Item]:
    """The items that decode; the others are added to `unreadable`, as rejections of that kind (`what`)."""
    items: list[_Item] = []
    for raw in raws:
        try:
            items.append(decoder.decode(raw))
        except UNDECODABLE as error:
            unreadable.append(_unreadable(f"an unreadable {what}", error, bytes(raw), kind or what))
    return items


def _rejected(reason: str, wire: _Candle | _Trade) -> Rejected:
    kind = "candle" if isinstance(wire, _Candle) else "trade"
    payload = excerpt(msgspec.json.encode(wire))
    return Rejected(one_line(reason), payload, kind, without_numbers(reason))


def _unreadable(what: str, error: Exception, data: bytes, kind: str) -> Rejected:
    return Rejected(one_line(f"{what}: {error}"), excerpt(data), kind, what)
