"""How the simulated venue behaves, in one frozen value."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["ServerOptions", "most_get_a_final_update"]


def most_get_a_final_update(product: str) -> bool:
    """Whether the feed sends a last update of a bucket after its end: for about three products in four."""
    return sum(product.encode()) % 4 != 0


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """Defaults are what the venue does. `…_s` are real seconds, `…_ms` milliseconds of market time."""

    requests_per_second: int = 10  # public endpoints; in any one real second, beyond it 429
    private_requests_per_second: int = 30
    latency_s: float = 0.0  # added to every answer
    max_buckets: int = 350  # a longer window is refused, not trimmed; 349 is the edge seen elsewhere
    rejected_granularities: frozenset[str] = frozenset()  # answered as if the venue did not know them
    forming_bucket: bool = True  # whether pages show the bucket in progress
    edge_lag_ms: int = 0  # the newest data that pages show is this old
    edge_cache_s: float = 1.0  # an address is answered alike for so long, of real and of market time
    update_ms: int = 1_000  # between two updates of the candles channel
    trades_ms: int = 250  # between two frames of the market_trades channel
    least_tick_s: float = 0.02  # nothing is sent more often, however fast the market runs
    final_update: Callable[[str], bool] = most_get_a_final_update
    empty_ack: bool = False  # acknowledge subscriptions with {}, as the venue sometimes does
    client_id: bool = False  # frames as they were until 2024, with an empty client_id
    compression: bool = False  # permessage-deflate
    subscribe_timeout_s: float = 5.0  # a connection that has not subscribed by then is closed
    silence_s: tuple[float, float] = (60.0, 90.0)  # a silent connection is closed within this time
    max_backlog_bytes: int = 4_000_000  # a client that has more than this waiting for it is cut off
    max_requests_logged: int = 100_000
