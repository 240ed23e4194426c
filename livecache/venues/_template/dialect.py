"""OPTIONAL, for a venue with a feed. How it is spoken to, and what its frames say. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec

from ...model.candle import ExactCandle
from ...model.traits import Traits
from ..feed.dialect import Dialect, Frame, Terms
from ..rows import UNDECODABLE
from ..text import excerpt
from ..venue import Event, FeedCandles, Heard, Rejected, Subscribed
from .pages import Row, doubt

__all__ = ["TemplateDialect"]

_CANDLES = "row"  # the one channel of data


class _Said(msgspec.Struct, frozen=True):
    said: str  # "row", which may be the `last` of its bucket, "ack", "beat" or "leaving"
    at: int  # Unix ms: a stamp of the venue's clock
    ids: tuple[str, ...] = ()
    row: Row | None = None
    last: bool = False


class TemplateDialect(Dialect):
    """`now` is the venue's clock in Unix ms, None while unknown.

    OPTIONAL: `opening`, `keep_alive`, `fatal`.
    """

    # OPTIONAL: `frames_per_s`, `keep_alive_s`, `life_s`, `first_within_s`: what it asks of a connection.
    terms = Terms(frame_bytes=10_000, id_bytes=100)
    heartbeats = "beat"

    def __init__(self, url: str, traits: Traits, now: Callable[[], int | None]) -> None:
        self.url = url
        self._timeframe = traits.carried[0]
        self._grid = traits.grid(self._timeframe)
        self._now = now
        self._symbols: dict[str, Sequence[str]] = {}

    def channels(self, *, trades: bool) -> tuple[str, ...]:
        """The one of candles."""
        return (_CANDLES,)

    def carry(self, symbols: Mapping[str, Sequence[str]]) -> None:
        """What still comes of those that are gone is no fault."""
        self._symbols = dict.fromkeys(self._symbols, ()) | dict(symbols)

    def subscribe(self, channel: str, ids: Sequence[str]) -> Sequence[str]:
        """One message for all of them."""
        return ["+" + " ".join(ids)]

    def unsubscribe(self, channel: str, ids: Sequence[str]) -> Sequence[str]:
        """One message for all of them."""
        return ["-" + " ".join(ids)]

    def decode(self, data: bytes) -> Frame:
        """The message in `data`. Never raises: what cannot be believed becomes `Rejected`."""
        try:
            said = msgspec.json.decode(data, type=_Said)
        except UNDECODABLE:
            return Frame("", None, (Rejected("no frame", excerpt(data), "frame", "undecodable"),))
        symbols = tuple(symbol for id_ in said.ids for symbol in self._symbols.get(id_, ()))
        if said.said == "ack":
            return Frame("ack", None, (Subscribed(symbols, said.at),), ((_CANDLES, said.ids),))
        event: Event = Heard(said.at)
        if said.row and (why := doubt(said.row, self._timeframe, self._grid, max(said.at, self._now() or 0))):
            event = Rejected(why, excerpt(data), "candle", "candle")
        elif said.row and symbols:
            one = ExactCandle(*said.row)
            event = FeedCandles(said.at, False, tuple((s, self._timeframe, one, said.last) for s in symbols))
        return Frame(said.said, None, (event,), leaving=said.said == "leaving")
