"""A dialect that is no venue's: `{"id": "A", "at": 5}` is a candle, `{"beat": 5}` a heartbeat, and so on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from livecache.model.candle import ExactCandle
from livecache.model.timeframe import Timeframe
from livecache.venues.feed.dialect import Frame, Terms
from livecache.venues.venue import FeedCandles, FeedFailure, Heard, Rejected

__all__ = ["T0", "ToyDialect", "acknowledge", "beat", "candle", "leave"]

T0 = 1_784_086_800_000


def candle(id_: str, second: int, *, kind: str = "update") -> str:
    """A candle of the 5m bucket that begins at T0."""
    return msgspec.json.encode({"id": id_, "at": second, "kind": kind}).decode()


def beat(second: int) -> str:
    return msgspec.json.encode({"beat": second}).decode()


def leave() -> str:
    return '{"leave": true}'


def acknowledge(*ids: str) -> str:
    return msgspec.json.encode({"acknowledged": " ".join(ids)}).decode()


class ToyDialect:
    """`livecache.venues.feed.dialect.Dialect`."""

    heartbeats = "beats"

    def __init__(self, url: str = "ws://toy.test", **terms: Any) -> None:
        self.url = url
        self.terms = Terms(frame_bytes=10_000, id_bytes=100, **terms)
        self.symbols: dict[str, Sequence[str]] = {}

    def channels(self, *, trades: bool) -> tuple[str, ...]:
        return ("candles",)

    def carry(self, symbols: Mapping[str, Sequence[str]]) -> None:
        self.symbols = dict(symbols)

    def opening(self) -> Sequence[str]:
        return ["hello"]

    def subscribe(self, channel: str, ids: Sequence[str]) -> Sequence[str]:
        return [f"+{id_}" for id_ in ids]

    def unsubscribe(self, channel: str, ids: Sequence[str]) -> Sequence[str]:
        return [f"-{id_}" for id_ in ids]

    def keep_alive(self) -> Sequence[str]:
        return ["still there"]

    def decode(self, data: bytes) -> Frame:
        try:
            said = msgspec.json.decode(data, type=dict[str, str | int | bool])
        except (msgspec.DecodeError, UnicodeDecodeError):
            return Frame("", None, (Rejected("no JSON", "", "frame", "json"),))
        match said:
            case {"id": str(id_), "at": int(at), "kind": kind}:
                one = ExactCandle(T0, "1", "1", "1", "1", str(at + 1))
                of = tuple((symbol, Timeframe.M5, one, False) for symbol in self.symbols.get(id_, ()))
                return Frame("candles", None, (FeedCandles(T0 + at * 1000, kind == "snapshot", of),))
            case {"beat": int(at)}:
                return Frame("beats", None, (Heard(T0 + at * 1000),))
            case {"ask": str(what)}:
                return Frame("beats", None, (), replies=(f"re: {what}",))
            case {"leave": True}:
                return Frame("beats", None, (), leaving=True)
            case {"acknowledged": str(ids)}:
                return Frame("", None, (), acknowledged=(("candles", tuple(ids.split())),))
            case {"error": str(what)}:
                return Frame("", None, (FeedFailure(what),))
        return Frame("", None, ())

    def fatal(self, complaint: str) -> str:
        return "it is closed to us" if complaint == "go away" else ""
