"""Deribit as a venue: its time, its instruments, pages of candles, and its feeds.

History goes by HTTP and the feed by the websocket, so that a refusal of one does not cut the other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from ...clock import Clock
from ...model.traits import Traits
from ...quiet import logger
from ..net.http import HttpSource
from ..remedies import tell_rejected
from ..settings import VenueSettings
from ..stats import RequestStats
from ..venue import FailureKind, Feed, FetchFailure, Page, PageRequest, Product
from .answers import decode_page, decode_products, decode_time, refused
from .settings import DeribitSettings
from .traits import CARRIED, RESOLUTIONS, credits_of, traits_of

if TYPE_CHECKING:
    from ..feed.feed import SocketFeed

__all__ = ["DeribitVenue", "build"]

_API = "/api/v2/public"

# Each feed sends two messages on connecting, and the venue takes 3.3 subscriptions a second.
_BETWEEN_CONNECTIONS_S = 1.0


class DeribitVenue:
    """Deribit (`livecache.venues.venue.Venue`).

    `name` is its id; `now` is the venue's clock in Unix ms, None while unknown; `jitter` is uniform in
    [0, 1). `asks_every_s`: see `dialect.DeribitDialect`; None for its own.
    """

    def __init__(
        self,
        settings: DeribitSettings,
        *,
        name: str,
        now: Callable[[], int | None],
        clock: Clock,
        jitter: Callable[[], float],
        asks_every_s: float | None = None,
    ) -> None:
        self.name = name
        self.traits: Traits = traits_of(settings.page_limit, settings.credits_share)
        """With what is configured, and what the venue teaches."""
        self._settings = settings
        self._now = now
        self._clock = clock
        self._jitter = jitter
        self._pace = {} if asks_every_s is None else {"asks_every_s": asks_every_s}
        self._http = HttpSource(settings.rest_url, clock=clock, timeout_s=settings.request_timeout)

    @property
    def origin(self) -> str:
        """Scheme and host of `rest_url`."""
        return self._http.origin

    @property
    def stats(self) -> RequestStats:
        """What came of the requests, and how long they took."""
        return self._http.stats

    async def time(self) -> int | FetchFailure:
        """The venue's clock, Unix ms."""
        return await self._http.get("time", f"{_API}/get_time", decode=decode_time, refused=refused)

    async def products(self, only: Sequence[str] = ()) -> Mapping[str, Product] | FetchFailure:
        """What is listed, by name: every instrument, or those of `only` that there are."""
        listed = await self._http.get(
            "products",
            f"{_API}/get_instruments",
            {"currency": "any", "expired": "false"},
            decode=decode_products,
            refused=refused,
        )
        if isinstance(listed, FetchFailure) or not only:
            return listed
        return {name: listed[name] for name in only if name in listed}

    async def fetch(self, request: PageRequest) -> Page | FetchFailure:
        """The candles of one page. One that the venue would cut short is never asked for."""
        symbol, timeframe, start, end, _ = request
        grid = self.traits.grid(timeframe)
        if timeframe not in self.traits.served:
            return FetchFailure(FailureKind.UNSUPPORTED_TIMEFRAME, f"no {timeframe} at Deribit")
        if (buckets := grid.count(start, end)) > (most := self.traits.page(timeframe)):
            return FetchFailure(FailureKind.PAGE_TOO_LONG, f"{buckets} buckets; at most {most}")
        asked = {
            "instrument_name": symbol,
            # The start is exclusive and the end inclusive, as far as has been seen.
            "start_timestamp": str(start - 1),
            "end_timestamp": str(end - 1),
            "resolution": RESOLUTIONS[timeframe],
        }
        outcome = await self._http.get(
            "candles",
            f"{_API}/get_tradingview_chart_data",
            asked,
            decode=lambda answer: decode_page(request, grid, answer, self._now()),
            refused=refused,
        )
        if isinstance(outcome, FetchFailure):
            return self._learned(outcome, request)
        page, rejected = outcome
        tell_rejected(request, rejected)
        return page

    def feeds(
        self,
        products: Sequence[str],
        aliases: Mapping[str, str],
        *,
        trades: bool,
        among: Sequence[Feed] = (),
    ) -> tuple[SocketFeed, ...]:
        """One feed for each `instruments_per_connection`."""
        # Loaded only now: the first page is asked for sooner.
        from ..feed.feed import SocketFeed, shared_out
        from .dialect import DeribitDialect

        settings = self._settings

        def new(carried: Sequence[str], index: int) -> SocketFeed:
            return SocketFeed(
                DeribitDialect(settings.ws_url, self._now, **self._pace),
                carried,
                aliases,
                trades=trades,
                clock=self._clock,
                jitter=self._jitter,
                silence_timeout_s=settings.silence_timeout,
                first_delay_s=index * _BETWEEN_CONNECTIONS_S,
            )

        return shared_out(
            products,
            aliases,
            trades=trades,
            among=among,
            most=settings.instruments_per_connection,
            silence_timeout_s=settings.silence_timeout,
            new=new,
        )

    def reconfigure(self, settings: VenueSettings) -> None:
        """Take other limits: a request's at once, the feed's for connections that are opened from now on."""
        assert isinstance(settings, DeribitSettings)
        self._settings = settings
        self._http.patience(settings.request_timeout)
        if (budgets := credits_of(settings.credits_share)) != self.traits.budgets:
            self.traits = replace(self.traits, budgets=budgets)

    async def aclose(self) -> None:
        """Close the connections of HTTP. A feed ends with the iteration of its events."""
        await self._http.aclose()

    def _learned(self, failure: FetchFailure, request: PageRequest) -> FetchFailure:
        """Take note of what the venue said about what it serves."""
        timeframe = request.timeframe
        if failure.kind is not FailureKind.UNSUPPORTED_TIMEFRAME:
            return failure
        if timeframe is CARRIED:  # which cannot be added up from anything smaller
            return FetchFailure(FailureKind.BAD_REQUEST, failure.message, failure.status)
        if timeframe in self.traits.served:
            self.traits = self.traits.without(timeframe)
            logger.bind(event="timeframe_unsupported", timeframe=timeframe.value).warning(
                "Deribit does not serve {}; it will be rolled up from smaller candles", timeframe.value
            )
        return failure


def build(
    venue: str,
    settings: VenueSettings,
    *,
    environ: Mapping[str, str],
    now: Callable[[], int | None],
    clock: Clock,
    jitter: Callable[[], float],
) -> DeribitVenue:
    """The venue of that id: see `venues.registry.build`."""
    assert isinstance(settings, DeribitSettings)
    return DeribitVenue(settings, name=venue, now=now, clock=clock, jitter=jitter)
