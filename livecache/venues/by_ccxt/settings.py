"""What an exchange that is asked by ccxt can be configured with."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated

from msgspec import Meta

from ..settings import Problem, Rate, VenueSettings

__all__ = ["SETTINGS", "CcxtSettings"]

# BTC/USDT, BTC/USDT:USDT (perpetual), BTC/USD:BTC-261225 (future), BTC/USD:BTC-261225-90000-C (option).
_SYMBOL = re.compile(r"[^\s/:]+/[^\s/:]+(?::[^\s/:]+)?")
_SEPARATORS = re.compile(r"[-_ ]")
_EXCHANGE = re.compile(r"[a-z0-9]*", re.ASCII)


class CcxtSettings(VenueSettings, frozen=True, forbid_unknown_fields=True):
    """See docs/configuration.md. Where something is None, ccxt's tables tell."""

    exchange: str = ""  # as ccxt names it; "": as the venue's id
    symbols: tuple[str, ...] = ("BTC/USDT",)
    page_limit: Annotated[int, Meta(ge=2, le=5_000)] | None = None  # buckets a page
    keeps: Annotated[int, Meta(ge=2)] | None = None  # closed buckets that are to be had, the newest
    requests_per_second: Rate | None = None

    def symbol_problem(self, symbol: str) -> tuple[str, str] | None:
        if (problem := super().symbol_problem(symbol)) or _SYMBOL.fullmatch(symbol):
            return problem
        meant = _SEPARATORS.sub("/", symbol.upper())
        near = f"did you mean {meant}? " if _SYMBOL.fullmatch(meant) else ""
        return f"{symbol!r} is not a symbol as ccxt writes it", f"{near}they look like BTC/USDT"

    @property
    def origin(self) -> str:
        return super().origin if self.rest_url else ""

    def problems(self) -> Iterator[Problem]:
        for problem in super().problems():
            if problem[0] != "rest_url" or self.rest_url:
                yield problem
        if not _EXCHANGE.fullmatch(self.exchange):
            yield (
                "exchange",
                f"{self.exchange!r} is no name of an exchange",
                "as ccxt names it: kraken, bybit",
            )
        if self.ws_url:
            yield "ws_url", "is set, and there is no feed", "leave it out: candles are asked for"


SETTINGS = CcxtSettings
