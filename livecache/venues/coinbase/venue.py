"""Coinbase as a venue: its time, its products, pages of candles, and its feeds.

https://docs.cdp.coinbase.com/coinbase-app/advanced-trade-apis/rest-api
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import quote

from ...clock import Clock
from ...model.budget import Budget, Spacing
from ...model.timeframe import Timeframe
from ...quiet import logger
from ..net.http import Answer, HttpSource
from ..net.network import passed_over
from ..remedies import tell_rejected
from ..settings import VenueSettings
from ..stats import RequestStats
from ..venue import FailureKind, Feed, FetchFailure, Page, PageRequest, Product
from .auth import ApiKey, Signing, load_key
from .pace import paced
from .pages import GRANULARITIES, decode_page, decode_products, decode_time, refusal
from .settings import CoinbaseSettings
from .traits import TRAITS

if TYPE_CHECKING:
    from ..feed.feed import SocketFeed

__all__ = ["CoinbaseVenue", "build"]

_API = "/api/v3/brokerage"

# Older texts of the venue, and most libraries, know no longer page than this one.
_CERTAIN_PAGE_LIMIT = 300

# So many answers 401 in a row to a key that was accepted before are throttling (coinbase-advanced-py#60).
_DENIALS_BELIEVED = 20
_DENIALS_MOST = 30  # After so many it goes on without the key, as at once with one that was never accepted.

# What cannot be rolled up from something smaller is never given up as unsupported.
_INDISPENSABLE = frozenset({Timeframe.M1, Timeframe.M5})

# Each feed sends two or three messages on connecting, and the venue takes 8 a second from one address.
_BETWEEN_CONNECTIONS_S = 0.5


class CoinbaseVenue:
    """Coinbase Advanced Trade (`livecache.venues.venue.Venue`).

    `name` is its id; `now` is the venue's clock in Unix ms, None while unknown; `jitter` is uniform in
    [0, 1).
    """

    def __init__(
        self,
        config: CoinbaseSettings,
        *,
        key: ApiKey | None,
        now: Callable[[], int | None],
        clock: Clock,
        jitter: Callable[[], float],
        name: str = "coinbase",
    ) -> None:
        self.name = name
        self._config = config
        self._key = key
        self._now = now
        self._clock = clock
        self._jitter = jitter
        for complaint in dict.fromkeys(passed_over(url) for url in (config.rest_url, config.ws_url)):
            if complaint:
                logger.bind(event="proxy_passed_over").warning(complaint)
        self._http = HttpSource(config.rest_url, clock=clock, timeout_s=config.request_timeout)
        self.traits = replace(TRAITS.paged(config.page_limit), budgets=self._budgets())
        """With what is configured, and what the venue teaches."""
        self._nonces = itertools.count(int(clock.wall() * 1000))  # other ones in each run
        self._signing = Signing(key, now)
        self._denials: int | None = None  # answers 401 to a key in a row; None until it was accepted once

    @property
    def origin(self) -> str:
        """Scheme and host of `rest_url`."""
        return self._http.origin

    @property
    def stats(self) -> RequestStats:
        """What came of the requests, and how long they took."""
        return self._http.stats

    async def time(self) -> int | FetchFailure:
        """The venue's clock, Unix ms; the edge may serve it a second late."""
        return await self._http.get(
            "time",
            f"{_API}/time",
            decode=lambda answer: decode_time(answer.body),
            refused=self._refused,
        )

    async def products(self, only: Sequence[str] = ()) -> Mapping[str, Product] | FetchFailure:
        """What is listed, by id: every product, or those of `only` that there are."""
        parameters = [("product_ids", name) for name in only]
        return await self._http.get(
            "products",
            f"{_API}/market/products",
            parameters,
            decode=lambda answer: decode_products(answer.body),
            refused=self._refused,
        )

    async def fetch(self, request: PageRequest) -> Page | FetchFailure:
        """The candles of one page."""
        buckets = (request.end - request.start) // request.timeframe.ms
        if buckets > (most := self.traits.page(request.timeframe)):
            # Planned before the limit fell.
            return FetchFailure(FailureKind.PAGE_TOO_LONG, f"{buckets} buckets; at most {most}")
        if request.timeframe not in self.traits.served:
            return FetchFailure(FailureKind.UNSUPPORTED_TIMEFRAME, f"no {request.timeframe} at Coinbase")
        signed = self._signing.on
        path, parameters = self._candles_path(request.symbol, signed), self._parameters(request, signed)

        def decode(answer: Answer) -> Page | FetchFailure:
            if signed:
                self._denials = 0
            decoded = decode_page(request, answer.body, self._now())
            if isinstance(decoded, FetchFailure):
                return decoded
            tell_rejected(request, decoded.rejected)
            return decoded.page

        return await self._http.get(
            "candles",
            path,
            parameters,
            {"Authorization": self._signing.bearer("GET", path)} if signed else None,
            decode=decode,
            refused=lambda answer: self._learned(self._refused(answer, signed=signed), request, buckets),
        )

    def feeds(
        self,
        products: Sequence[str],
        aliases: Mapping[str, str],
        *,
        trades: bool,
        among: Sequence[Feed] = (),
    ) -> tuple[SocketFeed, ...]:
        """One feed for each `products_per_connection` ids that the wire carries; aliases share one."""
        # Loaded only now: the first page is asked for 30 ms sooner for it.
        from ..feed.feed import SocketFeed, shared_out
        from .dialect import CoinbaseDialect

        config = self._config

        def new(carried: Sequence[str], index: int) -> SocketFeed:
            return SocketFeed(
                CoinbaseDialect(config.ws_url, self._now, self._key),
                carried,
                aliases,
                trades=trades,
                clock=self._clock,
                jitter=self._jitter,
                silence_timeout_s=config.silence_timeout,
                first_delay_s=index * _BETWEEN_CONNECTIONS_S,
            )

        return shared_out(
            products,
            aliases,
            trades=trades,
            among=among,
            most=config.products_per_connection,
            silence_timeout_s=config.silence_timeout,
            new=new,
        )

    def reconfigure(self, settings: VenueSettings) -> None:
        """Take other limits: a request's at once, the feed's for connections that are opened from now on."""
        assert isinstance(settings, CoinbaseSettings)
        self._config = settings
        self._http.patience(settings.request_timeout)
        if (budgets := self._budgets()) != self.traits.budgets:
            self.traits = replace(self.traits, budgets=budgets)

    def _budgets(self) -> tuple[Budget, ...]:
        per_s = paced(self._config.requests_per_second, keyed=self._key is not None)
        return (Spacing("requests", per_s, yields=True),)

    async def aclose(self) -> None:
        """Close the REST connections. A feed ends with the iteration of its events."""
        await self._http.aclose()

    def _candles_path(self, symbol: str, signed: bool) -> str:
        public = "" if signed else "/market"
        return f"{_API}{public}/products/{quote(symbol, safe='')}/candles"

    def _parameters(self, request: PageRequest, signed: bool) -> dict[str, str]:
        # Both bounds are inclusive. Without them the answer may be a default window from the edge's cache.
        parameters = {
            "start": str(request.start // 1000),
            "end": str((request.end - request.timeframe.ms) // 1000),
            "granularity": GRANULARITIES[request.timeframe],
        }
        if request.fresh and not signed:
            # The edge keeps an answer for a second and ignores `cache-control`; a URL it never saw passes.
            parameters["_"] = str(next(self._nonces))
        return parameters

    def _learned(self, failure: FetchFailure, request: PageRequest, buckets: int) -> FetchFailure:
        """Take note of what the venue said about its limits."""
        if failure.kind is FailureKind.PAGE_TOO_LONG:
            limit = _CERTAIN_PAGE_LIMIT if buckets > _CERTAIN_PAGE_LIMIT else max(1, buckets // 2)
            if limit < self.traits.page(request.timeframe):  # else it was under way when it fell
                self.traits = self.traits.paged(limit)
                logger.bind(event="page_limit_lowered", page_limit=limit, refused=buckets).warning(
                    "Coinbase refused a page of {} buckets; pages have at most {} from now on", buckets, limit
                )
        elif failure.kind is FailureKind.UNSUPPORTED_TIMEFRAME:
            timeframe = request.timeframe
            if timeframe in _INDISPENSABLE:
                return FetchFailure(FailureKind.BAD_REQUEST, failure.message, failure.status)
            if timeframe in self.traits.served:
                self.traits = self.traits.without(timeframe)
                logger.bind(event="timeframe_unsupported", timeframe=timeframe.value).warning(
                    "Coinbase does not serve {}; it will be rolled up from smaller candles", timeframe.value
                )
        return failure

    def _refused(self, answer: Answer, *, signed: bool = False) -> FetchFailure:
        """What an answer other than 200 means. `signed`: the request bore a signature."""
        signed = signed and not (answer.status == 401 and self._trusts_key())
        refused = refusal(answer.status, answer.body, signed=signed, retry_after_s=answer.retry_after_s)
        if refused.kind is FailureKind.UNAUTHORIZED and (self._denials or _DENIALS_MOST) >= _DENIALS_MOST:
            self._signing.set_aside(refused.message)
        return refused

    def _trusts_key(self) -> bool:
        """Whether a 401 says too many requests, as the venue has done, and not that the key is wrong.

        A key that was accepted just now has not become wrong; after many denials in a row perhaps it has.
        """
        if self._denials is None:
            return False
        self._denials += 1
        return self._denials <= _DENIALS_BELIEVED


def build(
    venue: str,
    settings: VenueSettings,
    *,
    environ: Mapping[str, str],
    now: Callable[[], int | None],
    clock: Clock,
    jitter: Callable[[], float],
) -> CoinbaseVenue:
    """The venue of that id: see `venues.registry.build`."""
    assert isinstance(settings, CoinbaseSettings)
    key = load_key(settings.key_file, environ, venue)
    return CoinbaseVenue(settings, key=key, now=now, clock=clock, jitter=jitter, name=venue)
