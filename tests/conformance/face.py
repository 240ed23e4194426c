"""What a venue brings to the suite: a face, which plays a small market, and a few words of its language."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from livecache.clock import Clock
from livecache.model.candle import ExactCandle
from livecache.model.timeframe import Timeframe
from livecache.venues.venue import FailureKind, Venue

__all__ = ["Face"]


class Face(Protocol):
    """A market, and a server on loopback that tells of it as the venue does. Times are Unix ms of its clock.

    The `symbol` and the `other` are traded all the time; `aliases` are further names, of which symbol each.
    `data` is part of every frame of a candle but of no snapshot. While it is `muted`, it sends none of these,
    and acknowledges and beats as ever. `flag` is what the last candle of a bucket has and what another has
    there, if there is a flag; `leaving` is a frame that says that the connection is about to end, "" where
    the venue says no such thing.
    After a refusal that says nothing of it the venue itself waits `pause_s`, if that is not None. `sorry` is
    what its page for people is told as that says that it will be right back.
    `bad_row` is a pattern of a page's body and what takes its first place, so that one row has a price that
    is no number.
    """

    name: str
    symbol: str
    other: str
    aliases: Mapping[str, str]
    data: str
    muted: bool
    flag: tuple[str, str] | None
    bad_row: tuple[bytes, bytes]
    pause_s: float | None
    sorry: FailureKind

    @property
    def leaving(self) -> str: ...

    def now(self) -> int:
        """The time of its market, which goes fast."""
        ...

    def rows(self, symbol: str, timeframe: Timeframe, start: int, end: int) -> Sequence[ExactCandle]:
        """The truth: its rows of the buckets that open in `[start, end)`, flat ones if it has such."""
        ...

    def listening(self) -> AbstractAsyncContextManager[tuple[str, str]]:
        """The URLs of its history and of its feed, for as long as it is entered."""
        ...

    def venue(self, name: str, urls: Sequence[str], now: Callable[[], int | None], clock: Clock) -> Venue:
        """The venue under test. A request may last 1 s; a feed that is silent for 1 s is given up."""
        ...
