"""Symbols as a flag names them, of the venues that are configured."""

from __future__ import annotations

from ..errors import ConfigError, UnknownSeries
from ..model.naming import find_symbol, split_venue
from .schema import Config

__all__ = ["parse_symbols"]


def parse_symbols(source: str, text: str, config: Config) -> dict[str, tuple[str, ...]]:
    """The symbols of a list by comma, by the ids of their venues, as `source` (a flag) gives it.

    They need not be configured. Raises ConfigError for what is none, or where the venue is not clear.
    """
    known = {venue: own.symbols for venue, own in config.venues.items()}
    chosen: dict[str, list[str]] = {}
    for item in (item.strip() for item in text.split(",")):
        if not item:
            continue
        venue, symbol = split_venue(item, known)
        try:
            if venue is None and len(known) == 1:
                (venue,) = known
            elif venue is None and (found := find_symbol(item, known)):
                venue, symbol = found
        except UnknownSeries as error:
            raise ConfigError(f"{source}: {error.message}", error.hint) from None
        if venue is None:
            names = " or ".join(f"{one}:{symbol}" for one in known)
            raise ConfigError(f"{source}: {item!r} does not say at which venue", f"write {names}")
        chosen.setdefault(venue, []).append(symbol)
    if not chosen:
        raise ConfigError(f"{source}: is empty", "name at least one")
    for venue, symbols in chosen.items():
        for problem, hint in config.venues[venue].symbol_problems(tuple(symbols)):
            raise ConfigError(f"{source}: {problem}", hint)
    return {venue: tuple(symbols) for venue, symbols in chosen.items()}
