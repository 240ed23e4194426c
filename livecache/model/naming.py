"""Which venue's symbol is meant: `venue:SYMBOL`, or a symbol alone where one venue only has it. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from .near import near_symbols

__all__ = ["Ambiguous", "find_symbol", "near_names", "split_venue"]


class Ambiguous(ValueError):
    """Several venues have it. `names` are what can be said instead."""

    def __init__(self, symbol: str, venues: Collection[str]) -> None:
        self.names = [f"{venue}:{symbol}" for venue in venues]
        super().__init__(f"{symbol} is at {' and at '.join(venues)}")


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

    As it is written, else in capitals. Raises Ambiguous.
    """
    venue, symbol = split_venue(text, known)
    among = known if venue is None else {venue: known[venue]}
    for wanted in dict.fromkeys((symbol, symbol.upper())):
        found = [one for one, symbols in among.items() if wanted in symbols]
        if len(found) > 1:
            raise Ambiguous(wanted, found)
        if found:
            return found[0], wanted
    return None


def near_names(text: str, known: Mapping[str, Collection[str]]) -> list[str]:
    """What may have been meant, the nearest first; by `venue:SYMBOL` where there are several venues."""
    venue, symbol = split_venue(text, known)
    among = known if venue is None else {venue: known[venue]}
    near = [(one, name) for one, symbols in among.items() for name in near_symbols(symbol, symbols)]
    return [f"{one}:{name}" if len(known) > 1 else name for one, name in near]
