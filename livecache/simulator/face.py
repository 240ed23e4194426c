"""What a simulated venue has of its own: how it answers, and what its feed says."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, cast

from ..errors import ConfigError
from .market.market import Market
from .options import ServerOptions
from .trouble.faults import Answer, Faults, RequestRecord
from .trouble.spoiled import refusing

if TYPE_CHECKING:
    from aiohttp import web

__all__ = ["KINDS", "Ask", "Counts", "Face", "FaceKind", "TwoSided", "kind_of"]


@dataclass(frozen=True, slots=True)
class Ask:
    """One REST request. `query` holds every value of each name; the last two are headers."""

    method: str
    path: str
    query: Mapping[str, Sequence[str]]
    url: str  # path and query as sent: what the edge cache goes by
    authorization: str | None = None
    cookie: str | None = None

    def get(self, name: str) -> str:
        """The first value of a name, or an empty string."""
        values = self.query.get(name)
        return values[0] if values else ""


@dataclass(slots=True)
class Counts:
    """What has happened since the start."""

    requests: int = 0
    candle_requests: int = 0
    refused: int = 0  # 429
    unauthorized: int = 0  # 401
    cached: int = 0  # answered from the edge cache
    connections: int = 0
    frames: int = 0
    cut_off: int = 0  # clients too slow for their feed


class Face(Protocol):
    """One venue, as it shows a market. It knows no port: `server.py` gives it one."""

    greeting: str
    """For whoever looks at `/`: where what is. None, and it is asked there, too."""
    options: Any
    """How it behaves."""
    symbols: Mapping[str, str]
    """What it calls the market's products, and which each is."""
    requests: deque[RequestRecord]
    """The newest REST requests in order of arrival."""
    counts: Counts

    async def handle(self, ask: Ask) -> Answer | None:
        """The answer to one request; None if a fault cuts the connection."""
        ...

    async def serve(self, request: web.Request) -> web.WebSocketResponse:
        """Serve one client of the feed from its handshake to its end."""
        ...

    async def run(self) -> None:
        """Send what is due, until cancelled."""
        ...

    async def close_all(self, code: int | None) -> int:
        """Close every websocket with that code, or cut it off (None). How many there were."""
        ...


class TwoSided:
    """A `Face` of a REST side and a websocket side."""

    greeting = ""

    def __init__(self, options: Any, exchange: Any, feed: Any, symbols: Mapping[str, str]) -> None:
        self.options = options
        self.exchange = exchange
        self.symbols = symbols
        self.counts: Counts = exchange.counts
        self.requests: deque[RequestRecord] = exchange.requests
        self._feed = feed

    async def handle(self, ask: Ask) -> Answer | None:
        """As `Face`."""
        return cast("Answer | None", await self.exchange.handle(ask))

    async def serve(self, request: web.Request) -> web.WebSocketResponse:
        """As `Face`."""
        return cast("web.WebSocketResponse", await self._feed.serve(request))

    async def run(self) -> None:
        """As `Face`."""
        await self._feed.run()

    async def close_all(self, code: int | None) -> int:
        """As `Face`."""
        return int(await self._feed.close_all(code))


class FaceKind(NamedTuple):
    """A kind of face: the class of its options, what makes it of them, and what else its venue is told.

    `settings` are of `[venues.<kind>]`, beside symbols and URLs. `faults` draws some of its own by a seed,
    until a market time (Unix ms), None where a script's are drawn; `refusing` words an error. `market` makes
    what it shows of a seed, names, the start, since when there is history, and since when there is of some
    names; None: any market will do. `feed`: whether it has one.
    """

    options: Callable[[], ServerOptions]
    build: Callable[..., Face]
    venue: str
    settings: Mapping[str, str] = {}
    faults: Callable[[int, int], Faults] | None = None
    refusing: Callable[[int, int | None], Answer] = refusing
    market: Callable[[int, Sequence[str], int, int, Mapping[str, int]], Market] | None = None
    feed: bool = True


KINDS: dict[str, str] = {
    "coinbase": "livecache.simulator.coinbase.face",
    "deribit": "livecache.simulator.deribit.face",
    "yahoo": "livecache.simulator.yahoo.face",
    **dict.fromkeys(("binance", "binance-usdm", "binance-us"), "livecache.simulator.binance.face"),
}
"""The faces by name, and the module of each: its `FACES` has them by name, as `FaceKind`."""


def kind_of(name: str) -> FaceKind:
    """The kind of face of that name. Raises ConfigError, for a name that there is not."""
    if name not in KINDS:
        raise ConfigError(f"there is no simulated {name!r}", f"one of {', '.join(KINDS)}")
    return cast("FaceKind", import_module(KINDS[name]).FACES[name])
