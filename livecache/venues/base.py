"""What venues do alike. A new one derives from `HttpVenue`, or with a feed from `FedVenue`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, Generic, Protocol, Self, TypedDict, TypeVar, Unpack

from ..clock import Clock
from ..model.budget import Budget
from ..model.grid import Grid
from ..model.traits import Traits
from ..quiet import logger
from .net.http import HttpSource
from .net.network import passed_over
from .remedies import tell_rejected
from .rows import DecodedPage
from .settings import FedSettings, VenueSettings
from .stats import RequestStats
from .venue import FailureKind, Feed, FetchFailure, Page, PageRequest, Product

if TYPE_CHECKING:
    from .feed.dialect import Dialect

__all__ = ["FedVenue", "Ground", "HttpVenue"]

_Settings = TypeVar("_Settings", bound=VenueSettings)
_Fed = TypeVar("_Fed", bound=FedSettings)


class Ground(TypedDict):
    """What every venue stands on."""

    name: str  # its id
    now: Callable[[], int | None]  # the venue's clock in Unix ms, None while unknown
    clock: Clock
    jitter: Callable[[], float]  # uniform in [0, 1)


class _Source(Protocol):
    """What is asked: `net.http.HttpSource`, or several of them."""

    stats: RequestStats

    @property
    def origin(self) -> str: ...

    def patience(self, timeout_s: float) -> None: ...

    async def aclose(self) -> None: ...


class HttpVenue(Generic[_Settings]):
    """`livecache.venues.venue.Venue`, but for `time`, `products` and `_page`. It has no feed.

    Each call is one attempt: when to try again is decided elsewhere.
    """

    def __init__(
        self, settings: _Settings, traits: Traits, source: _Source, **ground: Unpack[Ground]
    ) -> None:
        self.name = ground["name"]
        self.traits = traits
        """With what is configured, and what the venue teaches."""
        self._settings = settings
        self._http: _Source = source
        self._now = ground["now"]
        self._clock = ground["clock"]
        for complaint in dict.fromkeys(
            passed_over(url) for url in (settings.rest_url, settings.ws_url) if url
        ):
            if complaint:
                logger.bind(event="proxy_passed_over").warning(complaint)

    @classmethod
    def build(cls, settings: _Settings, environ: Mapping[str, str], **ground: Unpack[Ground]) -> Self:
        """One as configured. Raises ConfigError for secrets in `environ` that cannot be used."""
        made: Callable[..., Self] = cls  # whose own `__init__` knows its traits
        return made(settings, **ground)

    @property
    def origin(self) -> str:
        """Scheme and host of where its history comes from."""
        return self._http.origin

    @property
    def stats(self) -> RequestStats:
        """What came of the requests, and how long they took."""
        return self._http.stats

    async def fetch(self, request: PageRequest) -> Page | FetchFailure:
        """The candles of one page. One that the venue would cut short is never asked for."""
        traits, timeframe = self.traits, request.timeframe
        grid = traits.grid(timeframe)
        if timeframe not in traits.served:
            return FetchFailure(FailureKind.UNSUPPORTED_TIMEFRAME, f"no {timeframe} at {self.name}")
        if (buckets := grid.count(request.start, request.end)) > (most := traits.deep_page(timeframe)):
            # Planned before the limit fell.
            return FetchFailure(FailureKind.PAGE_TOO_LONG, f"{buckets} buckets; at most {most}")
        told = await self._page(request, grid, buckets)
        if isinstance(told, FetchFailure):
            return self._learned(told, request, buckets)
        page, rejected = told
        tell_rejected(request, rejected)
        return page

    async def begins(self, symbol: str) -> int | FetchFailure:
        """When its history begins, Unix ms; 0 where the venue does not say."""
        if not self.traits.dated:
            return 0
        told = await self.products([symbol])
        return told if isinstance(told, FetchFailure) else told[symbol].listed if symbol in told else 0

    async def products(self, only: Sequence[str] = ()) -> Mapping[str, Product] | FetchFailure:
        """What is listed, by id: every product, or those of `only` that there are."""
        raise NotImplementedError

    async def _page(self, request: PageRequest, grid: Grid, buckets: int) -> DecodedPage | FetchFailure:
        """That page of so many buckets, and the rows of it that cannot be believed, for the log."""
        raise NotImplementedError

    def _learned(self, failure: FetchFailure, request: PageRequest, buckets: int) -> FetchFailure:
        """Take note of what the venue said about what it serves.

        What its feed carries cannot be rolled up from anything smaller, and is never given up.
        """
        timeframe = request.timeframe
        if failure.kind is not FailureKind.UNSUPPORTED_TIMEFRAME:
            return failure
        if timeframe in self.traits.fed:
            return replace(failure, kind=FailureKind.BAD_REQUEST)
        if timeframe in self.traits.served:
            self.traits = self.traits.without(timeframe)
            logger.bind(event="timeframe_unsupported", timeframe=timeframe.value).warning(
                "{} does not serve {}; it will be rolled up from smaller candles", self.name, timeframe.value
            )
        return failure

    def feeds(
        self, products: Sequence[str], aliases: Mapping[str, str], *, trades: bool, among: Sequence[Feed] = ()
    ) -> Sequence[Feed]:
        """None: each bucket is asked for soon after its end."""
        return ()

    def reconfigure(self, settings: _Settings) -> None:
        """Take other limits: a request's at once, the feed's for connections that are opened from now on."""
        self._settings = settings
        self._http.patience(settings.request_timeout)
        self._learn_budgets()

    def _budgets(self) -> tuple[Budget, ...]:
        """What it allows, as configured and as far as is known now."""
        return self.traits.budgets

    def _learn_budgets(self) -> None:
        if (budgets := self._budgets()) != self.traits.budgets:
            self.traits = replace(self.traits, budgets=budgets)

    async def aclose(self) -> None:
        """Close the connections that history comes by. A feed ends with the iteration of its events."""
        await self._http.aclose()


class FedVenue(HttpVenue[_Fed]):
    """One with a feed: it brings a `_dialect`, and may say how many ids a connection carries."""

    _BETWEEN_CONNECTIONS_S: ClassVar[float] = 0.5

    def __init__(self, settings: _Fed, traits: Traits, **ground: Unpack[Ground]) -> None:
        source = HttpSource(settings.rest_url, clock=ground["clock"], timeout_s=settings.request_timeout)
        super().__init__(settings, traits, source, **ground)
        self._http: HttpSource = source
        self._jitter = ground["jitter"]

    @property
    def _ids_most(self) -> int:
        """Ids that one connection carries at most."""
        return 100

    def _dialect(self) -> Dialect:
        """How a connection is spoken on. It is loaded only now: the first page is asked for sooner."""
        raise NotImplementedError

    def feeds(
        self, products: Sequence[str], aliases: Mapping[str, str], *, trades: bool, among: Sequence[Feed] = ()
    ) -> Sequence[Feed]:
        """One feed for each so many ids of the wire as a connection carries; aliases share one."""
        from .feed.feed import SocketFeed, shared_out

        silence_s = self._settings.silence_timeout

        def new(carried: Sequence[str], index: int) -> SocketFeed:
            return SocketFeed(
                self._dialect(),
                carried,
                aliases,
                trades=trades,
                clock=self._clock,
                jitter=self._jitter,
                silence_timeout_s=silence_s,
                first_delay_s=index * self._BETWEEN_CONNECTIONS_S,
            )

        return shared_out(
            products,
            aliases,
            trades=trades,
            among=among,
            most=self._ids_most,
            silence_timeout_s=silence_s,
            new=new,
        )
