"""What livecache needs of a venue, and how a venue tells what happened.

A venue never raises for its own or the network's trouble: a fetch returns an outcome, a feed yields
events, and a broken connection is one of them. So one symbol's trouble never cancels another's work, and
whatever does raise is a bug.

Pacing and retries are not a venue's business: each method makes one attempt. `engine/` decides when.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple, Protocol

import msgspec

from ..equities.action import Action
from ..model.candle import ExactCandle, FeedCandle
from ..model.timeframe import Timeframe
from ..model.traits import Traits

if TYPE_CHECKING:
    from .stats import RequestStats

__all__ = [
    "Broken",
    "Event",
    "FailureKind",
    "Feed",
    "FeedCandles",
    "FeedFailure",
    "FetchFailure",
    "Heard",
    "HistoryVenue",
    "Instrument",
    "Page",
    "PageRequest",
    "Product",
    "Refused",
    "Rejected",
    "Subscribed",
    "Trade",
    "Trades",
    "Venue",
    "vouching_until",
]


class PageRequest(NamedTuple):
    """Ask for the candles of `[start, end)` (Unix ms, both aligned to the timeframe).

    `fresh`: this window was asked for before, so the answer must not come from an edge cache.
    """

    symbol: str
    timeframe: Timeframe
    start: int
    end: int
    fresh: bool = False


@dataclass(frozen=True, slots=True)
class Page:
    """A venue's answer: validated rows within the request, oldest first, one a bucket; empty ones absent.

    `rejected` are the buckets that rows which could not be believed leave in doubt: no proof of emptiness.
    """

    request: PageRequest
    rows: tuple[ExactCandle, ...]
    rejected: frozenset[int] = frozenset()  # open times of buckets
    reasons: Mapping[int, str] = field(default_factory=dict)  # why, by the bucket's open time
    spoiled: int = 0  # how many rows could not be believed
    usage: Mapping[str, int] = field(default_factory=dict)  # of budgets, by name, as the venue counts it
    actions: tuple[Action, ...] = ()  # within the request, oldest first, where the venue tells of them
    about: Instrument | None = None  # what the answer says of the symbol itself


@dataclass(frozen=True, slots=True)
class Instrument:
    """What is traded under a symbol, where a venue's answers say so."""

    exchange: str = ""  # as the venue calls it: "NasdaqGS"
    currency: str = ""  # of the prices
    calendar: str = ""  # whose sessions it trades in, by name
    listed: int = 0  # when its history begins, Unix ms; 0 where nobody says
    name: str = ""


class Product(NamedTuple):
    """What the venue's list says of a product."""

    carried: str
    """The id under which its feed comes: itself, mostly."""
    halted: str = ""
    """Why no candle is to be expected, in a few words ("delisted, view only"); "" while it trades."""
    listed: int = 0
    """When its history begins, Unix ms; 0 where the list does not say (`Traits.dated`)."""


class FailureKind(StrEnum):
    """Why a request brought nothing."""

    REFUSED = "refused"  # 429, or 401 on a public endpoint: too fast
    BANNED = "banned"  # 418: everything from this address is refused for a while
    UNAUTHORIZED = "unauthorized"  # 401 or 403 with a key: the key is wrong
    UNKNOWN_SYMBOL = "unknown symbol"
    UNSUPPORTED_TIMEFRAME = "unsupported timeframe"
    PAGE_TOO_LONG = "page too long"  # the venue has already lowered it in its traits
    BAD_REQUEST = "bad request"
    SERVER = "server error"
    TIMEOUT = "timeout"
    NETWORK = "network"
    MALFORMED = "malformed answer"

    @classmethod
    def of_status(cls, status: int) -> FailureKind:
        """What an answer's status means at any venue, as far as it does."""
        if status == 429:
            return cls.REFUSED
        if status == 418:
            return cls.BANNED
        return cls.SERVER if status >= 500 else cls.BAD_REQUEST

    @property
    def too_fast(self) -> bool:
        """Whether it says that too much was asked for."""
        return self in (FailureKind.REFUSED, FailureKind.BANNED)


@dataclass(frozen=True, slots=True)
class FetchFailure:
    """One failed request. `message` is bounded and free of secrets."""

    kind: FailureKind
    message: str
    status: int | None = None
    retry_after_s: float | None = None
    cause: BaseException | None = None  # for the debug log only


# --- what a feed tells. Stamps are Unix ms of the venue's clock; products are the ids that were asked for.


class Subscribed(msgspec.Struct, frozen=True):
    """The venue is known to send `products` on this connection's data channel from `stamp` on."""

    products: tuple[str, ...]
    stamp: int


# A struct, for one is made of every frame: 0.2 µs instead of 0.8.
class FeedCandles(msgspec.Struct, frozen=True, gc=False):
    """A feed's candles, cumulative, in progress or closed, in any order. Also proof of subscription for each.

    A `snapshot` is old news with holes: its candles are true, but it says nothing of what it omits.
    What the feed carries is complete until the stamp, or only until `through`, where that is not 0.
    """

    stamp: int
    snapshot: bool
    candles: tuple[FeedCandle, ...]
    through: int = 0

    @property
    def products(self) -> Collection[str]:
        """Those that it tells of."""
        return [product for product, _, _, _ in self.candles]


class Trade(NamedTuple):
    """One trade. `time` is Unix ms."""

    product: str
    trade_id: int
    price: str
    size: str
    time: int


class Trades(msgspec.Struct, frozen=True):
    """Trades in ascending id. `through` is as of `FeedCandles`."""

    stamp: int
    snapshot: bool
    trades: tuple[Trade, ...]
    through: int = 0

    @property
    def products(self) -> Collection[str]:
        """Those that it tells of."""
        return {trade.product for trade in self.trades}


class Heard(msgspec.Struct, frozen=True):
    """The connection lives: any frame without news of its own (heartbeat, ack, unknown channel).

    `reckoned`: the stamp is what we take the venue's time for, so it tells nothing of that time.
    """

    stamp: int
    reckoned: bool = False


class Broken(msgspec.Struct, frozen=True):
    """The feed of `products` was interrupted: closed, silent, or a message was lost.

    Nothing after `since` (Unix ms; None: the last stamp before this event) is vouched for until new data
    comes. `lost_connection` is False for a mere sequence jump, where frames go on. `mute`: they went on all
    the while and said nothing of these products, so only a candle of each vouches for it again.
    """

    products: tuple[str, ...]
    reason: str
    lost_connection: bool
    since: int | None = None  # earlier than the last stamp where heartbeats went on over a dead data channel
    mute: bool = False


class Rejected(msgspec.Struct, frozen=True):
    """What could not be believed, a "frame", "candle" or "trade"; `payload` is bounded.

    `code` is the same for all that was rejected for the same: the reason may name a time or a place.
    """

    reason: str
    payload: str
    kind: str = "candle"
    code: str = ""


class FeedFailure(msgspec.Struct, frozen=True):
    """An error frame of the venue, or a connection that could not be made; the feed goes on trying."""

    message: str
    unconnected: bool = False  # the connection could not be made, and none is there
    passing: bool = False  # it is of no product, and will pass: maintenance, too much asked for


class Refused(msgspec.Struct, frozen=True):
    """The venue does not take the subscription to `products`; they are asked for again, ever more seldom."""

    products: tuple[str, ...]
    reason: str


Event = Subscribed | FeedCandles | Trades | Heard | Broken | Rejected | FeedFailure | Refused


def vouching_until(event: Event, through: int) -> Event:
    """The same, where what the feed carries is complete only until then."""
    match event:
        case FeedCandles(stamp, snapshot, candles, own):
            return FeedCandles(stamp, snapshot, candles, min(own or stamp, through))
        case Trades(stamp, snapshot, trades, own):
            return Trades(stamp, snapshot, trades, min(own or stamp, through))
        case Subscribed(products, stamp):
            return Subscribed(products, min(stamp, through))
        case Heard(stamp, reckoned):
            return Heard(min(stamp, through), reckoned)
    return event


class Feed(Protocol):
    """One connection's worth of products, kept alive for ever."""

    @property
    def products(self) -> tuple[str, ...]: ...

    def events(self) -> AsyncIterator[Event]:
        """Yield events until closed (`aclose`) or cancelled. Connects, reconnects, resubscribes by itself."""
        ...

    def carry(self, products: Sequence[str], aliases: Mapping[str, str], *, trades: bool) -> None:
        """Carry these from now on, as `Venue.feeds` means them. What stays is not interrupted."""
        ...

    def leave_out(self, products: Sequence[str]) -> None:
        """Subscribe no more to these, which the venue does not know, and again to those left out before."""
        ...

    async def renew(self, products: Sequence[str]) -> None:
        """Subscribe to these anew: settling found that the channel shows nothing of them. Never raises."""
        ...


class Venue(Protocol):
    """A place where candles come from."""

    @property
    def name(self) -> str: ...

    @property
    def origin(self) -> str:
        """Where its history comes from: `scheme://host`."""
        ...

    @property
    def traits(self) -> Traits:
        """What it is like, as far as is known now."""
        ...

    @property
    def stats(self) -> RequestStats:
        """What came of the requests to it, and how long they took."""
        ...

    async def time(self) -> int | FetchFailure:
        """The venue's clock, Unix ms. It is not asked where its traits say that there is none."""
        ...

    async def products(self, only: Sequence[str] = ()) -> Mapping[str, Product] | FetchFailure:
        """What the venue lists, by id: every product, or those of `only` that there are."""
        ...

    async def fetch(self, request: PageRequest) -> Page | FetchFailure:
        """One page of candles, one attempt."""
        ...

    def feeds(
        self,
        products: Sequence[str],
        aliases: Mapping[str, str],
        *,
        trades: bool,
        among: Sequence[Feed] = (),
    ) -> Sequence[Feed]:
        """Feeds that together carry all `products`; `aliases` maps a product to its feed's id.

        Of the feeds `among`, which run already, those that carry any of them carry them on, and others as far
        as there is room; the rest are not among those returned, and are to be closed.
        """
        ...

    async def aclose(self) -> None:
        """Close what is open."""
        ...


class HistoryVenue(Venue, Protocol):
    """One of which years are asked for."""

    async def begins(self, symbol: str) -> int | FetchFailure:
        """When a symbol's history begins, Unix ms; 0 where the venue does not say. One attempt."""
        ...
