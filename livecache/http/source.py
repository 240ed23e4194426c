"""What the candles API shares: the way to Redis, how often it may be asked, and what is asked.

It reads what any reader reads, by the writer's own client, and nothing of the engine's memory: so an
instance that waits for the lease serves as well as the one that writes.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from functools import wraps
from typing import NamedTuple, TypeVar

import msgspec
from aiohttp import web

from ..clock import Clock
from ..engine.engine import Engine
from ..errors import ConfigError, UnknownSeries
from ..keys.keyspace import Keyspace
from ..model.naming import near_symbols, split_venue
from ..model.series import SeriesId
from ..plainly import plainly
from ..read.reading import Core
from ..reader.async_links import AsyncLink
from ..reader.reader import MAX_LAG_S
from .answers import Refused
from .route import Handler
from .watch.instance import Instance

__all__ = ["Allowance", "Source", "Way", "ambiguous", "asked", "near_ones", "parse"]

REQUESTS_PER_S = 250.0  # of all clients: at 0.4 ms each a tenth of the core that the feed needs
REQUESTS_AT_ONCE = 500

KNOWN_S = 1.0  # a list of the series lasts for so long

_T = TypeVar("_T", bound=msgspec.Struct)


class Way(NamedTuple):
    """One engine's way to Redis. Another engine, another way."""

    engine: Engine
    core: Core
    link: AsyncLink

    @property
    def keys(self) -> Keyspace:
        """The names of its keys."""
        return self.core.keys


class Allowance:
    """So many a second, and so many at once after a rest. Pure: `now_s` comes in."""

    def __init__(self, per_s: float, at_once: float) -> None:
        self._per_s = per_s
        self._most = at_once
        self._left = at_once
        self._since_s = float("-inf")

    def take(self, now_s: float) -> bool:
        """Whether one more is allowed; then it is taken."""
        self._left = min(self._most, self._left + (now_s - self._since_s) * self._per_s)
        self._since_s = now_s
        if self._left < 1:
            return False
        self._left -= 1
        return True


class Source:
    """Reads for the API's handlers."""

    def __init__(self, instance: Instance, clock: Clock, per_s: float = REQUESTS_PER_S) -> None:
        self._instance = instance
        self._clock = clock
        self._allowance = Allowance(per_s, max(per_s, REQUESTS_AT_ONCE))
        self._ways: dict[str, Way] = {}
        self._known: dict[str, tuple[Way, float, frozenset[SeriesId]]] = {}

    def admit(self) -> None:
        """Raise `Refused` if the API has been asked too often of late."""
        if not self._allowance.take(self._clock.monotonic()):
            raise Refused("too_many", 429, "the API is asked too often", "ask again in a second")

    def way(self, venue: str = "") -> Way:
        """The way to what a venue's engine writes, or the first one's. Raises `Refused` while none runs."""
        places = self._instance.places
        venue = venue or next(iter(places), "")
        engine = places[venue].engine if venue in places else None
        if engine is None:
            raise Refused("starting", 503, "the service is starting, or ending", "ask again in a moment")
        if venue not in self._ways or self._ways[venue].engine is not engine:
            self._ways[venue] = Way(engine, Core(engine.keys, MAX_LAG_S), AsyncLink(None, engine.store))
        return self._ways[venue]

    def left(self, way: Way) -> bool:
        """Whether that way leads to an engine that is no more."""
        return not any(engine is way.engine for engine in self._instance.engines.values())

    async def known(self, venue: str = "") -> frozenset[SeriesId]:
        """The configured series of a venue, or the first one, as they were a second ago at most."""
        way, now_s = self.way(venue), self._clock.monotonic()
        known = self._known.get(way.keys.venue)
        if known is None or known[0] is not way or now_s >= known[1]:
            series = await way.link.drive(way.core.all_series())
            known = self._known[way.keys.venue] = way, now_s + KNOWN_S, frozenset(series)
        return known[2]

    async def place(self, symbol: str) -> tuple[str, str]:
        """The venue, "" for the first one, and the symbol that are meant. Raises `UnknownSeries`."""
        venues = self._instance.places
        venue, name = split_venue(symbol, venues)
        if venue is None and len(venues) > 1:
            known = {one: await self.known(one) for one in self._instance.engines}
            found = [one for one, there in known.items() if any(each.symbol == name for each in there)]
            if len(found) > 1:
                raise ambiguous(name, found)
            venue = found[0] if found else None
        return venue or "", name

    async def unknown(self, series: SeriesId) -> UnknownSeries:
        """The error for a series that nobody fills, naming what there is instead."""
        known = sorted(await self.known(series.venue), key=lambda one: (one.symbol, one.timeframe.ms))
        hint = near_ones(series, known)
        return UnknownSeries(f"{series}: nobody fills this series", hint or "see /api/v1/series")


def ambiguous(symbol: str, venues: Sequence[str]) -> UnknownSeries:
    """The error for a symbol that several venues have."""
    names = " or ".join(f"{venue}:{symbol}" for venue in venues)
    return UnknownSeries(f"{symbol} is at {' and at '.join(venues)}", f"say {names}")


def near_ones(series: SeriesId, known: Sequence[SeriesId]) -> str:
    """A hint at what may have been meant; "" if nothing is near."""
    there = [one.timeframe.value for one in known if one.symbol == series.symbol]
    if there:
        return f"{series.symbol} has {', '.join(there)}"
    near = near_symbols(series.symbol, dict.fromkeys(one.symbol for one in known))
    return f"did you mean {' or '.join(near)}?" if near else ""


# --- requests and refusals


def parse(request: web.BaseRequest, kind: type[_T], *, repeated: str = "") -> _T:
    """The query as a struct. Raises ConfigError that names the parameter which cannot be used.

    Only `repeated` may come more than once, and then is a list.
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
    for name in query:
        if name not in names:
            near = difflib.get_close_matches(name, names, n=1)
            hint = f"did you mean {near[0]}? " if near else ""
            raise ConfigError(
                f"there is no parameter {name[:40]!r}", f"{hint}there are {', '.join(names) or 'none'}"
            )
    try:
        return msgspec.convert(query, kind, strict=False)
    except msgspec.ValidationError as error:
        problem, name = plainly(str(error))
        if missing := re.search(r"missing required field (\w+)", problem):
            raise ConfigError(f"missing parameter {missing[1]}", "see /openapi.json") from None
        raise ConfigError(f"{name}: {problem}" if name else problem, "see /openapi.json") from None


def asked(source: Source, handler: Handler) -> Handler:
    """A handler of the API: counted before."""

    @wraps(handler)
    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        source.admit()
        return await handler(request)

    return handle
