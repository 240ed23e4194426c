"""How the simulated exchange behaves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ..options import ServerOptions
from .oddities import Oddity

__all__ = ["YahooOptions"]


@dataclass(frozen=True, slots=True)
class YahooOptions(ServerOptions):
    """Beside what all faces have. What the venue allows is not published: these limits are made up."""

    requests_per_second: int = 5  # in any one real second, beyond it 429; 0: no limit
    requests_per_hour: int = 0  # in any one real hour; 0: no limit
    retry_after_s: int = 0  # what a refusal says of it, which the venue's does not
    bans_after: int = 20  # refusals in a row, until it bans
    ban_s: float = 600.0  # for so long everything is refused, and what is asked meanwhile is counted
    ban_status: int = 999
    crumb_s: float = 3_600.0  # for so long a crumb is good
    edge_lag_ms: int = 900_000  # quotes are 15 minutes late
    reach_days: Mapping[str, int] = field(
        default_factory=lambda: {"1m": 30, "5m": 60, "15m": 60, "30m": 60, "60m": 730, "1h": 730}
    )
    span_days: Mapping[str, int] = field(default_factory=lambda: {"1m": 8})  # of one request
    oddities: tuple[Oddity, ...] = ("live row",)  # what every page has
