"""REQUIRED. The venue: its clock, its list, pages of candles, and its feeds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from ...clock import Clock
from ...model.traits import Traits
from ..net.http import HttpSource
from ..settings import VenueSettings
from ..stats import RequestStats
from ..venue import FailureKind, Feed, FetchFailure, Page, PageRequest, Product
from .pages import Row, decoded, page_of, refused
from .settings import TemplateSettings
from .traits import TRAITS

if TYPE_CHECKING:
    from ..feed.feed import SocketFeed

__all__ = ["TemplateVenue", "build"]

_IDS_MOST = 100  # on one connection
_BETWEEN_CONNECTIONS_S = 0.5


class TemplateVenue:
    """`livecache.venues.venue.Venue`. Each call is one attempt: when to try again is decided elsewhere."""

    def __init__(
        self,
        settings: TemplateSettings,
        *,
        name: str,
        now: Callable[[], int | None],
        clock: Clock,
        jitter: Callable[[], float],
        traits: Traits = TRAITS,
    ) -> None:
        self.name = name
        self.traits = traits
        self._settings = settings
        self._now = now
        self._clock = clock
        self._jitter = jitter
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
        return await self._http.get("time", "/time", decode=lambda a: decoded(a, int), refused=refused)

    async def products(self, only: Sequence[str] = ()) -> Mapping[str, Product] | FetchFailure:
        """What is listed, by symbol: the id under which its feed comes, and why it is halted, if it is."""
        told = await self._http.get(
            "products", "/products", decode=lambda a: decoded(a, dict[str, str]), refused=refused
        )
        if isinstance(told, FetchFailure):
            return told
        return {symbol: Product(id_) for symbol, id_ in told.items() if not only or symbol in only}

    async def fetch(self, request: PageRequest) -> Page | FetchFailure:
        """The candles of one page. One that the venue would cut short is never asked for."""
        grid, timeframe = self.traits.grid(request.timeframe), request.timeframe
        if (buckets := grid.count(request.start, request.end)) > (most := self.traits.page(timeframe)):
            return FetchFailure(FailureKind.PAGE_TOO_LONG, f"{buckets} buckets; at most {most}")
        asked = {"symbol": request.symbol, "timeframe": timeframe.value}
        asked |= {"start": str(request.start), "end": str(request.end)}
        rows = await self._http.get(
            "candles", "/candles", asked, decode=lambda a: decoded(a, list[Row]), refused=refused
        )
        return rows if isinstance(rows, FetchFailure) else page_of(request, rows, grid, self._now())

    def feeds(
        self,
        products: Sequence[str],
        aliases: Mapping[str, str],
        *,
        trades: bool,
        among: Sequence[Feed] = (),
    ) -> tuple[SocketFeed, ...]:
        """One feed for each so many ids. OPTIONAL: () where there is none."""
        # Loaded only now: the first page is asked for sooner.
        from ..feed.feed import SocketFeed, shared_out
        from .dialect import TemplateDialect

        silence_s = self._settings.silence_timeout

        def new(carried: Sequence[str], index: int) -> SocketFeed:
            return SocketFeed(
                TemplateDialect(self._settings.ws_url, self.traits, self._now),
                carried,
                aliases,
                trades=trades,
                clock=self._clock,
                jitter=self._jitter,
                silence_timeout_s=silence_s,
                first_delay_s=index * _BETWEEN_CONNECTIONS_S,
            )

        return shared_out(
            products,
            aliases,
            trades=trades,
            among=among,
            most=_IDS_MOST,
            silence_timeout_s=silence_s,
            new=new,
        )

    def reconfigure(self, settings: VenueSettings) -> None:
        """Take over what can change while it runs."""
        assert isinstance(settings, TemplateSettings)
        self._settings = settings
        self._http.patience(settings.request_timeout)

    async def aclose(self) -> None:
        """Close what is open."""
        await self._http.aclose()


def build(
    venue: str,
    settings: VenueSettings,
    *,
    environ: Mapping[str, str],
    now: Callable[[], int | None],
    clock: Clock,
    jitter: Callable[[], float],
) -> TemplateVenue:
    """The venue of that id: see `venues.registry.build`."""
    assert isinstance(settings, TemplateSettings)
    return TemplateVenue(settings, name=venue, now=now, clock=clock, jitter=jitter)
