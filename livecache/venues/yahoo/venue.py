"""Yahoo as a venue: pages of candles, one call each. It has no feed, no list and no clock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Unpack
from urllib.parse import quote, urlsplit

from ...errors import ConfigError
from ...model.grid import Grid
from ...model.timeframe import Timeframe
from ...quiet import logger
from ...repeats import Repeats
from ..base import Ground, HttpVenue
from ..net.http import Answer, HttpSource, too_early
from ..rows import DecodedPage
from ..text import one_line
from ..venue import FailureKind, FetchFailure, Page, PageRequest, Product
from .answers import chart_of, failure_of, limit_in
from .hours import hours_of
from .pages import decode_page
from .settings import HOST, YahooSettings
from .told import other_hours
from .traits import INTERVALS, WINDOWS, Window, served_of, traits_of

__all__ = ["VENUE", "YahooVenue"]

_PAUSES_S = (5.0, 10.0, 20.0, 40.0, 80.0)
"""After so many refusals in a row nothing is asked for so long; after more it is a ban."""

_BEFORE_MS = 12 * Timeframe.H1.ms
_AFTER_MS = 6 * Timeframe.H1.ms
"""So far around its sessions a day may be stamped."""

_CLOCK_OFF_MS = 60_000  # by which this machine's clock may be ahead: what is final has been so for longer
_NOTICED_S = 86_400.0


class YahooVenue(HttpVenue[YahooSettings]):
    """One exchange's symbols. Raises ConfigError for a calendar that there is not."""

    def __init__(self, settings: YahooSettings, **ground: Unpack[Ground]) -> None:
        clock = ground["clock"]
        calendar, now = settings.its_calendar(), clock.wall() * 1000
        if calendar and not calendar.sessions.closings[1] < now < calendar.sessions.openings[-1]:
            hint = "update livecache, or name a calendars_file"
            raise ConfigError(f"the calendar {calendar.name} does not know the sessions of these days", hint)
        self._hours = hours_of(calendar)
        self._windows = dict(WINDOWS)
        self._noticed = Repeats(clock, _NOTICED_S)
        self._refusals = 0  # in a row
        source = _source(settings, ground)
        super().__init__(settings, traits_of(self._hours, int(clock.wall() * 1000)), source, **ground)
        self._http: HttpSource = source

    async def time(self) -> int | FetchFailure:
        """This machine's clock: Yahoo tells none."""
        return int(self._clock.wall() * 1000)

    async def products(self, only: Sequence[str] = ()) -> Mapping[str, Product] | FetchFailure:
        """Those of `only`, without asking: there is no list. Which there are, pages tell."""
        return {symbol: Product(symbol) for symbol in only}

    async def fetch(self, request: PageRequest) -> Page | FetchFailure:
        """The candles of one page. Refusals in a row say how long to ask for nothing."""
        told = await super().fetch(request)
        if not isinstance(told, FetchFailure):
            self._refusals = 0
        elif told.kind is FailureKind.REFUSED:
            self._refusals += 1
            if self._refusals > len(_PAUSES_S):
                return replace(told, kind=FailureKind.BANNED)
            if told.retry_after_s is None:
                return replace(told, retry_after_s=_PAUSES_S[self._refusals - 1])
        return told

    async def _page(self, request: PageRequest, grid: Grid, buckets: int) -> DecodedPage | FetchFailure:
        # Without the closed hours around it, which would count as well.
        start, end = grid.ceil(request.start), grid.end(grid.back(request.end))
        if request.timeframe is Timeframe.D1:
            start, end = start - _BEFORE_MS, end + _AFTER_MS
        parameters = {
            "period1": str(start // 1000),
            "period2": str(end // 1000),
            "interval": INTERVALS[request.timeframe],
            "includePrePost": "false",
            "events": "div,splits,capitalGains",
        }

        def decode(answer: Answer) -> DecodedPage | FetchFailure:
            now = self._now()
            early = too_early(answer, self._past(grid, now)) if now else None
            return early or page(chart_of(answer), now)

        def page(chart: Mapping[str, Any] | FetchFailure, now: int | None) -> DecodedPage | FetchFailure:
            if isinstance(chart, FetchFailure):
                return chart
            if not chart:
                return DecodedPage(Page(request, ()))
            self._heed(request.symbol, chart)
            return decode_page(request, grid, self._hours, chart, now)

        path = f"/v8/finance/chart/{quote(request.symbol, safe='')}"
        return await self._http.get(
            "candles", path, parameters, decode=decode, refused=lambda answer: page(failure_of(answer), None)
        )

    def _heed(self, symbol: str, chart: Mapping[str, Any]) -> None:
        """Say that what was asked for goes by another name now, and stays stored under its own; or that an
        exchange has other hours today than its calendar.
        """
        meta = chart.get("meta")
        if not isinstance(meta, dict):
            return
        named = meta.get("symbol")
        if isinstance(named, str) and named.upper() != symbol:
            told = f"{self.name} tells of {symbol} as {one_line(named, 40)}: was it renamed?"
            self._noticed.log("symbol_renamed", symbol, told, symbol=symbol)
        if self._hours.calendar and (other := other_hours(meta, self._hours)):
            self._noticed.log("other_hours", other, f"{self.name} says of {symbol}: {other}", symbol=symbol)

    def _past(self, grid: Grid, now: int) -> int:
        """What has passed by this machine's clock, if that is about right (Unix ms)."""
        finals, then = self.traits.finals, now - _CLOCK_OFF_MS
        return max(grid.closed(then), finals.floor(then) if finals else 0)

    def _learned(self, failure: FetchFailure, request: PageRequest, buckets: int) -> FetchFailure:
        """It says itself how much may be asked for."""
        timeframe, now = request.timeframe, int(self._clock.wall() * 1000)
        limit, before = limit_in(failure), self._windows.get(timeframe, Window())
        lower = Window(*(min(filter(None, pair), default=0) for pair in zip(limit, before, strict=True)))
        if lower != before:
            self._windows[timeframe] = lower
            self.traits = replace(self.traits, served=served_of(self._hours, self._windows, now))
            logger.bind(event="page_shortened", timeframe=timeframe.value).warning(
                "{}: candles of {} are had {} days at once, and {} days back", self.name, timeframe, *lower
            )
            if buckets > self.traits.deep_page(timeframe):
                return replace(failure, kind=FailureKind.PAGE_TOO_LONG)
        return super()._learned(failure, request, buckets)


def _source(settings: YahooSettings, ground: Ground) -> HttpSource:
    """How it is asked: Yahoo itself as a browser does, anything else as everything here is."""
    url, clock, timeout_s = settings.rest_url, ground["clock"], settings.request_timeout
    host = urlsplit(url).hostname or ""
    if host == HOST or host.endswith(f".{HOST}"):
        from .browser import CurlSource

        return CurlSource(url, clock=clock, timeout_s=timeout_s)
    return HttpSource(url, clock=clock, timeout_s=timeout_s)


VENUE = YahooVenue
