"""Coinbase as a venue: its REST API and its feeds, composed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from ...clock import Clock
from ...model.traits import Traits
from ...quiet import logger
from ..net.network import passed_over
from ..settings import VenueSettings
from ..venue import Feed, FetchFailure, Page, PageRequest, Product
from .auth import ApiKey, load_key
from .pace import paced
from .rest import CoinbaseRest
from .settings import CoinbaseSettings

if TYPE_CHECKING:
    from ..feed.feed import SocketFeed

__all__ = ["CoinbaseVenue", "build"]

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
        self._rest = CoinbaseRest(
            config.rest_url,
            now=now,
            timeout_s=config.request_timeout,
            page_limit=config.page_limit,
            first_nonce=int(clock.wall() * 1000),
            key=key,
        )

    @property
    def origin(self) -> str:
        return self._rest.origin

    @property
    def traits(self) -> Traits:
        return self._rest.traits

    @property
    def requests_per_s(self) -> float:
        """How many requests a second it may be asked, as configured and with the key that there is."""
        return paced(self._config.requests_per_second, keyed=self._key is not None)

    async def time(self) -> int | FetchFailure:
        return await self._rest.time()

    async def products(self, only: Sequence[str] = ()) -> Mapping[str, Product] | FetchFailure:
        return await self._rest.products(only)

    async def fetch(self, request: PageRequest) -> Page | FetchFailure:
        return await self._rest.fetch(request)

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
        self._rest.patience(settings.request_timeout)

    async def aclose(self) -> None:
        """Close the REST connections. A feed ends with the iteration of its events."""
        await self._rest.aclose()


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
