"""What a Yahoo can be configured with."""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

from ..settings import Problem, SessionSettings

__all__ = ["HOST", "SETTINGS", "YahooSettings"]

HOST = "yahoo.com"
"""Below it all is Yahoo's own."""

# AAPL, BRK-B, VOD.L, 7203.T, 0700.HK, ^GSPC, CL=F, EURUSD=X, BTC-USD, M&M.NS, DX-Y.NYB.
_SYMBOL = re.compile(r"\^?[A-Z0-9][A-Z0-9&]*(?:[-.=][A-Z0-9&]+)*", re.ASCII)
_SYMBOL_MOST = 32  # characters

# BRK.B and BF.A, as others write a class of shares. Of one letter there are these exchanges.
_CLASS = re.compile(r"([A-Z]{1,5})\.([A-Z])", re.ASCII)
_EXCHANGES = frozenset("FLTV")  # Frankfurt, London, Tokyo, TSX Venture


class YahooSettings(SessionSettings, frozen=True, forbid_unknown_fields=True):
    """See docs/configuration.md."""

    symbols: tuple[str, ...] = ("AAPL", "MSFT")
    rest_url: str = f"https://query2.finance.{HOST}"

    def __post_init__(self) -> None:
        msgspec.structs.force_setattr(self, "symbols", tuple(map(self.symbol_meant, self.symbols)))

    def symbol_meant(self, text: str) -> str:
        """`brk.b` is BRK-B; what ends in the suffix of an exchange stays: VOD.L."""
        symbol = text.strip().upper() if text.isascii() else text
        written = _CLASS.fullmatch(symbol)
        if written and written[2] not in _EXCHANGES:
            return f"{written[1]}-{written[2]}"
        return symbol

    def symbol_problem(self, symbol: str) -> tuple[str, str] | None:
        symbol = self.symbol_meant(symbol)
        if len(symbol) > _SYMBOL_MOST:
            return f"a ticker of {len(symbol)} characters", "they look like AAPL or VOD.L"
        if _SYMBOL.fullmatch(symbol):
            return None
        if "/" in symbol:
            meant = symbol.replace("/", "-")
            near = f"did you mean {meant}? " if _SYMBOL.fullmatch(meant) else ""
            return f"{symbol!r} is not a ticker as Yahoo writes it", f"{near}they look like BRK-B, BTC-USD"
        return f"{symbol!r} is not a ticker", "they look like AAPL, BRK-B, VOD.L, ^GSPC, CL=F, BTC-USD"

    def problems(self) -> Iterator[Problem]:
        yield from super().problems()
        if self.ws_url:
            yield "ws_url", "is set, and there is no feed", "leave it out: candles are asked for"


SETTINGS = YahooSettings
