"""What `livecache history fill` is asked for: symbols, timeframes and a stretch of time."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from ...clock import SystemClock
from ...config.load import order_timeframes, parse_timeframes
from ...config.schema import Config
from ...config.since import FIRST_MS, moment_in, since_of, years_ms
from ...config.symbols import parse_symbols, read_symbols
from ...errors import ConfigError
from ...venues.registry import settings_named
from .fill import Wanted

__all__ = ["moment_of", "time_of", "wanted_of"]

_DAY_MS = 86_400_000


def wanted_of(
    config: Config,
    *,
    venue: str | None,
    symbols: str | None,
    symbols_file: Path | None,
    timeframes: str | None,
    since: str | None,
    days: int | None,
    years: int | None,
    until: str | None,
    force: bool,
    oldest_first: bool,
    scheduled: bool = False,
    **_: object,
) -> tuple[Config, Wanted]:
    """The configuration with the venue that was named, and what is wanted. Raises ConfigError."""
    if venue is not None and venue not in config.venues:
        config = msgspec.structs.replace(config, venues={venue: settings_named(venue, config.venues)})
    elif venue is not None:
        config = msgspec.structs.replace(config, venues={venue: config.venues[venue]})
    if symbols is not None and symbols_file is not None:
        raise ConfigError("--symbols and --symbols-file are both given", "give one of them")
    if symbols_file is not None:
        symbols = ",".join(read_symbols("--symbols-file", symbols_file))
        source = f"--symbols-file {symbols_file}"
    else:
        source = "--symbols"
    chosen: Mapping[str, tuple[str, ...]]
    if symbols is not None:
        chosen = parse_symbols(source, symbols, config)
    else:
        chosen = {name: own.symbols for name, own in config.venues.items() if own.symbols}
    if timeframes is not None:
        parsed = parse_timeframes("--timeframe", timeframes)
        ordered = order_timeframes(parsed, config.cache.timeframes)
    else:
        ordered = config.cache.timeframes
    if scheduled:
        spans = (("--since", since), ("--days", days), ("--years", years), ("--until", until))
        for flag in (*(name for name, value in spans if value is not None), *(["--force"] if force else ())):
            raise ConfigError(f"--scheduled and {flag} are both given", "history.since says how far back")
        if timeframes is None:
            ordered = config.history.timeframes or ordered
        told = since_of(config.history.since)
        return config, Wanted(chosen, ordered, 0, oldest_first=oldest_first, scheduled=told.of)
    return config, Wanted(
        symbols=chosen,
        timeframes=ordered,
        since=_since(since, days, years),
        until=0 if until is None else moment_of("--until", until),
        force=force,
        oldest_first=oldest_first,
    )


def _since(since: str | None, days: int | None, years: int | None) -> int:
    given = [name for name, value in (("--since", since), ("--days", days), ("--years", years)) if value]
    if len(given) > 1:
        raise ConfigError(f"{' and '.join(given)} are both given", "give one of them")
    if days is not None:
        return -days * _DAY_MS
    if years is not None:
        return -years_ms(years)
    if since is None:
        hint = 'give --since (a date, "5y" or "listing"), --days or --years'
        raise ConfigError("nothing says how far back", hint)
    return FIRST_MS if since == "listing" else moment_of("--since", since)


def moment_of(flag: str, text: str) -> int:
    """Unix ms; an age is as much below 0."""
    if (told := moment_in(text)) is None:
        raise ConfigError(f"{flag} {text!r} is no time", 'a date such as 2021-01-31, or an age such as "5y"')
    return told


def time_of(flag: str, text: str | None) -> int | None:
    """Unix ms; an age is before the host's now."""
    if text is None:
        return None
    time = moment_of(flag, text)
    return time if time > 0 else int(SystemClock().wall() * 1000) + time
