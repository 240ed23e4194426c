"""What `livecache doctor` tries at the exchange: REST, its clock, the key, each symbol, the feed."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import time
from collections.abc import AsyncGenerator, Iterable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, cast

import msgspec

from ...clock import SystemClock
from ...config.render import Loaded
from ...errors import ConfigError, LivecacheError
from ...keys.keyspace import decode_ban
from ...model.budget import Spacing
from ...model.naming import near_symbols
from ...model.timeframe import Timeframe, iso
from ...venues.net.network import NO_NETWORK, is_loopback, passed_over
from ...venues.registry import build
from ...venues.remedies import feed_remedy, rest_remedy
from ...venues.settings import VenueSettings
from ...venues.venue import (
    Event,
    FailureKind,
    FeedCandles,
    FeedFailure,
    FetchFailure,
    Instrument,
    PageRequest,
    Product,
    Subscribed,
)
from ..reading import connect, keyspace_of
from .diagnosis import Diagnosis, failed, noted, right, skipped

if TYPE_CHECKING:
    import redis

    from ...config.schema import Config
    from ...keys.keyspace import Keyspace

__all__ = ["Examination", "bans", "venues"]

_NOTHING: Mapping[str, str] = MappingProxyType({})

_REQUEST_S = 6.0
_FEED_S = 12.0
_CLOCK_MS = 30_000
_NAMED_MOST = 10
_TRIED_MOST = 3  # symbols that are asked for where there is no list
_DAYS = 5
_BAD_MOST = 20  # symbols of which each is told by itself
_ASKED_FOR_MOST = 100  # Of more symbols the whole list is asked for: their names would not fit into a URL.


async def venues(loaded: Loaded) -> list[Diagnosis]:
    """All that is found at each of them, side by side. One that has banned this address is not asked."""
    config = loaded.config
    banned = await asyncio.to_thread(bans, config)
    found = await asyncio.gather(
        *(_examine(venue, own, banned.get(venue, "")) for venue, own in config.venues.items())
    )
    if len(found) == 1:
        return found[0]
    return [
        msgspec.structs.replace(one, message=f"{venue}: {one.message}")
        for venue, some in zip(config.venues, found, strict=True)
        for one in some
    ]


def bans(config: Config) -> dict[str, str]:
    """What is to be said of each that refuses everything, as a service that writes to Redis was told."""
    try:
        with connect(config) as client:
            told = {venue: _banned_until(client, keyspace_of(config, venue)) for venue in config.venues}
    except LivecacheError:
        return {}
    return {
        venue: f"it has banned this address until {iso(until)}, and is not asked"
        for venue, until in told.items()
        if until > time.time() * 1000
    }


def _banned_until(client: redis.Redis, keys: Keyspace) -> int:
    raw: Any = client.get(keys.ban)
    return decode_ban(raw)


async def _examine(venue: str, settings: VenueSettings, banned: str) -> list[Diagnosis]:
    if banned:
        return [failed("rest", banned, rest_remedy(venue, FailureKind.BANNED))]
    unusable: list[Diagnosis] = []
    environ: Mapping[str, str] = os.environ
    key = ""
    try:
        key = settings.key_of(venue, environ)
    except ConfigError as error:
        unusable.append(failed("key", error.message, error.hint))
        environ = {}
        settings = settings.without_key()
    try:
        here = Examination(venue, settings, key, environ)
    except ConfigError as error:
        return [*unusable, failed("venue", error.message, error.hint)]
    try:
        return await here.everything(unusable)
    finally:
        await here.venue.aclose()


class Examination:
    """One look at the exchange, with the service's own client of it. Raises ConfigError as `build`."""

    def __init__(
        self, venue: str, settings: VenueSettings, key: str = "", environ: Mapping[str, str] = _NOTHING
    ) -> None:
        timeout_s = min(_REQUEST_S, settings.request_timeout)
        self._id = venue
        self._config = settings
        self._key = key
        self._clock = SystemClock()
        self._told: tuple[int, float] | None = None  # the exchange's time, and when it told it (monotonic)
        self._banned = False
        self.venue = build(
            venue,
            msgspec.structs.replace(settings, request_timeout=timeout_s),
            environ=environ,
            now=self.now,
            clock=self._clock,
            jitter=random.random,
        )

    def now(self) -> int | None:
        """The exchange's time, Unix ms; None while unknown."""
        if self._told is None:
            return None
        return self._told[0] + int((self._clock.monotonic() - self._told[1]) * 1000)

    async def ask_time(self) -> int | FetchFailure:
        """The same, asked for anew; where none is told, this machine's."""
        told = await self.venue.time() if self.venue.traits.clock else int(self._clock.wall() * 1000)
        if isinstance(told, FetchFailure):
            self._banned = told.kind is FailureKind.BANNED
        else:
            self._told = told, self._clock.monotonic()
        return told

    async def everything(self, unusable: list[Diagnosis]) -> list[Diagnosis]:
        """REST first, since it knows which symbols the feed can be asked for. `unusable`: of the key."""
        found = [noted("proxy", told, _PROXY_REMEDY) for told in self._passed_over() if told]
        found += await self._rest() + unusable
        if self._banned:
            return [*found, skipped("symbols", _BANNED), skipped("feed", _BANNED)]
        listed: Mapping[str, Product] | None = None
        if self._told is None:
            why = "the exchange's REST API does not answer"
            found += [skipped("key", why)] if self._key else []
            found.append(skipped("symbols", why))
        else:
            found += [] if unusable else await self._signed()
            told, listed = await self._symbols()
            found += told
        found += await self._feed(listed)
        unresolved = [one for one in found if one.message.endswith(NO_NETWORK)]
        if len(unresolved) > 1:
            message = "no name can be resolved: there is no network here, or no DNS"
            remedy = "bring it up, or set HTTPS_PROXY where only a proxy leads out"
            return [failed("network", message, remedy), *found]
        return found

    def _passed_over(self) -> Iterable[str]:
        return dict.fromkeys(passed_over(url) for url in (self._config.rest_url, self._config.ws_url))

    async def _rest(self) -> list[Diagnosis]:
        began_s = self._clock.monotonic()
        before_ms = self._clock.wall() * 1000
        answer = await self.ask_time()
        if not self.venue.traits.clock:
            return [right("clock", "the exchange tells no time: this machine's has to be right")]
        took_s = self._clock.monotonic() - began_s
        if isinstance(answer, FetchFailure):
            return [failed("rest", answer.message, rest_remedy(self.venue.name, answer.kind))]
        off_ms = answer - (before_ms + took_s * 500)
        found = [right("rest", f"{self.venue.origin} answers in {took_s * 1000:.0f} ms")]
        host = (
            self.venue.origin.partition("://")[2].rpartition(":")[0] or self.venue.origin.partition("://")[2]
        )
        told = f"{_seconds(off_ms)} {'ahead of' if off_ms > 0 else 'behind'} this machine's"
        if is_loopback(host):
            found.append(right("clock", f"the exchange's is {told}: a simulated one may be anywhere"))
        elif abs(off_ms) > _CLOCK_MS:
            remedy = "set this machine's by NTP: chronyd or systemd-timesyncd"
            found.append(noted("clock", f"the exchange's is {told}", remedy))
        else:
            found.append(right("clock", f"the exchange's is {told}"))
        return found

    async def _signed(self) -> list[Diagnosis]:
        """Whether the key is taken, by the smallest page there is."""
        if not self._key:
            none = right("key", "none: the public endpoints serve, a second or so later")
            return [none] if self._config.KEY_REMEDY else []
        end = Timeframe.M5.floor(self.now() or 0)
        symbol = self._config.symbols[0]
        answer = await self.venue.fetch(PageRequest(symbol, Timeframe.M5, end - Timeframe.M5.ms, end))
        if isinstance(answer, FetchFailure) and answer.kind is not FailureKind.UNKNOWN_SYMBOL:
            remedy = rest_remedy(self.venue.name, answer.kind)
            if answer.kind is FailureKind.UNAUTHORIZED:
                remedy = self._config.KEY_REMEDY
            return [failed("key", answer.message, remedy)]
        return [right("key", f"{_short(self._key)} is accepted")]

    async def _symbols(self) -> tuple[list[Diagnosis], Mapping[str, Product] | None]:
        """Which of them the exchange lists, and trades."""
        symbols = self._config.symbols
        if not self.venue.traits.lists:
            return [await self._symbol(symbol) for symbol in symbols[:_TRIED_MOST]], None
        listed = await self.venue.products(symbols if len(symbols) <= _ASKED_FOR_MOST else ())
        if isinstance(listed, FetchFailure):
            remedy = rest_remedy(self.venue.name, listed.kind)
            return [failed("symbols", f"the list of products: {listed.message}", remedy)], None
        unknown = [symbol for symbol in symbols if symbol not in listed]
        everything: Mapping[str, Product] | FetchFailure = listed
        if unknown and len(symbols) <= _ASKED_FOR_MOST:
            everything = await self.venue.products()
            if not isinstance(everything, FetchFailure):
                # A list of some need not name what the list of all does.
                unknown = [symbol for symbol in unknown if symbol not in everything]
        known = {} if isinstance(everything, FetchFailure) else everything
        found = []
        good = [s for s in symbols if s not in unknown and not (listed.get(s) or known[s]).halted]
        if good:
            more = f" and {len(good) - _NAMED_MOST} more" if len(good) > _NAMED_MOST else ""
            found.append(right("symbols", f"{', '.join(good[:_NAMED_MOST])}{more}: listed, and they trade"))
        for symbol in [s for s in symbols if s not in good][:_BAD_MOST]:
            if symbol in unknown:
                near = near_symbols(symbol, known)
                meant = f"did you mean {' or '.join(near)}? " if near else ""
                remedy = f"{meant}correct venues.{self._id}.symbols"
                found.append(failed("symbol", f"{symbol}: {self.venue.name} does not know it", remedy))
            else:
                why = (listed.get(symbol) or known[symbol]).halted
                remedy = f"no new candle is to be expected: take it out of venues.{self._id}.symbols"
                found.append(noted("symbol", f"{symbol} is listed as {why}", remedy))
        if (more_bad := len(symbols) - len(good) - _BAD_MOST) > 0:
            found.append(
                failed("symbols", f"and {more_bad} more like these", f"correct venues.{self._id}.symbols")
            )
        return found, {s: listed.get(s) or known[s] for s in symbols if s not in unknown}

    async def _symbol(self, symbol: str) -> Diagnosis:
        """Whether there is such a symbol, by a page of its days, where there is no list."""
        traits = self.venue.traits
        grid = traits.grid(Timeframe.D1)
        end = grid.closed(self.now() or 0)
        answer = await self.venue.fetch(PageRequest(symbol, Timeframe.D1, grid.back(end, _DAYS), end))
        await self._clock.sleep(
            max((1 / b.per_s for b in traits.budgets if isinstance(b, Spacing)), default=0)
        )
        if isinstance(answer, FetchFailure):
            unknown = answer.kind is FailureKind.UNKNOWN_SYMBOL
            mends = rest_remedy(self.venue.name, answer.kind)
            remedy = f"correct venues.{self._id}.symbols" if unknown else mends
            return failed("symbol", f"{symbol}: {answer.message}", remedy)
        if not answer.rows:
            return noted("symbol", f"{symbol}: no candle of the last {_DAYS} days", "is it still traded?")
        told = answer.about or Instrument()
        what = ", ".join(filter(None, (told.name, told.exchange, told.currency)))
        return right("symbol", f"{symbol} ({what}): its newest day is {iso(answer.rows[-1].time)}")

    async def _feed(self, listed: Mapping[str, Product] | None) -> list[Diagnosis]:
        """Whether the feed can be connected to, and sends candles of the first symbol that there is."""
        known = [s for s in self._config.symbols if listed is None or (s in listed and not listed[s].halted)]
        if not known:
            return [skipped("feed", "none of the symbols is known and trades")]
        symbol = known[0]
        aliases = {symbol: listed[symbol].carried} if listed else {}
        feeds = self.venue.feeds([symbol], aliases, trades=False)
        if not feeds:
            return [right("feed", "there is none: candles come by requests alone")]
        feed = feeds[0]
        told = cast("AsyncGenerator[Event, None]", feed.events())
        began_s = self._clock.monotonic()
        heard = ""
        host = self._config.ws_url.partition("://")[2].rpartition("@")[2].partition("/")[0]
        try:
            async with asyncio.timeout(_FEED_S), contextlib.aclosing(told) as events:
                async for event in events:
                    if isinstance(event, Subscribed | FeedCandles):
                        took_s = self._clock.monotonic() - began_s
                        return [right("feed", f"{host} sends candles of {symbol} after {took_s:.1f} s")]
                    if isinstance(event, FeedFailure):
                        return [failed("feed", event.message, feed_remedy(self.venue.name))]
                    heard = getattr(event, "reason", "") or "it is heard"
        except TimeoutError:
            pass
        nothing = f"{host}: no candle of {symbol} within {_FEED_S:g} s" + (f" ({heard})" if heard else "")
        return [failed("feed", nothing, feed_remedy(self.venue.name))]


_BANNED = "the exchange has banned this address"

_PROXY_REMEDY = "name one of the kind http by HTTPS_PROXY, or the exchange in NO_PROXY"


def _seconds(ms: float) -> str:
    return f"{abs(ms) / 1000:.1f} s"


def _short(name: str) -> str:
    """The end of a key's name, which is no secret, and is long."""
    return name if len(name) <= 24 else f"…{name[-20:]}"
