"""`/udf/…`: what a chart asks a feed, one handler a question.

Bars come newest first in question and without a gap in answer: what is missing ends them, and a chart that
asks for older ones is told of it, or gets them once they are there.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterable, Sequence

import msgspec
from aiohttp import web

from ...clock import Clock
from ...equities.calendar import Calendar
from ...errors import ConfigError, UnknownSeries
from ...model.candle import Candle
from ...model.naming import ambiguous, split_venue
from ...model.timeframe import Timeframe, readable
from ...read.candles import Candles
from ...venues.settings import SessionSettings
from ..conditional import given
from ..past.window import Past
from ..route import Route
from ..shapes.fields import ROWS_MOST
from ..shapes.udf import (
    FOUND_MOST,
    SymbolType,
    UdfBars,
    UdfConfig,
    UdfFound,
    UdfHistoryQuery,
    UdfName,
    UdfNoData,
    UdfSearchQuery,
    UdfSymbol,
    UdfSymbolQuery,
)
from ..source import Source, asked, parse
from ..watch.instance import Instance
from .bars import Gathering, Wanted
from .problem import as_error
from .terms import Bars, Hours, adds_up, decimals, hours_of, named, resolution_of, timeframe_of

__all__ = ["Feed"]

_OF_PRICES = 30  # candles that tell how many digits prices have


class Feed:
    """The handlers, as `routes`."""

    def __init__(self, source: Source, past: Past, instance: Instance, clock: Clock) -> None:
        self._source, self._instance, self._clock = source, instance, clock
        self._gathering = Gathering(source, past)
        self._calendars: dict[str, tuple[SessionSettings, Calendar | None]] = {}
        self._hours: dict[tuple[Calendar, int], Hours] = {}
        handlers = {
            "config": self.config,
            "symbols": self.symbol,
            "search": self.search,
            "history": self.history,
            "time": self.time,
        }
        self.routes: Sequence[Route] = [
            Route("GET", f"/udf/{name}", asked(source, handler), retold=as_error)
            for name, handler in handlers.items()
        ]

    async def config(self, request: web.BaseRequest) -> web.StreamResponse:
        """What there is."""
        venues = [*self._instance.places]
        types = sorted({*map(self._type, venues)})
        told = UdfConfig(
            supported_resolutions=[*map(resolution_of, Timeframe)],
            exchanges=[UdfName("", "All"), *(UdfName(one, one) for one in venues)],
            symbols_types=[UdfName("", "All"), *(UdfName(one, one) for one in types)],
        )
        return given(request, msgspec.json.encode(told))

    async def symbol(self, request: web.BaseRequest) -> web.StreamResponse:
        """What a chart has to know of one symbol."""
        venue, symbol = await self._meant(parse(request, UdfSymbolQuery, lenient=True).symbol)
        kept = await self._kept(venue, symbol)
        candles = await self._newest(venue, symbol, kept)
        calendar = self._calendar(venue)
        hours = await self._hours_of(calendar) if calendar else Hours()
        resolutions = self._resolutions(venue, kept)
        prices = decimals(price for one in candles for price in (one.open, one.high, one.low, one.close))
        told = UdfSymbol(
            name=symbol,
            ticker=f"{venue}:{symbol}",
            description=symbol,
            type=self._type(venue),
            exchange=venue,
            listed_exchange=venue,
            timezone=hours.timezone,
            session=hours.session,
            session_holidays=hours.holidays,
            corrections=hours.corrections,
            minmov=1,
            pricescale=10**prices,
            volume_precision=decimals(one.volume for one in candles),
            has_intraday=any(one.isdecimal() for one in resolutions),
            has_daily="1D" in resolutions,
            has_weekly_and_monthly={"1W", "1M"} <= {*resolutions},
            intraday_multipliers=[one for one in resolutions if one.isdecimal()],
            supported_resolutions=resolutions,
            data_status="streaming",
            format="price",
        )
        return given(request, msgspec.json.encode(told))

    async def search(self, request: web.BaseRequest) -> web.StreamResponse:
        """Symbols by a part of their name."""
        query = parse(request, UdfSearchQuery, lenient=True)
        known = {(one.venue, one.symbol) for one in await self._source.known()}
        among = [
            (venue, symbol)
            for venue, symbol in known
            if query.exchange in ("", venue) and query.type in ("", self._type(venue))
        ]
        found = [
            UdfFound(
                symbol=symbol,
                full_name=f"{venue}:{symbol}",
                description=symbol,
                exchange=venue,
                ticker=f"{venue}:{symbol}",
                type=self._type(venue),
            )
            for venue, symbol in named(among, query.query, min(query.limit, FOUND_MOST))
        ]
        return given(request, msgspec.json.encode(found))

    async def history(self, request: web.BaseRequest) -> web.StreamResponse:
        """Bars before a time: so many, or since another time."""
        query = parse(request, UdfHistoryQuery, lenient=True)
        venue, symbol = split_venue(await self._source.place(query.symbol), self._instance.places)
        venue = venue or next(iter(self._instance.places))
        timeframe = readable(timeframe_of(query.resolution))
        bars = Bars(timeframe.ms >= Timeframe.D1.ms, self._calendar(venue))
        since = None if query.countback else query.from_
        if not query.countback and since is None:
            raise ConfigError("neither countback nor from is there", "say one of them")
        wanted = Wanted(
            f"{venue}:{symbol}",
            timeframe,
            end=bars.bound(_finite("to", query.to)),
            start=None if since is None else bars.bound(_finite("from", since)),
            most=min(query.countback or ROWS_MOST, ROWS_MOST),
        )
        found = await self._gathering.of(wanted)
        if found.bars.time:
            times, opens, highs, lows, closes, volumes = found.bars
            told: UdfBars | UdfNoData = UdfBars(
                t=[*map(bars.time, times)], o=opens, h=highs, l=lows, c=closes, v=volumes
            )
        else:
            told = UdfNoData(nextTime=None if found.older is None else bars.time(found.older))
        return given(request, msgspec.json.encode(told))

    async def time(self, request: web.BaseRequest) -> web.StreamResponse:
        """The host's time, in seconds."""
        return given(request, b"%d" % self._clock.wall())

    # --- whose

    async def _newest(self, venue: str, symbol: str, kept: Iterable[Timeframe]) -> list[Candle]:
        """Some of the newest candles of these timeframes."""
        core, link = self._source.way().core, self._source.way().link
        requests = [core.request(f"{venue}:{symbol}", one, _OF_PRICES, at_least=1) for one in kept]
        outcomes = await link.drive(core.read_many(requests))
        return [candle for each in outcomes if isinstance(each, Candles) for candle in each]

    async def _kept(self, venue: str, symbol: str) -> list[Timeframe]:
        """Its timeframes that are kept, in Redis or in the history."""
        config = self._instance.config.history
        kept = {one.timeframe for one in await self._source.known() if one[:2] == (venue, symbol)}
        return sorted(kept | {*(config.timeframes if config.url != "off" else ())}, key=lambda one: one.ms)

    def _resolutions(self, venue: str, kept: Sequence[Timeframe]) -> list[str]:
        """What is kept and what adds up from it, as `read.multiples` decides it."""
        engine = self._instance.engines.get(venue)
        return [
            resolution_of(one)
            for one in Timeframe
            if one in kept or (engine is not None and adds_up(one, kept, engine.venue.traits))
        ]

    async def _meant(self, symbol: str) -> tuple[str, str]:
        """The venue and the symbol, also in other letters: charts write all of them as capitals."""
        venue, name = split_venue(symbol, self._instance.places)
        known = {one[:2] for one in await self._source.known() if venue in (None, one.venue)}
        alike = sorted(one for one in known if one[1].upper() == name.upper())
        found = [one for one in alike if one[1] == name] or alike
        if not found:
            raise UnknownSeries(f"{symbol}: nobody fills this symbol", "see /udf/search?query=")
        if len({one[0] for one in found}) > 1:
            raise ambiguous(found[0][1], [one[0] for one in found])
        return found[0]

    def _calendar(self, venue: str) -> Calendar | None:
        own = self._instance.config.venues.get(venue)
        if not isinstance(own, SessionSettings):
            return None
        if venue not in self._calendars or self._calendars[venue][0] is not own:
            self._calendars[venue] = own, own.its_calendar()
        return self._calendars[venue][1]

    def _type(self, venue: str) -> SymbolType:
        return "stock" if self._calendar(venue) else "crypto"

    async def _hours_of(self, calendar: Calendar) -> Hours:
        now = int(self._clock.wall() * 1000)
        key = calendar, now // 86_400_000
        if key not in self._hours:
            self._hours = {each: told for each, told in self._hours.items() if each[1] == key[1]}
            self._hours[key] = await asyncio.to_thread(hours_of, calendar, now)
        return self._hours[key]


def _finite(name: str, seconds: float) -> float:
    if not math.isfinite(seconds):
        raise ConfigError(f"{name}: {seconds} is no time", "Unix seconds")
    return seconds
