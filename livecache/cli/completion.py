"""What the shell offers for symbols and timeframes: those that are filled, else those configured."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress

from ..config import Config, load

__all__ = ["complete_symbol", "complete_timeframe"]

_QUICK_S = 0.3  # somebody has pressed a key and waits


def complete_symbol(incomplete: str) -> list[str]:
    """The symbols that begin so; of a list with commas, its last."""
    return _offered((symbol for symbol, _ in _series()), incomplete)


def complete_timeframe(incomplete: str) -> list[str]:
    """The timeframes that begin so; of a list with commas, its last."""
    return _offered((timeframe for _, timeframe in _series()), incomplete)


def _offered(names: Iterable[str], incomplete: str) -> list[str]:
    before, comma, begun = incomplete.rpartition(",")
    return [f"{before}{comma}{name}" for name in dict.fromkeys(names) if name.startswith(begun)]


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
        from ..cache.reader import Reader
        from ..commands.reading import VENUE, connect

        with (
            connect(config, connect_s=_QUICK_S, command_s=_QUICK_S) as client,
            Reader(client=client, prefix=config.redis.prefix, venue=VENUE) as reader,
        ):
            return [(series.symbol, series.timeframe.value) for series in reader.series()]
    return []
