"""What mends it where a venue cannot be reached, or does not answer as one does: for people."""

from __future__ import annotations

from collections.abc import Sequence

from ..quiet import logger
from ..repeats import Repeats
from .venue import FailureKind, FetchFailure, PageRequest, Rejected, Venue

__all__ = ["feed_remedy", "rest_remedy", "tell_rejected", "tell_unreachable"]

_REJECTIONS_LOGGED = 3  # of one page

_NETWORK = frozenset({FailureKind.NETWORK, FailureKind.TIMEOUT})


def rest_remedy(venue: str, kind: FailureKind) -> str:
    """What to do about a request to the venue of that name that failed in that way."""
    if kind in _NETWORK:
        return f"is venues.{venue}.rest_url right, and is there a way out? HTTPS_PROXY is honoured"
    if kind is FailureKind.SERVER:
        return "see the exchange's status page, and try again later"
    if kind.too_fast:
        return f"somebody else asks from this address too: lower the rate or the share in [venues.{venue}]"
    return f"is that an exchange? see venues.{venue}.rest_url"


def feed_remedy(venue: str) -> str:
    """What to do where the feed of the venue of that name cannot be connected to."""
    return f"is venues.{venue}.ws_url right, and does a proxy, if there is one, let websockets through?"


def tell_unreachable(repeats: Repeats, venue: Venue, failure: FetchFailure) -> None:
    """Log that the venue does not answer; the first time with what mends that."""
    repeats.log(
        "venue_unreachable",
        failure.kind,
        f"{venue.name} at {venue.origin}: {failure.message} (trying again)",
        remedy=f"{rest_remedy(venue.name, failure.kind)}; without a network, `livecache demo` shows it all",
        url=venue.origin,
    )


def tell_rejected(request: PageRequest, rejected: Sequence[Rejected]) -> None:
    """Log which rows of a page cannot be believed, if there are any."""
    if not rejected:
        return
    told = "; ".join(f"{one.reason}: {one.payload}" for one in rejected[:_REJECTIONS_LOGGED])
    logger.bind(
        event="candles_rejected",
        symbol=request.symbol,
        timeframe=request.timeframe.value,
        count=len(rejected),
    ).warning("{} candles of a page cannot be believed: {}", len(rejected), told)
