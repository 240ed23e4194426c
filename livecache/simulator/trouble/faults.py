"""The seam for faults: where the exchange may be made to fail. By default nothing does.

Subclass `Faults` and hand it to the `Simulator`. It is asked around every REST answer and before every frame
that a feed sends, and a few further things about the exchange go by it as well. `ScriptedFaults` is the one
that plays a script.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from ...model.candle import ExactCandle
from ...model.timeframe import Timeframe
from ..clock import MarketClock
from ..market.market import Market
from ..options import ServerOptions

__all__ = ["Answer", "Faults", "FeedFrame", "HangUp", "RequestRecord", "Stage"]


@dataclass(slots=True)
class RequestRecord:
    """One REST request, as the log keeps it. `status` is 0 until it has been answered, or if it never was.

    `at` is the host's monotonic time of its arrival, in seconds; `start` and `end` are the Unix seconds it
    asked for, None where absent or unreadable; `product` and `granularity`, as the venue calls a timeframe,
    are empty where it named none.
    """

    at: float
    path: str
    product: str = ""
    granularity: str = ""
    start: int | None = None
    end: int | None = None
    status: int = 0
    timeframe: Timeframe | None = None  # of candles

    @property
    def buckets(self) -> int:
        """How many were asked for; 0 where none are named."""
        if self.timeframe is None or self.start is None or self.end is None:
            return 0
        return (self.end - self.start) * 1000 // self.timeframe.ms + 1


@dataclass(frozen=True, slots=True)
class Answer:
    """One REST answer. `cut_after`: the connection is cut after so many bytes of the body, and so long."""

    status: int
    body: bytes
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    cut_after: int | None = None
    stalls_s: float = 0.0


@dataclass(frozen=True, slots=True)
class FeedFrame:
    """One frame about to be sent. `session` counts the connections since the start, from 1.

    An error frame belongs to no channel (an empty string) and has no sequence number (-1).
    """

    session: int
    channel: str
    sequence: int
    text: str


@dataclass(frozen=True, slots=True)
class HangUp:
    """End the connection with this websocket close code; None cuts it off without a word."""

    code: int | None = None


class Stage(Protocol):
    """What a fault may do to the exchange that it plays in."""

    async def pause_listening(self) -> None:
        """Cut every connection and refuse new ones. The port stays taken."""
        ...

    async def resume_listening(self) -> None:
        """Accept connections again, at the same port."""
        ...


class Faults:
    """No fault at all. Override what is to fail."""

    def attach(self, market: Market, clock: MarketClock) -> Market:
        """Learn what the exchange is made of, before anything else. Returns the market that it shows."""
        return market

    async def play(self, stage: Stage) -> None:
        """Run beside the exchange while it listens. Cancelled at its end; may return before."""

    async def rest(self, request: RequestRecord, proceed: Callable[[], Awaitable[Answer]]) -> Answer | None:
        """Answer a request: `await proceed()` gives what the exchange would say.

        May wait before or after, change the answer, replace it, or return None to cut the connection.
        """
        return await proceed()

    def page(
        self, product: str, timeframe: Timeframe, rows: list[ExactCandle], *, newest: bool
    ) -> list[ExactCandle]:
        """What a page shows in place of these rows, oldest first. `newest`: of too many it shows those."""
        return rows

    def frame(self, frame: FeedFrame) -> Iterable[str | HangUp] | HangUp:
        """What to send in place of a frame: its text, none, several; or close, also behind a text.

        Sequence numbers are already dealt, so a frame left out is a jump that the client can see.
        """
        return (frame.text,)

    def mute(self, channel: str, product: str, subscribed_ms: int) -> bool:
        """Whether the feed has nothing to say of that product, subscribed to at that market time.

        Asked before a sequence number is dealt: what is muted leaves no jump. `heartbeats` is a product too.
        """
        return False

    def lists(self, product: str) -> bool:
        """Whether the exchange knows the product now."""
        return True

    def listed(self, product: str) -> Mapping[str, object]:
        """What the list of products says otherwise of this one."""
        return {}

    def refusal(self, products: Sequence[str]) -> tuple[frozenset[str], str]:
        """Which products of a client's subscription are not taken, and the error's text: "", no error."""
        return frozenset(), ""

    def options(
        self, product: str, usual: ServerOptions, timeframe: Timeframe | None = None
    ) -> ServerOptions:
        """How the exchange behaves now towards a product: its edge lag, bucket in progress, final updates."""
        return usual
