"""What a venue brings to the loop that all feeds share: how it is spoken to, and what its frames say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

import msgspec

from ..venue import Event

__all__ = ["Dialect", "Frame", "Terms"]


class Frame(msgspec.Struct, frozen=True, gc=False):
    """One message. `channel` is "" for what is no channel's: error frames and the unintelligible.

    `sequence` counts the connection's messages over all channels; None where the message bears none.
    """

    channel: str
    sequence: int | None
    events: tuple[Event, ...]
    acknowledged: tuple[tuple[str, tuple[str, ...]], ...] = ()  # channels with the ids that are sent on each
    replies: tuple[str, ...] = ()  # to be sent for it at once
    leaving: bool = False  # the venue is about to end the connection
    still: frozenset[str] | None = None  # symbols of which nothing is to be expected now; None: as before


class Terms(NamedTuple):
    """What a venue lets one connection do, and what it may do to us."""

    frame_bytes: int  # of a message that is taken; …
    id_bytes: int  # … besides, for each id that is asked for
    frames_per_s: int | None = None  # that we may send
    keep_alive_s: float | None = None  # between two `Dialect.keep_alive`; None: none are wanted
    life_s: float | None = None  # after which the venue ends it whatever happens
    first_within_s: float | None = None  # in which a candle comes on any connection; None: it need not


class Dialect(Protocol):
    """How the feed of one venue is spoken. An id is what the wire carries, for one symbol or several.

    None of these waits, or raises for what a venue may say.
    """

    url: str
    terms: Terms
    heartbeats: str
    """The channel that says only that the connection lives; "" if there is none."""

    def channels(self, *, trades: bool) -> tuple[str, ...]:
        """The data channels, the candles' first."""
        ...

    def carry(self, symbols: Mapping[str, Sequence[str]]) -> None:
        """Symbols by their id, from now on. What still comes of those that are gone is no fault."""
        ...

    def opening(self) -> Sequence[str]:
        """What is sent before anything is subscribed to."""
        return ()

    def subscribe(self, channel: str, ids: Sequence[str]) -> Sequence[str]:
        """The messages that subscribe to these ids of a channel."""
        ...

    def unsubscribe(self, channel: str, ids: Sequence[str]) -> Sequence[str]:
        """The messages that end the subscription to these ids of a channel."""
        ...

    def keep_alive(self) -> Sequence[str]:
        """What is sent every `Terms.keep_alive_s`."""
        return ()

    def decode(self, data: bytes) -> Frame:
        """The message in `data`. What cannot be believed becomes `Rejected`."""
        ...

    def fatal(self, complaint: str) -> str:
        """Why a connection on which the venue complains so is to be ended; "" where it goes on."""
        return ""
