"""What every venue can be configured with. A kind of venue adds its own in `venues/<kind>/settings.py`."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Self
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from ..errors import ConfigError
from ..model.budget import Budget, Rolling, Spacing
from ..model.policy import CANDLES_MAX
from ..model.timeframe import Timeframe

if TYPE_CHECKING:
    from ..equities.calendar import Calendar

__all__ = [
    "SYMBOL",
    "Count",
    "FedSettings",
    "Problem",
    "Rate",
    "Seconds",
    "SessionSettings",
    "VenueSettings",
    "list_problems",
]

# Upper bounds are there so that a slip of the keyboard (`nan`, `inf`, a year in seconds) is told at once.
Seconds = Annotated[float, Meta(gt=0, le=3600)]
Rate = Annotated[float, Meta(gt=0, le=1000)]
Count = Annotated[int, Meta(ge=1, le=CANDLES_MAX)]

Problem = tuple[str, str, str]
"""The name of a setting, what is wrong with its value, and a hint."""

# What can be part of a key, a channel, a list by comma and a command line, whatever the venue.
SYMBOL = re.compile(r"[^\s{}*?\[\],\"'\\\x00-\x1f\x7f]{1,100}")


class VenueSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The settings of one `[venues.<id>]`."""

    LIVE: ClassVar[frozenset[str]] = frozenset(
        {
            *("symbols", "symbols_file", "timeframes", "candles", "min_candles", "indicators"),
            *("settle_delay", "confirm_after", "request_timeout", "least_delay", "requests_per_hour"),
        }
    )
    """Those that a running service takes over."""

    SECRETS: ClassVar[tuple[str, ...]] = ()
    """What is taken from the environment alone: `KEY_NAME` is `LIVECACHE_<ID>_KEY_NAME`."""

    KEY_REMEDY: ClassVar[str] = ""
    """What to do about a key that the venue refuses."""

    kind: str | None = None  # which kind of venue it is; None: the one that its id names
    symbols: tuple[str, ...] = ()  # in priority order, as the venue writes them
    symbols_file: str = ""  # a list of more of them
    # Its own, where it is to differ from [cache].
    timeframes: tuple[Timeframe, ...] | None = None
    shards: Annotated[int, Meta(ge=1, le=64)] = 1  # in which several processes share the symbols
    candles: Count | None = None
    min_candles: Count | None = None
    indicators: tuple[str, ...] | None = None
    rest_url: str = ""  # where history comes from
    ws_url: str = ""  # where the feed comes from; "" where there is none
    # Seconds of the venue's clock. None: as the venue needs, and as `cache.max_lag` allows.
    settle_delay: Annotated[float, Meta(ge=0, le=3600)] | None = None  # from a bucket's end to its page
    confirm_after: Annotated[float, Meta(ge=0, le=86_400)] | None = None  # so long the feed's word may stand
    request_timeout: Seconds = 10.0  # real seconds for one request, all told
    # Beside what the venue allows, and its kind's own settings.
    least_delay: Seconds | None = None  # real seconds from the start of a request to that of the next
    requests_per_hour: Annotated[int, Meta(ge=1, le=10_000_000)] | None = None  # in any 3,600 real seconds
    # Who shares all that with others over one Redis: "address", "key", or a word for those that do.
    budget_scope: Annotated[str, Meta(pattern=r"^[A-Za-z0-9._-]{1,64}$")] = "address"

    @property
    def origin(self) -> str:
        """Scheme and host of where its history comes from, as `Venue.origin`."""
        parts = urlsplit(self.rest_url)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"

    @property
    def bounds(self) -> tuple[Budget, ...]:
        """What requests are to be kept to by the user's word, whatever the venue allows."""
        delay = () if self.least_delay is None else (Spacing("least_delay", 1 / self.least_delay),)
        hourly = self.requests_per_hour
        return (*delay, *(() if hourly is None else (Rolling("requests_per_hour", hourly, 3_600.0),)))

    def scope(self, venue: str, environ: Mapping[str, str]) -> str:
        """Whose budget it is that the venue of that id allows. Raises ConfigError."""
        if self.budget_scope != "key":
            return self.budget_scope
        if not (name := self.key_of(venue, environ)):
            raise ConfigError(
                f'venues.{venue}.budget_scope is "key", and there is no key', 'configure one, or "address"'
            )
        return f"key-{hashlib.sha256(name.encode()).hexdigest()[:16]}"

    def symbol_meant(self, text: str) -> str:
        """The symbol as the venue writes it, whichever way it is written here."""
        return text

    def symbol_problem(self, symbol: str) -> tuple[str, str] | None:
        """Why that cannot be a symbol of the venue, and a hint; None if it may be one."""
        if SYMBOL.fullmatch(symbol):
            return None
        return f"{symbol!r} cannot be a symbol", "no white space, no braces, no * ? [ ] and no quotes"

    def symbol_problems(self, symbols: tuple[str, ...]) -> Iterator[tuple[str, str]]:
        """What is wrong with a list of symbols: (what, hint)."""
        yield from list_problems(symbols)
        yield from (problem for symbol in symbols if (problem := self.symbol_problem(symbol)))

    def problems(self) -> Iterator[Problem]:
        """What types and ranges cannot say. A kind adds its own."""
        for problem in self.symbol_problems(self.symbols):
            yield "symbols", *problem
        for problem in _url_problems(self.rest_url, ("https", "http")):
            yield "rest_url", *problem
        for problem in _url_problems(self.ws_url, ("wss", "ws")) if self.ws_url else ():
            yield "ws_url", *problem

    def without_key(self) -> Self:
        """The same without what names a key."""
        return self

    def key_of(self, venue: str, environ: Mapping[str, str]) -> str:
        """The name of the key that the venue of that id has, "" without one. Raises ConfigError."""
        return ""


class FedSettings(VenueSettings, frozen=True, forbid_unknown_fields=True):
    """Those of a venue with a feed."""

    LIVE: ClassVar[frozenset[str]] = VenueSettings.LIVE | {"silence_timeout"}

    silence_timeout: Seconds = 15.0  # real seconds without any frame before a reconnection

    def problems(self) -> Iterator[Problem]:
        yield from super().problems()
        if not self.ws_url:
            yield "ws_url", "is empty", "it looks like wss://host or ws://host:port"


class SessionSettings(VenueSettings, frozen=True, forbid_unknown_fields=True):
    """Those of a venue whose symbols trade in the sessions of an exchange."""

    calendar: str = "XNYS"  # by its name; "24/7" for what trades always
    calendars_file: str = ""  # calendars of one's own, which go before those that there are

    def its_calendar(self) -> Calendar | None:
        """The calendar itself; None for "24/7". Raises ConfigError where there is none of that name."""
        from ..equities.calendar import calendar_named  # Who has no such venue pays nothing for it.

        return calendar_named(self.calendar, Path(self.calendars_file) if self.calendars_file else None)

    def problems(self) -> Iterator[Problem]:
        yield from super().problems()
        try:
            self.its_calendar()
        except ConfigError as error:
            of_file = self.calendars_file and error.message.startswith(str(Path(self.calendars_file)))
            yield "calendars_file" if of_file else "calendar", error.message, error.hint


def list_problems(items: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """What is wrong with a list of names in priority order: (what, hint)."""
    if not items:
        yield "is empty", "name at least one"
    for item in dict.fromkeys(item for item in items if items.count(item) > 1):
        yield f"names {str(item)!r} twice", "name each once, in priority order"


def _url_problems(url: str, schemes: tuple[str, str]) -> Iterator[tuple[str, str]]:
    """What is wrong with a venue's URL: (what, hint)."""
    example = f"{schemes[0]}://host or {schemes[1]}://host:port"
    try:
        parts = urlsplit(url)
    except ValueError as error:
        yield f"is not a URL: {error}", f"it looks like {example}"
        return
    if parts.scheme not in schemes or not parts.hostname:
        yield f"{url!r} is not such a URL", f"it looks like {example}"
    elif parts.username is not None or parts.password is not None:
        yield "holds a user or a password", "no URL is a place for them: a key has settings of its own"
    elif odd := _ODD.search(url):
        yield f"holds {_character(odd[0])}", f"it looks like {example}"
    else:
        try:
            _ = parts.port
        except ValueError:
            yield "its port is not a number from 0 to 65535", "it looks like scheme://host:port"


# White space, what is not printed, what begins a query or a fragment, and what no URL holds as it is.
_ODD = re.compile(r"[^!-~]|[?#\"<>\\^`{|}]")


def _character(odd: str) -> str:
    """What such a character is, for people."""
    return {" ": "a space", "?": "a query", "#": "a fragment"}.get(odd, f"{odd!r}, which no URL holds")
