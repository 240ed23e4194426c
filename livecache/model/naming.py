"""Which venue's symbol is meant: `venue:SYMBOL`, or a symbol alone where one venue has it. Pure."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable, Mapping

from ..errors import UnknownSeries

__all__ = ["ambiguous", "find_symbol", "near_names", "near_symbols", "split_venue"]

_MOST = 3
_SEPARATORS = re.compile(r"[/_:\s]")  # what others write for the dash


def ambiguous(symbol: str, venues: Collection[str]) -> UnknownSeries:
    """The error for a symbol that several venues have."""
    names = " or ".join(f"{venue}:{symbol}" for venue in venues)
    return UnknownSeries(f"{symbol} is at {' and at '.join(venues)}", f"say {names}")


def split_venue(text: str, venues: Collection[str]) -> tuple[str | None, str]:
    """The venue and the symbol of `venue:SYMBOL`; None where what is before the first colon names no venue.

    A symbol may itself hold colons.
    """
    head, colon, rest = text.partition(":")
    if colon and rest and (venue := head if head in venues else head.lower()) in venues:
        return venue, rest
    return None, text


def find_symbol(text: str, known: Mapping[str, Collection[str]]) -> tuple[str, str] | None:
    """The venue and the symbol that are meant, of those `known` by venue; None where there is no such.

    As it is written, else in capitals. Raises UnknownSeries where several have it.
    """
    venue, symbol = split_venue(text, known)
    among = known if venue is None else {venue: known[venue]}
    for wanted in dict.fromkeys((symbol, symbol.upper())):
        found = [one for one, symbols in among.items() if wanted in symbols]
        if len(found) > 1:
            raise ambiguous(wanted, found)
        if found:
            return found[0], wanted
    return None


def near_names(text: str, known: Mapping[str, Collection[str]]) -> list[str]:
    """What may have been meant, the nearest first; by `venue:SYMBOL` where there are several venues."""
    venue, symbol = split_venue(text, known)
    among = known if venue is None else {venue: known[venue]}
    near = [(one, name) for one, symbols in among.items() for name in near_symbols(symbol, symbols)]
    return [f"{one}:{name}" if len(known) > 1 else name for one, name in near]


def near_symbols(symbol: str, known: Iterable[str]) -> list[str]:
    """The known symbols that may have been meant, the nearest first; [] where none is near.

    What comes before the last dash, or another separator, is compared, since nearly all end alike; where
    that finds nothing, all of the name.
    """
    wanted = _SEPARATORS.sub("-", symbol.upper())
    base, _, quote = wanted.rpartition("-") if "-" in wanted else (wanted, "", "")
    by_base: dict[str, list[str]] = {}
    bare: dict[str, str] = {}
    for name in known:
        written = _SEPARATORS.sub("-", name.upper())
        if name != symbol and written.replace("-", "") == wanted.replace("-", ""):
            return [name]
        by_base.setdefault(written.rpartition("-")[0], []).append(name)
        bare.setdefault(written.replace("-", ""), name)
    near = []
    for found in difflib.get_close_matches(base, by_base, n=_MOST, cutoff=0.66):
        near += difflib.get_close_matches(f"{found}-{quote}", by_base[found], n=1, cutoff=0.0)
    if not near:
        alike = difflib.get_close_matches(wanted.replace("-", ""), bare, n=1, cutoff=0.8)
        near = [bare[name] for name in alike if bare[name] != symbol]
    return near
