"""A venue whose requests are counted and timed: one place through which all of them pass."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Mapping, Sequence
from typing import TypeVar

from ..clock import Clock
from ..model.histogram import Histogram
from ..model.traits import Traits
from .venue import Feed, FetchFailure, Page, PageRequest, Product, Venue

__all__ = ["REQUEST_KINDS", "CountedVenue"]

REQUEST_KINDS = ("candles", "time", "products")

# Seconds. An answer of the venue's edge takes some 0.1 s; `request_timeout` is 10 s unless configured.
_BOUNDS_S = (0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

_T = TypeVar("_T")


class CountedVenue:
    """`Venue` by another one, with `requests` by kind and outcome, and how long they took.

    An outcome is "ok" or a `FailureKind`. A request that was cancelled is not counted.
    """

    def __init__(self, venue: Venue, clock: Clock) -> None:
        self._venue = venue
        self._clock = clock
        self.requests: Counter[tuple[str, str]] = Counter()
        self.seconds = {kind: Histogram(_BOUNDS_S) for kind in REQUEST_KINDS}

    @property
    def name(self) -> str:
        return self._venue.name

    @property
    def origin(self) -> str:
        return self._venue.origin

    @property
    def traits(self) -> Traits:
        return self._venue.traits

    async def time(self) -> int | FetchFailure:
        return await self._counted("time", self._venue.time())

    async def products(self, only: Sequence[str] = ()) -> Mapping[str, Product] | FetchFailure:
        return await self._counted("products", self._venue.products(only))

    async def fetch(self, request: PageRequest) -> Page | FetchFailure:
        return await self._counted("candles", self._venue.fetch(request))

    def feeds(
        self,
        products: Sequence[str],
        aliases: Mapping[str, str],
        *,
        trades: bool,
        among: Sequence[Feed] = (),
    ) -> Sequence[Feed]:
        return self._venue.feeds(products, aliases, trades=trades, among=among)

    async def aclose(self) -> None:
        await self._venue.aclose()

    async def _counted(self, kind: str, request: Awaitable[_T | FetchFailure]) -> _T | FetchFailure:
        began_s = self._clock.monotonic()
        answer = await request
        self.seconds[kind].observe(self._clock.monotonic() - began_s)
        self.requests[kind, answer.kind if isinstance(answer, FetchFailure) else "ok"] += 1
        return answer
