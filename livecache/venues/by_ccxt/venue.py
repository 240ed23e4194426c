"""An exchange of ccxt's as a venue: its time, its markets, pages of candles. It has no feed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from ...clock import Clock
from ...model.traits import Traits
from ..remedies import tell_rejected
from ..rows import sort_rows
from ..settings import VenueSettings
from ..stats import RequestStats
from ..venue import FailureKind, Feed, FetchFailure, Page, PageRequest, Product
from .answers import wire_of
from .exchange import Exchange
from .facts import traits_of
from .settings import CcxtSettings

__all__ = ["CcxtVenue", "build"]


class CcxtVenue:
    """`livecache.venues.venue.Venue`. `name` is its id; `now` is the venue's clock in Unix ms, None while
    unknown. Raises ConfigError as `Exchange`.
    """

    def __init__(
        self, settings: CcxtSettings, *, name: str, now: Callable[[], int | None], clock: Clock
    ) -> None:
        self.name = name
        self._now = now
        self._exchange = Exchange(
            settings.exchange or name,
            rest_url=settings.rest_url,
            now=now,
            clock=clock,
            timeout_s=settings.request_timeout,
        )
        self._exchange.narrow(settings.symbols)
        self.traits: Traits = self._traits(settings)

    @property
    def origin(self) -> str:
        """Scheme and host of where its candles come from."""
        return self._exchange.origin

    @property
    def stats(self) -> RequestStats:
        """What came of the requests, and how long they took."""
        return self._exchange.stats

    async def time(self) -> int | FetchFailure:
        """The venue's clock, Unix ms."""
        told = await self._exchange.ask("time", self._exchange.ccxt.fetch_time)
        if isinstance(told, FetchFailure | int):
            return told
        return FetchFailure(FailureKind.MALFORMED, "an answer without a time")

    async def products(self, only: Sequence[str] = ()) -> Mapping[str, Product] | FetchFailure:
        """What is listed, by ccxt's symbol: every market, or those of `only` that there are."""
        listed = await self._exchange.ask("products", lambda: self._exchange.ccxt.load_markets(True))
        if isinstance(listed, FetchFailure):
            return listed
        return {
            symbol: Product(symbol, "inactive" if market.get("active") is False else "")
            for symbol, market in listed.items()
            if not only or symbol in only
        }

    async def fetch(self, request: PageRequest) -> Page | FetchFailure:
        """The candles of one page. The first one loads the list of markets as well."""
        symbol, timeframe, start, end, _ = request
        grid = self.traits.grid(timeframe)
        if timeframe not in self.traits.served:
            return FetchFailure(FailureKind.UNSUPPORTED_TIMEFRAME, f"no {timeframe} at {self.name}")
        if (buckets := grid.count(start, end)) > (most := self.traits.page(timeframe)):
            return FetchFailure(FailureKind.PAGE_TOO_LONG, f"{buckets} buckets; at most {most}")
        ccxt = self._exchange.ccxt
        if not ccxt.markets and isinstance(
            failed := await self._exchange.ask("products", ccxt.load_markets), FetchFailure
        ):
            return failed
        rows = await self._exchange.ask(
            "candles", lambda: ccxt.fetch_ohlcv(symbol, timeframe.value, start, buckets), over=end
        )
        if isinstance(rows, FetchFailure):
            return rows
        found = sort_rows(request, grid, [wire_of(row) for row in rows], self._now())
        tell_rejected(request, found.rejected)
        return Page(
            request,
            tuple(found.rows[time] for time in sorted(found.rows)),
            frozenset(found.doubtful),
            found.doubtful,
            len(found.rejected),
        )

    def feeds(
        self,
        products: Sequence[str],
        aliases: Mapping[str, str],
        *,
        trades: bool,
        among: Sequence[Feed] = (),
    ) -> tuple[Feed, ...]:
        """None: each bucket is asked for soon after its end."""
        return ()

    def reconfigure(self, settings: VenueSettings) -> None:
        """Take over what can change while it runs."""
        assert isinstance(settings, CcxtSettings)
        self._exchange.patience(settings.request_timeout)
        self._exchange.narrow(settings.symbols)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._exchange.aclose()

    def _traits(self, settings: CcxtSettings) -> Traits:
        ccxt = self._exchange.ccxt
        return traits_of(
            ccxt.id,
            settings,
            timeframes=ccxt.timeframes or {},
            features=ccxt.features,
            api=ccxt.api,
            every_ms=ccxt.rateLimit,
            clock=self._exchange.tells_time,
        )


def build(
    venue: str,
    settings: VenueSettings,
    *,
    environ: Mapping[str, str],
    now: Callable[[], int | None],
    clock: Clock,
    jitter: Callable[[], float],
) -> CcxtVenue:
    """The venue of that id: see `venues.registry.build`."""
    assert isinstance(settings, CcxtSettings)
    return CcxtVenue(settings, name=venue, now=now, clock=clock)
