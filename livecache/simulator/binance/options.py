"""What its markets differ in, and how the simulated one behaves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

from ..options import ServerOptions

__all__ = ["MARKETS", "Api", "BinanceOptions", "Market", "Outage"]

Api = Literal["spot", "usdm", "us"]


class Market(NamedTuple):
    """One of its markets, as its documentation has it."""

    api: str
    streams: tuple[str, ...]  # paths at which klines are told
    mute: tuple[str, ...]  # paths at which everything is acknowledged and nothing told
    rows: int  # in a page
    weight_a_minute: int
    list_weight: int
    update_ms: int
    frames_per_s: int
    ping_s: float
    pong_s: float

    def weight(self, limit: int) -> int:
        """What a page of so many rows costs."""
        if self.api != "/fapi/v1":
            return 2
        return 1 if limit < 100 else 2 if limit < 500 else 5 if limit <= 1000 else 10


MARKETS = {
    "spot": Market("/api/v3", ("/stream", "/ws"), (), 1000, 6000, 20, 2_000, 5, 20.0, 60.0),
    "usdm": Market(
        "/fapi/v1",
        ("/market/stream", "/market/ws"),
        ("/stream", "/ws"),
        *(1500, 2400, 1, 250, 10, 180.0, 600.0),
    ),
    "us": Market("/api/v3", ("/stream", "/ws"), (), 1000, 1200, 10, 1_000, 5, 180.0, 600.0),
}


class Outage(NamedTuple):
    """A span of whole minutes (Unix ms) without rows, after which 1h rows lie off the grid until then."""

    begin: int
    end: int
    odd_until: int = 0


@dataclass(frozen=True, slots=True)
class BinanceOptions(ServerOptions):
    """Defaults are what the venue does."""

    api: Api = "spot"
    requests_per_second: int = 0  # of pages; 0: as its weight allows
    weight_a_minute: int = 0  # of market time; 0: the market's
    foreign_weight: int = 0  # that others at the same address use, each minute
    bans_after: int = 5  # requests while it refuses, until it bans
    ban_s: float = 120.0  # the first one; each lasts twice as long
    since_ms: int = 1_502_928_000_000  # the first day of its charts: 2017-08-17
    outages: tuple[Outage, ...] = ()
    life_s: float = 86_400.0  # of a connection
    notice_s: float = 0.0  # so long before its end it is told; 0: not at all
    ping_s: float = 0.0  # between two pings; 0: the market's
    frames_per_s: int = 0  # of a client; 0: the market's
    pong_s: float = 0.0  # in which one has to be answered
    silence_s: tuple[float, float] = (0.0, 0.0)
