"""What the candles API shares: the way to Redis, and what is asked.

It reads what any reader reads, by the writer's own client, and nothing of the engine's memory: so an
instance that waits for the lease serves as well as the one that writes.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import replace
from functools import wraps
from typing import Any, NamedTuple, TypeVar

import msgspec
from aiohttp import web

from ..clock import Clock
from ..errors import ConfigError, LivecacheError, UnknownSeries
from ..model.naming import ambiguous, near_names, split_venue
from ..model.series import SeriesId
from ..plainly import plainly
from ..read.reading import Core
from ..reader.async_links import AsyncLink
from ..reader.reader import MAX_LAG_S
from .allowance import Addresses, Allowance
from .answers import NotServed
from .route import Handler
from .watch.instance import Instance

__all__ = ["Source", "Way", "asked", "near_ones", "parse"]

REQUESTS_PER_S = 250.0  # of one address: at 0.4 ms each a tenth of the core that the feed needs
CLIENTS_SHARE = 2  # all clients may ask so many times as often
AT_ONCE_S = 2  # after a rest, what may be asked in so many seconds

KNOWN_S = 1.0  # a list of the series lasts for so long

_T = TypeVar("_T", bound=msgspec.Struct)
_Found = TypeVar("_Found")


class Way(NamedTuple):
    """The way to Redis, which all venues of the process share, and what reads them."""

    store: Any  # a redis.asyncio.Redis
    core: Core
    link: AsyncLink

    @property
    def venues(self) -> Sequence[str]:
        """Their ids, in the order of the configuration."""
        return self.core.venues or ()

    async def of_each(
        self, look: Callable[[str], Awaitable[_Found]]
    ) -> tuple[dict[str, _Found], dict[str, LivecacheError]]:
        """What there is of each venue, and why there is nothing of some. Raises if there is of none."""
        found: dict[str, _Found] = {}
        wrong: dict[str, LivecacheError] = {}
        for venue in self.venues:
            try:
                found[venue] = await look(venue)
            except LivecacheError as error:
                wrong[venue] = error
                if len(wrong) == len(self.venues):
                    raise
        return found, wrong


class Source:
    """Reads for the API's handlers."""

    def __init__(self, instance: Instance, clock: Clock, per_s: float = REQUESTS_PER_S) -> None:
        self._instance = instance
        self._clock = clock
        self._addresses = Addresses(per_s, AT_ONCE_S * per_s)
        self._all = Allowance(CLIENTS_SHARE * per_s, AT_ONCE_S * CLIENTS_SHARE * per_s)
        self._way: Way | None = None
        self._known: tuple[Way, float, frozenset[SeriesId]] | None = None

    def admit(self, address: str | None) -> None:
        """Raise `NotServed` if the API has been asked too often of late: from that address, or by all."""
        now_s = self._clock.monotonic()
        if not self._addresses.take(address, now_s):
            raise NotServed("too_many", 429, "the API is asked too often from this address", _LATER)
        if not self._all.take(now_s):
            raise NotServed("too_many", 429, "the API is asked too often", _LATER)

    def way(self) -> Way:
        """The way to what the engines write. Raises `NotServed` while none runs."""
        places = self._instance.places
        found = next((place.way for place in places.values() if place.way is not None), None)
        if found is None:
            raise NotServed("starting", 503, "the service is starting, or ending", "ask again in a moment")
        store, keys = found
        if self._way is None or self._way.store is not store:
            venues = tuple(places)
            core = Core(replace(keys, venue=venues[0]), MAX_LAG_S)
            core.learnt(venues, dict.fromkeys(venues, ()))
            self._way = Way(store, core, AsyncLink(None, store))
        return self._way

    def left(self, way: Way) -> bool:
        """Whether no engine runs any more that it leads to."""
        ways = [place.way for place in self._instance.places.values()]
        return all(one is None or one[0] is not way.store for one in ways)

    def trouble(self, venue: str) -> str:
        """What the engine of that venue has ended by, until another has started; "" if by no error."""
        return self._instance.places[venue].trouble

    async def known(self) -> frozenset[SeriesId]:
        """The configured series of all venues, as they were a second ago at most."""
        way, now_s = self.way(), self._clock.monotonic()
        if self._known is None or self._known[0] is not way or now_s >= self._known[1]:
            found, _ = await way.of_each(lambda venue: way.link.drive(way.core.series_at(venue)))
            series = frozenset(one for some in found.values() for one in some)
            self._known = way, now_s + KNOWN_S, series
        return self._known[2]

    async def place(self, symbol: str) -> str:
        """The symbol with the venue that is meant, where there are several. Raises `UnknownSeries`."""
        venues = self._instance.places
        venue, name = split_venue(symbol, venues)
        if len(venues) > 1 and venue is None:
            known = await self.known()
            found = [one for one in venues if any(each[:2] == (one, name) for each in known)]
            if not found:
                raise UnknownSeries(f"{name}: nobody fills this symbol", _near(name, known) or _LISTED)
            if len(found) > 1:
                raise ambiguous(name, found)
            (venue,) = found
        return symbol if venue is None else f"{venue}:{name}"

    async def unknown(self, series: SeriesId) -> UnknownSeries:
        """The error for a series that nobody fills, naming what there is instead."""
        known = sorted(await self.known(), key=lambda one: (one.symbol, one.timeframe.ms))
        return UnknownSeries(f"{series}: nobody fills this series", near_ones(series, known) or _LISTED)


_LATER = "ask again in a second"

_LISTED = "see /api/v1/series"


def near_ones(series: SeriesId, known: Sequence[SeriesId]) -> str:
    """A hint at what may have been meant; "" if nothing is near."""
    there = [one.timeframe.value for one in known if one[:2] == series[:2]]
    if there:
        return f"{series.symbol} has {', '.join(there)}, which do not add up to {series.timeframe}"
    return _near(f"{series.venue}:{series.symbol}", known)


def _near(symbol: str, known: Iterable[SeriesId]) -> str:
    """The same of a symbol, be it with its venue."""
    symbols: dict[str, dict[str, None]] = {}
    for one in known:
        symbols.setdefault(one.venue, {})[one.symbol] = None
    near = near_names(symbol, symbols)
    return f"did you mean {' or '.join(near)}?" if near else ""


# --- requests and refusals


def parse(request: web.BaseRequest, kind: type[_T], *, repeated: str = "", lenient: bool = False) -> _T:
    """The query as a struct. Raises ConfigError that names the parameter which cannot be used.

    Only `repeated` may come more than once, and then is a list. `lenient`: others than the struct's are
    passed over.
    """
    query: dict[str, object] = {}
    for name in dict.fromkeys(request.query):
        values = request.query.getall(name)
        if name == repeated:
            query[name] = values
        elif len(values) > 1:
            raise ConfigError(f"{name} is there {len(values)} times", "say it once")
        else:
            query[name] = values[0]
    names = kind.__struct_encode_fields__
    for name in () if lenient else query:
        if name not in names:
            near = difflib.get_close_matches(name, names, n=1)
            hint = f"did you mean {near[0]}? " if near else ""
            raise ConfigError(
                f"there is no parameter {name[:40]!r}", f"{hint}there are {', '.join(names) or 'none'}"
            )
    try:
        asked = msgspec.convert(query, kind, strict=False)
        for name, field in zip(names, kind.__struct_fields__, strict=True):
            if name in query and getattr(asked, field) is None:  # msgspec reads the text `null` so
                raise ConfigError(
                    f"{name}: {query[name]!r} is no value", "leave it out, or see /openapi.json"
                )
        return asked
    except msgspec.ValidationError as error:
        problem, name = plainly(str(error))
        if missing := re.search(r"missing required field (\w+)", problem):
            raise ConfigError(f"missing parameter {missing[1]}", "see /openapi.json") from None
        raise ConfigError(f"{name}: {problem}" if name else problem, "see /openapi.json") from None


def asked(source: Source, handler: Handler) -> Handler:
    """A handler of the API: counted before."""

    @wraps(handler)
    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        source.admit(request.remote)
        return await handler(request)

    return handle
