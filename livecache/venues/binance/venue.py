"""Binance as a venue: its time, its symbols, pages of klines, and its feeds.

https://developers.binance.com/docs/binance-spot-api-docs/rest-api
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec

from ...clock import Clock
from ...model.budget import usage_of
from ...quiet import logger
from ..net.http import Answer, HttpSource
from ..net.network import passed_over
from ..remedies import tell_rejected
from ..settings import VenueSettings
from ..stats import RequestStats
from ..venue import FailureKind, Feed, FetchFailure, Page, PageRequest, Product
from .markets import MARKETS
from .pages import Listed, decode_list, decode_page, decode_time, refusal
from .settings import BinanceSettings
from .traits import CARRIED, traits_of

if TYPE_CHECKING:
    from ..feed.feed import SocketFeed

__all__ = ["BinanceVenue", "build"]

# It takes 300 connections in five minutes from one address.
_BETWEEN_CONNECTIONS_S = 1.0

_LIST_BYTES = 32 * 1024 * 1024


class BinanceVenue:
    """One of its markets (`livecache.venues.venue.Venue`).

    `name` is its id; `now` is the venue's clock in Unix ms, None while unknown; `jitter` is uniform in
    [0, 1). A feed is asked every `asks_every_s` whether it lives.
    """

    def __init__(
        self,
        settings: BinanceSettings,
        *,
        name: str = "binance",
        now: Callable[[], int | None],
        clock: Clock,
        jitter: Callable[[], float],
        asks_every_s: float | None = None,
    ) -> None:
        self.name = name
        self._asks_every_s = asks_every_s
        self._settings = settings
        self._market = MARKETS[settings.market]
        self._now = now
        self._clock = clock
        self._jitter = jitter
        self._weight_a_minute: int | None = None  # as it says
        for complaint in dict.fromkeys(passed_over(url) for url in (settings.rest_url, settings.ws_url)):
            if complaint:
                logger.bind(event="proxy_passed_over").warning(complaint)
        self._http = HttpSource(settings.rest_url, clock=clock, timeout_s=settings.request_timeout)
        self.traits = traits_of(self._market, settings.share)
        """With what is configured, and what the venue teaches."""

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
        path = f"{self._market.api}/time"
        return await self._http.get(
            "time", path, decode=lambda answer: decode_time(answer.body), refused=self._refused
        )

    async def products(self, only: Sequence[str] = ()) -> Mapping[str, Product] | FetchFailure:
        """What is listed, by symbol: every one, or those of `only` that there are."""
        told: Listed | FetchFailure | None = None
        if only and self._market.lists_few:
            told = await self._list({"symbols": msgspec.json.encode(list(only)).decode()})
        if told is None or (isinstance(told, FetchFailure) and told.kind is FailureKind.UNKNOWN_SYMBOL):
            told = await self._list({})  # One that there is not, and it tells of none.
        if isinstance(told, FetchFailure):
            return told
        if told.weight_a_minute not in (None, self._weight_a_minute):
            self._weight_a_minute = told.weight_a_minute
            self._learn_budgets()
        return {name: one for name, one in told.products.items() if not only or name in only}

    async def fetch(self, request: PageRequest) -> Page | FetchFailure:
        """The klines of one page."""
        traits, timeframe = self.traits, request.timeframe
        grid = traits.grid(timeframe)
        if (buckets := grid.count(request.start, request.end)) > (most := traits.page(timeframe)):
            return FetchFailure(FailureKind.PAGE_TOO_LONG, f"{buckets} buckets; at most {most}")
        if timeframe not in traits.served:
            return FetchFailure(FailureKind.UNSUPPORTED_TIMEFRAME, f"no {timeframe} at {self.name}")

        def decode(answer: Answer) -> Page | FetchFailure:
            decoded = decode_page(request, grid, answer.body, self._now())
            if isinstance(decoded, FetchFailure):
                return decoded
            page, rejected = decoded
            tell_rejected(request, rejected)
            return replace(page, usage=usage_of(traits.budgets, answer.headers))

        # Both bounds are inclusive, by the opens; the start wins where there is more than the limit.
        asked = {"symbol": request.symbol, "interval": timeframe.value, "limit": str(max(1, buckets))}
        asked |= {"startTime": str(request.start), "endTime": str(request.end - 1)}
        path = f"{self._market.api}/klines"
        outcome = await self._http.get("candles", path, asked, decode=decode, refused=self._refused)
        if isinstance(outcome, FetchFailure) and outcome.kind is FailureKind.UNSUPPORTED_TIMEFRAME:
            return self._unsupported(request, outcome)
        return outcome

    def feeds(
        self,
        products: Sequence[str],
        aliases: Mapping[str, str],
        *,
        trades: bool,
        among: Sequence[Feed] = (),
    ) -> tuple[SocketFeed, ...]:
        """One feed for each so many streams as a connection may have."""
        # Loaded only now: the first page is asked for sooner.
        from ..feed.feed import SocketFeed, shared_out
        from .dialect import ASKS_EVERY_S, BinanceDialect

        settings, market = self._settings, self._market

        def new(carried: Sequence[str], index: int) -> SocketFeed:
            return SocketFeed(
                BinanceDialect(
                    settings.ws_url, market, self._now, asks_every_s=self._asks_every_s or ASKS_EVERY_S
                ),
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
            most=market.streams,
            silence_timeout_s=settings.silence_timeout,
            new=new,
        )

    def reconfigure(self, settings: VenueSettings) -> None:
        """Take other limits: a request's at once, the feed's for connections that are opened from now on."""
        assert isinstance(settings, BinanceSettings)
        self._settings = settings
        self._http.patience(settings.request_timeout)
        self._learn_budgets()

    async def aclose(self) -> None:
        """Close the REST connections. A feed ends with the iteration of its events."""
        await self._http.aclose()

    async def _list(self, asked: dict[str, str]) -> Listed | FetchFailure:
        return await self._http.get(
            "products",
            f"{self._market.api}/exchangeInfo",
            dict(self._market.list_asks) | asked,
            decode=lambda answer: decode_list(answer.body),
            refused=self._refused,
            body_bytes=_LIST_BYTES,
        )

    def _refused(self, answer: Answer) -> FetchFailure:
        return refusal(answer, self._now() or int(self._clock.wall() * 1000))

    def _learn_budgets(self) -> None:
        budgets = traits_of(self._market, self._settings.share, self._weight_a_minute).budgets
        if budgets != self.traits.budgets:
            self.traits = replace(self.traits, budgets=budgets)

    def _unsupported(self, request: PageRequest, failure: FetchFailure) -> FetchFailure:
        """It does not serve that timeframe. What all others are rolled up from is never given up."""
        timeframe = request.timeframe
        if timeframe is CARRIED:
            return replace(failure, kind=FailureKind.BAD_REQUEST)
        if timeframe in self.traits.served:
            self.traits = self.traits.without(timeframe)
            logger.bind(event="timeframe_unsupported", timeframe=timeframe.value).warning(
                "{} does not serve {}; it will be rolled up from smaller candles", self.name, timeframe.value
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
) -> BinanceVenue:
    """The venue of that id: see `venues.registry.build`."""
    assert isinstance(settings, BinanceSettings)
    return BinanceVenue(settings, name=venue, now=now, clock=clock, jitter=jitter)
