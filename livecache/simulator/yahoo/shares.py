"""The shares of the simulated exchange: what is peculiar to each, and what companies do to them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import NamedTuple

from ...errors import ConfigError
from .tickers import TICKERS

__all__ = ["PECULIAR", "Share", "Split", "default_shares", "parse_shares"]


class Split(NamedTuple):
    """From the session of that day on there are `new` shares for each `old` ones."""

    day: date
    new: int
    old: int = 1


class Share(NamedTuple):
    """One share, or an index. What is not given follows from its symbol and the market's seed.

    It is traded from `listed_ms` (Unix ms) until `delisted_ms`, from when on nobody knows it; 0: for ever.
    Asked for under the name of one that is `renamed`, the new name answers. `split_at_random`: one split
    more, of some day from 2010 to 2030, which about a third of all symbols have.
    """

    symbol: str
    name: str = ""
    price: float = 0.0  # the level it moves around, once all its splits have been
    listed_ms: int = 0
    delisted_ms: int = 0
    renamed: str = ""
    splits: tuple[Split, ...] = ()
    split_at_random: bool = False
    dividends: bool = True
    halted: tuple[date, ...] = ()  # days on which it was not traded, though the exchange was open
    thin: bool = False  # in most minutes nothing is traded

    @property
    def is_index(self) -> bool:
        """Whether it is no share at all: nobody splits it, or pays for it."""
        return self.symbol.startswith("^")

    @classmethod
    def parse(cls, text: str) -> Share:
        """What `AAPL` or `ANY:thin` describes. `ConfigError` if that is no symbol."""
        symbol, _, kind = text.strip().upper().partition(":")
        if kind not in ("", "THIN") or not symbol or not set(symbol) <= _LETTERS:
            raise ConfigError(f"{text!r} is not a share", "write it like AAPL, BRK-B, ^GSPC or ANY:thin")
        return cls(symbol, split_at_random=True, thin=bool(kind))


_LETTERS = {*"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.^="}

PECULIAR = {
    "IPO": "listed 120 days before the start",
    "HALT": "not traded on a day some 40 days before",
    "SPLIT": "four for one some 30 days before",
    "TONIGHT": "three for two at the second session after the start",
    "REVERSE": "one for eight some 60 days before",
    "GONE": "delisted: nobody knows it any more",
    "OLD": "renamed: it is NEW now",
    "THIN": "not traded in most minutes",
}
"""The made-up symbols among the default shares, and what is peculiar to each."""


def default_shares(start_ms: int, days: Sequence[int]) -> list[Share]:
    """The S&P 500, its index, and one share for each peculiarity, told from the start (Unix ms).

    `days` are those of the sessions, as `date.toordinal` counts.
    """
    today = datetime.fromtimestamp(start_ms / 1000, UTC).date()

    def session(after: int, skip: int = 0) -> date:
        wanted = [day for day in days if day >= today.toordinal() + after]
        return date.fromordinal(wanted[min(skip, len(wanted) - 1)]) if wanted else today

    year_ms = 366 * 86_400_000
    made_up = {
        "IPO": {"listed_ms": start_ms - 120 * 86_400_000},
        "HALT": {"halted": (session(-40),)},
        "SPLIT": {"splits": (Split(session(-30), 4),)},
        "TONIGHT": {"splits": (Split(session(1, 1), 3, 2),)},
        "REVERSE": {"splits": (Split(session(-60), 1, 8),)},
        "GONE": {"delisted_ms": start_ms - year_ms},
        "OLD": {"renamed": "NEW"},
        "NEW": {},
        "THIN": {"thin": True},
    }
    usual = [Share(symbol, split_at_random=True) for symbol in TICKERS]
    return [
        *usual,
        Share("^GSPC", "S&P 500", 5_000.0),
        *(Share(symbol, **told) for symbol, told in made_up.items()),  # type: ignore[arg-type]
    ]


def parse_shares(symbols: Sequence[str], start_ms: int, days: Sequence[int]) -> list[Share]:
    """What these describe, as they are by default where they are among the default ones; all, if none."""
    usual = {share.symbol: share for share in default_shares(start_ms, days)}
    wanted = [share for text in symbols if text.strip() for share in [Share.parse(text)]]
    new = [usual[share.renamed] for s in wanted for share in [usual.get(s.symbol, s)] if share.renamed]
    named = {s.symbol: s if s.thin else usual.get(s.symbol, s) for s in [*wanted, *new]}
    return [*named.values()] or [*usual.values()]
