"""What the shell offers for a symbol or a timeframe: those that are filled, else those configured."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress

from ..config import Config, load

__all__ = ["complete_symbol", "complete_timeframe"]

_QUICK_S = 0.3  # somebody has pressed a key and waits


def complete_symbol(incomplete: str) -> list[str]:
    """The symbols that begin so."""
    found = dict.fromkeys(symbol for symbol, _ in _series())
    return [symbol for symbol in found if symbol.startswith(incomplete)]


def complete_timeframe(incomplete: str) -> list[str]:
    """The timeframes that begin so."""
    found = dict.fromkeys(timeframe for _, timeframe in _series())
    return [timeframe for timeframe in found if timeframe.startswith(incomplete)]


def _series() -> Iterator[tuple[str, str]]:
    """Symbol and timeframe of each series; none where anything fails, for a shell must see no error."""
    with suppress(Exception):
        config = load(None, os.environ).config
        yield from _filled(config) or [
            (symbol, timeframe.value)
            for symbol in config.venues.coinbase.symbols
            for timeframe in config.cache.timeframes
        ]


def _filled(config: Config) -> list[tuple[str, str]]:
    with suppress(Exception):
        import redis
        from redis.backoff import NoBackoff
        from redis.retry import Retry

        from ..cache.connecting import client_for
        from ..cache.reader import Reader
        from ..commands.reading import VENUE, redis_url_of

        with (
            client_for(
                redis,
                redis_url_of(config),
                retry=Retry(NoBackoff(), 0),
                socket_connect_timeout=_QUICK_S,
                socket_timeout=_QUICK_S,
            ) as client,
            Reader(client=client, prefix=config.redis.prefix, venue=VENUE) as reader,
        ):
            return [(series.symbol, series.timeframe.value) for series in reader.series()]
    return []
