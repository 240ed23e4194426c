"""Symbols as a flag names them, of the venues that are configured, and as a file lists them."""

from __future__ import annotations

import json
from pathlib import Path

from ..errors import ConfigError, UnknownSeries
from ..files import read_regular, why_not
from ..model.naming import find_symbol, split_venue
from ..venues.settings import list_problems
from .schema import Config

__all__ = ["parse_symbols", "read_symbols"]

_FILE_BYTES = 1_000_000


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
        chosen.setdefault(venue, []).append(config.venues[venue].symbol_meant(symbol))
    if not chosen:
        raise ConfigError(f"{source}: is empty", "name at least one")
    for venue, symbols in chosen.items():
        for problem, hint in config.venues[venue].symbol_problems(tuple(symbols)):
            raise ConfigError(f"{source}: {problem}", hint)
    return {venue: tuple(symbols) for venue, symbols in chosen.items()}


def read_symbols(source: str, path: Path) -> tuple[str, ...]:
    """The symbols of a file: JSON with a list, or an object with a list `symbols`; else one a line.

    `source` (a flag or a setting) named it. Raises ConfigError.
    """
    told = f"{source} {path}"
    try:
        raw = read_regular(path, _FILE_BYTES + 1)
        text = raw.decode("utf-8-sig") if len(raw) <= _FILE_BYTES else None
    except (OSError, UnicodeDecodeError) as error:
        why, mends = why_not(path, error)
        raise ConfigError(f"{told}: {why}", mends) from None
    if text is None:
        raise ConfigError(f"{told}: is longer than {_FILE_BYTES:,} bytes", "is that a list of symbols?")
    listed: object
    if text.lstrip()[:1] in ("{", "["):
        try:
            listed = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ConfigError(f"{told}: {error}", "it looks like JSON, but is none") from None
        listed = listed.get("symbols") if isinstance(listed, dict) else listed
    else:
        lines = (line.partition("#")[0].strip() for line in text.splitlines())
        listed = [line for line in lines if line]
    if not isinstance(listed, list) or not all(isinstance(each, str) for each in listed):
        raise ConfigError(f"{told}: has no list of symbols", '{"symbols": ["BTC-USD"]}')
    for problem, hint in list_problems(tuple(listed)):
        raise ConfigError(f"{told}: {problem}", hint)
    return tuple(listed)
